//! A call's result, its errors, and where it goes.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matchmaker::{Answer, Backend, MatchMaker, Member, Topic};
use oslo_rpc::envelope::Style;
use oslo_rpc::json::Value;
use oslo_rpc::{CallError, Client, Context, Endpoint, RemoteError, Server, Settings, Stage, Target, Transport};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::site::{Echo, Site, echo, methods, topic};

#[tokio::test]
async fn calls_return_what_they_were_given_in_every_style() {
    let site = Site::default();
    let _server = Server::builder("compute").endpoint(methods()).start(&site.transport().await).await.unwrap();
    for style in [Style::Cast, Style::V2, Style::MessagePack] {
        let client = Client::new(&site.transport_with(|settings| settings.style = style).await);
        for value in [
            Value::Null,
            Value::Array(vec![]),
            Value::String("Zürich 日本語 😀 \u{0}\"\\".to_owned()),
            Value::BigInt("1606938044258990275541962092341162602522202993782792835301376".into()),
            Value::String("x".repeat(1 << 20)),
            Value::Object([("exc".to_owned(), Value::Float(1.0))].into()),
        ] {
            let result = client.call::<Value>(&topic(), "echo", &Echo { value: value.clone() }).await;
            if style == Style::MessagePack && matches!(value, Value::BigInt(_)) {
                assert!(matches!(result, Err(CallError::Encode(_))));
                continue;
            }
            assert_eq!(result.unwrap(), value);
        }
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Ours {
            user: String,
        }
        let ours = Ours { user: "ünï".to_owned() };
        let client = client.with_context(Context::new(&ours).unwrap());
        assert_eq!(client.call::<Ours>(&topic(), "context", &()).await.unwrap(), ours);
    }
}

#[tokio::test]
async fn b19_an_error_arrives_unchanged() {
    let site = Site::default();
    let _server = Server::builder("compute").endpoint(methods()).start(&site.transport().await).await.unwrap();
    let client = Client::new(&site.transport().await);
    let Err(CallError::Remote(error)) = client.call::<()>(&topic(), "fail", &()).await else { panic!("no error") };
    let cause = RemoteError::builtin("KeyError", "deep");
    assert_eq!(*error, RemoteError::new("Quota", "nova.exception", "über").kwarg("used", 9).caused_by(cause));
    let Err(CallError::Remote(error)) = client.call::<()>(&topic(), "panic", &()).await else { panic!("no error") };
    assert!(error.is("RuntimeError"));
    let Err(CallError::Remote(error)) = client.call::<()>(&topic(), "_hidden", &()).await else { panic!("no error") };
    assert!(error.is("NoSuchMethod"));
    let newer = topic().version("1.1");
    let Err(CallError::Remote(error)) = client.call::<()>(&newer, "echo", &echo(1)).await else { panic!("no error") };
    assert!(error.is("UnsupportedVersion"));
}

#[tokio::test]
async fn b03_two_configurations_in_one_process() {
    let (first, second) = (Site::default(), Site::default());
    let mut results = Vec::new();
    let mut servers = Vec::new();
    for (site, name) in [(&first, "first"), (&second, "second")] {
        let endpoint =
            Endpoint::new().method("name", move |_: Context, (): ()| async move { Ok::<_, RemoteError>(name) });
        servers.push(Server::builder("compute").endpoint(endpoint).start(&site.transport().await).await.unwrap());
    }
    for site in [&first, &second] {
        results.push(Client::new(&site.transport().await).call::<String>(&topic(), "name", &()).await.unwrap());
    }
    assert_eq!(results, ["first", "second"]);
}

#[tokio::test]
async fn b20_a_directed_call_goes_to_its_host_only() {
    let site = Site::default();
    let mut servers = Vec::new();
    let mut hosts = Vec::new();
    for _ in 0..3 {
        let transport = site.transport().await;
        let host = transport.settings().host.to_string();
        let name = host.clone();
        let endpoint = Endpoint::new().method("name", move |_: Context, (): ()| {
            let name = name.clone();
            async move { Ok::<_, RemoteError>(name) }
        });
        servers.push(Server::builder("compute").endpoint(endpoint).start(&transport).await.unwrap());
        hosts.push(host);
    }
    let client = Client::new(&site.transport().await);
    for _ in 0..1000 {
        let name: String = client.call(&topic().server(&hosts[1]), "name", &()).await.unwrap();
        assert_eq!(name, hosts[1]);
    }
    // Without a server named, each has its turn.
    for turn in 0..6 {
        let name: String = client.call(&topic(), "name", &()).await.unwrap();
        assert_eq!(name, hosts[turn % 3]);
    }
}

#[tokio::test]
async fn b36_a_host_may_be_an_ipv6_address() {
    let site = Site::default();
    let listen = |settings: &mut Settings| settings.listen = Some("[::1]:0".to_owned());
    let _server =
        Server::builder("compute").endpoint(methods()).start(&site.transport_with(listen).await).await.unwrap();
    let client = Client::new(&site.transport_with(listen).await);
    assert_eq!(client.call::<i64>(&topic(), "echo", &echo(6)).await.unwrap(), 6);
}

#[tokio::test]
async fn b29_the_timeout_of_a_call_is_its_own_and_says_where_it_got_to() {
    let site = Site::default();
    let _server = Server::builder("compute").endpoint(methods()).start(&site.transport().await).await.unwrap();
    let client = Client::new(&site.transport().await).with_timeout(Duration::from_millis(200));
    let begun = Instant::now();
    let error = client.call::<String>(&topic(), "slow", &()).await.unwrap_err();
    let waited = begun.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_millis(400)).contains(&waited), "{waited:?}");
    assert!(error.is_retryable());
    let CallError::TimedOut(told) = error else { panic!("{error}") };
    assert!(told.topic.starts_with("compute.127.0.0.1:") && told.method == "slow" && told.id.len() == 32, "{told:?}");
    assert!(matches!(told.stage, Stage::Written { .. }), "{told}");
}

#[tokio::test]
async fn a_call_to_nobody_fails_at_once_and_one_to_a_dead_host_says_that_it_is_not_connected() {
    let site = Site::default();
    let client = Client::new(&site.transport().await).with_timeout(Duration::from_millis(300));
    let begun = Instant::now();
    let error = client.call::<()>(&topic(), "echo", &()).await.unwrap_err();
    assert!(error.is_no_host() && begun.elapsed() < Duration::from_millis(100), "{error}");
    assert!(matches!(client.call::<()>(&topic().fanout(), "echo", &()).await, Err(CallError::Fanout)));

    let error = client.call::<()>(&topic().server("127.0.0.1:1"), "echo", &()).await.unwrap_err();
    let CallError::TimedOut(told) = error else { panic!("{error}") };
    let Stage::Matched { address, failure } = told.stage else { panic!("{told}") };
    assert_eq!(address, "127.0.0.1:1");
    assert!(failure.unwrap().contains("refused"));
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    let site = Site::default();
    let _server = Server::builder("compute").endpoint(methods()).start(&site.transport().await).await.unwrap();
    let transport = site.transport().await;
    let client = Client::new(&transport);
    let given_up = tokio::time::timeout(Duration::from_millis(50), client.call::<String>(&topic(), "slow", &())).await;
    assert!(given_up.is_err());
    sleep(Duration::from_millis(500)).await;
    assert_eq!(transport.dropped().get("reply-late"), Some(&1));
    assert_eq!(client.call::<i64>(&topic(), "echo", &echo(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn no_time_is_too_long() {
    let site = Site::default();
    let server = Server::builder("compute").endpoint(methods()).start(&site.transport().await).await.unwrap();
    let transport = site.transport_with(|settings| settings.cast_timeout = Duration::MAX).await;
    let client = Client::new(&transport).with_timeout(Duration::MAX);
    assert_eq!(client.call::<i64>(&topic(), "echo", &echo(1)).await.unwrap(), 1);
    client.cast(&topic(), "echo", &echo(1)).await.unwrap();
    assert_eq!(server.stop(Duration::MAX).await.aborted, 0);
    assert_eq!(transport.close(Duration::MAX).await.dropped, 0);
}

/// A registry that does not answer.
#[derive(Debug)]
struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("silence")
    }
}

impl Backend for Silent {
    fn members<'a>(&'a self, _: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        Box::pin(pending())
    }

    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        Box::pin(pending())
    }
}

#[tokio::test]
async fn b29_a_timeout_tells_each_stage_from_the_next() {
    let stage = async |client: &Client, target: Target, octets: usize| {
        let error = client.call::<()>(&target, "echo", &echo("x".repeat(octets))).await.unwrap_err();
        let CallError::TimedOut(told) = error else { panic!("{error}") };
        (told.stage.clone(), told.to_string())
    };
    let mut settings = Settings::new("localhost".parse().unwrap());
    settings.listen = Some("127.0.0.1:0".to_owned());
    let silent = Transport::with_matchmaker(settings, MatchMaker::new(Arc::new(Silent))).await.unwrap();
    let (found, told) = stage(&Client::new(&silent).with_timeout(SHORT), topic(), 1).await;
    assert!(found == Stage::Lookup && told.ends_with("see that its registry runs"), "{told}");

    let site = Site::default();
    let client = Client::new(&site.transport().await).with_timeout(SHORT);
    let (found, told) = stage(&client, topic().server("127.0.0.1:1"), 1).await;
    assert!(matches!(found, Stage::Matched { .. }) && told.contains("refused"), "{told}");

    // One that takes a message, reads one more, and then no more; and one that is more than the system keeps for it.
    let unread = zmtp::Pull::new(zmtp::Options::new().recv_mark(zmtp::Mark::messages(1)));
    let endpoint = unread.bind("tcp://127.0.0.1:*").await.unwrap();
    for _ in 0..2 {
        let (found, told) = stage(&client, topic().server(endpoint.address()), 1).await;
        assert!(matches!(found, Stage::Written { .. }) && told.contains("no reply; see"), "{told}");
    }
    let client = client.with_timeout(LONG);
    let (found, told) = stage(&client, topic().server(endpoint.address()), 20_000_000).await;
    assert!(matches!(found, Stage::Connected { .. }) && told.contains("does not read: see its log"), "{told}");
}

/// Ample for a connection on this machine.
const SHORT: Duration = Duration::from_millis(300);

/// What a request of 20 MB takes from a debug build to the system on a busy machine, and more.
const LONG: Duration = Duration::from_secs(2);
