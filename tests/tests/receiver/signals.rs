//! SIGTERM and SIGINT: hand on what is queued, remove what is ours, exit with 0. SIGHUP: go on with a new log (oslo-zmq,
//! section 8).

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::Signal;
use tests::site::Site;
use tests::wire;

const TOPIC: &str = "compute.host1";

/// A cast of some size.
fn numbered(number: u32) -> Vec<u8> {
    wire::cast(TOPIC.as_bytes(), format!("{number:01000}").as_bytes())
}

/// Together more than a Unix socket and the receiver's write under way hold.
const MESSAGES: u32 = 2000;

/// Queues all messages for a consumer that has not begun to read.
fn queue_for_a_slow_consumer(site: &Site) -> anyhow::Result<UnixStream> {
    let mut client = site.client()?;
    client.write_all(&numbered(0))?;
    let consumer = site.consumer(TOPIC, "PULL")?;
    for number in 1..MESSAGES {
        client.write_all(&numbered(number))?;
    }
    // When this one has arrived at its consumer, all before it have arrived at the receiver.
    client.write_all(&wire::cast(b"after.host1", b""))?;
    wire::read_message(&mut site.consumer("after.host1", "PULL")?)?;
    Ok(consumer)
}

#[test]
fn sigterm_and_sigint_remove_what_is_ours_and_exit_with_0() -> anyhow::Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let site = Site::new("")?;
        let foreign = [site.socket("file.host1"), site.ipc_dir().join("README")];
        for path in &foreign {
            std::fs::write(path, "precious")?;
        }
        let served_by_another = site.socket("other.host1");
        let _other = UnixListener::bind(&served_by_another)?;

        let mut receiver = site.start()?;
        let mut client = site.client()?;
        for topic in ["compute.host1", "fanout~compute.host1", "file.host1", "other.host1"] {
            client.write_all(&wire::cast(topic.as_bytes(), b"{}"))?;
        }
        receiver.wait_for_log("dropped: topic", 1)?;
        let own = ["compute.host1", "fanout~compute", "zmq_replies.host1"].map(|key| site.socket(key));
        ensure!(own.iter().all(|path| path.exists()), "{}", receiver.log());

        receiver.signal(signal)?;
        let report = receiver.report()?;
        ensure!(report.received == 4 && report.left == 2 && report.dropped["bind-failed"] == 2, "{report:?}");
        ensure!(own.iter().all(|path| !path.exists()), "a socket was left behind");
        for path in &foreign {
            ensure!(std::fs::read_to_string(path)? == "precious");
        }
        UnixStream::connect(&served_by_another)?;
    }
    Ok(())
}

#[test]
fn what_is_queued_reaches_a_slow_consumer() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let mut consumer = queue_for_a_slow_consumer(&site)?;
    receiver.signal(Signal::TERM)?;
    receiver.wait_for_log("SIGTERM: stopping", 1)?;
    let mut got = Vec::new();
    consumer.read_to_end(&mut got)?;
    ensure!(got == (0..MESSAGES).flat_map(numbered).collect::<Vec<_>>());
    let report = receiver.report()?;
    let all = u64::from(MESSAGES);
    ensure!(report.received == all + 1 && report.left == 0, "{report:?}");
    ensure!(report.of_topic(TOPIC, "written") == all && report.delivered > 0, "{report:?}");
    Ok(())
}

#[test]
fn what_had_arrived_before_the_signal_is_counted_and_handed_on() -> anyhow::Result<()> {
    // As much as the kernel takes for a receiver that does not run.
    const ARRIVED: u32 = 50;
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&numbered(0))?;
    let mut consumer = site.consumer(TOPIC, "PULL")?;
    ensure!(wire::read_message(&mut consumer)?[1] == TOPIC.as_bytes());

    receiver.signal(Signal::STOP)?;
    for number in 1..=ARRIVED {
        client.write_all(&numbered(number))?;
    }
    receiver.signal(Signal::TERM)?;
    receiver.signal(Signal::CONT)?;
    let mut got = Vec::new();
    consumer.read_to_end(&mut got)?;
    ensure!(got == (1..=ARRIVED).flat_map(numbered).collect::<Vec<_>>());
    let report = receiver.report()?;
    let all = u64::from(ARRIVED) + 1;
    ensure!((report.received, report.written, report.left) == (all, all, 0), "{report:?}");
    Ok(())
}

#[test]
fn what_nobody_takes_is_left_when_the_time_is_over() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\ndrain_timeout = 0.5")?;
    let mut receiver = site.start()?;
    let mut consumer = queue_for_a_slow_consumer(&site)?;
    let begun = Instant::now();
    let report = receiver.stop()?;
    ensure!((Duration::from_millis(500)..Duration::from_secs(5)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let mut got = Vec::new();
    consumer.read_to_end(&mut got)?;
    let whole = (got.len() / numbered(0).len()) as u64;
    ensure!(report.of_topic(TOPIC, "written") == whole, "{whole} reached the consumer, {report:?}");
    ensure!(report.left == u64::from(MESSAGES) - whole, "{report:?}");
    ensure!(!site.socket(TOPIC).exists(), "its socket was left behind");
    Ok(())
}

#[test]
fn a_second_signal_ends_it_at_once() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\ndrain_timeout = 60")?;
    let mut receiver = site.start()?;
    let _consumer = queue_for_a_slow_consumer(&site)?;
    receiver.signal(Signal::TERM)?;
    receiver.wait_for_log("SIGTERM: stopping", 1)?;
    let begun = Instant::now();
    receiver.signal(Signal::INT)?;
    let status = receiver.status()?;
    ensure!(status.success(), "{status}");
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    ensure!(receiver.log().contains("SIGINT: stopped without handing on the rest"), "{}", receiver.log());
    ensure!(!site.socket(TOPIC).exists(), "its socket was left behind");
    Ok(())
}

#[test]
fn sighup_begins_a_new_log_and_stops_nothing() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&numbered(0))?;
    let mut consumer = site.consumer(TOPIC, "PULL")?;
    wire::read_message(&mut consumer)?;

    let old = site.log().with_extension("1");
    std::fs::rename(site.log(), &old)?;
    receiver.signal(Signal::HUP)?;
    receiver.wait_for_log("log reopened", 1)?;
    ensure!(!std::fs::read_to_string(&old)?.contains("log reopened"));
    client.write_all(&numbered(1))?;
    ensure!(wire::read_message(&mut consumer)?[3] == format!("{:01000}", 1).as_bytes());
    receiver.signal(Signal::TERM)?;
    let status = receiver.status()?;
    ensure!(status.success() && receiver.log().contains("stopped received=2"), "{status}\n{}", receiver.log());
    Ok(())
}
