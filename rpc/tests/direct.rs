//! Clients and servers against each other in the direct mode: one process, real sockets, no receiver.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use matchmaker::{Host, MatchMaker, Memory, Topic};
use oslo_rpc::envelope::Style;
use oslo_rpc::json::Value;
use oslo_rpc::transport::RouteError;
use oslo_rpc::{
    CallError, CastError, Client, Context, Endpoint, Listener, Notifier, Priority, RemoteError, Server, Settings,
    Stage, Target, Transport,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::sleep;

#[derive(Serialize, Deserialize)]
struct Echo {
    value: Value,
}

/// Hosts that know one another.
#[derive(Clone, Default)]
struct Site(Arc<Memory>);

impl Site {
    async fn transport(&self) -> Transport {
        self.transport_with(|_| {}).await
    }

    async fn transport_with(&self, change: impl FnOnce(&mut Settings)) -> Transport {
        let mut settings = Settings::new("localhost".parse().unwrap());
        settings.listen = Some("127.0.0.1:0".to_owned());
        settings.response_timeout = Duration::from_secs(10);
        change(&mut settings);
        Transport::with_matchmaker(settings, MatchMaker::new(self.0.clone())).await.unwrap()
    }
}

fn methods() -> Endpoint {
    Endpoint::new()
        .method("echo", async |_: Context, echo: Echo| Ok::<_, RemoteError>(echo.value))
        .method("context", async |context: Context, (): ()| {
            context.read::<Value>().map_err(|error| RemoteError::builtin("TypeError", error.to_string()))
        })
        .method("fail", async |_: Context, (): ()| {
            let cause = RemoteError::builtin("KeyError", "deep");
            Err::<(), _>(RemoteError::new("Quota", "nova.exception", "über").kwarg("used", 9).caused_by(cause))
        })
        .method("panic", async |_: Context, (): ()| {
            assert!(std::hint::black_box(false), "a method that panics");
            Ok::<_, RemoteError>(())
        })
        .method("slow", async |_: Context, (): ()| {
            sleep(Duration::from_millis(300)).await;
            Ok::<_, RemoteError>("done")
        })
}

fn echo(value: impl Into<Value>) -> Echo {
    Echo { value: value.into() }
}

fn topic() -> Target {
    Target::topic("compute")
}

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
async fn b33_a_fanout_reaches_every_host_and_a_dead_one_holds_up_nobody() {
    let site = Site::default();
    let dead: Host = "127.0.0.1:1".parse().unwrap();
    matchmaker::Backend::register(&*site.0, &"compute".parse().unwrap(), &dead).await.unwrap();
    let (sender, mut received) = mpsc::unbounded_channel();
    let mut servers = Vec::new();
    for _ in 0..3 {
        let sender = sender.clone();
        let endpoint = Endpoint::new().method("note", move |_: Context, echo: Echo| {
            sender.send(echo.value).unwrap();
            async { Ok::<_, RemoteError>(()) }
        });
        servers.push(Server::builder("compute").endpoint(endpoint).start(&site.transport().await).await.unwrap());
    }
    let client = Client::new(&site.transport().await);
    let begun = Instant::now();
    client.fanout(&topic(), "note", &echo("all")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(received.recv().await.unwrap(), "all".into());
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    sleep(Duration::from_millis(50)).await;
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn b31_b32_notifications_of_both_versions_are_heard_on_a_topic_with_a_dot() {
    let site = Site::default();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let listener = Listener::builder(["my.notes"])
        .on(Priority::Info, move |heard| {
            sender.send(heard).unwrap();
            async {}
        })
        .start(&site.transport().await)
        .await
        .unwrap();
    for style in [Style::Cast, Style::V2] {
        let notifier =
            Notifier::new(&site.transport().await, "compute.host1").with_topics(["my.notes"]).with_style(style);
        notifier.notify(Priority::Info, "it.happened", &echo("größe")).await.unwrap();
        let told = heard.recv().await.unwrap();
        assert_eq!((told.event_type.as_str(), told.publisher_id.as_str()), ("it.happened", "compute.host1"));
        assert_eq!((told.priority.as_str(), told.timestamp.len(), told.message_id.len()), ("INFO", 26, 36));
        assert_eq!(told.payload::<Echo>().unwrap().value, "größe".into());
    }
    listener.stop(Duration::from_secs(1)).await;
    let topics = matchmaker::Backend::topics(&*site.0).await.unwrap();
    assert_eq!(topics, [] as [Topic; 0]);
}

#[tokio::test]
async fn b09_a_cast_to_a_host_that_comes_back_late_is_dropped_and_counted() {
    let site = Site::default();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let transport = site.transport_with(|settings| settings.cast_timeout = Duration::from_millis(300)).await;
    let client = Client::new(&transport);
    let target = topic().server(&address);
    client.cast(&target, "note", &echo("late")).await.unwrap();
    sleep(Duration::from_millis(800)).await;
    assert_eq!(transport.dropped().get("expired"), Some(&1));

    let (sender, mut received) = mpsc::unbounded_channel();
    let endpoint = Endpoint::new().method("note", move |_: Context, echo: Echo| {
        sender.send(echo.value).unwrap();
        async { Ok::<_, RemoteError>(()) }
    });
    let revived = site.transport_with(|settings| settings.listen = Some(address.clone())).await;
    let _server = Server::builder("compute").endpoint(endpoint).start(&revived).await.unwrap();
    // A second message comes through once the host is found again, and the first never does.
    loop {
        client.cast(&target, "note", &echo("in time")).await.unwrap();
        if let Ok(Some(value)) = tokio::time::timeout(Duration::from_millis(400), received.recv()).await {
            assert_eq!(value, "in time".into());
            break;
        }
    }
}

#[tokio::test]
async fn b07_casts_followed_by_an_orderly_end_all_arrive() {
    let site = Site::default();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let endpoint = Endpoint::new().method("note", move |_: Context, _: Echo| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, RemoteError>(()) }
    });
    let _server = Server::builder("compute").endpoint(endpoint).start(&site.transport().await).await.unwrap();
    let transport = site.transport().await;
    let client = Client::new(&transport);
    for n in 0..1000 {
        client.cast(&topic(), "note", &echo(n)).await.unwrap();
    }
    let closed = transport.close(Duration::from_secs(5)).await;
    assert_eq!(closed.dropped, 0);
    let end = Instant::now() + Duration::from_secs(5);
    while count.load(Ordering::Relaxed) < 1000 && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 1000);
    assert!(matches!(client.call::<()>(&topic(), "echo", &()).await, Err(CallError::Route(RouteError::Closed))));
    assert!(matches!(client.cast(&topic(), "note", &()).await, Err(CastError::Route(RouteError::Closed))));
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

#[tokio::test]
async fn b38_closing_without_a_peer_ends_in_time_and_says_what_was_dropped() {
    let transport = Site::default().transport().await;
    let client = Client::new(&transport);
    for n in 0..100 {
        client.cast(&topic().server("127.0.0.1:1"), "note", &echo(n)).await.unwrap();
    }
    let begun = Instant::now();
    let closed = transport.close(Duration::from_millis(300)).await;
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!((closed.sent, closed.dropped), (0, 100));
}

#[tokio::test]
async fn b37_b40_a_pool_of_one_serves_three_topics_and_a_stop_lets_it_finish() {
    let site = Site::default();
    let transport = site.transport().await;
    let server = Server::builder("compute")
        .server("0f3c-uuid")
        .concurrency(1)
        .endpoint(methods())
        .start(&transport)
        .await
        .unwrap();
    let client = Client::new(&site.transport().await);
    // A server whose name is no host is found by its announcement (B37).
    for target in [topic(), topic().server("0f3c-uuid"), topic().server(transport.settings().host.as_str())] {
        assert_eq!(client.call::<i64>(&target, "echo", &echo(7)).await.unwrap(), 7);
    }
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call::<String>(&topic(), "slow", &()).await }
    });
    sleep(Duration::from_millis(100)).await;
    let stopped = server.stop(Duration::from_secs(2)).await;
    assert_eq!((stopped.finished, stopped.aborted), (1, 0));
    assert_eq!(slow.await.unwrap().unwrap(), "done");
    assert!(client.call::<i64>(&topic(), "echo", &echo(7)).await.unwrap_err().is_no_host());
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
async fn b23_what_is_no_message_is_dropped_and_counted_and_the_next_is_served() {
    let site = Site::default();
    let transport = site.transport().await;
    let _server = Server::builder("compute").endpoint(methods()).start(&transport).await.unwrap();
    let address = transport.settings().host.as_str();
    let push = zmtp::Push::new(zmtp::Options::new());
    push.connect(&format!("tcp://{address}")).unwrap();
    let topic_frame = format!("compute.{address}");
    let send = async |frames: &[&str]| {
        let frames = frames.iter().map(|frame| frame.replace('T', &topic_frame));
        push.send(zmtp::Message::from_frames(frames).unwrap()).await.unwrap();
    };
    for frames in [
        &["0"][..],
        &["0", "../x", "cast", "[]"],
        &["0", "T"],
        &["0", "T", "cast", "{"],
        &["0", "T", "impl_zmq_v9", "{}"],
        &["0", "T", "cast", "[\"null\", {}]"],
        &["0", "T", "impl_zmq_v2", "{}", "oslo.version", "3.0", "oslo.message", "{}"],
    ] {
        send(frames).await;
    }
    let client = Client::new(&site.transport().await);
    assert_eq!(client.call::<i64>(&topic(), "echo", &echo(7)).await.unwrap(), 7);
    let end = Instant::now() + Duration::from_secs(2);
    while transport.dropped().values().sum::<u64>() < 7 && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(transport.dropped().values().sum::<u64>(), 7, "{:?}", transport.dropped());
}

/// Captured messages with octets changed, cut and repeated, and frames swapped and left out.
#[tokio::test]
async fn b23_a_hundred_thousand_damaged_messages_end_nothing() {
    let site = Site::default();
    let transport = site.transport().await;
    let _server = Server::builder("compute").endpoint(methods()).start(&transport).await.unwrap();
    let address = transport.settings().host.as_str();
    let push = zmtp::Push::new(zmtp::Options::new());
    push.connect(&format!("tcp://{address}")).unwrap();
    let topic_frame = format!("compute.{address}");
    let call = concat!(
        r#"["{\"a\": 1}", {"method": "-reply", "args": {"msg_id": "1", "topic": "zmq_replies.127.0.0.1:1", "msg": ["{}", "#,
        r#"{"method": "echo", "args": {"value": [1, NaN, "\ud83d\ude00"]}, "version": "1.0"}]}}]"#
    );
    let sound = [
        vec!["0", &topic_frame, "cast", r#"["{}", {"method": "echo", "args": {"value": {"a": 1e5}}}]"#],
        vec!["0", &topic_frame, "cast", call],
        vec!["0", &topic_frame, "impl_zmq_v2", "{}", "oslo.message", r#"{"method": "echo"}"#, "oslo.version", "2.0"],
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let messages = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    for n in 0..messages {
        let mut frames: Vec<Vec<u8>> = sound[n % sound.len()].iter().map(|frame| frame.as_bytes().to_vec()).collect();
        for _ in 0..=random.below(3) {
            let at = random.below(frames.len());
            match random.below(5) {
                0 => frames.swap(at, 0),
                1 if frames.len() > 1 => drop(frames.remove(at)),
                2 => frames[at].truncate(random.below(40)),
                3 => frames.push(vec![b'x'; random.below(4)]),
                _ => {
                    let frame = &mut frames[at];
                    for _ in 0..=random.below(4) {
                        let place = random.below(frame.len() + 1);
                        frame.insert(place, NOISE[random.below(NOISE.len())]);
                    }
                }
            }
        }
        push.send(zmtp::Message::from_frames(frames).unwrap()).await.unwrap();
    }
    let client = Client::new(&site.transport().await);
    assert_eq!(client.call::<i64>(&topic(), "echo", &echo(7)).await.unwrap(), 7);
    let dropped = transport.dropped();
    assert!(dropped.len() > 8 && dropped.values().sum::<u64>() > messages as u64 / 4, "{dropped:?}");
}

/// What matters to a reader of JSON, and an octet that is no UTF-8.
const NOISE: &[u8] = b"{}[]\",:\\u01eE.-\xffN";

/// The same numbers each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
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
async fn b42_a_reply_goes_to_no_other_topic() {
    let site = Site::default();
    let transport = site.transport().await;
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let endpoint = Endpoint::new().method("note", move |_: Context, (): ()| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, RemoteError>(()) }
    });
    let _server = Server::builder("compute").endpoint(endpoint).start(&transport).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let victim = listener.local_addr().unwrap();
    let address = transport.settings().host.as_str();
    let push = zmtp::Push::new(zmtp::Options::new());
    push.connect(&format!("tcp://{address}")).unwrap();
    for reply_topic in [format!("compute.{victim}"), format!("zmq_repliesx.{victim}"), format!("fanout~a.{victim}")] {
        let body = format!(
            r#"["{{}}", {{"method": "-reply", "args": {{"msg_id": "1", "topic": "{reply_topic}", "msg": ["{{}}", {{"method": "note"}}]}}}}]"#
        );
        let message = zmtp::Message::builder().more("0").more(format!("compute.{address}")).more("cast").last(body);
        push.send(message).await.unwrap();
    }
    let end = Instant::now() + Duration::from_secs(2);
    while ran.load(Ordering::Relaxed) < 3 && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(ran.load(Ordering::Relaxed), 3);
    assert!(listener.accept().is_err(), "the service connected to where a stranger told it to");
}
