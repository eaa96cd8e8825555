//! What a lookup costs in a large deployment: 10,000 topics on 1,000 hosts, three hosts each.
//!
//! `cargo bench -p matchmaker`. The Redis is a real redis-server, started here; its answers are cached before anything is
//! measured. First it prints what listing all of it costs, and what memory the cached answers take.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::net::TcpListener;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use divan::Bencher;
use matchmaker::{
    Backend, Host, Listing, Locator, MatchMaker, Member, Redis, RedisSettings, RingFile, Start, Topic, ring_text,
};
use tokio::runtime::Runtime;

const TOPICS: usize = 10_000;
const HOSTS: usize = 1_000;
const HOSTS_PER_TOPIC: usize = 3;

fn main() {
    let site = &*SITE;
    println!("{TOPICS} topics on {HOSTS} hosts, {HOSTS_PER_TOPIC} each, in Redis:");
    let start = Instant::now();
    let listing = site.runtime.block_on(site.redis.backend().listing()).unwrap();
    println!("  listed ({} topics) in {:?}", listing.len(), start.elapsed());
    drop(listing);
    println!("  cached answers take {} KiB", site.cached / 1024);
    divan::main();
    if let Ok(mut server) = site.server.lock() {
        let _ = server.kill();
        let _ = server.wait();
    }
}

#[divan::bench(sample_size = 1000)]
fn bare_from_a_ring(bencher: Bencher<'_, '_>) {
    resolving(bencher, &SITE.ring, |topic| topic.clone());
}

#[divan::bench(sample_size = 1000)]
fn bare_from_redis(bencher: Bencher<'_, '_>) {
    resolving(bencher, &SITE.redis, |topic| topic.clone());
}

#[divan::bench(sample_size = 1000)]
fn directed_from_redis(bencher: Bencher<'_, '_>) {
    resolving(bencher, &SITE.redis, directed);
}

#[divan::bench(sample_size = 1000)]
fn fanout_to_three_from_redis(bencher: Bencher<'_, '_>) {
    resolving(bencher, &SITE.redis, |topic| topic.fanout().unwrap());
}

/// One topic after the other, so that no processor cache holds all of them.
fn resolving(bencher: Bencher<'_, '_>, matchmaker: &MatchMaker, key: impl Fn(&Topic) -> Topic) {
    let keys: Vec<_> = SITE.listing.keys().map(key).collect();
    let mut next = 0;
    // Polled by hand: an answer from memory is there at once, and a runtime's own cost is not a lookup's.
    let mut context = Context::from_waker(Waker::noop());
    bencher.bench_local(|| {
        next = (next + 7) % keys.len();
        match pin!(matchmaker.resolve(&keys[next])).poll(&mut context) {
            Poll::Ready(destinations) => destinations.unwrap(),
            Poll::Pending => panic!("not from memory"),
        }
    });
}

/// All that is measured, made once.
struct Site {
    runtime: Runtime,
    listing: Listing,
    ring: MatchMaker,
    redis: MatchMaker,
    /// Octets that the answers of Redis take in this process.
    cached: usize,
    server: Mutex<Child>,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listing = listing();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ring.json");
    std::fs::write(&file, ring_text(&listing)).unwrap();
    let ring = MatchMaker::new(Arc::new(RingFile::open(&file).unwrap()));
    let (server, settings) = server();
    // Nothing is asked for twice.
    let redis = Arc::new(Redis::new(RedisSettings { fresh_for: Duration::from_secs(3600), ..settings }));
    let cached = runtime.block_on(async {
        for (topic, members) in &listing {
            for member in members.iter() {
                redis.register(topic, &member.name).await.unwrap();
            }
        }
        // The first of them makes what they share.
        let before = (redis.members(listing.keys().next().unwrap()).await.unwrap(), resident()).1;
        for topic in listing.keys() {
            redis.members(topic).await.unwrap();
            redis.members(&directed(topic)).await.unwrap();
        }
        resident().saturating_sub(before)
    });
    let redis = MatchMaker::starting(Start::First, redis);
    Site { runtime, listing, ring, redis, cached, server: Mutex::new(server) }
});

fn directed(topic: &Topic) -> Topic {
    topic.at(&"host7".parse().unwrap()).unwrap()
}

fn listing() -> Listing {
    let host = |number: usize| Member::from(format!("host{}", number % HOSTS).parse::<Host>().unwrap());
    let topic = |number: usize| {
        let members = (0..HOSTS_PER_TOPIC).map(|step| host(number + step * HOSTS / HOSTS_PER_TOPIC)).collect();
        (format!("topic-{number}").parse().unwrap(), members)
    };
    (0..TOPICS).map(topic).collect()
}

fn server() -> (Child, RedisSettings) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]).stdout(Stdio::null());
    let server = command.spawn().expect("redis-server (Debian package redis-server)");
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    match format!("redis://127.0.0.1:{port}").parse() {
        Ok(Locator::Redis(settings)) => (server, settings),
        other => panic!("{other:?} is no Redis"),
    }
}

/// Octets of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
