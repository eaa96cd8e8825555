//! After a crash: what it left behind is in nobody's way, and peers that stayed go on (oslo-bugs, B11). And restarts in order,
//! which lose nothing.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::site::Site;
use tests::traffic::{Consumer, Sender};
use tests::wire;

/// From a receiver that listens again to the last of some thousand messages.
const RECOVERY: Duration = Duration::from_secs(1);

#[test]
fn b11_traffic_goes_on_after_a_crash_under_connected_peers() -> anyhow::Result<()> {
    const TOPICS: [&str; 2] = ["compute.host1", "volume.host1"];
    /// Of each of two senders in each run, half of them to each topic.
    const CASTS: u32 = 1000;
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let records = tempfile::tempdir()?;
    let mut consumers = Vec::new();
    for topic in TOPICS {
        consumers.push(Consumer::start(&site.socket(topic), topic, records.path().join(topic))?);
    }
    let mut senders = [Sender::start(&site.endpoint(), 0, &TOPICS)?, Sender::start(&site.endpoint(), 1, &TOPICS)?];
    let mut fastest = Duration::MAX;
    for run in 1..=3 {
        let begun = Instant::now();
        for sender in &mut senders {
            sender.send(CASTS)?;
        }
        for consumer in &mut consumers {
            let record = consumer.wait_for((run * CASTS).try_into()?)?;
            // All of them: nothing was on its way when the receiver was killed.
            ensure!(record.ranges()? == [(0, 0..run * CASTS / 2), (1, 0..run * CASTS / 2)].into(), "run {run}");
        }
        // In the first run the peers' programs start. Other tests may run beside one of the others.
        if run > 1 {
            fastest = fastest.min(begun.elapsed());
        }
        receiver.kill()?;
        ensure!(site.socket(TOPICS[0]).exists(), "a killed receiver leaves its sockets");
        receiver = site.start()?;
    }
    ensure!(fastest < RECOVERY, "{fastest:?}");
    Ok(())
}

#[test]
fn planned_restarts_under_load_lose_nothing() -> anyhow::Result<()> {
    restarts_under_load("[zmq_receiver]\ndrain_timeout = 20", true)
}

#[test]
fn planned_restarts_with_a_spool_lose_nothing_although_a_consumer_is_away() -> anyhow::Result<()> {
    let spool = tempfile::tempdir()?;
    restarts_under_load(&format!("[zmq_receiver]\ndrain_timeout = 20\nspool_dir = {}", spool.path().display()), false)
}

/// 5,000 messages a second from libzmq to libzmq, over five restarts: each arrives once and in order. The last topic has a
/// consumer all the time, or only when all is sent.
fn restarts_under_load(options: &str, all_the_time: bool) -> anyhow::Result<()> {
    const TOPICS: [&str; 4] = ["compute.host1", "volume.host1", "network.host1", "late.host1"];
    const SENDERS: u32 = 4;
    /// Of a sender in each tick, dealt out to the topics.
    const CASTS: u32 = 128;
    const TICK: Duration = Duration::from_millis(100);
    /// Every eighth tick the receiver is restarted.
    const TICKS: u32 = 48;
    let site = Site::new(options)?;
    let mut receiver = site.start()?;
    let records = tempfile::tempdir()?;
    let consumer = |topic: &str| Consumer::start(&site.socket(topic), topic, records.path().join(topic));
    let mut consumers = TOPICS[..3].iter().map(|topic| consumer(topic)).collect::<Result<Vec<_>, _>>()?;
    if all_the_time {
        consumers.push(consumer(TOPICS[3])?);
    }
    let mut senders =
        (0..SENDERS).map(|n| Sender::start(&site.endpoint(), n, &TOPICS)).collect::<Result<Vec<_>, _>>()?;
    // Until all take part.
    for sender in &mut senders {
        sender.send(CASTS)?;
    }
    for consumer in &mut consumers {
        consumer.wait_for((SENDERS * CASTS).try_into().map(|all: usize| all / TOPICS.len())?)?;
    }

    let sending: Vec<_> = senders
        .into_iter()
        .map(|mut sender| {
            thread::spawn(move || {
                let mut next = Instant::now();
                for _ in 0..TICKS {
                    sender.send(CASTS)?;
                    next += TICK;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                // It is needed until what libzmq still has is sent.
                anyhow::Ok(sender)
            })
        })
        .collect();
    let (mut received, mut written, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..5 {
        thread::sleep(8 * TICK);
        let begun = Instant::now();
        let report = receiver.stop()?;
        receiver = site.start()?;
        slowest = slowest.max(begun.elapsed());
        ensure!(report.dropped.is_empty(), "{report:?}");
        ensure!(!all_the_time || report.left == 0, "{report:?}");
        (received, written) = (received + report.received, written + report.written);
    }
    let senders =
        sending.into_iter().map(|sending| sending.join().unwrap_or_else(|_| anyhow::bail!("a sender panicked")));
    let _senders = senders.collect::<Result<Vec<_>, _>>()?;
    if !all_the_time {
        consumers.push(consumer(TOPICS[3])?);
    }
    let each = CASTS * (TICKS + 1) / u32::try_from(TOPICS.len())?;
    let each_once = (0..SENDERS).map(|sender| (sender, 0..each)).collect();
    for (consumer, topic) in consumers.iter_mut().zip(TOPICS) {
        let waited = consumer.wait_for((SENDERS * each).try_into()?);
        let record =
            waited.with_context(|| format!("{topic}: {:?}", consumer.record().and_then(|had| had.ranges())))?;
        ensure!(record.ranges()? == each_once, "{topic}: {:?}", record.ranges());
    }
    let report = receiver.stop()?;
    let (received, written) = (received + report.received, written + report.written);
    println!("{received} received, {written} written, the longest restart took {slowest:?}");
    ensure!(received == u64::from(SENDERS * CASTS * (TICKS + 1)) && written == received, "{received} {written}");
    Ok(())
}

/// As fast as libzmq sends, over five restarts: there is never a pause in which a sender could be told that this receiver
/// ends. Each message arrives once and in order, but for those of which libzmq had sent a part when it was told.
#[test]
fn planned_restarts_at_full_speed_lose_what_was_sent_in_part_and_nothing_else() -> anyhow::Result<()> {
    const TOPICS: [&str; 2] = ["compute.host1", "volume.host1"];
    const SENDERS: u32 = 2;
    const RESTARTS: u32 = 5;
    /// Of a sender at a time; libzmq always has some to send.
    const CASTS: u32 = 10_000;
    const OCTETS: usize = 4000;
    // Consumers may be slower than senders, which are to wait then.
    let site = Site::new("[zmq_receiver]\ndrain_timeout = 20\ntopic_policy = *:block")?;
    let mut receiver = site.start()?;
    let records = tempfile::tempdir()?;
    let consumer = |topic| Consumer::start_large(&site.socket(topic), topic, records.path().join(topic), OCTETS);
    let mut consumers = TOPICS.iter().map(|topic| consumer(*topic)).collect::<Result<Vec<_>, _>>()?;
    let mut senders = (0..SENDERS)
        .map(|n| Sender::start_large(&site.endpoint(), n, &TOPICS, OCTETS))
        .collect::<Result<Vec<_>, _>>()?;
    // Until all take part.
    for sender in &mut senders {
        sender.send(2)?;
    }
    for consumer in &mut consumers {
        consumer.wait_for(SENDERS.try_into()?)?;
    }
    let over = AtomicBool::new(false);
    let (sent, mut received) = thread::scope(|scope| {
        let send_on = |mut sender: Sender| {
            let mut sent = 2;
            while !over.load(Ordering::Relaxed) {
                sender.send(CASTS)?;
                sent += CASTS;
            }
            anyhow::Ok((sender, sent))
        };
        let sending: Vec<_> = senders.into_iter().map(|sender| scope.spawn(move || send_on(sender))).collect();
        let restart = || {
            thread::sleep(Duration::from_millis(300));
            let report = receiver.stop()?;
            receiver = site.start()?;
            ensure!(report.dropped.is_empty() && report.left == 0 && report.written == report.received, "{report:?}");
            Ok(report.received)
        };
        let received: anyhow::Result<u64> = std::iter::repeat_with(restart).take(RESTARTS as usize).sum();
        over.store(true, Ordering::Relaxed);
        let joined = sending.into_iter().map(|sending| sending.join().unwrap_or_else(|_| anyhow::bail!("panicked")));
        anyhow::Ok((joined.collect::<Result<Vec<_>, _>>()?, received?))
    })?;
    let (mut all, mut missing) = (0, Vec::new());
    for consumer in &mut consumers {
        for (number, (_, sent)) in (0..).zip(&sent) {
            let last = sent / u32::try_from(TOPICS.len())? - 1;
            consumer.wait_for_one(number, last)?;
            all += u64::from(last) + 1;
        }
        missing.extend(consumer.record()?.gaps()?);
    }
    received += receiver.stop()?.received;
    let lost: u64 = missing.iter().map(|(.., messages)| u64::from(*messages)).sum();
    println!("{all} sent, {received} received, lost by sender, from, and how many: {missing:?}");
    ensure!(received + lost == all, "{received} and {lost} are not {all}");
    ensure!(lost <= u64::from(SENDERS * RESTARTS), "{lost} lost: {missing:?}");
    Ok(())
}

/// libzmq drops what is in the kernel's buffer when the other end is gone while its own queue is full. So the receiver has to
/// wait until a busy service has fetched what was written to it.
#[test]
fn a_stop_waits_for_a_busy_service_to_fetch_what_it_was_written() -> anyhow::Result<()> {
    /// More than libzmq and the kernel hold.
    const CASTS: u32 = 5000;
    const BUSY: Duration = Duration::from_secs(1);
    let site = Site::new("[zmq_receiver]\ndrain_timeout = 20")?;
    let mut receiver = site.start()?;
    let records = tempfile::tempdir()?;
    let topic = "busy.host1";
    let mut sender = Sender::start(&site.endpoint(), 0, &[topic])?;
    let mut consumer = Consumer::start_pausing(&site.socket(topic), topic, records.path().join(topic), BUSY)?;
    sender.send(1)?;
    consumer.wait_for(1)?;
    sender.send(CASTS - 1)?;
    let report = receiver.stop()?;
    // In a libzmq that was too far behind to hand them over.
    let unsent = u64::from(CASTS) - report.received;
    ensure!(report.left == 0 && report.written == report.received, "{report:?}");
    println!("{unsent} not sent, {} delivered since the stop began", report.delivered);
    let fetched = consumer.wait_for(usize::try_from(report.received)?)?;
    ensure!(fetched.ranges()? == [(0, 0..u32::try_from(report.received)?)].into(), "{:?}", fetched.ranges());
    ensure!(report.received > 4000, "{report:?}");
    Ok(())
}

#[test]
fn a_file_at_the_place_of_a_socket_stays_until_somebody_moves_it() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let path = site.socket("compute.host1");
    std::fs::write(&path, "precious")?;
    let mut client = site.client()?;
    let mut neighbour = None;
    for _ in 0..3 {
        client.write_all(&wire::cast(b"compute.host1", b"lost"))?;
        client.write_all(&wire::cast(b"volume.host1", b"{}"))?;
        let consumer = match &mut neighbour {
            None => neighbour.insert(site.consumer("volume.host1", "PULL")?),
            Some(consumer) => consumer,
        };
        ensure!(wire::read_message(consumer)?[3] == b"{}");
    }
    ensure!(std::fs::read_to_string(&path)? == "precious");
    receiver.wait_for_log("the path exists and is not a socket; move it away", 1)?;

    std::fs::remove_file(&path)?;
    client.write_all(&wire::cast(b"compute.host1", b"kept"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"kept");
    let report = receiver.stop()?;
    ensure!(report.dropped == [("bind-failed".to_owned(), 3)].into(), "{report:?}");
    ensure!(receiver.log().matches("dropped: topic").count() == 1, "one line for all three:\n{}", receiver.log());
    Ok(())
}
