//! How messages flow between PUSH and PULL: in turn to many, as fast as they go, and not at all while a reader has stopped.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tests::loopback;
use tokio::time::timeout;
use zmtp::{CloseReport, Mark, Message, Options, Pull, Push};

use crate::deadline::{LIMIT, MOMENT, soon, until};
use crate::peer::{Libzmq, Peer};

scenarios!(
    a_burst_to_libzmq_arrives_once_and_in_order,
    a_burst_from_libzmq_arrives_once_and_in_order,
    three_workers_share_in_turn,
    a_libzmq_reader_that_stops_holds_our_sender,
    our_reader_that_stops_holds_a_libzmq_sender,
    what_was_sent_before_a_close_arrives,
);

async fn a_burst_to_libzmq_arrives_once_and_in_order(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let pull = peer.socket("PULL", json!({}))?;
    let push = Push::new(Options::new());
    push.connect(&peer.bind(pull, "tcp://127.0.0.1:*")?)?;
    let sender = tokio::spawn(async move {
        for number in 0..BURST {
            push.send(numbered(number, 0)).await?;
        }
        anyhow::Ok(push)
    });
    peer.receive_numbers(pull, 0, BURST)?;
    let push = soon(sender).await???;
    ensure!(push.stats().tally.accepted == BURST);
    ensure!(!peer.is_readable(pull, MOMENT)?, "more arrived than was sent");
    Ok(())
}

async fn a_burst_from_libzmq_arrives_once_and_in_order(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let push = peer.socket("PUSH", json!({}))?;
    let mut pull = Pull::new(Options::new());
    peer.connect(push, pull.bind("tcp://127.0.0.1:*").await?.as_str())?;
    let reader = tokio::spawn(async move {
        for number in 0..BURST {
            ensure!(pull.recv().await == numbered(number, 0), "another message came in place of {number}");
        }
        Ok(pull)
    });
    ensure!(peer.send_numbers(push, BURST, 0)? == BURST);
    let mut pull = soon(reader).await???;
    ensure!(timeout(MOMENT, pull.recv()).await.is_err(), "more arrived than was sent");
    Ok(())
}

async fn three_workers_share_in_turn(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = peer.socket("PULL", json!({}))?;
        peer.connect(worker, endpoint.as_str())?;
        workers.push(worker);
    }
    until(|| push.stats().peers == workers.len()).await?;
    for number in 0..30 {
        soon(push.send(format!("{number:02}"))).await??;
    }
    let mut shares = Vec::new();
    for worker in workers {
        shares.push(peer.receive(worker, 10)?);
        ensure!(!peer.is_readable(worker, Duration::ZERO)?, "a worker has more than its share");
    }
    shares.sort();
    for (turn, share) in shares.iter().enumerate() {
        let expected: Vec<_> = (turn..30).step_by(3).map(|number| format!("{number:02}")).collect();
        ensure!(*share == expected, "not in turn: {shares:?}");
    }
    Ok(())
}

async fn a_libzmq_reader_that_stops_holds_our_sender(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let pull = peer.socket("PULL", json!({ "RCVHWM": 10 }))?;
    let push = Push::new(Options::new().send_mark(Mark::messages(10)));
    push.connect(&peer.bind(pull, "tcp://127.0.0.1:*")?)?;
    let mut sent = 0;
    while timeout(STILL, push.send(numbered(sent, LARGE))).await.is_ok() {
        sent += 1;
        ensure!(sent < ENDLESS, "nothing holds the sender");
    }
    ensure!(push.stats().queued == 10, "the queue is full");
    // A send that was given up left nothing behind: the next has the same number.
    let rest = tokio::spawn(async move {
        for number in sent..2 * sent {
            push.send(numbered(number, LARGE)).await?;
        }
        anyhow::Ok(push)
    });
    peer.receive_numbers(pull, 0, 2 * sent)?;
    soon(rest).await???;
    Ok(())
}

async fn our_reader_that_stops_holds_a_libzmq_sender(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut pull = Pull::new(Options::new().recv_mark(Mark::messages(10)));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = peer.socket("PUSH", json!({ "SNDHWM": 10, "SNDTIMEO": STILL.as_millis() as u64 }))?;
    peer.connect(push, endpoint.as_str())?;
    let sent = peer.send_numbers(push, ENDLESS, LARGE)?;
    ensure!(sent < ENDLESS, "nothing holds the sender");
    let queued = pull.stats().queued;
    ensure!((1..=10).contains(&queued), "{queued} messages are queued");
    for number in 0..sent {
        ensure!(soon(pull.recv()).await? == numbered(number, LARGE), "another message came in place of {number}");
    }
    peer.send(push, &["more"])?;
    ensure!(soon(pull.recv()).await? == Message::from("more"));
    Ok(())
}

/// The socket is closed while most messages are still queued, and the peer has yet to come.
async fn what_was_sent_before_a_close_arrives(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let endpoint = format!("tcp://127.0.0.1:{}", loopback::free_port()?);
    let push = Push::new(Options::new());
    push.connect(&endpoint)?;
    for number in 0..1000 {
        soon(push.send(numbered(number, 1000))).await??;
    }
    let close = tokio::spawn(async move { push.close(LIMIT).await });
    let pull = peer.socket("PULL", json!({}))?;
    peer.bind(pull, &endpoint)?;
    peer.receive_numbers(pull, 0, 1000)?;
    ensure!(soon(close).await?? == CloseReport { flushed: 1000, discarded: 0 });

    let endpoint = format!("tcp://127.0.0.1:{}", loopback::free_port()?);
    let push = peer.socket("PUSH", json!({}))?;
    peer.connect(push, &endpoint)?;
    ensure!(peer.send_numbers(push, 1000, 1000)? == 1000);
    peer.close(push)?;
    let mut pull = Pull::new(Options::new());
    pull.bind(&endpoint).await?;
    for number in 0..1000 {
        ensure!(soon(pull.recv()).await? == numbered(number, 1000), "another message came in place of {number}");
    }
    Ok(())
}

/// As [`Peer::send_numbers`] sends them.
fn numbered(number: u64, padding: usize) -> Message {
    Message::builder().more(number.to_string()).last(vec![0; padding])
}

const BURST: u64 = 100_000;

/// Kernel buffers of a loopback connection grow to some megabytes: a few hundred of these.
const LARGE: usize = 64 << 10;

/// Messages of [`LARGE`] that no buffers hold.
const ENDLESS: u64 = 2000;

/// A sender that has not moved for so long is held.
const STILL: Duration = Duration::from_millis(400);
