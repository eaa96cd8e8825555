//! What is secret stays out of logs and error texts (oslo-bugs B8, LP 1171556).
//!
//! A program of its own: it takes the log of the whole process, at its most talkative.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use matchmaker::{MatchMaker, Memory};
use oslo_rpc::envelope::Style;
use oslo_rpc::json::Value;
use oslo_rpc::{Client, Context, Endpoint, Notifier, Priority, RemoteError, Server, Settings, Target, Transport};
use serde_json::json;
use tracing::Level;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn b08_no_secret_is_logged_or_told() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();

    let site = Arc::new(Memory::new());
    let transport = async |style| {
        let listen = Some("127.0.0.1:0".to_owned());
        let settings = Settings { listen, style, ..Settings::new("localhost".parse().unwrap()) };
        Transport::with_matchmaker(settings, MatchMaker::new(site.clone())).await.unwrap()
    };
    let serving = transport(Style::Cast).await;
    let endpoint = Endpoint::new()
        .method("echo", async |_: Context, args: Value| Ok::<_, RemoteError>(args))
        .method("number", async |_: Context, _: std::collections::BTreeMap<String, u8>| Ok::<_, RemoteError>(()))
        .method("fail", async |_: Context, args: Value| {
            Err::<(), _>(RemoteError::new("X", "m", "x").kwarg("args", args))
        });
    let _server = Server::builder("compute").endpoint(endpoint).start(&serving).await.unwrap();

    let secrets = json!({
        "auth_token": SECRET, "deep": [{ "admin_password": SECRET }], "new_pass": SECRET, "secret": SECRET,
        "nested": json!({ "password": SECRET }).to_string(),
    });
    let mut told = String::new();
    for style in [Style::Cast, Style::V2, Style::MessagePack] {
        let client = Client::new(&transport(style).await)
            .with_context(Context::new(&secrets).unwrap())
            .with_timeout(Duration::from_millis(500));
        let target = Target::topic("compute");
        let echoed: Value = client.call(&target, "echo", &secrets).await.unwrap();
        assert_eq!(echoed.get("auth_token").and_then(Value::as_str), Some(SECRET));
        told += &format!("{client:?}");
        // Wrong types on both sides, an exception, no such method, nobody there, a cast that fails.
        told += &format!("{:?}", client.call::<u8>(&target, "echo", &secrets).await.unwrap_err());
        told += &client.call::<u8>(&target, "number", &secrets).await.unwrap_err().to_string();
        told += &client.call::<u8>(&target, "fail", &secrets).await.unwrap_err().to_string();
        told += &client.call::<u8>(&target, "none", &secrets).await.unwrap_err().to_string();
        told += &format!(
            "{:?}",
            client.call::<u8>(&target.clone().server("127.0.0.1:1"), "x", &secrets).await.unwrap_err()
        );
        client.cast(&target, "fail", &secrets).await.unwrap();
        let notifier = Notifier::new(client.transport(), "p").with_context(client.context().clone());
        notifier.notify(Priority::Info, "x", &secrets).await.unwrap();
    }
    // What is no message, with secrets where something else was due.
    let push = zmtp::Push::new(zmtp::Options::new());
    push.connect(&format!("tcp://{}", serving.settings().host)).unwrap();
    let topic = format!("compute.{}", serving.settings().host);
    for frames in [
        vec!["0".to_owned(), secrets.to_string(), "cast".to_owned(), String::new()],
        vec!["0".to_owned(), topic.clone(), secrets.to_string(), String::new()],
        vec!["0".to_owned(), topic.clone(), "cast".to_owned(), secrets.to_string()],
        vec!["0".to_owned(), topic.clone(), "cast".to_owned(), format!("[\"{{}}\", {secrets}")],
    ] {
        push.send(zmtp::Message::from_frames(frames).unwrap()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(serving.dropped().values().sum::<u64>(), 4, "{:?}", serving.dropped());

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("request") && log.contains("a cast failed"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert!(!told.contains(SECRET), "{told}");
}

const SECRET: &str = "hunter2-hunter2";
