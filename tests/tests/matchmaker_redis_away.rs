//! The Redis matchmaker while its server is gone, slow, another one, or tells another time.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use matchmaker::{Backend, Locator, MatchMaker, Redis, RedisSettings, Status};
use tests::binary;
use tests::clock::Clock;
use tests::lookup::{host, hosts, topic, until};
use tests::program::Program;
use tests::redis::{RedisServer, Reply};
use tokio::time::sleep;

fn settings(url: &str) -> anyhow::Result<RedisSettings> {
    match url.parse()? {
        Locator::Redis(settings) => Ok(settings),
        other => bail!("{other:?} is no Redis"),
    }
}

/// A process's matchmaker, with answers that are always asked for and a heart that beats fast.
fn process(server: &RedisServer) -> anyhow::Result<Arc<Redis>> {
    let quick = RedisSettings {
        heartbeat_freq: FREQ,
        heartbeat_ttl: TTL,
        fresh_for: Duration::ZERO,
        ..settings(&server.url())?
    };
    Ok(Arc::new(Redis::new(quick)))
}

#[tokio::test]
async fn b17_redis_may_be_down_for_three_ttls() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let process = process(&server)?;
    process.register(&topic("compute"), &host("host1")).await?;
    ensure!(hosts(&*process, "compute").await? == ["host1"]);

    server.kill()?;
    let end = Instant::now() + TTL * 3;
    while Instant::now() < end {
        let start = Instant::now();
        ensure!(hosts(&*process, "compute").await? == ["host1"], "the last answer was lost");
        ensure!(start.elapsed() < Duration::from_millis(100), "a lookup took {:?}", start.elapsed());
        sleep(POLL).await;
    }
    let Status::Stale { since, cause } = process.status() else { bail!("the answers are said to be current") };
    let age = since.elapsed()?;
    ensure!(age > TTL * 2, "stale only for {age:?}");
    ensure!(!cause.to_string().is_empty());
    // What was never asked for has no last answer.
    ensure!(process.members(&topic("network")).await.is_err());

    server.restart()?;
    until(BACK, "the registration is restored", async || Ok(server.set("compute")? == ["compute.host1"])).await?;
    until(BACK, "answers are current", async || {
        Ok(hosts(&*process, "compute").await? == ["host1"] && matches!(process.status(), Status::Current))
    })
    .await
}

#[tokio::test]
async fn a_stopped_server_holds_nobody_up_for_long() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    process.register(&topic("compute"), &host("host1")).await?;
    ensure!(hosts(&*process, "compute").await? == ["host1"]);

    server.pause()?;
    let start = Instant::now();
    ensure!(hosts(&*process, "compute").await? == ["host1"]);
    ensure!(start.elapsed() < Duration::from_secs(2), "the first lookup took {:?}", start.elapsed());
    for _ in 0..50 {
        let start = Instant::now();
        ensure!(hosts(&*process, "compute").await? == ["host1"]);
        ensure!(start.elapsed() < Duration::from_millis(100), "a later one took {:?}", start.elapsed());
    }
    // A key that names its host needs no answer.
    let matchmaker = MatchMaker::new(process.clone());
    let to = matchmaker.resolve(&topic("compute.host7")).await?;
    ensure!(to[0].host == host("host7"), "{to:?}");

    server.resume()?;
    until(BACK, "answers are current", async || {
        hosts(&*process, "compute").await?;
        Ok(matches!(process.status(), Status::Current))
    })
    .await
}

#[tokio::test]
async fn a_service_may_start_before_its_redis() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    server.kill()?;
    let process = process(&server)?;
    let error = process.register(&topic("compute"), &host("host1")).await.expect_err("nobody is there");
    let said = format!("{:#}", anyhow::Error::from(error));
    ensure!(said.contains(&server.address().to_string()), "{said}");
    server.restart()?;
    until(BACK, "it is registered", async || Ok(server.set("compute")? == ["compute.host1"])).await
}

/// Redis expires by the wall clock, so a step of that moves the end of every life. Moved here key by key: libfaketime cannot
/// get in before the server's allocator, which asks for the time itself.
#[tokio::test]
async fn a_stepped_clock_of_redis_costs_a_heartbeat_at_most() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    process.register(&topic("compute"), &host("host1")).await?;
    // Forward: all lives end at once.
    server.ask(&["EXPIREAT", "compute.host1", "1"])?;
    ensure!(server.ttl("compute.host1")? == -2);
    until(FREQ + FREQ / 2, "it is found again", async || Ok(hosts(&*process, "compute").await? == ["host1"])).await?;
    // Back: they are longer until the next heartbeat.
    server.ask(&["EXPIRE", "compute.host1", "3600"])?;
    until(FREQ + FREQ / 2, "its life is as before", async || Ok((0..=2).contains(&server.ttl("compute.host1")?))).await
}

#[tokio::test]
async fn a_stepped_clock_of_a_service_costs_nothing() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("nova.conf");
    let config = format!(
        "[DEFAULT]\nrpc_zmq_matchmaker = redis\nmatchmaker_heartbeat_freq = 1\nmatchmaker_heartbeat_ttl = 2\n\
         [matchmaker_redis]\nport = {}\n",
        server.port()
    );
    std::fs::write(&file, config)?;
    let clock = Clock::new()?;
    let mut command = Command::new(binary::matchmaker()?);
    clock.set_for(&mut command);
    command.arg("--config-file").arg(&file).args(["register", "compute", "host1", "--keep"]);
    let mut service = Program::start("register", &mut command)?;
    service.next_line(BACK)?;
    for step in [86_400, -86_400, 0] {
        clock.step(step)?;
        let end = Instant::now() + TTL * 2;
        while Instant::now() < end {
            ensure!(server.ttl("compute.host1")? >= 0, "not alive after a step to {step} s");
            sleep(POLL).await;
        }
    }
    ensure!(service.stop(BACK)?.success());
    ensure!(server.keys()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn of_several_servers_the_primary_is_used() -> anyhow::Result<()> {
    let primary = RedisServer::start()?;
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()])?;
    let url = format!("redis://127.0.0.1:{},127.0.0.1:{}", replica.port(), primary.port());
    let process = Redis::new(RedisSettings { fresh_for: Duration::ZERO, ..settings(&url)? });
    process.register(&topic("compute"), &host("host1")).await?;
    ensure!(primary.set("compute")? == ["compute.host1"]);

    // By hand, as an operator would fail over: the old primary goes on, as a replica.
    replica.ask(&["REPLICAOF", "NO", "ONE"])?;
    primary.ask(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()])?;
    until(BACK, "a change reaches the new primary", async || {
        let _ = process.register(&topic("network"), &host("host1")).await;
        Ok(replica.set("network")? == ["network.host1"])
    })
    .await
}

#[tokio::test]
async fn a_failover_by_sentinel_is_followed() -> anyhow::Result<()> {
    let mut primary = RedisServer::start()?;
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()])?;
    until(BACK, "the replica has the data", async || {
        Ok(matches!(replica.ask(&["ROLE"])?, Reply::List(role) if role.contains(&Reply::Text("connected".to_owned()))))
    })
    .await?;
    let sentinels = [
        RedisServer::sentinel(primary.port(), 2)?,
        RedisServer::sentinel(primary.port(), 2)?,
        RedisServer::sentinel(primary.port(), 2)?,
    ];
    let ports: Vec<_> = sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port())).collect();
    let url = format!("redis+sentinel://{}/main/0", ports.join(","));
    let quick = RedisSettings { heartbeat_freq: FREQ, fresh_for: Duration::ZERO, ..settings(&url)? };
    let process = Redis::new(quick);
    process.register(&topic("compute"), &host("host1")).await?;
    ensure!(hosts(&process, "compute").await? == ["host1"]);
    // The Sentinels have to have met, and to have seen the replica, before they can agree.
    until(FAILOVER, "the Sentinels know one another", async || {
        let known = |reply: Reply, count: usize| matches!(reply, Reply::List(list) if list.len() >= count);
        Ok(sentinels.iter().all(|one| {
            one.ask(&["SENTINEL", "sentinels", "main"]).is_ok_and(|reply| known(reply, 2))
                && one.ask(&["SENTINEL", "replicas", "main"]).is_ok_and(|reply| known(reply, 1))
        }))
    })
    .await?;

    primary.kill()?;
    until(FAILOVER, "the replica is the primary and has the registration", async || {
        ensure!(hosts(&process, "compute").await? == ["host1"], "the last answer was lost");
        // A Sentinel that promotes a server has it drop its clients, this question's among them.
        let Ok(role) = replica.ask(&["ROLE"]) else { return Ok(false) };
        let promoted = matches!(role, Reply::List(role) if role.first() == Some(&Reply::Text("master".to_owned())));
        Ok(promoted && server_has(&replica, "compute.host1")? && matches!(process.status(), Status::Current))
    })
    .await?;
    process.register(&topic("network"), &host("host1")).await?;
    ensure!(replica.set("network")? == ["network.host1"]);
    Ok(())
}

fn server_has(server: &RedisServer, key: &str) -> anyhow::Result<bool> {
    Ok(server.ask(&["EXISTS", key])? == Reply::Number(1))
}

const FREQ: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(2);

/// How long a server that is back may go unnoticed: the longest pause between attempts, and a margin.
const BACK: Duration = Duration::from_secs(10);

/// How long Sentinels may take to meet, or to agree: a failover that collides with another is tried again.
const FAILOVER: Duration = Duration::from_secs(40);

const POLL: Duration = Duration::from_millis(20);
