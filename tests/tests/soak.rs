//! The receiver that is shipped under load for long: memory stays flat, no descriptor leaks, latency stays bounded.
//!
//! Half the rate that this machine reaches, 2,000 connections, 500 topics, consumers that come and go. By hand, since it takes
//! minutes and most of two cores:
//!
//! ```text
//! cargo test --release -p tests --test soak -- --ignored --nocapture
//! ```
//!
//! `SOAK_SECONDS` (600), `SOAK_RATE` (messages/s; half of the peak, which is measured first), `SOAK_CONNECTIONS` (2000) and
//! `SOAK_TOPICS` (500) change it.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::process::resident;
use tests::site::{Receiver, Site};
use tests::{dist, wire};

fn setting(name: &str, default: u64) -> u64 {
    given(name).unwrap_or(default)
}

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
#[ignore = "takes minutes: see the head of this file"]
fn memory_and_descriptors_stay_flat_under_load() -> anyhow::Result<()> {
    let time = Duration::from_secs(setting("SOAK_SECONDS", 600));
    let (connections, topics) = (setting("SOAK_CONNECTIONS", 2000), setting("SOAK_TOPICS", 500));
    raise_descriptors()?;
    let site = Site::new("debug = false")?;
    let mut receiver = site.start_by(&mut site.command_of(&dist::program()?))?;
    let soak = Arc::new(Soak { begun: Instant::now(), ..Soak::default() });

    let mut clients = (0..connections).map(|_| site.client()).collect::<Result<Vec<_>, _>>()?;
    // Every topic has its socket before the first consumer looks for it.
    for topic in 0..topics {
        let at = usize::try_from(topic)? % clients.len();
        clients[at].write_all(&soak.message(topic))?;
    }
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|n| {
            let mine = (0..topics).filter(|topic| topic % CONSUMERS == n);
            let sockets = mine.map(|topic| site.socket(&name(topic))).collect();
            let soak = soak.clone();
            thread::spawn(move || consume(sockets, &soak))
        })
        .collect();
    let rate = match given("SOAK_RATE") {
        Some(rate) => rate,
        None => peak(&mut clients, topics, &soak)? / 2,
    };
    let (begun, sent_before) = (Instant::now(), soak.sent.load(Ordering::Relaxed));
    let sending = {
        let soak = soak.clone();
        thread::spawn(move || send(clients, topics, rate, &soak))
    };

    let mut samples = vec![Sample::of(&receiver)?];
    for part in 0..PARTS {
        if part == SETTLED {
            soak.latencies().clear();
        }
        thread::sleep(time / PARTS);
        samples.push(Sample::of(&receiver)?);
    }
    let reached = (soak.sent.load(Ordering::Relaxed) - sent_before) as f64 / begun.elapsed().as_secs_f64();
    soak.over.store(true, Ordering::Relaxed);
    sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    thread::sleep(Duration::from_secs(1));
    soak.drained.store(true, Ordering::Relaxed);
    for consumer in consumers {
        consumer.join().map_err(|_| anyhow::anyhow!("a consumer panicked"))?;
    }
    let mut latencies = std::mem::take(&mut *soak.latencies());
    latencies.sort_unstable();
    let at = |part: usize| latencies.get(latencies.len() * part / 1000).copied().unwrap_or_default();
    let (sent, read) = (soak.sent.load(Ordering::Relaxed), soak.read.load(Ordering::Relaxed));
    println!("{sent} sent, {read} read, {} times a consumer left and came back", soak.left.load(Ordering::Relaxed));
    println!("{reached:.0} messages/s of {rate} that were meant, {connections} connections, {topics} topics");
    for (part, sample) in samples.iter().enumerate() {
        println!("after {:5.0} s: {sample:?}", time.as_secs_f64() * part as f64 / f64::from(PARTS));
    }
    println!("latency in microseconds: median {}, p99 {}, p99.9 {}", at(500), at(990), at(999));
    let report = receiver.stop()?;
    println!("{report:?}");
    ensure!(reached > rate as f64 / 4.0, "a quarter of the rate was not reached");
    // What is queued comes and goes with what the machine has for the consumers: what leaks stays.
    let (early, late) = samples[SETTLED as usize..].split_at(samples.len().saturating_sub(SETTLED as usize) / 2);
    let (early, late) = (Sample::least(early), Sample::least(late));
    println!("at least {early:?} in the first part, {late:?} in the second");
    ensure!(late.memory <= early.memory + early.memory / 10 + SLACK, "memory grew: {early:?} to {late:?}");
    ensure!(late.descriptors <= early.descriptors + usize::try_from(CONSUMERS)?, "{early:?} to {late:?}");
    // A consumer that leaves takes along what it was written and had not read.
    ensure!(report.dropped.is_empty() && report.left == 0, "{report:?}");
    ensure!(report.received == sent && report.written == sent && read <= sent, "{report:?}");
    Ok(())
}

/// Clients and consumers are in this process.
fn raise_descriptors() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// What all take part in.
struct Soak {
    begun: Instant,
    /// Consumers leave now and then.
    restless: AtomicBool,
    over: AtomicBool,
    drained: AtomicBool,
    sent: AtomicU64,
    read: AtomicU64,
    left: AtomicU64,
    /// From being sent to being read, in microseconds; of one message in a hundred.
    latencies: Mutex<Vec<u64>>,
}

impl Default for Soak {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            restless: AtomicBool::new(false),
            over: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            read: AtomicU64::new(0),
            left: AtomicU64::new(0),
            latencies: Mutex::default(),
        }
    }
}

impl Soak {
    fn latencies(&self) -> MutexGuard<'_, Vec<u64>> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A cast that tells when it was made, of 256 octets.
    fn message(&self, topic: u64) -> Vec<u8> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        wire::cast(name(topic).as_bytes(), &[&self.now().to_be_bytes()[..], &[b'.'; 200]].concat())
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// KiB of its own.
    memory: u64,
    descriptors: usize,
}

impl Sample {
    fn of(receiver: &Receiver) -> anyhow::Result<Self> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", receiver.id()))?.count();
        Ok(Self { memory: resident(receiver.id())?.own, descriptors })
    }

    fn least(samples: &[Self]) -> Self {
        let memory = samples.iter().map(|sample| sample.memory).min().unwrap_or_default();
        Self { memory, descriptors: samples.iter().map(|sample| sample.descriptors).min().unwrap_or_default() }
    }
}

fn name(topic: u64) -> String {
    format!("soak{topic}.host1")
}

/// The `n`th burst, from one connection after the other, to one topic after the other.
fn burst(clients: &mut [TcpStream], n: u64, topics: u64, soak: &Soak) -> anyhow::Result<()> {
    let at = usize::try_from(n)? % clients.len();
    let burst: Vec<u8> = (0..BURST).flat_map(|k| soak.message((n * BURST + k) % topics)).collect();
    clients[at].write_all(&burst).context("sending")
}

/// Messages a second that consumers read when the sender is no further ahead of them than [`WINDOW`].
fn peak(clients: &mut [TcpStream], topics: u64, soak: &Soak) -> anyhow::Result<u64> {
    let (begun, mut read_before) = (Instant::now(), None);
    for n in 0.. {
        let read = soak.read.load(Ordering::Relaxed);
        if read_before.is_none() && begun.elapsed() > PEAK_TIME / 2 {
            read_before = Some(read);
        }
        if begun.elapsed() > PEAK_TIME {
            break;
        }
        if soak.sent.load(Ordering::Relaxed) - read > WINDOW {
            thread::sleep(Duration::from_millis(1));
        } else {
            burst(clients, n, topics, soak)?;
        }
    }
    let read = soak.read.load(Ordering::Relaxed) - read_before.unwrap_or_default();
    let peak = (read as f64 / (PEAK_TIME / 2).as_secs_f64()) as u64;
    println!("peak: {peak} messages/s");
    Ok(peak)
}

/// Some bursts each hundredth of a second.
fn send(mut clients: Vec<TcpStream>, topics: u64, rate: u64, soak: &Soak) -> anyhow::Result<()> {
    soak.restless.store(true, Ordering::Relaxed);
    let (mut next, mut n) = (Instant::now(), 0u64);
    while !soak.over.load(Ordering::Relaxed) {
        for _ in 0..(rate / 100 / BURST).max(1) {
            n += 1;
            burst(&mut clients, n, topics, soak)?;
        }
        next += Duration::from_millis(10);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Fetches messages of many topics, a thread for each; now and then it leaves one and comes back.
fn consume(sockets: Vec<PathBuf>, soak: &Arc<Soak>) {
    let threads: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(n, socket)| {
            let soak = soak.clone();
            let work = move || fetch(&socket, n, &soak);
            thread::Builder::new().stack_size(256 << 10).spawn(work)
        })
        .collect();
    for thread in threads.into_iter().flatten() {
        // A panic of one shows in what was read.
        let _ = thread.join();
    }
}

fn fetch(socket: &Path, n: usize, soak: &Soak) {
    while !soak.drained.load(Ordering::Relaxed) {
        let Ok(mut stream) = UnixStream::connect(socket) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let timed = stream.set_read_timeout(Some(Duration::from_millis(500)));
        if timed.is_err() || wire::handshake(&mut stream, "PULL").is_err() {
            continue;
        }
        // One in ten leaves after a while, each after another.
        let stay = if n.is_multiple_of(10) { Duration::from_secs(5 + n as u64 % 7) } else { Duration::MAX };
        let begun = Instant::now();
        let mut stream = BufReader::new(stream);
        loop {
            let leaves =
                begun.elapsed() > stay && soak.restless.load(Ordering::Relaxed) && !soak.over.load(Ordering::Relaxed);
            if leaves || soak.drained.load(Ordering::Relaxed) {
                soak.left.fetch_add(u64::from(leaves), Ordering::Relaxed);
                break;
            }
            match wire::read_message(&mut stream) {
                Ok(frames) => {
                    let read = soak.read.fetch_add(1, Ordering::Relaxed);
                    let sent =
                        frames.get(3).and_then(|body| body.first_chunk()).map_or(0, |at| u64::from_be_bytes(*at));
                    if read.is_multiple_of(100) {
                        let latency = soak.now().saturating_sub(sent);
                        soak.latencies().push(latency);
                    }
                }
                // Nothing came for a while: a message is read whole or not begun, at these sizes.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
}

/// Processes' worth of consumers; topics are dealt out to them.
const CONSUMERS: u64 = 4;
/// Between one sample and the next.
const PARTS: u32 = 12;
/// The sample by which pools and tables have grown.
const SETTLED: u32 = 3;
/// Its first half is for a start.
const PEAK_TIME: Duration = Duration::from_secs(10);
/// 30 MB: a tenth of what may be queued, and a tenth of a second or more.
const WINDOW: u64 = 100_000;
/// Messages that leave a client together.
const BURST: u64 = 10;
/// KiB that an allocator may keep more at one moment than at another.
const SLACK: u64 = 4 << 10;
