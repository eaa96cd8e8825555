//! Bad input to the receiver: whatever a stranger sends, others are served, memory stays flat, and the log has one line
//! with the stranger's address (oslo-bugs, B24 and B25).
//!
//! All the while a client and a service, the [`Witness`], exchange messages and notice any delay.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tests::site::{Receiver, Site};
use tests::wire;

#[test]
fn strangers_are_cut_off_counted_and_logged_once() -> anyhow::Result<()> {
    let mut curve = wire::greeting();
    curve[12..17].copy_from_slice(b"CURVE");
    let strangers: [(&str, &[u8]); 5] = [
        ("not-zmtp", b"GET / HTTP/1.1\r\nHost: host1\r\n\r\n"),
        ("not-zmtp", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("old-version", b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x07\0\0"),
        ("mechanism", &curve),
        ("closed-in-handshake", b"\xff\0\0\0\0\0\0\0\x01\x7f\x03"),
    ];
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let felt = Felt::during(&site, &receiver, || {
        for _ in 0..10 {
            for (reason, octets) in strangers {
                let mut stranger = site.stranger()?;
                stranger.write_all(octets)?;
                if reason == "closed-in-handshake" {
                    stranger.shutdown(Shutdown::Write)?;
                }
                is_cut_off(&mut stranger).context(reason)?;
            }
            // This is how a load balancer asks whether the port is open: no fault.
            drop(site.stranger()?);
        }
        Ok(())
    })?;
    felt.at_most(Duration::from_millis(500), 1 << 10)?;
    let report = receiver.stop()?;
    let expected = [("not-zmtp", 20), ("old-version", 10), ("mechanism", 10), ("closed-in-handshake", 10)];
    counted_and_logged_once(&receiver, &report.faults, &expected)
}

#[test]
fn peers_that_break_the_protocol_are_cut_off_counted_and_logged_once() -> anyhow::Result<()> {
    let many_frames = [b"\x01\0".repeat(100_000), b"\0\0".to_vec()].concat();
    let faults: [(&str, &[u8]); 5] = [
        ("frame-too-large", b"\x02\0\0\x01\0\0\0\0\0"),
        ("frame-too-large", b"\x02\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("too-many-frames", &many_frames),
        ("reserved-flags", b"\x80\0"),
        ("malformed-command", b"\x04\x01\x09"),
    ];
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let felt = Felt::during(&site, &receiver, || {
        for _ in 0..10 {
            for (reason, octets) in faults {
                let mut peer = site.client()?;
                // It may be cut off before it has sent all.
                let _ = peer.write_all(octets);
                is_cut_off(&mut peer).context(reason)?;
            }
            let mut subscriber = site.stranger()?;
            let _ = wire::handshake(&mut subscriber, "SUB");
            is_cut_off(&mut subscriber).context("SUB")?;
        }
        Ok(())
    })?;
    felt.at_most(Duration::from_millis(500), 4 << 10)?;
    let report = receiver.stop()?;
    let expected = [
        ("frame-too-large", 20),
        ("too-many-frames", 10),
        ("reserved-flags", 10),
        ("malformed-command", 10),
        ("socket-type", 10),
    ];
    counted_and_logged_once(&receiver, &report.faults, &expected)
}

#[test]
fn topics_that_are_none_are_dropped_and_name_no_file() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let long = [b't'; 300];
    let topics: [(&str, &[u8]); 11] = [
        ("topic-separator", b"../x"),
        ("topic-separator", b"/etc/x"),
        ("topic-separator", b"fanout~../x.host1"),
        ("topic-separator", b"a\\b"),
        ("topic-nul", b"a\0b"),
        ("topic-too-long", &long),
        ("topic-empty", b""),
        ("topic-directory", b".."),
        ("topic-not-utf8", b"\xff\xfe"),
        ("topic-control", b"a\nb"),
        ("topic-control", b"a\x1b[2Jb"),
    ];
    let felt = Felt::during(&site, &receiver, || {
        let mut client = site.client()?;
        for _ in 0..100 {
            for (_, topic) in topics {
                client.write_all(&wire::cast(topic, b"{}"))?;
            }
            client.write_all(&wire::message(&[b"no topic"]))?;
        }
        // Such a client is served none the less, also with a thousand frames.
        let frames: Vec<_> = (0..1000).map(|number| if number == 1 { &b"thousand.host1"[..] } else { b"" }).collect();
        client.write_all(&wire::message(&frames))?;
        let mut consumer = site.consumer("thousand.host1", "PULL")?;
        ensure!(wire::read_message(&mut consumer)? == frames);
        Ok(())
    })?;
    felt.at_most(Duration::from_millis(500), 1 << 10)?;

    let names = std::fs::read_dir(site.ipc_dir())?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    ensure!(
        names == ["zmq_topic_thousand.host1", "zmq_topic_witness.host1", "zmq_topic_zmq_replies.host1"],
        "{names:?}"
    );
    let report = receiver.stop()?;
    let mut expected = BTreeMap::from([("no-topic", 100)]);
    topics.iter().for_each(|(reason, _)| *expected.entry(reason).or_default() += 100);
    counted_and_logged_once(&receiver, &report.dropped, &Vec::from_iter(expected))?;
    ensure!(!receiver.log().contains('\x1b'));
    Ok(())
}

#[test]
fn silent_connections_are_cut_off_in_time() -> anyhow::Result<()> {
    const HANDSHAKE: Duration = Duration::from_secs(1);
    let site = Site::new("[zmq_receiver]\nhandshake_timeout = 1")?;
    let mut receiver = site.start()?;
    let felt = Felt::during(&site, &receiver, || {
        let begun = Instant::now();
        let mut strangers = (0..100).map(|_| site.stranger()).collect::<Result<Vec<_>, _>>()?;
        for (number, stranger) in strangers.iter_mut().enumerate() {
            stranger.write_all(&wire::greeting()[..number % wire::GREETING])?;
        }
        for stranger in &mut strangers {
            is_cut_off(stranger)?;
        }
        ensure!((HANDSHAKE..3 * HANDSHAKE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        Ok(())
    })?;
    felt.at_most(Duration::from_millis(500), 4 << 10)?;
    let report = receiver.stop()?;
    counted_and_logged_once(&receiver, &report.faults, &[("handshake-timeout", 100)])
}

#[test]
fn a_flood_of_topics_stops_at_the_limit() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    flood_of_topics(&site, &mut receiver, 4096)
}

#[test]
fn a_flood_of_topics_leaves_descriptors_for_others() -> anyhow::Result<()> {
    let site = Site::new("")?;
    // What a service manager gives by default.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 1024 && exec \"$0\" --config-file \"$1\""]);
    command.arg(site.executable()).arg(site.config_file());
    let mut receiver = site.start_by(&mut command)?;
    flood_of_topics(&site, &mut receiver, 1024)
}

/// 20,000 topics from one client.
fn flood_of_topics(site: &Site, receiver: &mut Receiver, limit: u64) -> anyhow::Result<()> {
    const TOPICS: u64 = 20_000;
    let felt = Felt::during(site, receiver, || {
        let mut client = site.client()?;
        for number in 0..TOPICS {
            client.write_all(&wire::cast(format!("flood{number}.host1").as_bytes(), b"{}"))?;
        }
        // Its first topic is known. When this one has arrived, all before it were looked at.
        client.write_all(&wire::cast(b"flood0.host1", b"last"))?;
        let mut consumer = site.consumer("flood0.host1", "PULL")?;
        for body in [&b"{}"[..], b"last"] {
            ensure!(wire::read_message(&mut consumer)?[3] == body);
        }
        // Others can still connect on both sides.
        site.client()?.write_all(&wire::cast(b"flood1.host1", b"late"))?;
        let mut consumer = site.consumer("flood1.host1", "PULL")?;
        for body in [&b"{}"[..], b"late"] {
            ensure!(wire::read_message(&mut consumer)?[3] == body);
        }
        Ok(())
    })?;
    // Some 6 KiB for each topic that has a socket.
    felt.at_most(Duration::from_millis(500), 27 << 10)?;
    let open = std::fs::read_dir(site.ipc_dir())?.count() as u64;
    ensure!((100..=limit).contains(&open), "{open} sockets");
    let report = receiver.stop()?;
    // The topics of the witness and of replies were there before.
    counted_and_logged_once(receiver, &report.dropped, &[("topic-limit", TOPICS - (open - 2))])?;
    ensure!(std::fs::read_dir(site.ipc_dir())?.count() == 0, "sockets were left behind");
    Ok(())
}

#[test]
fn a_flood_of_tiny_messages_is_queued_within_the_limit() -> anyhow::Result<()> {
    const MESSAGES: u64 = 500_000;
    const LIMIT: u64 = 2;
    let site = Site::new(&format!("[zmq_receiver]\nmemory_limit = {LIMIT} MiB\nmax_message_size = 1 MiB"))?;
    let mut receiver = site.start()?;
    let felt = Felt::during(&site, &receiver, || {
        let mut client = site.client()?;
        client.write_all(&wire::cast(b"after.host1", b""))?;
        let mut after = site.consumer("after.host1", "PULL")?;
        wire::read_message(&mut after)?;
        let thousand = wire::message(&[b"", b"tiny", b""]).repeat(1000);
        for _ in 0..MESSAGES / 1000 {
            client.write_all(&thousand)?;
        }
        client.write_all(&wire::cast(b"after.host1", b""))?;
        wire::read_message(&mut after)?;
        Ok(())
    })?;
    // An unoptimised build on busy cores; otherwise it is some 30 ms.
    felt.at_most(Duration::from_secs(3), 3 * (LIMIT << 10))?;
    let report = receiver.stop()?;
    let queued = report.of_topic("tiny", "left");
    ensure!(((LIMIT << 20) - 100..=LIMIT << 20).contains(&(queued * 10)), "{queued} messages of 10 octets");
    counted_and_logged_once(&receiver, &report.dropped, &[("memory-limit", MESSAGES - queued)])
}

#[test]
fn messages_that_never_end_are_held_within_the_limit() -> anyhow::Result<()> {
    const PEERS: u64 = 20;
    const LIMIT: u64 = 8;
    let site = Site::new(&format!("[zmq_receiver]\nmemory_limit = {LIMIT} MiB\nmax_message_size = 1 MiB"))?;
    let mut receiver = site.start()?;
    let message = wire::cast(b"unfinished.host1", &vec![b'x'; (1 << 20) - 100]);
    let felt = Felt::during(&site, &receiver, || {
        let mut peers = (0..PEERS).map(|_| site.client()).collect::<Result<Vec<_>, _>>()?;
        for peer in &mut peers {
            // It may be cut off before it has sent all.
            let _ = peer.write_all(&message[..message.len() - 1]);
        }
        // As many as are too many are cut off, whichever; the others wait for the rest of their message.
        let end = Instant::now() + Duration::from_secs(20);
        let mut gone = 0;
        while gone < PEERS - LIMIT {
            ensure!(Instant::now() < end, "{gone} of {PEERS} are cut off");
            let before = peers.len();
            peers.retain_mut(|peer| !is_closed(peer));
            gone += (before - peers.len()) as u64;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    })?;
    felt.at_most(Duration::from_millis(500), 2 * (LIMIT << 10))?;
    let report = receiver.stop()?;
    ensure!(!report.topics().any(|topic| topic == "unfinished.host1"), "{report:?}");
    let gone = report.faults["memory-limit"];
    ensure!((PEERS - LIMIT..PEERS).contains(&gone), "{gone} of {PEERS}");
    counted_and_logged_once(&receiver, &report.faults, &[("memory-limit", gone)])
}

/// What others felt of an attack.
#[derive(Debug)]
struct Felt {
    /// What a message of the witness took at most.
    delay: Duration,
    /// KiB by which the receiver's memory grew at most.
    growth: u64,
}

impl Felt {
    /// Attacks while a client and a service exchange messages.
    fn during(site: &Site, receiver: &Receiver, attack: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let mut witness = Witness::start(site)?;
        for number in 0..1000 {
            witness.exchange(number)?;
        }
        // From here on its peak is that of the attack: it has done little before.
        let before = receiver.memory()?;
        let over = AtomicBool::new(false);
        let (attacked, delays) = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut delays = Vec::new();
                loop {
                    // Once more when all was sent, which the receiver may still have to read.
                    let is_last = over.load(Ordering::Relaxed);
                    delays.push(witness.exchange(delays.len())?);
                    if is_last {
                        return anyhow::Ok(delays);
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let attacked = attack();
            over.store(true, Ordering::Relaxed);
            (attacked, watching.join())
        });
        attacked?;
        let Ok(delays) = delays else { bail!("the witness panicked") };
        let peak = receiver.peak_memory()?;
        Ok(Self { delay: delays?.into_iter().max().unwrap_or_default(), growth: peak.saturating_sub(before) })
    }

    fn at_most(&self, delay: Duration, growth: u64) -> anyhow::Result<()> {
        println!("{self:?}");
        ensure!(self.delay < delay && self.growth < growth, "{self:?}");
        Ok(())
    }
}

/// A client and a service.
struct Witness {
    client: TcpStream,
    service: UnixStream,
}

impl Witness {
    fn start(site: &Site) -> anyhow::Result<Self> {
        let mut client = site.client()?;
        client.write_all(&wire::cast(b"witness.host1", b"begin"))?;
        let mut service = site.consumer("witness.host1", "PULL")?;
        ensure!(wire::read_message(&mut service)?[3] == b"begin");
        Ok(Self { client, service })
    }

    /// How long a message takes from one to the other.
    fn exchange(&mut self, number: usize) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.client.write_all(&wire::cast(b"witness.host1", number.to_string().as_bytes()))?;
        let got = wire::read_message(&mut self.service)?;
        ensure!(got[3] == number.to_string().as_bytes(), "{got:?} in place of {number}");
        Ok(begun.elapsed())
    }
}

/// Waits until the receiver has closed a connection, having said no more than a greeting and READY or ERROR.
fn is_cut_off(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    ensure!(said.len() <= 2 * wire::GREETING, "{} octets", said.len());
    Ok(())
}

/// Whether the receiver has closed a connection on which it has nothing to say.
fn is_closed(stream: &mut TcpStream) -> bool {
    let read = stream.set_nonblocking(true).and_then(|()| stream.read(&mut [0]));
    !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The counters are these and no others, and the log has one warning for each reason, which names a peer.
fn counted_and_logged_once(
    receiver: &Receiver,
    counters: &BTreeMap<String, u64>,
    expected: &[(&str, u64)],
) -> anyhow::Result<()> {
    let expected: BTreeMap<_, _> = expected.iter().map(|(reason, times)| ((*reason).to_owned(), *times)).collect();
    ensure!(*counters == expected, "{counters:?} in place of {expected:?}");
    let log = receiver.log();
    for reason in expected.keys() {
        let text = format!("reason=\"{reason}\"");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(" WARNING ") && line.contains(&text)).collect();
        ensure!(lines.len() == 1 && lines[0].contains("127.0.0.1:"), "{reason}: {lines:#?}");
    }
    Ok(())
}
