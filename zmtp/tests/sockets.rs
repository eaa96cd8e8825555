//! The sockets with one another: what arrives, in which order, and what becomes of the rest.

use std::{collections::HashSet, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use zmtp::{
    Disconnect, LateJoiners, Limits, Mark, Message, Options, Pub, Pull, Push, SendError, SocketEvent, Sub,
    proto::Header,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn text(message: &Message) -> String {
    message.frames().map(|f| f.escape_ascii().to_string()).collect::<Vec<_>>().join("|")
}

async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(Duration::from_secs(10), future).await?)
}

/// Waits until `check` holds.
async fn until(mut check: impl FnMut() -> bool) -> Result {
    soon(async {
        while !check() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// Endpoints of every transport, unused.
fn endpoints(dir: &tempfile::TempDir, name: &str) -> [String; 4] {
    [
        "tcp://127.0.0.1:*".into(),
        format!("ipc://{}/{name}", dir.path().display()),
        format!("ipc://@zmtp-{}-{name}", std::process::id()),
        format!("memory://{name}"),
    ]
}

#[tokio::test]
async fn messages_arrive_in_order_over_every_transport_whoever_binds() -> Result {
    let dir = tempfile::tempdir()?;
    for push_binds in [true, false] {
        for endpoint in endpoints(&dir, &format!("order-{push_binds}")) {
            let push = Push::new(Options::new());
            let mut pull = Pull::new(Options::new());
            if push_binds {
                let bound = push.bind(&endpoint).await?;
                pull.connect(bound.as_str())?;
            } else {
                let bound = pull.bind(&endpoint).await?;
                push.connect(bound.as_str())?;
            }
            let sender = tokio::spawn(async move {
                for n in 0..5000u32 {
                    let body = vec![n as u8; (n as usize * 37) % 3000];
                    let message = Message::builder().more(n.to_string()).more("").last(body);
                    push.send(message).await.expect("the socket is open");
                }
                push.close(Duration::from_secs(10)).await
            });
            for n in 0..5000u32 {
                let message = soon(pull.recv()).await?;
                assert_eq!(message.frame(0), Some(n.to_string().as_bytes()), "{endpoint}");
                assert_eq!(message.frame(2).map(<[u8]>::len), Some((n as usize * 37) % 3000));
            }
            assert_eq!(soon(sender).await??.discarded, 0);
        }
    }
    Ok(())
}

#[tokio::test]
async fn large_messages_arrive_whole() -> Result {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    for size in [0, 1, 255, 256, 8191, 8192, 8193, 65_536, 1 << 20, 16 << 20] {
        let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        push.send(Message::builder().more("head").last(body.clone())).await?;
        let got = soon(pull.recv()).await?;
        assert!(got.frame(1) == Some(&body), "size {size}");
    }
    Ok(())
}

#[tokio::test]
async fn push_deals_round_and_pull_takes_turns() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut pulls = [(); 3].map(|()| Pull::new(Options::new()));
    for pull in &pulls {
        pull.connect(endpoint.as_str())?;
    }
    until(|| push.stats().peers == 3).await?;
    for n in 0..9 {
        push.send(n.to_string()).await?;
    }
    let mut all = HashSet::new();
    for pull in &mut pulls {
        for _ in 0..3 {
            all.insert(text(&soon(pull.recv()).await?));
        }
        assert!(pull.try_recv().is_none(), "each gets three");
    }
    assert_eq!(all.len(), 9);

    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let senders = ["a", "b", "c"].map(|name| (name, Push::new(Options::new())));
    for (name, push) in &senders {
        push.connect(endpoint.as_str())?;
        push.send(*name).await?;
        push.send(*name).await?;
    }
    until(|| pull.stats().queued == 6).await?;
    for _ in 0..2 {
        let mut round = HashSet::new();
        for _ in 0..3 {
            round.insert(text(&soon(pull.recv()).await?));
        }
        assert_eq!(round.len(), 3, "one of each in a round");
    }
    Ok(())
}

#[tokio::test]
async fn a_full_push_gives_the_message_back_or_waits() -> Result {
    let push = Push::new(Options::new().send_mark(Mark::messages(5)));
    push.bind("memory://full").await?;
    assert!(matches!(push.try_send("x"), Err(SendError::Full(m)) if text(&m) == "x"), "no peer");
    assert!(timeout(Duration::from_millis(50), push.send("x")).await.is_err(), "it waits");

    // A place to connect to queues up to the mark while nobody is there.
    let push = Push::new(Options::new().send_mark(Mark::messages(5)));
    push.connect("memory://nobody-yet")?;
    for _ in 0..5 {
        push.try_send("x")?;
    }
    assert!(push.try_send("x").is_err());
    let mut pull = Pull::new(Options::new());
    pull.bind("memory://nobody-yet").await?;
    soon(push.send("last")).await??;
    for _ in 0..5 {
        assert_eq!(text(&soon(pull.recv()).await?), "x");
    }
    assert_eq!(text(&soon(pull.recv()).await?), "last");
    Ok(())
}

#[tokio::test]
async fn a_reader_that_stops_is_felt_by_the_sender() -> Result {
    let mut pull = Pull::new(Options::new().recv_mark(Mark::messages(10)));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new().send_mark(Mark::messages(10)));
    push.connect(endpoint.as_str())?;
    let mut sent = 0;
    while timeout(Duration::from_millis(300), push.send(vec![0u8; 64 << 10])).await.is_ok() {
        sent += 1;
        assert!(sent < 5000, "nothing holds the sender");
    }
    for _ in 0..sent {
        soon(pull.recv()).await?;
    }
    soon(push.send("more")).await??;
    Ok(())
}

#[tokio::test]
async fn a_connecting_push_comes_back_and_what_was_unsent_follows() -> Result {
    let dir = tempfile::tempdir()?;
    let endpoint = format!("ipc://{}/back", dir.path().display());
    let push = Push::new(Options::new());
    push.connect(&endpoint)?;
    for round in 0..3 {
        push.send(format!("before {round}")).await?;
        let mut pull = Pull::new(Options::new());
        pull.bind(&endpoint).await?;
        assert_eq!(text(&soon(pull.recv()).await?), format!("before {round}"));
        pull.close(Duration::from_secs(1)).await;
        until(|| push.stats().peers == 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_backlog_keeps_what_a_vanished_peer_left() -> Result {
    let push = Push::new(Options::new().backlog(Mark::UNLIMITED));
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    for n in 0..100 {
        push.try_send(n.to_string())?;
    }
    let mut first = Pull::new(Options::new());
    first.connect(endpoint.as_str())?;
    assert_eq!(text(&soon(first.recv()).await?), "0");
    first.close(Duration::ZERO).await;
    until(|| push.stats().peers == 0).await?;
    for n in 100..200 {
        push.try_send(n.to_string())?;
    }
    let written = push.stats().written;
    let mut second = Pull::new(Options::new());
    second.connect(endpoint.as_str())?;
    for n in written..200 {
        assert_eq!(text(&soon(second.recv()).await?), n.to_string(), "in order, after the {written} that were written");
    }
    Ok(())
}

#[tokio::test]
async fn close_sends_what_is_queued_and_reports_the_rest() -> Result {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    for n in 0..500 {
        push.send(n.to_string()).await?;
    }
    let report = push.close(Duration::from_secs(10)).await;
    assert_eq!((report.flushed, report.discarded), (500, 0));
    for n in 0..500 {
        assert_eq!(text(&soon(pull.recv()).await?), n.to_string());
    }

    let push = Push::new(Options::new());
    push.connect("memory://never-there")?;
    for _ in 0..7 {
        push.send("x").await?;
    }
    let report = push.close(Duration::from_millis(100)).await;
    assert_eq!((report.flushed, report.discarded), (0, 7));
    Ok(())
}

#[tokio::test]
async fn a_dropped_socket_still_sends() -> Result {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    for n in 0..500 {
        push.send(n.to_string()).await?;
    }
    drop(push);
    for n in 0..500 {
        assert_eq!(text(&soon(pull.recv()).await?), n.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn subscribers_get_what_they_asked_for() -> Result {
    for endpoint in ["tcp://127.0.0.1:*", "memory://pubsub"] {
        let publisher = Pub::new(Options::new());
        let bound = publisher.bind(endpoint).await?;
        let mut sub = Sub::new(Options::new());
        sub.subscribe("a");
        sub.subscribe("");
        sub.connect(bound.as_str())?;
        until(|| publisher.send("a probe").is_ok() && sub.try_recv().is_some()).await?;
        assert!(sub.unsubscribe(""));
        assert!(!sub.unsubscribe("never"));
        publisher.send("b no")?;
        publisher.send(Message::builder().more("a").last("yes"))?;
        loop {
            match text(&soon(sub.recv()).await?).as_str() {
                "a probe" => {}
                "a|yes" => break,
                // Acted on at once at this end, so what is on its way is dropped here.
                other => panic!("{other}"),
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_late_joiner_gets_the_first_message_once() -> Result {
    let late = LateJoiners { time: Duration::from_millis(500), mark: Mark::default() };
    let publisher = Pub::new(Options::new().late_joiners(late));
    let bound = publisher.bind("tcp://127.0.0.1:*").await?;
    publisher.send("first")?;
    let mut subs = [(); 2].map(|()| Sub::new(Options::new()));
    for sub in &mut subs {
        sub.subscribe("");
        sub.connect(bound.as_str())?;
        assert_eq!(text(&soon(sub.recv()).await?), "first");
    }
    until(|| publisher.stats().queued_octets == 0).await?;
    publisher.send("second")?;
    for sub in &mut subs {
        assert_eq!(text(&soon(sub.recv()).await?), "second");
    }
    assert_eq!(publisher.stats().tally.late, 2);
    Ok(())
}

#[tokio::test]
async fn strangers_get_no_messages_and_are_reported() -> Result {
    let options = Options::new().handshake_timeout(Duration::from_millis(200));
    let push = Push::new(options.backlog(Mark::UNLIMITED));
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = push.monitor();
    push.try_send("job")?;
    let hellos: [&[u8]; 3] = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\xff\x00\x00"];
    for (hello, reason) in hellos.into_iter().zip(["not-zmtp", "not-zmtp", "handshake-timeout"]) {
        let mut stream = TcpStream::connect(endpoint.address()).await?;
        stream.write_all(hello).await?;
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        let _ = soon(stream.read_to_end(&mut answer)).await?;
        assert!(answer.len() <= 64, "the greeting at most, never a job");
        loop {
            if let Some(SocketEvent::HandshakeFailed { cause, peer, .. }) = soon(monitor.recv()).await? {
                assert_eq!(cause.reason(), reason);
                assert_eq!(*peer, *stream.local_addr()?.to_string());
                break;
            }
        }
        assert!(push.stats().faults[reason] > 0);
    }
    assert_eq!(push.stats().queued, 1);
    Ok(())
}

#[tokio::test]
async fn a_peer_over_a_limit_is_cut_and_others_are_served() -> Result {
    let limits = Limits { max_frame: 1000, ..Limits::default() };
    let mut pull = Pull::new(Options::new().limits(limits));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = pull.monitor();
    let bad = Push::new(Options::new());
    bad.connect(endpoint.as_str())?;
    bad.send(vec![0u8; 1001]).await?;
    loop {
        if let Some(SocketEvent::Disconnected { cause: Disconnect::Protocol(error), .. }) = soon(monitor.recv()).await?
        {
            assert_eq!(error.reason(), "frame-too-large");
            break;
        }
    }
    drop(bad);
    let good = Push::new(Options::new());
    good.connect(endpoint.as_str())?;
    good.send(vec![1u8; 1000]).await?;
    assert_eq!(soon(pull.recv()).await?.octets(), 1000 + Header::LONG);
    Ok(())
}

#[tokio::test]
async fn nothing_is_sent_before_the_peers_ready() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut stream = TcpStream::connect(endpoint.address()).await?;
    stream.write_all(&zmtp::proto::Greeting::encode("NULL", false)).await?;
    let mut hello = vec![0; 64 + 28];
    soon(stream.read_exact(&mut hello)).await??;
    assert!(push.try_send("early").is_err(), "not a peer yet");
    stream.write_all(b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PULL").await?;
    soon(push.send("now")).await??;
    let mut message = [0; 5];
    soon(stream.read_exact(&mut message)).await??;
    assert_eq!(&message, b"\x00\x03now");
    Ok(())
}

#[tokio::test]
async fn cancelled_receives_lose_nothing() -> Result {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    let sender = tokio::spawn(async move {
        for n in 0..2000u32 {
            push.send(n.to_string()).await.expect("the socket is open");
            if n % 50 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        push
    });
    let mut next = 0u32;
    while next < 2000 {
        tokio::select! {
            biased;
            message = pull.recv() => {
                assert_eq!(text(&message), next.to_string());
                next += 1;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    drop(soon(sender).await?);
    Ok(())
}

#[tokio::test]
async fn forgetting_an_endpoint_ends_its_connections() -> Result {
    let push = Push::new(Options::new());
    let bound = push.bind("tcp://127.0.0.1:*").await?;
    let pull = Pull::new(Options::new());
    pull.connect(bound.as_str())?;
    until(|| push.stats().peers == 1).await?;
    assert!(push.forget(&bound));
    assert!(!push.forget(&bound));
    until(|| push.stats().peers == 0).await?;
    assert!(push.try_send("x").is_err());
    Ok(())
}

#[tokio::test]
async fn wrong_endpoints_are_errors_at_once() {
    let push = Push::new(Options::new());
    for bad in ["", "tcp", "udp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://*:5", "ipc://@"] {
        assert!(push.connect(bad).is_err(), "{bad}");
    }
    let error = push.bind("tcp://127.0.0.1:5555x").await.unwrap_err();
    assert!(error.to_string().contains("tcp://127.0.0.1:5555x"), "{error}");
}

#[tokio::test]
async fn unfinished_messages_count_against_the_budget() -> Result {
    let budget = zmtp::Budget::new(1 << 20);
    let pull = Pull::new(Options::new().budget(budget.clone()));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(endpoint.address()).await?;
        stream.write_all(&zmtp::proto::Greeting::encode("NULL", false)).await?;
        stream.write_all(b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH").await?;
        // A header of 1 MiB, and 300 KiB of it: the fourth such peer is too much.
        stream.write_all(b"\x02\x00\x00\x00\x00\x00\x10\x00\x00").await?;
        // The one that is cut may find that out here.
        let _ = stream.write_all(&vec![0; 300 << 10]).await;
        streams.push(stream);
    }
    until(|| pull.stats().faults.get("memory-limit") == Some(&1)).await?;
    assert!(budget.used() <= 1 << 20);
    drop(streams);
    until(|| budget.used() == 0).await
}
