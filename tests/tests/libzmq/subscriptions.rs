//! Subscriptions as they travel between PUB and SUB.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use zmtp::{Disconnect, Mark, Message, Options, ProtocolError, Pub, SocketEvent, Sub};

use crate::deadline::{MOMENT, event, soon, until};
use crate::ours::publish_until_wanted;
use crate::peer::{Libzmq, Peer};

scenarios!(
    only_the_last_unsubscribe_reaches_libzmq,
    libzmq_serves_our_long_topics,
    we_serve_long_topics_of_libzmq,
    an_xsub_subscribes_with_messages,
);

/// libzmq's PUB keeps a set: it must hear of a topic once when it is wanted and once when it no longer is. An XPUB shows
/// what it hears.
async fn only_the_last_unsubscribe_reaches_libzmq(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let publisher = peer.socket("XPUB", json!({ "XPUB_VERBOSER": 1 }))?;
    let mut sub = Sub::new(Options::new());
    sub.subscribe("A");
    sub.subscribe("B");
    sub.subscribe("A");
    sub.connect(&peer.bind(publisher, "tcp://127.0.0.1:*")?)?;
    ensure!(peer.receive(publisher, 2)? == ["\u{1}A", "\u{1}B"]);
    sub.subscribe("B");
    ensure!(sub.unsubscribe("A"));
    ensure!(!peer.is_readable(publisher, MOMENT)?, "one of two unsubscribes was sent");
    peer.send(publisher, &["A still", "B"])?;
    ensure!(soon(sub.recv()).await? == Message::from("A still"));
    ensure!(soon(sub.recv()).await? == Message::from("B"));

    ensure!(sub.unsubscribe("A"));
    ensure!(peer.receive(publisher, 1)? == ["\0A"]);
    sub.subscribe("A");
    ensure!(peer.receive(publisher, 1)? == ["\u{1}A"]);
    peer.send(publisher, &["A again"])?;
    ensure!(soon(sub.recv()).await? == Message::from("A again"));
    ensure!(!peer.is_readable(publisher, MOMENT)?, "more was sent than these");
    Ok(())
}

async fn libzmq_serves_our_long_topics(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let publisher = peer.socket("XPUB", json!({ "SNDHWM": 0, "XPUB_VERBOSER": 1 }))?;
    let mut sub = Sub::new(Options::new());
    let topics: Vec<_> = (1..=LONGEST).map(topic).collect();
    topics.iter().for_each(|topic| sub.subscribe(topic));
    sub.connect(&peer.bind(publisher, "tcp://127.0.0.1:*")?)?;
    let mut heard = peer.receive(publisher, topics.len())?;
    heard.sort_by_key(String::len);
    ensure!(heard.iter().zip(&topics).all(|(heard, topic)| heard.strip_prefix('\u{1}') == Some(topic)));

    peer.send(publisher, &topics)?;
    for topic in &topics {
        ensure!(soon(sub.recv()).await? == Message::from(topic.clone()), "topic of {} octets", topic.len());
    }
    ensure!(topics.iter().all(|topic| sub.unsubscribe(topic)));
    let mut heard = peer.receive(publisher, topics.len())?;
    heard.sort_by_key(String::len);
    ensure!(heard.iter().zip(&topics).all(|(heard, topic)| heard.strip_prefix('\0') == Some(topic)));
    Ok(())
}

async fn we_serve_long_topics_of_libzmq(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let publisher = Pub::new(Options::new().send_mark(Mark::UNLIMITED));
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let sub = peer.socket("SUB", json!({ "RCVHWM": 0, "SNDHWM": 0 }))?;
    let garbled = |length: &usize| libzmq == Libzmq::V4_3_4 && GARBLED.contains(length);
    let topics: Vec<_> = (1..=LONGEST).filter(|length| !garbled(length)).map(topic).collect();
    for topic in &topics {
        peer.set(sub, "SUBSCRIBE", json!(topic))?;
    }
    // The last to be heard of: when it is served, all are.
    peer.set(sub, "SUBSCRIBE", json!("last"))?;
    peer.connect(sub, endpoint.as_str())?;
    publish_until_wanted(&publisher, &mut peer, sub, "last")?;

    for topic in &topics {
        publisher.send(topic.clone())?;
    }
    let received = peer.receive(sub, topics.len())?;
    ensure!(received == topics, "all topics of {} to {LONGEST} octets, in order", topics[0].len());

    for topic in &topics {
        peer.set(sub, "UNSUBSCRIBE", json!(topic))?;
    }
    peer.set(sub, "SUBSCRIBE", json!("end"))?;
    publish_until_wanted(&publisher, &mut peer, sub, "end")?;
    let before = publisher.stats().tally.unmatched;
    for topic in &topics {
        publisher.send(topic.clone())?;
    }
    ensure!(publisher.stats().tally.unmatched - before == topics.len() as u64, "unsubscribed topics were published");
    Ok(())
}

/// What an XSUB's application sends goes out as it is, also to a peer that knows the commands; most of it is no
/// subscription.
async fn an_xsub_subscribes_with_messages(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let publisher = Pub::new(Options::new());
    let sub = peer.socket("XSUB", json!({}))?;
    peer.connect(sub, publisher.bind("tcp://127.0.0.1:*").await?.as_str())?;
    peer.send(sub, &["", "hello", "\u{1}A", "\u{2}A"])?;
    publish_until_wanted(&publisher, &mut peer, sub, "A")?;
    peer.send(sub, &["\0A"])?;
    until(|| {
        let before = publisher.stats().tally.unmatched;
        publisher.send("A").is_ok() && publisher.stats().tally.unmatched > before
    })
    .await?;
    ensure!(peer.handshakes(sub)? == 1);
    Ok(())
}

/// libzmq 4.3.4 announces the size of these commands in eight octets without the bit that says so. Nothing can be made of
/// what follows; libzmq comes back and does it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_long_topics_that_libzmq_4_3_4_garbles_cost_only_their_connection() -> anyhow::Result<()> {
    let mut peer = Peer::start(Libzmq::V4_3_4)?;
    let publisher = Pub::new(Options::new());
    let mut monitor = publisher.monitor();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let bystander = peer.socket("SUB", json!({ "SUBSCRIBE": "other" }))?;
    peer.connect(bystander, endpoint.as_str())?;
    publish_until_wanted(&publisher, &mut peer, bystander, "other")?;

    for topic in GARBLED.map(topic) {
        let sub = peer.socket("SUB", json!({ "SUBSCRIBE": topic }))?;
        peer.connect(sub, endpoint.as_str())?;
        for _ in 0..2 {
            event(&mut monitor, |event| matches!(event, SocketEvent::Ready { .. }).then_some(())).await?;
            // A SUB that has come back subscribes when it is looked at.
            peer.is_readable(sub, Duration::ZERO)?;
            let error = event(&mut monitor, |event| match event {
                SocketEvent::Disconnected { cause: Disconnect::Protocol(error), .. } => Some(error),
                _ => None,
            });
            let error = error.await.with_context(|| format!("topic of {} octets", topic.len()))?;
            ensure!(matches!(error, ProtocolError::MalformedCommand { .. }), "{error}");
        }
        publisher.send("other goes on")?;
        ensure!(peer.receive(bystander, 1)? == ["other goes on"]);
        peer.close(sub)?;
    }
    until(|| publisher.stats().peers == 1).await?;
    ensure!(peer.handshakes(bystander)? == 1);
    Ok(())
}

/// A topic of `length` octets, no prefix of which is another of them.
fn topic(length: usize) -> String {
    match length {
        0..4 => "abcd"[length..=length].repeat(length),
        _ => format!("{length:04}").chars().chain(std::iter::repeat('.')).take(length).collect(),
    }
}

/// As long as libzmq's own test of long topics goes: far beyond one octet of length.
const LONGEST: usize = 1200;

/// Octets of the topics whose subscriptions break libzmq 4.3.4's own stream.
const GARBLED: RangeInclusive<usize> = 246..=255;
