//! The Consul matchmaker against a real Consul: what it finds, what it registers, and what it does while Consul is slow,
//! gone or without a leader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use matchmaker::{Backend, Consul, ConsulSettings, Locator, MatchMaker, Status, Topic};
use tests::consul::ConsulServer;
use tests::lookup::{host, topic, until};
use tokio::time::sleep;

fn settings(url: &str) -> anyhow::Result<ConsulSettings> {
    match url.parse()? {
        Locator::Consul(settings) => Ok(settings),
        other => bail!("{other:?} is no Consul"),
    }
}

fn consul(server: &ConsulServer, query: &str) -> anyhow::Result<Arc<Consul>> {
    let settings = settings(&format!("{}{query}", server.url()))?;
    Ok(Arc::new(Consul::new(ConsulSettings { heartbeat_freq: FREQ, heartbeat_ttl: TTL, ..settings })))
}

async fn hosts(registry: &dyn Backend, of: &str) -> anyhow::Result<Vec<String>> {
    let members = registry.members(&topic(of)).await?;
    Ok(members.iter().map(|member| format!("{}@{}", member.name, member.address)).collect())
}

#[tokio::test]
async fn passing_nodes_are_found_and_changes_are_noticed_at_once() -> anyhow::Result<()> {
    let server = ConsulServer::start()?;
    server.register("cinder2.example.com", "cinder-volume", "passing", &["zmq"])?;
    server.register("cinder1", "cinder-volume", "passing", &["zmq"])?;
    server.register("cinder3", "cinder-volume", "critical", &["zmq"])?;
    server.register("web1", "web", "passing", &[])?;
    server.register("sched1", "nova-scheduler", "passing", &["zmq"])?;

    let all = consul(&server, "")?;
    ensure!(hosts(&*all, "cinder-volume").await? == ["cinder1@cinder1", "cinder2@cinder2"]);
    ensure!(all.topics().await?.iter().map(Topic::as_str).eq(["cinder-volume", "nova-scheduler", "web"]));
    let some = consul(&server, "?tag=zmq&map=nova-scheduler=scheduler,cinder-volume&address=ip&names=full")?;
    ensure!(some.topics().await?.iter().map(Topic::as_str).eq(["cinder-volume", "scheduler"]));
    ensure!(hosts(&*some, "scheduler").await? == ["sched1@127.0.0.9"]);
    ensure!(hosts(&*some, "web").await?.is_empty(), "a service that is in no map was found");
    ensure!(hosts(&*all, "cinder-volume:cinder2").await? == ["cinder2@cinder2"]);
    let listing = some.listing().await?;
    ensure!(listing[&topic("cinder-volume")][1].name == host("cinder2.example.com"), "{listing:?}");

    // No lookup waits for the news, and none polls for it.
    let matchmaker = MatchMaker::new(all.clone());
    server.register("cinder1", "cinder-volume", "critical", &["zmq"])?;
    until(NEWS, "cinder1 is gone", async || Ok(hosts(&*all, "cinder-volume").await? == ["cinder2@cinder2"])).await?;
    server.register("cinder3", "cinder-volume", "passing", &["zmq"])?;
    until(NEWS, "cinder3 is there", async || Ok(hosts(&*all, "cinder-volume").await?.len() == 2)).await?;
    ensure!(matchmaker.resolve(&topic("fanout~cinder-volume")).await?.len() == 2);
    ensure!(matchmaker.resolve(&topic("nobody")).await.is_err());
    ensure!(matchmaker.resolve(&topic("cinder-volume.cinder9")).await?[0].host == host("cinder9"));
    Ok(())
}

#[tokio::test]
async fn a_registration_lives_by_its_heartbeat_and_is_taken_back() -> anyhow::Result<()> {
    let server = ConsulServer::start()?;
    let process = consul(&server, "?tag=zmq")?;
    let pairs = [("compute", "host1"), ("engine.0f3c-uuid", "host1.example.com"), ("compute", "::1")];
    for (name, at) in pairs {
        process.register(&topic(name), &host(at)).await?;
    }
    let reader = consul(&server, "?tag=zmq")?;
    let end = Instant::now() + TTL * 3;
    while Instant::now() < end {
        // Kept by the heartbeat for three lives. B36, and B37: the host that was registered, whatever the node.
        ensure!(hosts(&*reader, "compute").await? == ["::1@::1", "host1@host1"]);
        sleep(POLL).await;
    }
    let to = MatchMaker::new(reader.clone()).resolve(&topic("engine.0f3c-uuid")).await?;
    ensure!(to[0].host == host("host1.example.com"), "{to:?}");

    // B17: what it announced, and all of it.
    for (name, at) in pairs {
        process.unregister(&topic(name), &host(at)).await?;
    }
    let services = server.get("/v1/agent/services")?;
    ensure!(services == serde_json::json!({}), "{services}");
    until(NEWS, "nobody is found", async || Ok(hosts(&*reader, "compute").await?.is_empty())).await
}

#[tokio::test]
async fn b15_a_registration_without_a_heartbeat_is_not_found_any_more() -> anyhow::Result<()> {
    let server = ConsulServer::start()?;
    let reader = consul(&server, "")?;
    {
        let silent = consul(&server, "")?;
        silent.register(&topic("compute"), &host("host1")).await?;
        until(NEWS, "host1 is there", async || Ok(hosts(&*reader, "compute").await?.len() == 1)).await?;
    }
    until(TTL * 2 + NEWS, "host1 is gone", async || Ok(hosts(&*reader, "compute").await?.is_empty())).await
}

#[tokio::test]
async fn b16_a_registration_that_the_agent_lost_is_made_again() -> anyhow::Result<()> {
    let server = ConsulServer::start()?;
    let process = consul(&server, "")?;
    process.register(&topic("compute"), &host("host1")).await?;
    let services = server.get("/v1/agent/services")?;
    let id = services.as_object().and_then(|services| services.keys().next().cloned());
    server.put(&format!("/v1/agent/service/deregister/{}", id.unwrap_or_default()), &serde_json::Value::Null)?;
    ensure!(server.get("/v1/agent/services")? == serde_json::json!({}));
    until(FREQ * 2, "it is registered again", async || {
        Ok(server.get("/v1/agent/services")?.as_object().is_some_and(|services| services.len() == 1))
    })
    .await
}

#[tokio::test]
async fn last_answers_outlive_a_consul_that_is_killed_or_stopped() -> anyhow::Result<()> {
    let mut server = ConsulServer::start()?;
    server.register("host1", "compute", "passing", &[])?;
    let reader = consul(&server, "")?;
    ensure!(hosts(&*reader, "compute").await? == ["host1@host1"]);

    server.kill()?;
    until(NEWS, "the answers are stale", async || Ok(matches!(reader.status(), Status::Stale { .. }))).await?;
    ensure!(hosts(&*reader, "compute").await? == ["host1@host1"], "the last answer was lost");
    let error = reader.members(&topic("network")).await.expect_err("nobody to ask");
    let error = format!("{:#}", anyhow::Error::from(error));
    ensure!(error.contains("cannot connect"), "{error}");
    // B37: what names its host goes there.
    ensure!(MatchMaker::new(reader.clone()).resolve(&topic("compute.host7")).await?[0].host == host("host7"));

    server.restart()?;
    server.wait_for_leader()?;
    until(BACK, "answers are current", async || Ok(matches!(reader.status(), Status::Current))).await?;
    server.register("host2", "compute", "passing", &[])?;
    until(NEWS, "host2 is there", async || Ok(hosts(&*reader, "compute").await?.len() == 2)).await?;

    server.pause()?;
    let start = Instant::now();
    ensure!(hosts(&*reader, "compute").await?.len() == 2);
    ensure!(start.elapsed() < Duration::from_millis(100), "a lookup took {:?}", start.elapsed());
    until(BACK * 2, "the answers are stale", async || Ok(matches!(reader.status(), Status::Stale { .. }))).await?;
    server.resume()?;
    until(BACK, "answers are current", async || Ok(matches!(reader.status(), Status::Current))).await
}

#[tokio::test]
async fn last_answers_outlive_the_loss_of_the_leader() -> anyhow::Result<()> {
    let [first, mut second, mut third] = ConsulServer::cluster()?;
    first.register("host1", "compute", "passing", &[])?;
    let reader = consul(&first, "")?;
    until(BACK, "host1 is there", async || {
        // A new cluster may elect again.
        Ok(hosts(&*reader, "compute").await.is_ok_and(|hosts| hosts == ["host1@host1"]))
    })
    .await?;

    second.kill()?;
    third.kill()?;
    // A server without a leader holds a query for seconds before it says so.
    until(BACK * 2, "the answers are stale", async || Ok(matches!(reader.status(), Status::Stale { .. }))).await?;
    ensure!(hosts(&*reader, "compute").await? == ["host1@host1"], "the last answer was lost");

    second.restart()?;
    third.restart()?;
    first.wait_for_leader()?;
    until(BACK * 2, "answers are current", async || Ok(matches!(reader.status(), Status::Current))).await?;
    first.register("host2", "compute", "passing", &[])?;
    until(BACK, "host2 is there", async || Ok(hosts(&*reader, "compute").await?.len() == 2)).await
}

const FREQ: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(3);

/// How soon a change is to be known: a blocking query returns at once, and the agent writes its changes in the background.
const NEWS: Duration = Duration::from_secs(3);

/// How long a Consul that is back may go unnoticed.
const BACK: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(50);
