//! libzmq's heartbeats, which are off unless asked for.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use zmtp::proto::Greeting;

use crate::deadline::soon;
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer, Theirs};

scenarios!(we_answer_pings_and_stay_connected, a_peer_that_does_not_answer_is_cut);

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
const TIMEOUT: Duration = Duration::from_millis(1500);
