//! What is set at a socket, and what comes of it.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use zmtp::{
    Disconnect, Fault, GiveUp, Mark, Message, Monitor, Options, Pub, Pull, Push, SendError, SocketEvent, Sub,
    proto::Greeting,
    transport::{Ipc, Tcp},
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(Duration::from_secs(10), future).await?)
}

async fn until(mut check: impl FnMut() -> bool) -> Result {
    soon(async {
        while !check() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// The first event that `pick` takes.
async fn event<T>(monitor: &mut Monitor, mut pick: impl FnMut(SocketEvent) -> Option<T>) -> Result<T> {
    soon(async {
        loop {
            let event = monitor.recv().await.expect("the socket is there");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    })
    .await
}

fn failure(event: SocketEvent) -> Option<Disconnect> {
    match event {
        SocketEvent::HandshakeFailed { cause, .. } => Some(cause),
        _ => None,
    }
}

#[tokio::test]
async fn a_conflating_queue_holds_the_latest() -> Result {
    let push = Push::new(Options::new().conflate(true));
    push.connect("memory://conflate-push")?;
    for n in 0..5 {
        push.try_send(n.to_string())?;
    }
    assert_eq!((push.stats().queued, push.stats().tally.conflated), (1, 4));
    let mut pull = Pull::new(Options::new().conflate(true));
    pull.bind("memory://conflate-push").await?;
    assert_eq!(soon(pull.recv()).await?, "4".into());

    let push = Push::new(Options::new());
    push.connect("memory://conflate-push")?;
    for n in 0..100 {
        push.send(n.to_string()).await?;
    }
    until(|| pull.stats().tally.conflated == 99).await?;
    assert_eq!(soon(pull.recv()).await?, "99".into());
    assert!(pull.try_recv().is_none());

    let publisher = Pub::new(Options::new().conflate(true));
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut sub = Sub::new(Options::new());
    sub.subscribe("");
    sub.connect(endpoint.as_str())?;
    until(|| publisher.send("probe").is_ok() && sub.try_recv().is_some()).await?;
    for n in 0..1000 {
        publisher.send(n.to_string())?;
    }
    assert!(publisher.stats().tally.conflated >= 998, "{:?}", publisher.stats());
    while soon(sub.recv()).await? != "999".into() {}
    Ok(())
}

#[tokio::test]
async fn a_pub_that_drops_nothing_gives_back_or_waits() -> Result {
    let publisher = Pub::new(Options::new().no_drop(true).send_mark(Mark::messages(10)));
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    publisher.send("nobody wants it")?;
    let mut sub = Sub::new(Options::new().recv_mark(Mark::messages(10)));
    sub.subscribe("");
    sub.connect(endpoint.as_str())?;
    until(|| publisher.stats().peers == 1).await?;
    let body = vec![0; 64 << 10];
    let mut sent = 0;
    loop {
        match publisher.send(&body[..]) {
            Ok(()) => sent += 1,
            Err(SendError::Full(message)) => {
                assert_eq!(message.frame(0), Some(&body[..]));
                // The kernel still takes some.
                if timeout(Duration::from_millis(300), publisher.send_when_room(&body[..])).await.is_err() {
                    break;
                }
                sent += 1;
            }
            Err(closed) => return Err(closed.into()),
        }
    }
    let dropped = publisher.stats().tally;
    assert_eq!(dropped.over_mark, 0);
    let wanted = sent - dropped.unmatched + 1;
    for _ in 0..wanted {
        soon(sub.recv()).await?;
    }
    soon(publisher.send_when_room("again")).await??;
    assert_eq!(soon(sub.recv()).await?, "again".into());
    Ok(())
}

#[tokio::test]
async fn a_send_that_is_out_of_time_gives_the_message_back() -> Result {
    let push = Push::new(Options::new());
    let begun = Instant::now();
    let Err(SendError::Full(message)) = push.send_timeout("keep me", Duration::from_millis(50)).await else {
        panic!("there is no peer");
    };
    assert_eq!(message, "keep me".into());
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let mut pull = Pull::new(Options::new());
    assert_eq!(pull.recv_timeout(Duration::from_millis(20)).await, None);
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    push.connect(endpoint.as_str())?;
    push.send_timeout(message, Duration::from_secs(10)).await?;
    assert_eq!(pull.recv_timeout(Duration::from_secs(10)).await, Some("keep me".into()));
    push.close(Duration::ZERO).await;
    assert!(matches!(push.send_timeout("x", Duration::ZERO).await, Err(SendError::Closed(_))));
    Ok(())
}

#[tokio::test]
async fn an_immediate_push_queues_for_nobody_who_is_away() -> Result {
    let push = Push::new(Options::new().immediate(true));
    push.connect("memory://immediate")?;
    assert!(push.try_send("x").is_err());
    let mut pull = Pull::new(Options::new());
    pull.bind("memory://immediate").await?;
    soon(push.send("there")).await??;
    assert_eq!(soon(pull.recv()).await?, "there".into());
    drop(pull);
    until(|| push.stats().peers == 0).await?;
    assert!(push.try_send("x").is_err());
    Ok(())
}

#[tokio::test]
async fn the_peer_sees_identity_and_properties() -> Result {
    let pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = pull.monitor();
    let push = Push::new(Options::new().identity("host1")?.property("Region", "north")?.property("region", "south")?);
    push.connect(endpoint.as_str())?;
    let ready = |event| match event {
        SocketEvent::Ready { info, .. } => Some(info),
        _ => None,
    };
    let info = event(&mut monitor, ready).await?;
    assert_eq!(info.properties.find(b"Identity").map(|value| &value[..]), Some(&b"host1"[..]));
    assert_eq!(info.properties.find(b"x-REGION").map(|value| &value[..]), Some(&b"south"[..]));
    assert_eq!(info.properties.iter().count(), 3);
    Ok(())
}

#[test]
fn properties_that_cannot_be_told_are_refused() {
    let o = Options::new;
    assert!(o().identity(vec![1; 256]).is_err() && o().identity(vec![0]).is_err());
    assert!(o().identity(vec![1; 255]).is_ok() && o().identity("").is_ok());
    for name in ["", "a b", "a\n", "\u{e4}", &"x".repeat(254)] {
        assert!(o().property(name, "x").is_err(), "{name:?}");
    }
    assert!(o().property("large", vec![0; 7 << 10]).is_err());
    let many = |n| (0..n).try_fold(o(), |options, n| options.property(&n.to_string(), ""));
    assert!(many(31).is_ok());
    assert!(many(32).is_err());
}

#[tokio::test]
async fn as_many_properties_as_can_be_told_are_taken() -> Result {
    let mut options = Options::new();
    for n in 0..31 {
        options = options.property(&n.to_string(), vec![b'x'; 220])?;
    }
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(options);
    push.connect(endpoint.as_str())?;
    push.send("x").await?;
    assert_eq!(soon(pull.recv()).await?, "x".into());
    Ok(())
}

#[tokio::test]
async fn giving_up_is_told_and_final() -> Result {
    let given_up = |event| matches!(event, SocketEvent::GaveUp { .. }).then_some(());
    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let push = Push::new(Options::new().give_up(GiveUp { refused: true, ..GiveUp::default() }));
    let mut monitor = push.monitor();
    push.connect(&format!("tcp://{free}"))?;
    let refused = |event| match event {
        SocketEvent::ConnectFailed { retry, .. } => Some(retry),
        _ => None,
    };
    assert_eq!(event(&mut monitor, refused).await?, None);
    // Somebody who is no peer.
    let stranger = TcpListener::bind("127.0.0.1:0").await?;
    let push = Push::new(Options::new().give_up(GiveUp { handshake_failed: true, ..GiveUp::default() }));
    let mut monitor = push.monitor();
    push.connect(&format!("tcp://{}", stranger.local_addr()?))?;
    soon(stranger.accept()).await??.0.write_all(b"SSH-2.0-x\r\n").await?;
    event(&mut monitor, given_up).await?;
    assert!(timeout(Duration::from_millis(200), stranger.accept()).await.is_err(), "it does not come back");
    Ok(())
}

/// libzmq's reconnect interval of -1.
#[tokio::test]
async fn without_reconnecting_a_lost_connection_stays_lost() -> Result {
    let given_up = |event| matches!(event, SocketEvent::GaveUp { .. }).then_some(());
    for endpoint in ["tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://*"] {
        let mut pull = Pull::new(Options::new());
        let bound = pull.bind(endpoint).await?;
        let push = Push::new(Options::new().give_up(GiveUp::ALWAYS));
        let mut monitor = push.monitor();
        push.connect(bound.as_str())?;
        push.send("last").await?;
        soon(pull.recv()).await?;
        pull.forget(&bound);
        event(&mut monitor, given_up).await?;
        let again = if endpoint.starts_with("tcp") { bound.as_str() } else { endpoint };
        let again = pull.bind(again).await?;
        assert_eq!(pull.recv_timeout(Duration::from_millis(150)).await, None);
        push.connect(again.as_str())?;
        push.send("by hand").await?;
        assert_eq!(soon(pull.recv()).await?, "by hand".into());
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_tried_again_ever_more_slowly() -> Result {
    let stranger = TcpListener::bind("127.0.0.1:0").await?;
    let push = Push::new(Options::new().reconnect(Duration::from_millis(1), Duration::from_millis(400)));
    push.connect(&format!("tcp://{}", stranger.local_addr()?))?;
    let begun = Instant::now();
    for _ in 0..14 {
        soon(stranger.accept()).await??.0.write_all(b"HTTP/1.1 400 no\r\n").await?;
    }
    // Bounds of 1, 2, … 256, 400, 400 … ms add up to 1.7 s; half of that is what chance makes of it.
    assert!(begun.elapsed() > Duration::from_millis(200), "{:?}", begun.elapsed());
    assert!(push.stats().faults["not-zmtp"] >= 12, "{:?}", push.stats());
    Ok(())
}

#[tokio::test]
async fn open_sockets_are_listened_at() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("s");
    let mut pull = Pull::new(Options::new());
    let tcp = pull.bind_open(std::net::TcpListener::bind("127.0.0.1:0")?)?;
    let ipc = pull.bind_open(std::os::unix::net::UnixListener::bind(&path)?)?;
    assert_eq!(ipc.address(), path.display().to_string());
    let name = format!("zmtp-open-{}", std::process::id());
    let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name)?;
    let nowhere = pull.bind_open(std::os::unix::net::UnixListener::bind_addr(&address)?)?;
    assert_eq!(nowhere.as_str(), format!("ipc://@{name}"));
    for endpoint in [&tcp, &ipc, &nowhere] {
        let push = Push::new(Options::new());
        push.connect(endpoint.as_str())?;
        push.send(endpoint.as_str()).await?;
        assert_eq!(soon(pull.recv()).await?, Message::from(endpoint.as_str().to_owned()));
    }
    pull.close(Duration::from_secs(1)).await;
    assert!(path.exists(), "it is not ours");
    Ok(())
}

#[tokio::test]
async fn wildcards_are_bound_and_forgotten_by_what_they_became() -> Result {
    for wildcard in [
        "tcp://*:*",
        "tcp://127.0.0.1:*",
        "tcp://127.0.0.1:0",
        "tcp://[::1]:*",
        "tcp://[::]:*",
        "tcp://lo:*",
        "ipc://*",
    ] {
        let mut pull = Pull::new(Options::new());
        let bound = pull.bind(wildcard).await?;
        let to = bound.as_str().replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
        let push = Push::new(Options::new());
        push.connect(&to)?;
        push.send("x").await?;
        soon(pull.recv()).await?;
        assert!(!pull.forget(&wildcard.parse()?), "{wildcard} is no place");
        assert!(pull.forget(&bound), "{bound}");
    }
    Ok(())
}

#[tokio::test]
async fn who_passes_no_filter_is_turned_away_and_told_of() -> Result {
    let dir = tempfile::tempdir()?;
    let tcp = Tcp::new().accept_from("10.0.0.0/8".parse()?);
    let ipc = Ipc::new().accept_pid(1);
    let pull = Pull::new(Options::new().tcp(tcp).ipc(ipc));
    let mut monitor = pull.monitor();
    for endpoint in ["tcp://127.0.0.1:*".to_owned(), format!("ipc://{}/s", dir.path().display())] {
        let bound = pull.bind(&endpoint).await?;
        let push = Push::new(Options::new().reconnect(Duration::from_secs(5), Duration::from_secs(5)));
        push.connect(bound.as_str())?;
        let turned_away = |event| match event {
            SocketEvent::TurnedAway { endpoint, error, .. } => Some((endpoint, error.to_string())),
            _ => None,
        };
        let (at, error) = event(&mut monitor, turned_away).await?;
        assert_eq!(at, bound);
        assert!(error.contains("is in no network") || error.contains("passes no filter"), "{error}");
    }
    assert!(pull.stats().faults["accept-filter"] >= 2);
    Ok(())
}

/// A libzmq 3.2, octet by octet as in the captures: greeting and empty identity.
async fn old_peer(address: &str, code: u8) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f").await?;
    let mut greeting = [0; 11];
    soon(stream.read_exact(&mut greeting)).await??;
    assert_eq!(greeting[10], 3);
    stream.write_all(&[1, code, 0, 0]).await?;
    Ok(stream)
}

#[tokio::test]
async fn old_peers_are_refused_by_name() -> Result {
    let pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = pull.monitor();
    let mut stream = old_peer(endpoint.address(), 8).await?;
    let cause = event(&mut monitor, failure).await?;
    assert_eq!(cause.fault(), Some(Fault::Mismatch));
    assert!(cause.to_string().contains("ZMTP 2.0 (libzmq 3.2)"), "{cause}");
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let mut stream = TcpStream::connect(endpoint.address()).await?;
    stream.write_all(b"\x01\x00\x06\x00hello").await?;
    let cause = event(&mut monitor, failure).await?;
    assert!(cause.to_string().contains("ZMTP 1.0 (libzmq 2.x)"), "{cause}");
    Ok(())
}

#[tokio::test]
async fn old_peers_of_all_four_types_are_let_in_where_asked_for() -> Result {
    let options = || Options::new().admit_zmtp_2_0(true).heartbeat_interval(Duration::from_millis(20));

    let mut pull = Pull::new(options());
    let mut push = old_peer(pull.bind("tcp://127.0.0.1:*").await?.address(), 8).await?;
    push.write_all(b"\x01\x01a\x00\x05hello").await?;
    assert_eq!(soon(pull.recv()).await?, Message::builder().more("a").last("hello"));

    let push = Push::new(options());
    let mut pull = old_peer(push.bind("tcp://127.0.0.1:*").await?.address(), 7).await?;
    soon(push.send("job")).await??;
    let mut octets = [0; 8];
    soon(pull.read_exact(&mut octets)).await??;
    assert_eq!(&octets, b"\x08\x00\x00\x00\x03job");

    let mut sub = Sub::new(options());
    sub.subscribe("to");
    let mut publisher = old_peer(sub.bind("tcp://127.0.0.1:*").await?.address(), 1).await?;
    let mut octets = [0; 8];
    soon(publisher.read_exact(&mut octets)).await??;
    assert_eq!(&octets, b"\x02\x00\x00\x00\x03\x01to");
    publisher.write_all(b"\x00\x05topic\x00\x05other").await?;
    assert_eq!(soon(sub.recv()).await?, "topic".into());

    let publisher = Pub::new(options());
    let mut sub = old_peer(publisher.bind("tcp://127.0.0.1:*").await?.address(), 2).await?;
    sub.write_all(b"\x00\x03\x01to").await?;
    until(|| publisher.send("topic").is_ok() && publisher.stats().written > 0).await?;
    let mut octets = [0; 10];
    soon(sub.read_exact(&mut octets)).await??;
    assert_eq!(&octets, b"\x01\x00\x00\x00\x05topic");
    // No PING, which such a peer would take for a broken frame.
    sleep(Duration::from_millis(100)).await;
    drop(publisher);
    let mut rest = Vec::new();
    let _ = soon(sub.read_to_end(&mut rest)).await?;
    assert!(rest.chunks(7).all(|frame| frame == b"\x00\x05topic"), "{}", rest.escape_ascii());
    Ok(())
}

#[tokio::test]
async fn the_handshake_has_one_deadline_however_it_trickles() -> Result {
    let pull = Pull::new(Options::new().handshake_timeout(Duration::from_millis(300)));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = pull.monitor();
    let mut stream = TcpStream::connect(endpoint.address()).await?;
    let begun = Instant::now();
    let trickle = tokio::spawn(async move {
        for octet in Greeting::encode("NULL", false) {
            if stream.write_all(&[octet]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let cause = event(&mut monitor, failure).await?;
    assert_eq!((cause.fault(), cause.reason()), (Some(Fault::Timeout), "handshake-timeout"));
    assert!(begun.elapsed() < Duration::from_millis(1200), "{:?}", begun.elapsed());
    soon(trickle).await??;
    Ok(())
}
