//! Heartbeats between sockets: who is cut, who is not, and what they cost.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use zmtp::{Disconnect, Mark, Monitor, Options, Pull, Push, SocketEvent, Sub, proto::Greeting};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(Duration::from_secs(10), future).await?)
}

async fn end(monitor: &mut Monitor) -> Result<Disconnect> {
    soon(async {
        loop {
            if let Some(SocketEvent::Disconnected { cause, .. }) = monitor.recv().await {
                return cause;
            }
        }
    })
    .await
}

/// A peer that has said hello to `endpoint` and says no more by itself.
async fn mute(address: &str, socket_type: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&Greeting::encode("NULL", false)).await?;
    let ready =
        [b"\x05READY\x0bSocket-Type\x00\x00\x00", &[socket_type.len() as u8][..], socket_type.as_bytes()].concat();
    stream.write_all(&[&[4, ready.len() as u8][..], &ready].concat()).await?;
    let mut hello = [0; 64];
    soon(stream.read_exact(&mut hello)).await??;
    let mut header = [0; 2];
    soon(stream.read_exact(&mut header)).await??;
    let mut ready = vec![0; header[1].into()];
    soon(stream.read_exact(&mut ready)).await??;
    Ok(stream)
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_cut_after_the_timeout() -> Result {
    let options = Options::new().heartbeat_interval(INTERVAL).heartbeat_timeout(3 * INTERVAL).heartbeat_ttl(TTL);
    let push = Push::new(options);
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = push.monitor();
    let begun = Instant::now();
    let mut peer = mute(endpoint.address(), "PULL").await?;
    let cause = end(&mut monitor).await?;
    assert_eq!(cause.to_string(), "nothing was heard from the peer for 300 ms after a PING");
    assert!(begun.elapsed() >= 4 * INTERVAL);
    assert_eq!(push.stats().faults["heartbeat-timeout"], 1);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await?;
    assert!(all.starts_with(b"\x04\x0b\x04PING\x00\x0a\x00\x00\x00\x01"), "{}", all.escape_ascii());
    Ok(())
}

#[tokio::test]
async fn a_ping_is_answered_with_its_context_and_its_ttl_is_acted_upon() -> Result {
    let sub = Sub::new(Options::new());
    let endpoint = sub.bind("tcp://127.0.0.1:*").await?;
    let mut monitor = sub.monitor();
    let mut peer = mute(endpoint.address(), "PUB").await?;
    peer.write_all(b"\x04\x0a\x04PING\x00\x03ctx").await?;
    let mut pong = [0; 10];
    soon(peer.read_exact(&mut pong)).await??;
    assert_eq!(&pong, b"\x04\x08\x04PONGctx");
    let begun = Instant::now();
    let cause = end(&mut monitor).await?;
    assert_eq!(cause.to_string(), "nothing was heard from the peer for 300 ms as its ttl allows");
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn live_peers_stay_connected() -> Result {
    let options = Options::new().heartbeat_interval(INTERVAL / 2).heartbeat_timeout(10 * INTERVAL).heartbeat_ttl(TTL);
    let mut pull = Pull::new(options.clone());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(options);
    push.connect(endpoint.as_str())?;
    for n in 0..20 {
        push.send(n.to_string()).await?;
        sleep(INTERVAL).await;
    }
    for n in 0..20 {
        assert_eq!(soon(pull.recv()).await?, n.to_string().into());
    }
    assert_eq!((push.stats().connections, pull.stats().connections), (1, 1));
    Ok(())
}

#[cfg(feature = "curve")]
#[tokio::test]
async fn heartbeats_are_sealed_too() -> Result {
    use std::sync::Arc;
    use zmtp::{Applicant, KeyPair, Security, Verdict};

    let [client, server] = [KeyPair::generate()?, KeyPair::generate()?];
    let options = Options::new().heartbeat_interval(INTERVAL / 2).heartbeat_timeout(5 * INTERVAL).heartbeat_ttl(TTL);
    let server_key = server.public();
    let authenticator = Arc::new(|_: &Applicant| Verdict::Admit);
    let mut pull = Pull::new(options.clone().security(Security::CurveServer { keys: server, authenticator }));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(options.security(Security::CurveClient { keys: client, server: server_key }));
    push.connect(endpoint.as_str())?;
    sleep(12 * INTERVAL).await;
    push.send("still there").await?;
    assert_eq!(soon(pull.recv()).await?, "still there".into());
    assert_eq!((push.stats().connections, pull.stats().connections), (1, 1));
    Ok(())
}

#[tokio::test]
async fn the_silence_of_a_full_queue_is_not_the_peers() -> Result {
    // Nobody receives: the PULL does not read what its peers write, and so sees no answer either.
    let options = Options::new().heartbeat_interval(INTERVAL).heartbeat_timeout(2 * INTERVAL);
    let mut pull = Pull::new(options.clone().recv_mark(Mark::messages(2)));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(options);
    push.connect(endpoint.as_str())?;
    for n in 0..10 {
        push.send(n.to_string()).await?;
    }
    sleep(12 * INTERVAL).await;
    assert_eq!((push.stats().connections, pull.stats().connections), (1, 1));
    for n in 0..10 {
        assert_eq!(soon(pull.recv()).await?, n.to_string().into());
    }
    assert!(pull.stats().faults.is_empty() && push.stats().faults.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_connection_that_was_cut_for_silence_comes_back() -> Result {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let options = Options::new().heartbeat_interval(INTERVAL).reconnect(INTERVAL / 10, INTERVAL);
    let push = Push::new(options);
    push.connect(&format!("tcp://{}", listener.local_addr()?))?;
    for _ in 0..2 {
        let (mut stream, _) = soon(listener.accept()).await??;
        stream.write_all(&Greeting::encode("NULL", false)).await?;
        stream.write_all(b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PULL").await?;
        let mut all = Vec::new();
        let _ = soon(stream.read_to_end(&mut all)).await?;
    }
    assert!(push.stats().faults["heartbeat-timeout"] > 0);
    Ok(())
}

const INTERVAL: Duration = Duration::from_millis(100);
const TTL: Duration = Duration::from_secs(1);
