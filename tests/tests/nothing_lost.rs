//! Nothing is lost between acceptance and a consumer's socket.
//!
//! Senders and consumers are libzmq. One topic has no consumer for a while; another's stops, is killed while there is much
//! to do, and another one comes. A message is lost only if it had been written to the killed one, and these follow one
//! another. That they are exactly those is shown in the receiver's own tests (`handover.rs`), where the kernel tells.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::site::Site;
use tests::traffic::{Consumer, Sender};

/// The first has no consumer at first, the second's is killed.
const TOPICS: [&str; 8] =
    ["late.host1", "killed.host1", "a.host1", "b.host1", "c.host1", "d.host1", "e.host1", "f.host1"];

const SENDERS: u32 = 4;

/// Of each sender to each topic: 200,000 in all.
const CASTS: u32 = 6250;

/// How long the first topic has no consumer.
const LATE: Duration = Duration::from_secs(5);

#[test]
fn nothing_is_lost_but_what_a_killed_consumer_was_written() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let records = tempfile::tempdir()?;
    let consumer = |topic: &str, record: &str| Consumer::start(&site.socket(topic), topic, records.path().join(record));
    let [late, killed, live @ ..] = TOPICS;

    let mut consumers = live.iter().map(|topic| consumer(topic, topic)).collect::<Result<Vec<_>, _>>()?;
    let mut first = consumer(killed, "first")?;
    let mut senders =
        (0..SENDERS).map(|n| Sender::start(&site.endpoint(), n, &TOPICS)).collect::<Result<Vec<_>, _>>()?;
    let half = CASTS / 2 * u32::try_from(TOPICS.len())?;

    let begun = Instant::now();
    for sender in &mut senders {
        sender.begin(half)?;
    }
    first.wait_for(1000)?;
    // So that something has been written to it and not read, however fast it is.
    first.freeze()?;
    for sender in &mut senders {
        sender.finish()?;
        sender.begin(half)?;
    }
    let first = first.kill()?;
    let mut second = consumer(killed, "second")?;
    for sender in &mut senders {
        sender.finish()?;
    }

    let all = usize::try_from(SENDERS * CASTS)?;
    let each_once: BTreeMap<_, _> = (0..SENDERS).map(|sender| (sender, 0..CASTS)).collect();
    for (consumer, topic) in consumers.iter_mut().zip(live) {
        let record = consumer.wait_for(all).context(topic)?;
        ensure!(record.ranges()? == each_once, "{topic}");
    }
    thread::sleep(LATE.saturating_sub(begun.elapsed()));
    let record = consumer(late, late)?.wait_for(all)?;
    ensure!(record.ranges()? == each_once, "{late}");

    let second = second.wait_for_last(SENDERS, CASTS - 1)?;
    let report = receiver.stop()?;

    // For each sender what was lost is the gap between what the one had read and what the other began with.
    let (read, continued) = (first.ranges()?, second.ranges()?);
    let mut lost = 0;
    for sender in 0..SENDERS {
        let read = read.get(&sender).cloned().unwrap_or_default();
        let continued = continued.get(&sender).cloned().unwrap_or(CASTS..CASTS);
        ensure!(read.start == 0 && read.end <= continued.start && continued.end == CASTS, "{read:?} {continued:?}");
        lost += continued.start - read.end;
    }
    println!("of {all}: {} read, {lost} lost, {} read by the next", first.messages(), second.messages());
    let written_to_first = report.of_topic(killed, "written") - second.messages() as u64;
    ensure!(lost > 0 && u64::from(lost) == written_to_first - first.messages() as u64, "{lost} of {written_to_first}");

    ensure!(report.received == u64::from(SENDERS * CASTS) * TOPICS.len() as u64, "{report:?}");
    ensure!(report.written == report.received && report.left == 0, "{report:?}");
    ensure!(report.dropped.is_empty() && report.faults.is_empty(), "{report:?}");
    for topic in TOPICS {
        for counter in ["accepted", "written"] {
            ensure!(report.of_topic(topic, counter) == all as u64, "{counter} of {topic}: {report:?}");
        }
    }
    Ok(())
}
