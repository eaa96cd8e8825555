//! What is held: by a receiver for a topic that nobody reads, and by a program that keeps a few of many messages.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use tests::binary;
use tests::process::memory;
use tests::program::Program;
use tests::site::Site;
use tests::wire;

#[test]
fn a_topic_without_a_consumer_is_held_to_its_limit() -> anyhow::Result<()> {
    stuck_topics(Consumer::Absent)
}

#[test]
fn a_topic_whose_consumer_never_reads_is_held_to_its_limit() -> anyhow::Result<()> {
    stuck_topics(Consumer::Stuck)
}

#[test]
fn small_messages_that_are_kept_keep_nothing_else() -> anyhow::Result<()> {
    let message = wire::message(&[&[b'x'; 64]]);
    kept("some", &message, 0)
}

#[test]
fn messages_that_are_kept_keep_their_page_and_no_more() -> anyhow::Result<()> {
    kept("some", &parts(), PAGE)
}

#[test]
fn copies_that_are_kept_keep_nothing_else() -> anyhow::Result<()> {
    kept("copies", &parts(), 0)
}

/// Who does not read a topic.
#[derive(Debug, Clone, Copy)]
enum Consumer {
    /// It never comes.
    Absent,
    /// It is connected and reads nothing.
    Stuck,
}

/// Feeds one topic of a fresh receiver, for each size of message, three times what it may hold.
fn stuck_topics(consumer: Consumer) -> anyhow::Result<()> {
    for size in [16, 250, 4 << 10, 1 << 20] {
        let site = Site::new(&format!("[zmq_receiver]\ntopic_max_octets = {LIMIT}\ndrain_timeout = 0"))?;
        let mut receiver = site.start()?;
        let mut client = site.client()?;
        client.write_all(&wire::cast(b"other.host1", b"begin"))?;
        let mut other = site.consumer("other.host1", "PULL")?;
        wire::read_message(&mut other)?;
        client.write_all(&wire::cast(b"stuck.host1", b"begin"))?;
        let _never_reads = match consumer {
            Consumer::Absent => None,
            Consumer::Stuck => Some(site.consumer("stuck.host1", "PULL")?),
        };

        let before = receiver.memory()?;
        let cast = wire::cast(b"stuck.host1", &vec![b'x'; size]);
        let some = cast.repeat((1 << 20) / cast.len() + 1);
        for _ in 0..3 * LIMIT / some.len() {
            client.write_all(&some)?;
        }
        // Behind all else: when it is there, all else has been dealt with.
        client.write_all(&wire::cast(b"other.host1", b"end"))?;
        wire::read_message(&mut other)?;

        let grown = (receiver.peak_memory()?.saturating_sub(before) << 10) as usize;
        let report = receiver.stop()?;
        ensure!(report.dropped.get("topic-octets").is_some_and(|n| *n > 0), "it was not at its limit: {report:?}");
        println!("{consumer:?}, bodies of {size}: {} KiB beyond the limit", (grown as i64 - LIMIT as i64) >> 10);
        ensure!(
            grown <= LIMIT + BEYOND,
            "a topic limited to {LIMIT} octets, fed with bodies of {size}, took {grown}; allowed are {BEYOND} more: \
             what is queued holds memory that is not counted"
        );
    }
    Ok(())
}

/// Sends 100,000 messages, of which 100 are kept, to a PULL that has seen as many. Each that is kept may take `each`
/// octets.
fn kept(which: &str, message: &[u8], each: u64) -> anyhow::Result<()> {
    let mut command = Command::new(binary::measured("workload", "workload")?);
    let mut pull = Program::start("PULL", command.args(["keep", which]))?;
    let mut stream = TcpStream::connect(pull.next_line(PATIENCE)?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    wire::handshake(&mut stream, "PUSH")?;
    let thousand = message.repeat(1000);
    let mut memory_after_100_000 = || {
        for _ in 0..100 {
            stream.write_all(&thousand)?;
        }
        pull.next_line(PATIENCE)?;
        memory(pull.id())
    };
    // The first ones make the pages that go round.
    let before = memory_after_100_000()?;
    let grown = memory_after_100_000()?.saturating_sub(before) << 10;
    let allowed = 100 * each + OWN_MEMORY;
    println!("{which} of {} octets: {} KiB for 100", message.len(), grown >> 10);
    ensure!(
        grown <= allowed,
        "100 messages of {} octets that are kept ({which}) take {grown} octets, allowed {allowed}: they keep memory \
         alive that they were read into",
        message.len()
    );
    Ok(())
}

/// A message that is too large to be copied where it is small.
fn parts() -> Vec<u8> {
    wire::message(&[&[b'x'; 64][..]; 4])
}

/// Octets that one topic may have queued.
const LIMIT: usize = 16 << 20;

/// Octets that a receiver may take besides: pages that go round, the message that is coming in, what the queue needs to
/// keep account. 0.2 to 2.4 MiB were measured on two cores; each core more may keep a page or two more.
const BEYOND: usize = 4 << 20;

/// What a received message may keep alive: the page it was read into (`proto::page`).
const PAGE: u64 = 64 << 10;

/// Octets by which a process may grow that keeps no pages: 36 to 144 KiB were measured. A small message that was the
/// last of its run does keep its page, so this allows for eight of them.
const OWN_MEMORY: u64 = 512 << 10;

const PATIENCE: Duration = Duration::from_secs(20);
