//! What happens before the first message.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use zmtp::proto::Greeting;
use zmtp::{Mark, Options, Push, Sub};

use crate::deadline::{MOMENT, soon};
use crate::endpoints::Binder;
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer};

scenarios!(
    what_waits_to_be_sent_spoils_no_handshake_with_a_bound_libzmq,
    what_waits_to_be_sent_spoils_no_handshake_with_a_connecting_libzmq,
    no_message_goes_out_before_libzmq_is_ready,
    a_routing_id_makes_no_difference,
);

/// libzmq ends a connection for good on which a message or subscription arrives before it has sent its own READY. When it
/// does is a matter of its threads: hence many connections.
async fn what_waits_to_be_sent_spoils_no_handshake_with_a_bound_libzmq(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let pull = peer.socket("PULL", json!({}))?;
    let publisher = peer.socket("XPUB", json!({}))?;
    let (to_pull, to_publisher) = (peer.bind(pull, ANY_PORT)?, peer.bind(publisher, ANY_PORT)?);
    let (mut pushes, mut subs) = (Vec::new(), Vec::new());
    for number in 0..CONNECTIONS {
        let push = Push::new(Options::new());
        push.connect(&to_pull)?;
        soon(push.send(format!("{number:02}"))).await??;
        pushes.push(push);
        let sub = Sub::new(Options::new());
        sub.subscribe(format!("{number:02}"));
        sub.connect(&to_publisher)?;
        subs.push(sub);
    }
    let mut sent = peer.receive(pull, CONNECTIONS)?;
    sent.sort();
    ensure!(sent == (0..CONNECTIONS).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    let mut subscribed = peer.receive(publisher, CONNECTIONS)?;
    subscribed.sort();
    ensure!(subscribed == (0..CONNECTIONS).map(|number| format!("\u{1}{number:02}")).collect::<Vec<_>>());
    for theirs in [pull, publisher] {
        ensure!(peer.handshakes(theirs)? == CONNECTIONS);
    }
    Ok(())
}

async fn what_waits_to_be_sent_spoils_no_handshake_with_a_connecting_libzmq(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    for _ in 0..CONNECTIONS {
        let push = Push::new(Options::new().backlog(Mark::UNLIMITED));
        push.try_send("waits")?;
        let pull = peer.socket("PULL", json!({}))?;
        peer.connect(pull, push.bind(ANY_PORT).await?.as_str())?;
        ensure!(peer.receive(pull, 1)? == ["waits"]);
        let sub = Sub::new(Options::new());
        sub.subscribe("waits");
        let publisher = peer.socket("XPUB", json!({}))?;
        peer.connect(publisher, sub.bind(ANY_PORT).await?.as_str())?;
        ensure!(peer.receive(publisher, 1)? == ["\u{1}waits"]);
        for theirs in [pull, publisher] {
            ensure!(peer.handshakes(theirs)? == 1);
            peer.close(theirs)?;
        }
    }
    Ok(())
}

/// A relay between the two holds libzmq's READY back: until it is let through, ours sends its own and no more.
async fn no_message_goes_out_before_libzmq_is_ready(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let pull = peer.socket("PULL", json!({}))?;
    let endpoint = peer.bind(pull, ANY_PORT)?;
    let relay = TcpListener::bind("127.0.0.1:0").await?;
    let push = Push::new(Options::new());
    push.connect(&format!("tcp://{}", relay.local_addr()?))?;
    soon(push.send("waits")).await??;

    let (mut ours, _) = soon(relay.accept()).await??;
    let mut theirs = soon(TcpStream::connect(endpoint.strip_prefix("tcp://").context("not TCP")?)).await??;
    let (mut from_ours, mut to_ours) = ours.split();
    let (mut from_theirs, mut to_theirs) = theirs.split();
    // In pieces: each side holds some of its greeting back until it has seen the start of the other's.
    let greetings = async {
        let greeting = Greeting::LEN as u64;
        let (mut ours, mut theirs) = ((&mut from_ours).take(greeting), (&mut from_theirs).take(greeting));
        tokio::try_join!(copy(&mut ours, &mut to_theirs), copy(&mut theirs, &mut to_ours))
    };
    soon(greetings).await??;
    let mut ready = [0; READY.len()];
    soon(from_ours.read_exact(&mut ready)).await??;
    ensure!(ready == *READY);
    soon(to_theirs.write_all(&ready)).await??;
    ensure!(timeout(MOMENT, from_ours.read_u8()).await.is_err(), "something followed our READY");
    ensure!(!peer.is_readable(pull, Duration::ZERO)?);

    tokio::spawn(async move { copy_bidirectional(&mut ours, &mut theirs).await });
    ensure!(peer.receive(pull, 1)? == ["waits"]);
    ensure!(peer.handshakes(pull)? == 1);
    Ok(())
}

/// libzmq writes the length of the routing id into the padding of its signature.
async fn a_routing_id_makes_no_difference(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    for kind in Kind::ALL {
        for id in ["x".to_owned(), "worker".to_owned(), "\u{ff}".repeat(255)] {
            for binder in Binder::EITHER {
                let mut ours = Ours::new(kind);
                let theirs = peer.partner(kind)?;
                peer.set(theirs, "ROUTING_ID", json!(id))?;
                binder.join(ANY_PORT, &ours, &mut peer, theirs).await?;
                ours.exchange(&mut peer, theirs, "hello").await?;
                ensure!(peer.handshakes(theirs)? == 1);
                peer.close(theirs)?;
            }
        }
    }
    Ok(())
}

const READY: &[u8; 28] = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH";

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// libzmq ends one connection in two on which a message comes right behind READY.
const CONNECTIONS: usize = 50;
