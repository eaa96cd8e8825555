//! Streams that the program brings, and what is told about all of them.

use std::{future::poll_fn, io::Write as _, pin::Pin, sync::Arc, time::Duration};

use futures_core::Stream;
use tokio::time::{sleep, timeout};
use zmtp::{
    Applicant, Credentials, Disconnect, Fault, Limits, Monitor, Options, Pub, Pull, Push, Security, SocketEvent, Sub,
    Traffic, Verdict,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(Duration::from_secs(10), future).await?)
}

/// The next event, read as a stream.
async fn next(monitor: &mut Monitor) -> Result<SocketEvent> {
    let event = soon(poll_fn(|cx| Pin::new(&mut *monitor).poll_next(cx))).await?;
    Ok(event.expect("the socket is there"))
}

#[tokio::test]
async fn any_stream_is_as_good_as_a_connection() -> Result {
    let (ours, theirs) = tokio::io::duplex(100);
    let mut pull = Pull::new(Options::new());
    let push = Push::new(Options::new());
    pull.attach(ours, "a pipe");
    push.attach(theirs, "its other end");
    for n in 0..1000 {
        push.send(vec![n as u8; n]).await?;
        assert_eq!(soon(pull.recv()).await?.frame(0).map(<[u8]>::len), Some(n));
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let publisher = Pub::new(Options::new());
    let mut sub = Sub::new(Options::new());
    sub.subscribe("");
    for stream in [&ours, &theirs] {
        stream.set_nonblocking(true)?;
    }
    publisher.attach(tokio::net::UnixStream::from_std(ours)?, "socketpair");
    sub.attach(tokio::net::UnixStream::from_std(theirs)?, "socketpair");
    soon(async {
        while sub.try_recv().is_none() {
            publisher.send("news")?;
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, zmtp::SendError>(())
    })
    .await??;
    Ok(())
}

#[tokio::test]
async fn an_attached_stream_is_closed_with_its_socket_and_nothing_is_left() -> Result {
    let (ours, mut theirs) = tokio::io::duplex(1000);
    let push = Push::new(Options::new());
    push.attach(ours, "a pipe");
    push.close(Duration::ZERO).await;
    let mut rest = Vec::new();
    soon(tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut rest)).await??;
    let (late, mut theirs) = tokio::io::duplex(1000);
    push.attach(late, "too late");
    soon(tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut rest)).await??;
    Ok(())
}

#[tokio::test]
async fn the_life_of_a_connection_is_told_in_order() -> Result {
    let mut pull = Pull::new(Options::new());
    let push = Push::new(Options::new());
    let (mut at_pull, mut at_push) = (pull.monitor(), push.monitor());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    push.connect(endpoint.as_str())?;
    push.send("one").await?;
    push.send("two").await?;
    soon(pull.recv()).await?;
    soon(pull.recv()).await?;
    push.close(Duration::from_secs(5)).await;
    let SocketEvent::Listening { endpoint: at, .. } = next(&mut at_pull).await? else { panic!("it listens first") };
    assert_eq!(at, endpoint);
    let SocketEvent::Accepted { peer, .. } = next(&mut at_pull).await? else { panic!("then it accepts") };
    let SocketEvent::Ready { peer: who, info, .. } = next(&mut at_pull).await? else { panic!("then it is ready") };
    assert_eq!((&who, info.version, info.socket_type.name()), (&peer, (3, 1), "PUSH"));
    let SocketEvent::Disconnected { peer: who, cause, traffic, .. } = next(&mut at_pull).await? else {
        panic!("the end")
    };
    assert!(matches!(cause, Disconnect::PeerClosed) && cause.fault().is_none() && who == peer);
    assert_eq!((traffic.sent, traffic.received), (0, 2));
    pull.forget(&endpoint);
    assert!(matches!(next(&mut at_pull).await?, SocketEvent::Deaf { endpoint: at, .. } if at == endpoint));

    assert!(matches!(next(&mut at_push).await?, SocketEvent::Connected { .. }));
    assert!(matches!(next(&mut at_push).await?, SocketEvent::Ready { .. }));
    let SocketEvent::Disconnected { cause, traffic, .. } = next(&mut at_push).await? else { panic!("the end") };
    assert!(matches!(cause, Disconnect::Closed));
    assert_eq!((traffic.sent, traffic.received), (2, 0));
    assert_ne!(traffic, Traffic::default());
    drop(push);
    assert!(soon(at_push.recv()).await?.is_none(), "the socket is gone");
    Ok(())
}

#[tokio::test]
async fn kinds_of_faults_are_told_apart() -> Result {
    let limits = Limits { max_frame: 10, ..Limits::default() };
    let refuses = Security::NullServer(Arc::new(|_: &Applicant| Verdict::Refuse));
    let hello = zmtp::proto::Greeting::encode("NULL", false);
    let ready = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH";
    let large = [&hello[..], ready, b"\x00\x0b01234567890"].concat();
    let reserved = [&hello[..], ready, b"\xf8\x00"].concat();
    let cases = [
        (Security::Null, &b"GET /"[..], Fault::Mismatch, "not-zmtp"),
        (Security::Null, &hello[..20], Fault::Timeout, "handshake-timeout"),
        (Security::Null, &large[..], Fault::Limit, "frame-too-large"),
        (Security::Null, &reserved[..], Fault::Protocol, "reserved-flags"),
        (refuses, &hello[..], Fault::Auth, "unauthorized"),
    ];
    for (security, octets, fault, reason) in cases {
        let options = Options::new().limits(limits).security(security).handshake_timeout(Duration::from_millis(200));
        let pull = Pull::new(options);
        let mut monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
        let mut stream = std::net::TcpStream::connect(endpoint.address())?;
        stream.write_all(octets)?;
        let cause = loop {
            match next(&mut monitor).await? {
                SocketEvent::HandshakeFailed { cause, .. } | SocketEvent::Disconnected { cause, .. } => break cause,
                _ => {}
            }
        };
        assert_eq!((cause.fault(), cause.reason()), (Some(fault), reason));
        let stats = pull.stats();
        let figure = stats.metrics().find(|metric| metric.name == "zmtp_faults_total" && metric.reason == Some(reason));
        assert_eq!(figure.map(|metric| metric.value), Some(1));
    }
    Ok(())
}

#[tokio::test]
async fn an_authenticator_without_a_mechanism_knows_where_a_peer_comes_from() -> Result {
    let dir = tempfile::tempdir()?;
    let own = i32::try_from(std::process::id())?;
    let security = Security::NullServer(Arc::new(move |applicant: &Applicant| {
        assert_eq!(applicant.credentials, Credentials::Null);
        match applicant.process {
            Some(process) if process.pid == Some(own) => Verdict::AdmitAs(format!("user {}", process.uid).into()),
            _ => Verdict::Refuse,
        }
    }));
    let mut pull = Pull::new(Options::new().security(security));
    let mut monitor = pull.monitor();
    let ipc = pull.bind(&format!("ipc://{}/s", dir.path().display())).await?;
    let push = Push::new(Options::new());
    push.connect(ipc.as_str())?;
    push.send("let in").await?;
    assert_eq!(soon(pull.recv()).await?, "let in".into());
    let info = loop {
        if let SocketEvent::Ready { info, .. } = next(&mut monitor).await? {
            break info;
        }
    };
    assert!(info.user_id.as_deref().is_some_and(|user| user.starts_with("user ")), "{info:?}");

    let tcp = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    let mut at_push = push.monitor();
    push.connect(tcp.as_str())?;
    push.try_send("kept out")?;
    loop {
        if let SocketEvent::HandshakeFailed { cause, .. } = next(&mut at_push).await? {
            assert_eq!(cause.to_string(), r#"peer refused: ERROR "400""#);
            break;
        }
    }
    assert!(matches!(next(&mut at_push).await?, SocketEvent::GaveUp { .. }));
    assert!(pull.recv_timeout(Duration::from_millis(100)).await.is_none());
    Ok(())
}

#[tokio::test]
async fn two_authenticators_without_a_mechanism_admit_each_other() -> Result {
    let open = || Options::new().security(Security::NullServer(Arc::new(|_: &Applicant| Verdict::Admit)));
    let mut pull = Pull::new(open());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(open().admit_zmtp_2_0(true));
    push.connect(endpoint.as_str())?;
    push.send("hello").await?;
    assert_eq!(soon(pull.recv()).await?, "hello".into());
    Ok(())
}

#[tokio::test]
async fn a_reader_that_is_slow_is_told_how_much_it_missed() -> Result {
    let pull = Pull::new(Options::new());
    let mut monitor = pull.monitor();
    for _ in 0..1500 {
        let (stream, _) = tokio::io::duplex(1);
        pull.attach(stream, "gone at once");
    }
    soon(async {
        while pull.stats().connections < 1500 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await?;
    assert!(matches!(next(&mut monitor).await?, SocketEvent::Missed(n) if n > 400));
    assert!(matches!(next(&mut monitor).await?, SocketEvent::Accepted { .. } | SocketEvent::HandshakeFailed { .. }));
    Ok(())
}
