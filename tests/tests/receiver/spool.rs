//! With a spool nothing that the receiver took is lost at a restart or in a crash.
//!
//! What was written to a consumer that goes on reading is not sent again after a stop in order; after a crash the last of it
//! may come twice, which is counted here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::observe::json;
use anyhow::{Context, ensure};
use tempfile::TempDir;
use tests::process::activity;
use tests::site::Site;
use tests::wire;
use wal_db::{Wal, WalConfig};

/// A receiver with a spool, and where that is.
fn site(options: &str) -> anyhow::Result<(Site, TempDir)> {
    let dir = tempfile::tempdir()?;
    let spool = dir.path().join("spool");
    Ok((Site::new(&format!("[zmq_receiver]\nspool_dir = {}\n{options}", spool.display()))?, dir))
}

fn cast(topic: &str, number: u32) -> Vec<u8> {
    wire::cast(topic.as_bytes(), &number.to_be_bytes())
}

fn number(frames: &[Vec<u8>]) -> anyhow::Result<u32> {
    Ok(u32::from_be_bytes(frames[3][..].try_into()?))
}

#[test]
fn what_nobody_fetched_comes_back_in_order_and_the_spool_is_empty_then() -> anyhow::Result<()> {
    const TOPICS: [&str; 3] = ["compute.host1", "volume.host1", "network.host1"];
    let (site, dir) = site("drain_timeout = 0.5")?;
    let spool = dir.path().join("spool");
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..3000 {
        client.write_all(&cast(TOPICS[number as usize % 3], number))?;
    }
    client.write_all(&wire::cast(b"fanout~compute.host1", b"for whoever listens now"))?;
    drop(client);
    let report = receiver.stop()?;
    ensure!((report.received, report.written, report.left) == (3001, 0, 3001), "{report:?}");
    ensure!(!std::fs::metadata(&spool)?.permissions().readonly() && octets(&spool)? > 3000 * 20);

    let mut receiver = site.start()?;
    receiver.wait_for_log("messages of an earlier run are in the spool and are handed on first messages=3000", 1)?;
    let seen = &json(&site, &["status"])?["spool"];
    ensure!(seen["restored"] == 3000 && seen["octets"].as_u64() > Some(0), "{seen}");
    let mut client = site.client()?;
    for (n, topic) in TOPICS.iter().enumerate() {
        client.write_all(&cast(topic, 3000 + n as u32))?;
    }
    for (n, topic) in TOPICS.iter().enumerate() {
        let mut consumer = site.consumer(topic, "PULL")?;
        for expected in (n as u32..=3000 + n as u32).step_by(3) {
            ensure!(number(&wire::read_message(&mut consumer)?)? == expected);
        }
    }
    drop(client);
    let report = receiver.stop()?;
    ensure!((report.received, report.written, report.left) == (3, 3003, 0), "{report:?}");
    ensure!(std::fs::read_dir(&spool)?.count() == 0, "files are left of a spool without messages");
    Ok(())
}

/// A consumer that stops reading has been written as much as the kernel takes. After a restart the others come, from the
/// first that was not written whole.
#[test]
fn exactly_what_was_not_written_to_a_consumer_comes_again() -> anyhow::Result<()> {
    const CASTS: u32 = 2000;
    let (site, _dir) = site("drain_timeout = 0.2")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    let body = vec![b'x'; 1000];
    for number in 0..CASTS {
        client.write_all(&wire::message(&[b"0", b"slow.host1", b"cast", &number.to_be_bytes(), &body]))?;
    }
    let mut slow = site.consumer("slow.host1", "PULL")?;
    ensure!(number(&wire::read_message(&mut slow)?)? == 0);
    drop(client);
    let report = receiver.stop()?;
    ensure!(report.written + report.left == u64::from(CASTS), "{report:?}");
    let mut read = 1;
    while let Ok(message) = wire::read_message(&mut slow) {
        ensure!(number(&message)? == read);
        read += 1;
    }
    ensure!(u64::from(read) == report.written && read < CASTS, "read {read}: {report:?}");

    let mut receiver = site.start()?;
    let mut next = site.consumer("slow.host1", "PULL")?;
    for expected in read..CASTS {
        ensure!(number(&wire::read_message(&mut next)?)? == expected);
    }
    let report = receiver.stop()?;
    ensure!((report.written, report.left) == (u64::from(CASTS - read), 0), "{report:?}");
    Ok(())
}

#[test]
fn a_full_spool_is_told_and_stops_nothing() -> anyhow::Result<()> {
    let (site, _dir) = site("drain_timeout = 0.2\nspool_max_octets = 4 KiB")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..10 {
        let body = [&[number][..], &[b'x'; 1000]].concat();
        client.write_all(&wire::cast(b"compute.host1", &body))?;
        thread::sleep(Duration::from_millis(5));
    }
    receiver.wait_for_log("the spool is full", 1)?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    for number in 0..10 {
        ensure!(wire::read_message(&mut consumer)?[3][0] == number);
    }
    drop(client);
    let report = receiver.stop()?;
    ensure!((report.received, report.written, report.left) == (10, 10, 0) && report.dropped.is_empty(), "{report:?}");
    let log = receiver.log();
    ensure!(log.contains("stored: 3, unprotected: 7,"), "{log}");
    Ok(())
}

#[test]
fn a_damaged_spool_and_none_at_all_stop_nothing() -> anyhow::Result<()> {
    let (site, dir) = site("drain_timeout = 0.2")?;
    let spool = dir.path().join("spool");
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..3 {
        client.write_all(&cast("compute.host1", number))?;
        // A record each.
        while count_on_disk(&spool, dir.path())?.len() <= number as usize {
            thread::sleep(Duration::from_millis(5));
        }
    }
    drop(client);
    receiver.stop()?;
    let file = std::fs::read_dir(&spool)?.next().context("no file")??.path();
    let mut octets = std::fs::read(&file)?;
    let midst = octets.len() / 2;
    octets[midst] ^= 0xff;
    std::fs::write(&file, octets)?;

    let mut receiver = site.start()?;
    receiver.wait_for_log("ERROR zmq_receiver.spool [-] the spool is damaged", 1)?;
    ensure!(file.with_extension("damaged").exists());
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    ensure!(number(&wire::read_message(&mut consumer)?)? == 0);
    receiver.stop()?;

    // A file where the directory should be.
    std::fs::remove_dir_all(&spool)?;
    std::fs::write(&spool, "")?;
    let mut receiver = site.start()?;
    receiver.wait_for_log("ERROR zmq_receiver.receiver [-] no spool, messages are handed on without it: ", 1)?;
    site.client()?.write_all(&cast("compute.host1", 7))?;
    ensure!(number(&wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?)? == 7);
    receiver.stop()?;
    Ok(())
}

#[test]
fn an_idle_spool_wakes_nobody() -> anyhow::Result<()> {
    let (site, _dir) = site("spool_fsync = always")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&cast("compute.host1", 1))?;
    client.write_all(&cast("volume.host1", 2))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    ensure!(number(&wire::read_message(&mut consumer)?)? == 1);
    // One message was fetched, one waits.
    thread::sleep(Duration::from_secs(1));
    let before = activity(receiver.id())?.sleeps;
    thread::sleep(Duration::from_secs(2));
    let after = activity(receiver.id())?.sleeps;
    ensure!(before == after, "{before} wakes became {after} while nothing was to be done");
    drop(consumer);
    drop(client);
    receiver.stop()?;
    Ok(())
}

/// Kill -9 at random moments under load. What is in whole records of the spool then has to reach a consumer; and of each
/// connection what arrives is without a gap.
#[test]
fn fifty_crashes_under_load_lose_nothing_that_was_acknowledged_to_the_spool() -> anyhow::Result<()> {
    const CRASHES: u32 = 50;
    const TOPICS: [&str; 2] = ["compute.host1", "volume.host1"];
    let (site, dir) = site("spool_fsync = always\ndrain_timeout = 20")?;
    let spool = dir.path().join("spool");
    let over = Arc::new(AtomicBool::new(false));
    let consumers = TOPICS.map(|topic| {
        let (socket, over) = (site.socket(topic), over.clone());
        thread::spawn(move || consume(&socket, &over))
    });

    let mut acknowledged = BTreeSet::new();
    let mut sent = 0;
    for crash in 0..CRASHES {
        let mut receiver = site.start()?;
        let clients = [site.client()?, site.client()?];
        // Spread over what it takes to write a thousand messages, without a source of chance that a failure hides behind.
        let moment = Duration::from_millis(5 + u64::from(crash * 37 % 100));
        let end = Instant::now() + moment;
        let sending: Vec<_> = clients
            .into_iter()
            .zip(0u32..)
            .map(|(client, n)| thread::spawn(move || send_until_it_dies(client, TOPICS, 2 * crash + n)))
            .collect();
        thread::sleep(end.saturating_duration_since(Instant::now()));
        receiver.kill()?;
        for sending in sending {
            sent += sending.join().unwrap_or_default();
        }
        acknowledged.extend(count_on_disk(&spool, dir.path())?);
    }
    let mut receiver = site.start()?;
    thread::sleep(Duration::from_millis(500));
    let report = receiver.stop()?;
    ensure!(report.left == 0, "{report:?}");
    over.store(true, Ordering::Relaxed);
    let mut arrived: BTreeMap<(usize, u32, u32), usize> = BTreeMap::new();
    for (at, consumer) in consumers.into_iter().enumerate() {
        for (sender, number) in consumer.join().unwrap_or_default() {
            *arrived.entry((at, sender, number)).or_default() += 1;
        }
    }
    let twice = arrived.values().filter(|times| **times > 1).count();
    println!("{sent} sent, {} seen in the spool, {} arrived, {twice} of them twice", acknowledged.len(), arrived.len());
    ensure!(acknowledged.len() > 1000, "too few for a test: {}", acknowledged.len());
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|(topic, sender, number)| {
            let at = TOPICS.iter().position(|known| known == topic).unwrap_or_default();
            !arrived.contains_key(&(at, *sender, *number))
        })
        .collect();
    ensure!(lost.is_empty(), "{} lost, such as {:?}", lost.len(), &lost[..lost.len().min(10)]);
    let mut expected = BTreeMap::new();
    for (at, sender, number) in arrived.keys() {
        let next = expected.entry((*at, *sender)).or_insert(0);
        ensure!(number == next, "of sender {sender} to {}: {number} after {next}", TOPICS[*at]);
        *next += 1;
    }
    Ok(())
}

/// Fetches a topic's casts from one receiver after the other, each to its end: sender and number.
///
/// Not libzmq: one with a full queue drops what is in the kernel's buffer when the other end is gone.
fn consume(socket: &Path, over: &AtomicBool) -> Vec<(u32, u32)> {
    let mut fetched = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = UnixStream::connect(socket) else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        if wire::handshake(&mut stream, "PULL").is_err() {
            continue;
        }
        let mut stream = BufReader::new(stream);
        while let Ok(frames) = wire::read_message(&mut stream) {
            fetched.push((be(&frames[3][..4]), be(&frames[3][4..8])));
        }
    }
    fetched
}

/// Sends numbered casts to topics in turn, for as long as somebody reads. How many.
fn send_until_it_dies(mut client: TcpStream, topics: [&str; 2], sender: u32) -> u64 {
    let mut sent = 0;
    for number in 0u32.. {
        for topic in topics {
            let body = [&sender.to_be_bytes()[..], &number.to_be_bytes(), &[b'.'; 100]].concat();
            if client.write_all(&wire::cast(topic.as_bytes(), &body)).is_err() {
                return sent;
            }
            sent += 1;
        }
        // Not so many that the test is only about full queues.
        thread::sleep(Duration::from_micros(100));
    }
    sent
}

/// Topic, sender and number of the messages in whole records of a spool, read from a copy since reading mends.
fn count_on_disk(spool: &Path, beside: &Path) -> anyhow::Result<BTreeSet<(String, u32, u32)>> {
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(spool)? {
        let copy = beside.join("copy");
        std::fs::copy(file?.path(), &copy)?;
        let config = WalConfig::new().with_max_record_size(u32::try_from(copy.metadata()?.len())?);
        for record in Wal::open_with(&copy, config)?.iter()? {
            let record = record?.into_data();
            // A cast: "0", topic, "cast", body.
            let mut at = 0;
            while let Some(next) = record[at..].windows(3).position(|window| window == [1, 1, b'0']) {
                let mut message = &record[at + next..];
                let frames = wire::read_message(&mut message)?;
                if let [_, topic, _, body] = &frames[..] {
                    let number = if body.len() < 8 { be(body) } else { be(&body[4..8]) };
                    found.insert((String::from_utf8(topic.clone())?, be(&body[..4]), number));
                }
                at = record.len() - message.len();
            }
        }
    }
    Ok(found)
}

fn be(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet))
}

fn octets(dir: &Path) -> anyhow::Result<u64> {
    std::fs::read_dir(dir)?.try_fold(0, |sum, file| Ok(sum + file?.metadata()?.len()))
}
