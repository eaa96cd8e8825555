//! Whoever connects and does not speak ZMTP, or not to the end: it is cut off, gets nothing but a greeting, and nobody
//! else is the worse for it.

use std::{
    cell::Cell,
    panic,
    path::Path,
    sync::Once,
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};
use zmtp::{Options, Pull, Push, Sub};

use super::{
    commands::sockets,
    raw::{Raw, hello, listener, partner},
    support::{Result, end, event, soon, text, until},
};

#[tokio::test]
async fn other_protocols_get_nowhere_with_any_socket() -> Result {
    let hellos: [&[u8]; 6] = [
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        &[0; 100],
        &[0xff; 100],
        b"\x05\0hello\0",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for (mut socket, endpoint) in sockets().await? {
        for hello in hellos {
            let mut raw = Raw::connect(&endpoint).await?;
            raw.write(hello).await?;
            let said = raw.rest().await?;
            assert!(said.len() <= 64, "{}: {}", socket.name(), said.escape_ascii());
        }
        until(|| socket.stats().faults.values().sum::<u64>() == hellos.len() as u64).await?;
        assert_eq!(socket.stats().peers, 0);
        socket.exchange(&endpoint).await?;
    }
    Ok(())
}

/// Streams of the fuzzer's corpus, at most so many.
fn streams(most: usize) -> Result<Vec<Vec<u8>>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/connection");
    let mut streams = Vec::new();
    for file in std::fs::read_dir(corpus)?.take(most) {
        let input = std::fs::read(file?.path())?;
        // Before the stream are the sizes of reads and a role.
        streams.extend(input.get(5..).map(<[u8]>::to_vec));
    }
    assert!(streams.len() > 50);
    Ok(streams)
}

/// Runs a test whose tasks are all of this thread; none of them may panic, which the runtime would keep to itself.
async fn without_panics(test: impl Future<Output = Result>) -> Result {
    thread_local! {
        static PANICS: Cell<usize> = const { Cell::new(0) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            usual(info);
        }));
    });
    test.await?;
    assert_eq!(PANICS.get(), 0, "a peer's octets made a task panic");
    Ok(())
}

/// Any octets in place of a greeting and behind a good handshake, then a good peer.
#[tokio::test]
async fn whatever_octets_come_a_good_peer_is_served_after_them() -> Result {
    without_panics(async {
        let streams = streams(usize::MAX)?;
        for (mut socket, endpoint) in sockets().await? {
            for stream in &streams {
                for greets in [false, true] {
                    let mut raw = Raw::connect(&endpoint).await?;
                    if greets {
                        raw.write(&hello(partner(socket.name()), 1)).await?;
                    }
                    let octets = if greets { stream.get(64..).unwrap_or(stream) } else { stream };
                    // It may be cut off before all is written.
                    let _ = soon(raw.0.write_all(octets)).await?;
                }
            }
            socket.exchange(&endpoint).await?;
            until(|| socket.stats().peers == 0).await?;
        }
        Ok(())
    })
    .await
}

/// The same the other way round: we connect to a server that writes such octets.
#[tokio::test]
async fn whatever_octets_a_server_writes_a_good_one_is_found_after_it() -> Result {
    without_panics(async {
        let (listener, endpoint) = listener().await?;
        let sub = Sub::new(Options::new().reconnect(Duration::from_millis(1), Duration::from_millis(2)));
        let push = Push::new(Options::new().reconnect(Duration::from_millis(1), Duration::from_millis(2)));
        sub.subscribe("");
        sub.connect(&endpoint)?;
        push.connect(&endpoint)?;
        // A server that refuses whoever it is has been tried for the last time.
        let refuses = |stream: &Vec<u8>| stream.windows(6).any(|octets| octets == b"\x05ERROR");
        for stream in streams(80)?.iter().filter(|stream| !refuses(stream)) {
            for greets in [false, true] {
                let mut raw = Raw::accept(&listener).await?;
                if greets {
                    let _ = soon(raw.0.write_all(&hello("PUB", 1))).await?;
                }
                let octets = if greets { stream.get(64..).unwrap_or(stream) } else { stream };
                let _ = soon(raw.0.write_all(octets)).await?;
            }
        }
        let dropped = sub.forget(&endpoint.parse()?);
        assert!(dropped);
        // Connections of the other socket, and ones that were closed meanwhile, may come first.
        soon(async {
            loop {
                let Ok(raw) = Raw::accept(&listener).await else { continue };
                let Ok(mut raw) = raw.shake_hands("PULL", 1).await else { continue };
                // Anew for each: one may still have gone to a stream that looked like a PULL.
                push.send("HELLO").await?;
                if timeout(MOMENT, raw.frame()).await.is_ok_and(|frame| frame.is_ok_and(|body| body == b"HELLO")) {
                    return Ok(());
                }
            }
        })
        .await?
    })
    .await
}

/// For a message to arrive that is on its way.
const MOMENT: Duration = Duration::from_millis(500);

/// One deadline for the whole handshake, whatever trickles in.
#[tokio::test]
async fn a_handshake_octet_by_octet_ends_at_its_deadline() -> Result {
    let options = Options::new().handshake_timeout(Duration::from_millis(300));
    let pull = Pull::new(options);
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let begun = Instant::now();
    let mut raw = Raw::connect(&endpoint).await?;
    for octet in hello("PUSH", 1).into_iter().cycle() {
        if raw.0.write_all(&[octet]).await.is_err() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "each octet renews the deadline");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(end(&mut monitor).await?.reason(), "handshake-timeout");
    Ok(())
}

/// A connection is a peer only after its handshake: it takes part in nothing before (CVE-2020-15166).
#[tokio::test]
async fn a_hundred_idle_connections_take_part_in_nothing() -> Result {
    let push = Push::new(Options::new());
    let to_pull = push.bind("tcp://127.0.0.1:*").await?;
    let mut pull = Pull::new(Options::new());
    let to_push = pull.bind("tcp://127.0.0.1:*").await?;
    let mut idle = Vec::new();
    for n in 0..100 {
        for endpoint in [&to_pull, &to_push] {
            let mut raw = Raw::connect(endpoint).await?;
            raw.write(&hello("PULL", 1)[..n % 92]).await?;
            idle.push(raw);
        }
    }
    until(|| push.stats().connections >= 100 && pull.stats().connections >= 100).await?;
    let mut reader = Pull::new(Options::new());
    reader.connect(to_pull.as_str())?;
    let sender = Push::new(Options::new());
    sender.connect(to_push.as_str())?;
    for n in 0..1000 {
        soon(push.send(n.to_string())).await??;
        soon(sender.send(n.to_string())).await??;
        assert_eq!(text(&soon(reader.recv()).await?), n.to_string());
        assert_eq!(text(&soon(pull.recv()).await?), n.to_string());
    }
    assert_eq!((push.stats().peers, pull.stats().peers), (1, 1));
    Ok(())
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_in_the_backlog() -> Result {
    let pull = Pull::new(Options::new().max_connections(10));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(Raw::connect(&endpoint).await?);
    }
    let full = event(&mut monitor, |event| match event {
        zmtp::SocketEvent::Full { connections, .. } => Some(connections),
        _ => None,
    })
    .await?;
    assert_eq!(full, 10);
    sleep(super::support::MOMENT).await;
    assert_eq!(pull.stats().connections, 10, "the others were not accepted");
    assert_eq!(pull.stats().faults["connection-limit"], 1);
    // When those go, the next come in.
    streams.drain(..10);
    until(|| pull.stats().connections == 20).await?;
    drop(streams);
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    soon(push.send("at last")).await??;
    until(|| pull.stats().received == 1).await
}
