//! libzmq's heartbeats, which are off unless asked for.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use zmtp::proto::Greeting;
use zmtp::{Options, SocketEvent};

use crate::deadline::soon;
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer, Theirs};

scenarios!(
    we_answer_pings_and_stay_connected,
    it_answers_ours_and_stays_connected,
    a_peer_that_does_not_answer_is_cut,
    one_that_hangs_is_cut_by_our_timeout,
    one_that_hangs_is_cut_by_its_own_ttl,
);

async fn we_answer_pings_and_stay_connected(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut pairs = Vec::new();
    for kind in Kind::ALL {
        let mut ours = Ours::new(kind);
        let theirs = peer.partner(kind)?;
        set_heartbeats(&mut peer, theirs)?;
        peer.connect(theirs, &ours.bind("tcp://127.0.0.1:*").await?)?;
        ours.exchange(&mut peer, theirs, "before").await?;
        pairs.push((ours, theirs));
    }
    sleep(2 * TIMEOUT).await;
    for (ours, theirs) in &mut pairs {
        let events = peer.events(*theirs)?;
        ensure!(!events.iter().any(|event| event == "DISCONNECTED"), "{ours:?}: libzmq saw {events:?}");
        ensure!(ours.stats().connections == 1, "{ours:?}: {:?}", ours.stats());
        ours.exchange(&mut peer, *theirs, "after").await?;
    }
    Ok(())
}

async fn it_answers_ours_and_stays_connected(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut pairs = Vec::new();
    for kind in Kind::ALL {
        let options = Options::new().heartbeat_interval(INTERVAL).heartbeat_timeout(TIMEOUT).heartbeat_ttl(TIMEOUT);
        let mut ours = Ours::with(kind, options);
        let theirs = peer.partner(kind)?;
        peer.connect(theirs, &ours.bind("tcp://127.0.0.1:*").await?)?;
        ours.exchange(&mut peer, theirs, "before").await?;
        pairs.push((ours, theirs));
    }
    sleep(2 * TIMEOUT).await;
    for (ours, theirs) in &mut pairs {
        let events = peer.events(*theirs)?;
        ensure!(!events.iter().any(|event| event == "DISCONNECTED"), "{ours:?}: libzmq saw {events:?}");
        ensure!(ours.stats().connections == 1, "{ours:?}: {:?}", ours.stats());
        ours.exchange(&mut peer, *theirs, "after").await?;
    }
    Ok(())
}

async fn one_that_hangs_is_cut_by_our_timeout(libzmq: Libzmq) -> anyhow::Result<()> {
    let options = Options::new().heartbeat_interval(INTERVAL).heartbeat_timeout(TIMEOUT);
    hang(libzmq, options, false, "after a PING").await
}

async fn one_that_hangs_is_cut_by_its_own_ttl(libzmq: Libzmq) -> anyhow::Result<()> {
    hang(libzmq, Options::new(), true, "as its ttl allows").await
}

/// Stops the whole process of a libzmq PUSH, whose kernel keeps its connection open.
async fn hang(libzmq: Libzmq, options: Options, theirs_beat: bool, since: &str) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut ours = Ours::with(Kind::Pull, options);
    let mut monitor = ours.monitor();
    let push = peer.socket("PUSH", json!({}))?;
    if theirs_beat {
        set_heartbeats(&mut peer, push)?;
    }
    peer.connect(push, &ours.bind("tcp://127.0.0.1:*").await?)?;
    ours.exchange(&mut peer, push, "before").await?;
    sleep(3 * INTERVAL).await;
    peer.pause()?;
    let cause = soon(async {
        loop {
            if let Some(SocketEvent::Disconnected { cause, .. }) = monitor.recv().await {
                return cause;
            }
        }
    })
    .await?;
    ensure!(cause.to_string().ends_with(since), "{cause}");
    peer.resume()?;
    // Awake again, it connects anew; what it sends before it has noticed is lost.
    soon(async { while !matches!(monitor.recv().await, Some(SocketEvent::Ready { .. })) {} }).await?;
    ours.exchange(&mut peer, push, "after").await
}

/// What the other scenario's connections would come to if we did not answer.
async fn a_peer_that_does_not_answer_is_cut(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let pull = peer.socket("PULL", json!({}))?;
    set_heartbeats(&mut peer, pull)?;
    let endpoint = peer.bind(pull, "tcp://127.0.0.1:*")?;
    let mut mute = soon(TcpStream::connect(endpoint.strip_prefix("tcp://").context("not TCP")?)).await??;
    soon(mute.write_all(&Greeting::encode("NULL", false))).await??;
    soon(mute.write_all(b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH")).await??;
    let mut received = Vec::new();
    soon(mute.read_to_end(&mut received)).await??;
    ensure!(received.windows(4).any(|octets| octets == b"PING"), "no PING in {}", received.escape_ascii());
    Ok(())
}

fn set_heartbeats(peer: &mut Peer, theirs: Theirs) -> anyhow::Result<()> {
    let millis = |time: Duration| json!(time.as_millis() as u64);
    peer.set(theirs, "HEARTBEAT_IVL", millis(INTERVAL))?;
    peer.set(theirs, "HEARTBEAT_TIMEOUT", millis(TIMEOUT))?;
    peer.set(theirs, "HEARTBEAT_TTL", millis(TIMEOUT))
}

const INTERVAL: Duration = Duration::from_millis(100);

/// Long enough for a machine that is busy with other tests.
const TIMEOUT: Duration = Duration::from_secs(4);
