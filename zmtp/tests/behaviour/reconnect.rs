//! Connections that don't come about, and those that come back.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use zmtp::{Disconnect, Options, Pull, Push, SocketEvent};

use super::{
    raw::{Raw, hello, listener},
    support::{Result, end, event, nobody, soon, text},
};

const SHORT: Duration = Duration::from_millis(10);

fn eager() -> Options {
    Options::new().reconnect(SHORT, 4 * SHORT)
}

#[tokio::test]
async fn attempts_that_fail_are_told_and_repeated() -> Result {
    let endpoint = nobody()?;
    let push = Push::new(eager());
    let mut monitor = push.monitor();
    push.connect(&endpoint)?;
    for _ in 0..3 {
        let (to, retry) = event(&mut monitor, |event| match event {
            SocketEvent::ConnectFailed { endpoint, retry, error, .. } => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
                Some((endpoint, retry))
            }
            _ => None,
        })
        .await?;
        assert_eq!(to.as_str(), endpoint);
        assert!(retry.is_some_and(|wait| wait <= 4 * SHORT), "{retry:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_listener_that_comes_late_is_found_once() -> Result {
    let endpoint = nobody()?;
    let push = Push::new(eager());
    let mut monitor = push.monitor();
    push.connect(&endpoint)?;
    push.send("queued before").await?;
    event(&mut monitor, |event| matches!(event, SocketEvent::ConnectFailed { .. }).then_some(())).await?;
    let mut pull = Pull::new(Options::new());
    pull.bind(&endpoint).await?;
    assert_eq!(text(&soon(pull.recv()).await?), "queued before");
    event(&mut monitor, |event| matches!(event, SocketEvent::Ready { .. }).then_some(())).await?;
    assert_eq!(push.stats().connections, 1);
    assert_eq!(pull.stats().connections, 1);
    Ok(())
}

/// A server that accepts and closes, and one that also sends a greeting, are asked less and less often.
#[tokio::test]
async fn waits_grow_until_ready_has_come() -> Result {
    for greets in [false, true] {
        let (listener, endpoint) = listener().await?;
        let push = Push::new(Options::new().reconnect(SHORT, Duration::from_secs(100)));
        push.connect(&endpoint)?;
        let begun = Instant::now();
        for _ in 0..10 {
            let mut raw = Raw::accept(&listener).await?;
            if greets {
                raw.write(&hello("PULL", 1)[..64]).await?;
            }
        }
        // Nine waits, each drawn from nothing to 10, 20, … 2,560 ms. Had anything reset them, they were 90 ms together.
        assert!(begun.elapsed() > 25 * SHORT, "{:?}, greets: {greets}", begun.elapsed());

        // READY resets it: the next wait is short again.
        let raw = Raw::accept(&listener).await?.shake_hands("PULL", 1).await?;
        drop(raw);
        let begun = Instant::now();
        Raw::accept(&listener).await?;
        assert!(begun.elapsed() < 15 * SHORT, "{:?}", begun.elapsed());
    }
    Ok(())
}

/// libzmq gives up for good after any of these.
#[tokio::test]
async fn a_server_s_faults_do_not_end_reconnecting() -> Result {
    let (listener, endpoint) = listener().await?;
    let push = Push::new(eager());
    let mut monitor = push.monitor();
    push.connect(&endpoint)?;
    push.send("job").await?;
    let ready = hello("PULL", 1);
    let wrong_type = hello("PUSH", 1);
    let unknown = [&ready[..64], b"\x04\x04\x03WAT"].concat();
    let message_first = [&ready[..64], b"\0\x01x"].concat();
    let mechanism = [&ready[..12], b"CURVE", &ready[17..64]].concat();
    let faults: [(&[u8], &str); 5] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not-zmtp"),
        (&wrong_type, "socket-type"),
        (&unknown, "unexpected-command"),
        (&message_first, "unexpected-message"),
        (&mechanism, "mechanism"),
    ];
    for (octets, reason) in faults {
        let mut raw = Raw::accept(&listener).await?;
        raw.write(octets).await?;
        assert_eq!(end(&mut monitor).await?.reason(), reason);
    }
    // Also after the handshake.
    let mut raw = Raw::accept(&listener).await?.shake_hands("PULL", 1).await?;
    raw.write(b"\x02\xff\xff\xff\xff\xff\xff\xff\xff").await?;
    assert!(matches!(end(&mut monitor).await?, Disconnect::Protocol(_)));
    Raw::accept(&listener).await?.shake_hands("PULL", 1).await?;
    Ok(())
}

/// The deadline is of the whole handshake: a server that trickles octets renews nothing.
#[tokio::test]
async fn a_server_that_never_gets_ready_is_left_and_asked_again() -> Result {
    let (listener, endpoint) = listener().await?;
    let push = Push::new(eager().handshake_timeout(Duration::from_millis(200)));
    let mut monitor = push.monitor();
    push.connect(&endpoint)?;
    let mut raw = Raw::accept(&listener).await?;
    let begun = Instant::now();
    for octet in hello("PULL", 1) {
        if raw.0.write_all(&[octet]).await.is_err() || begun.elapsed() > Duration::from_secs(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(end(&mut monitor).await?.reason(), "handshake-timeout");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    Raw::accept(&listener).await?;
    Ok(())
}

#[tokio::test]
async fn names_are_resolved_and_both_families_work() -> Result {
    for (bound, to) in [("tcp://127.0.0.1:*", "tcp://localhost"), ("tcp://[::1]:*", "tcp://[::1]")] {
        let mut pull = Pull::new(Options::new());
        let endpoint = pull.bind(bound).await?;
        let port = endpoint.address().rsplit(':').next().unwrap();
        let push = Push::new(eager());
        push.connect(&format!("{to}:{port}"))?;
        push.send("hello").await?;
        assert_eq!(text(&soon(pull.recv()).await?), "hello");
    }
    Ok(())
}
