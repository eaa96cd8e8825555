//! Old and new on one Redis: services of the original driver, of two releases, that ours finds, and registrations of ours
//! that their clients follow.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use matchmaker::{Backend, Locator, MatchMaker, Redis, RedisSettings};
use serde_json::json;
use tests::driver::{Client, Notifications, Service, Topics, context};
use tests::lookup::{hosts, topic};
use tests::oslo::{Host, Matchmaker, Release};
use tests::program::Program;
use tests::redis::RedisServer;
use tests::{binary, loopback};
use zmtp::{Message, Options, Push};

/// Two hosts with a receiver each, and the Redis they share.
struct Fleet {
    redis: RedisServer,
    hosts: [Host; 2],
    port: u16,
    _receivers: [Program; 2],
}

impl Fleet {
    /// The first host runs one release, the second another.
    fn start(releases: [Release; 2]) -> anyhow::Result<Self> {
        let redis = RedisServer::start()?;
        let port = loopback::free_port()?;
        let known = Matchmaker::Redis(redis.port());
        let [first, second] = releases;
        let hosts =
            [Host::on_ring(first, ADDRESSES[0], port, known)?, Host::on_ring(second, ADDRESSES[1], port, known)?];
        let executable = binary::receiver()?;
        let start = |host: &Host| -> anyhow::Result<Program> {
            let mut receiver = Program::start("receiver", &mut host.receiver(&executable))?;
            receiver.wait_until_listening(host.address(), LIMIT)?;
            Ok(receiver)
        };
        let receivers = [start(&hosts[0])?, start(&hosts[1])?];
        Ok(Self { redis, hosts, port, _receivers: receivers })
    }

    /// A process of ours.
    fn ours(&self) -> anyhow::Result<Arc<Redis>> {
        match self.redis.url().parse()? {
            Locator::Redis(settings) => {
                let settings =
                    RedisSettings { heartbeat_freq: FREQ, heartbeat_ttl: TTL, fresh_for: FREQ / 10, ..settings };
                Ok(Arc::new(Redis::new(settings)))
            }
            other => bail!("{other:?} is no Redis"),
        }
    }
}

#[tokio::test]
async fn services_of_both_releases_are_found_and_forgotten() -> anyhow::Result<()> {
    let fleet = Fleet::start([Release::Juno, Release::Kilo])?;
    // Juno cannot listen as the host it is on (B13).
    let mut old = Service::start_as("server-a", &fleet.hosts[0], "old", TOPICS)?;
    let mut new = Service::start(&fleet.hosts[1], "new", TOPICS, Notifications::Leave)?;
    let ours = fleet.ours()?;
    ensure!(hosts(&*ours, TOPICS.rpc).await? == ["127.0.0.1", "127.0.0.2"]);
    let matchmaker = MatchMaker::new(ours.clone());

    // A server that is no host is where it registered (B37), though the originals read no socket of that name (B1).
    let to = matchmaker.resolve(&topic("compute.server-a")).await?;
    ensure!(to[0].host.as_str() == "127.0.0.1", "{to:?}");
    // Where ours sends is where they are: a message to each.
    for (key, service) in [("compute.127.0.0.2", &mut new), ("compute.127.0.0.1", &mut old)] {
        let to = matchmaker.resolve(&topic(key)).await?;
        let address = SocketAddr::from((to[0].host.as_str().parse::<Ipv4Addr>()?, fleet.port));
        send(address, to[0].topic.as_str(), key).await?;
        let line = service.next(LIMIT).with_context(|| format!("nothing came to {key}"))?;
        ensure!(line == json!({ "record": key, "context": context() }), "{line}");
    }

    // Their hearts beat for as long as they run, and no longer.
    tokio::time::sleep(TTL * 2).await;
    ensure!(hosts(&*ours, TOPICS.rpc).await?.len() == 2);
    new.kill()?;
    let end = Instant::now() + TTL * 3;
    while hosts(&*ours, TOPICS.rpc).await? != ["127.0.0.1"] {
        ensure!(Instant::now() < end, "a dead service is still found: {:?}", hosts(&*ours, TOPICS.rpc).await?);
        tokio::time::sleep(FREQ / 10).await;
    }
    Ok(())
}

#[tokio::test]
async fn clients_of_both_releases_follow_registrations_of_ours() -> anyhow::Result<()> {
    for release in [Release::Juno, Release::Kilo] {
        let fleet = Fleet::start([release, release])?;
        // Known to Redis by another topic than the one it is called under, so that only ours announces that.
        let alone = Host::on_ring(release, ADDRESSES[1], fleet.port, Matchmaker::Ring("network", &[]))?;
        std::fs::remove_dir(alone.ipc_dir())?;
        std::os::unix::fs::symlink(fleet.hosts[1].ipc_dir(), alone.ipc_dir())?;
        let _service = Service::start(&alone, "service", NETWORK, Notifications::Leave)?;
        let ours = fleet.ours()?;
        ours.register(&topic("network"), &"127.0.0.2".parse()?).await?;

        let mut client = Client::start(&fleet.hosts[0], NETWORK)?;
        for number in 0..5 {
            let result = client.call("echo", json!({ "value": number }));
            ensure!(result.with_context(|| format!("{release:?}"))? == number);
        }
        // Longer than a life: the heartbeat keeps it, also after all of it was lost.
        fleet.redis.ask(&["FLUSHALL"])?;
        tokio::time::sleep(TTL * 2).await;
        ensure!(client.call("name_of_service", json!({}))? == "service", "{release:?}");
    }
    Ok(())
}

#[tokio::test]
async fn b14_a_fanout_over_redis_reaches_every_worker_of_every_host_once() -> anyhow::Result<()> {
    let fleet = Fleet::start([Release::Kilo, Release::Kilo])?;
    let mut workers = Vec::new();
    for host in &fleet.hosts {
        for name in ["a", "b", "c"] {
            workers.push(Service::start(host, name, TOPICS, Notifications::Leave)?);
        }
    }
    let matchmaker = MatchMaker::new(fleet.ours()?);
    for mark in ["first", "second"] {
        let copies = matchmaker.resolve(&topic("fanout~compute")).await?;
        ensure!(copies.len() == 2, "{copies:?}");
        for copy in copies {
            let address = SocketAddr::from((copy.host.as_str().parse::<Ipv4Addr>()?, fleet.port));
            send(address, copy.topic.as_str(), mark).await?;
        }
        for (number, worker) in workers.iter_mut().enumerate() {
            let line = worker.next(LIMIT).with_context(|| format!("worker {number}, {mark}"))?;
            ensure!(line["record"] == mark, "worker {number} received {line}");
        }
    }
    // Exactly once: nothing more comes.
    for worker in &mut workers {
        ensure!(worker.next(Duration::from_millis(100)).is_err());
    }
    Ok(())
}

/// A cast of the original's first style to the method `record`.
async fn send(to: SocketAddr, topic: &str, value: &str) -> anyhow::Result<()> {
    let message = json!({ "method": "record", "args": { "value": value }, "version": "1.0" });
    let body = json!([context().to_string(), message]).to_string();
    let push = Push::new(Options::new());
    push.connect(&format!("tcp://{to}"))?;
    push.send(Message::builder().more("0").more(topic.to_owned()).more("cast").last(body)).await?;
    push.close(LIMIT).await;
    Ok(())
}

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

const TOPICS: Topics<'_> = Topics { rpc: "compute", notifications: "notifications" };

const NETWORK: Topics<'_> = Topics { rpc: "network", notifications: "notifications" };

/// The hearts of both kinds, as the hosts' configuration has them.
const FREQ: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(3);

/// Generous: two cores may be running other tests.
const LIMIT: Duration = Duration::from_secs(15);
