//! A large deployment: 10,000 topics on 1,000 hosts, three each, in a real Redis and a real Consul, brought into a ring
//! by the command.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use matchmaker::{Backend, Locator, Redis, Ring};
use serde_json::json;
use tests::binary;
use tests::consul::ConsulServer;
use tests::lookup::{host, topic};
use tests::program::Program;
use tests::redis::RedisServer;

#[tokio::test]
async fn ten_thousand_topics_in_redis_are_in_step_within_five_seconds() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let Locator::Redis(settings) = server.url().parse()? else { bail!("no Redis") };
    let redis = Arc::new(Redis::new(settings));
    for number in 0..TOPICS {
        for name in hosts(number) {
            redis.register(&topic(&format!("topic-{number}")), &host(&name)).await?;
        }
    }
    in_step(&server.url())
}

#[test]
fn ten_thousand_topics_in_consul_are_in_step_within_five_seconds() -> anyhow::Result<()> {
    let server = ConsulServer::start()?;
    let node = |number| json!({ "Node": { "Verb": "set", "Node": { "Node": format!("host{number}"), "Address": "127.0.0.9" }}});
    let service = |number: usize, host: String| {
        let service = json!({ "ID": format!("topic-{number}"), "Service": format!("topic-{number}") });
        json!({ "Service": { "Verb": "set", "Node": host, "Service": service } })
    };
    let nodes = (0..HOSTS).map(node);
    let services = (0..TOPICS).flat_map(|number| hosts(number).map(move |host| service(number, host)));
    let all: Vec<_> = nodes.chain(services).collect();
    // The most that Consul takes in one transaction.
    for some in all.chunks(64) {
        let answer = server.put("/v1/txn", &json!(some))?;
        ensure!(answer.contains("\"Errors\":null"), "{answer}");
    }
    in_step(&server.url())
}

/// Brings all that a server lists into a new ring, by the clock.
fn in_step(from: &str) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let ring = directory.path().join("ring.json");
    let mut command = Command::new(binary::matchmaker()?);
    command.args(["sync", "--watch", "--from", from, "--to"]).arg(&ring);

    let start = Instant::now();
    let mut sync = Program::start("sync", &mut command)?;
    sync.next_line(LIMIT)?;
    let took = start.elapsed();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", sync.id()))?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let memory: u64 = memory.context("no VmHWM in its status")?;
    println!("{TOPICS} topics on {HOSTS} hosts: in the ring after {took:?}, with {memory} KiB at the most");

    let written = Ring::parse(&std::fs::read_to_string(&ring)?)?;
    ensure!(written.topics().len() == TOPICS);
    ensure!(written.listing().values().all(|members| members.len() == HOSTS_PER_TOPIC));
    ensure!(took < Duration::from_secs(5), "it took {took:?}");
    ensure!(memory < 100 << 10, "it took {memory} KiB");
    Ok(())
}

/// The hosts of a topic, each host with as many topics.
fn hosts(topic: usize) -> impl Iterator<Item = String> {
    (0..HOSTS_PER_TOPIC).map(move |step| format!("host{}", (topic + step * HOSTS / HOSTS_PER_TOPIC) % HOSTS))
}

const TOPICS: usize = 10_000;
const HOSTS: usize = 1_000;
const HOSTS_PER_TOPIC: usize = 3;

/// Far beyond what is asked for, so that a miss is measured.
const LIMIT: Duration = Duration::from_secs(60);
