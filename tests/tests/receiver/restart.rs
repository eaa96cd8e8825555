//! After a crash: what it left behind is in nobody's way, and peers that stayed go on (oslo-bugs, B11).

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::site::Site;
use tests::traffic::{Consumer, Sender};
use tests::wire;

/// From a receiver that listens again to the last of some thousand messages.
const RECOVERY: Duration = Duration::from_secs(1);

#[test]
fn traffic_goes_on_after_a_crash_under_connected_peers() -> anyhow::Result<()> {
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
        // In the first run the peers' programs start.
        ensure!(run == 1 || begun.elapsed() < RECOVERY, "{:?} in run {run}", begun.elapsed());
        receiver.kill()?;
        ensure!(site.socket(TOPICS[0]).exists(), "a killed receiver leaves its sockets");
        receiver = site.start()?;
    }
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
