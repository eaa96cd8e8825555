//! The Redis matchmaker against a real redis-server: what it writes and what it finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use matchmaker::{Backend, Locator, LookupError, MatchMaker, Redis, RedisSettings};
use tests::lookup::{host, hosts, topic, until};
use tests::redis::{RedisServer, Reply};
use tokio::time::sleep;

/// The originals register a topic, the topic on its server, and the topic again.
const LISTEN: [&str; 3] = ["compute", "compute.host1", "compute"];

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

async fn resolved(matchmaker: &MatchMaker, key: &str) -> Result<Vec<(String, String)>, LookupError> {
    let to = matchmaker.resolve(&topic(key)).await?;
    Ok(to.iter().map(|to| (to.topic.to_string(), to.host.to_string())).collect())
}

#[tokio::test]
async fn b13_listening_works_whatever_keys_are_there() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let strings: &[&[&str]] =
        &[&["SADD", "compute", "compute.host1"], &["SET", "compute.host1", ""], &["EXPIRE", "compute.host1", "600"]];
    let sets: &[&[&str]] =
        &[&["SADD", "compute", "compute.host1"], &["SADD", "compute.host1", ""], &["EXPIRE", "compute.host1", "600"]];
    for (what, before) in [("an empty server", &[][..]), ("keys of 1.4.1", strings), ("keys of 1.8.3", sets)] {
        server.ask(&["FLUSHALL"])?;
        for command in before {
            server.ask(command)?;
        }
        let process = process(&server)?;
        for name in LISTEN {
            process.register(&topic(name), &host("host1")).await.with_context(|| format!("{name}, {what}"))?;
        }
        ensure!(hosts(&*process, "compute").await? == ["host1"], "{what}");
        ensure!((1..=2).contains(&server.ttl("compute.host1")?), "{what}: its life was not renewed");
        let matchmaker = MatchMaker::new(process);
        let directed = resolved(&matchmaker, "compute.host1").await?;
        ensure!(directed == [("compute.host1".to_owned(), "host1".to_owned())], "{what}: {directed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn b14_a_fanout_goes_to_every_host_under_its_fanout_topic() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    for name in ["host2", "host1"] {
        process.register(&topic("compute"), &host(name)).await?;
    }
    let copies = resolved(&MatchMaker::new(process), "fanout~compute").await?;
    let expected = ["host1", "host2"].map(|name| (format!("fanout~compute.{name}"), name.to_owned()));
    ensure!(copies == expected, "{copies:?}");
    Ok(())
}

#[tokio::test]
async fn b15_a_host_that_falls_silent_is_not_returned_any_more() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let reader = process(&server)?;
    {
        let silent = process(&server)?;
        silent.register(&topic("compute"), &host("host1")).await?;
        ensure!(hosts(&*reader, "compute").await? == ["host1"]);
    }
    until(TTL * 2, "host1 is gone", async || Ok(hosts(&*reader, "compute").await?.is_empty())).await?;

    // Still a member, for the services that are to remove it; ours does so only when told to.
    ensure!(server.set("compute")? == ["compute.host1"]);
    let dead = vec![(topic("compute"), host("host1"))];
    ensure!(reader.expired().await? == dead);
    ensure!(reader.expire().await? == dead);
    ensure!(server.keys()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn b15_b43_lookups_never_lose_a_live_host_while_thousands_register() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let (writer, reader) = (process(&server)?, process(&server)?);
    writer.register(&topic("compute"), &host("host0")).await?;
    let registering = tokio::spawn(async move {
        for number in 0..1000 {
            writer.register(&topic("compute"), &host(&format!("host{number}"))).await?;
        }
        Ok::<_, anyhow::Error>(writer)
    });
    let mut seen = 0;
    while !registering.is_finished() {
        let now = hosts(&*reader, "compute").await?.len();
        ensure!(now >= seen, "{seen} hosts were there, now {now}");
        seen = now;
        ensure!(reader.expire().await?.is_empty(), "a live host was removed");
    }
    let _writer = registering.await??;
    ensure!(hosts(&*reader, "compute").await?.len() == 1000);
    Ok(())
}

#[tokio::test]
async fn b16_registrations_are_back_within_a_heartbeat_of_a_flushall() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    for name in LISTEN {
        process.register(&topic(name), &host("host1")).await?;
    }
    let before = server.keys()?;
    server.ask(&["FLUSHALL"])?;
    until(FREQ + FREQ / 2, "all keys are back", async || Ok(server.keys()? == before)).await
}

#[tokio::test]
async fn b17_no_key_of_a_service_remains_after_an_orderly_stop() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    // In any order, because the key of a member may be the set of a directed topic.
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let process = process(&server)?;
        process.register(&topic("compute"), &host("host2")).await?;
        for name in LISTEN {
            process.register(&topic(name), &host("host1")).await?;
        }
        for index in order {
            process.unregister(&topic(LISTEN[index]), &host("host1")).await?;
        }
        let left: Vec<_> = server.keys()?.into_keys().collect();
        ensure!(left == ["compute", "compute.host2"], "{order:?}: {left:?}");
        ensure!(hosts(&*process, "compute").await? == ["host2"]);
        process.unregister(&topic("compute"), &host("host2")).await?;
        ensure!(server.keys()?.is_empty(), "{order:?}");
    }
    Ok(())
}

#[tokio::test]
async fn b17_of_two_listeners_the_other_lives_on() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    let pairs = [("compute", "host1"), ("compute", "host1"), ("network", "host1")];
    for (name, at) in pairs {
        process.register(&topic(name), &host(at)).await?;
    }
    process.unregister(&topic("compute"), &host("host1")).await?;
    process.unregister(&topic("network"), &host("host1")).await?;
    let end = Instant::now() + TTL * 3;
    while Instant::now() < end {
        ensure!(hosts(&*process, "compute").await? == ["host1"]);
        ensure!(hosts(&*process, "network").await?.is_empty());
        sleep(POLL * 5).await;
    }
    Ok(())
}

#[tokio::test]
async fn b36_an_ipv6_literal_is_registered_and_found() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    process.register(&topic("compute"), &host("::1")).await?;
    let to = MatchMaker::new(process).resolve(&topic("compute")).await?.remove(0);
    ensure!(to.topic.as_str() == "compute.::1");
    ensure!(to.host.with_port(9501) == "[::1]:9501");
    Ok(())
}

#[tokio::test]
async fn b37_a_server_that_is_no_host_is_reached_where_it_registered() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    for name in ["engine", "engine.0f3c-uuid", "engine"] {
        process.register(&topic(name), &host("host1.example.com")).await?;
    }
    let matchmaker = MatchMaker::new(process);
    let to = resolved(&matchmaker, "engine.0f3c-uuid").await?;
    ensure!(to == [("engine.0f3c-uuid".to_owned(), "host1.example.com".to_owned())], "{to:?}");
    let to = resolved(&matchmaker, "engine").await?;
    ensure!(to == [("engine.host1.example.com".to_owned(), "host1.example.com".to_owned())], "{to:?}");
    Ok(())
}

#[tokio::test]
async fn a_password_an_acl_user_and_a_database_are_used() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    for user in [&["match", "on", ">p@ss", "~*", "+@all"][..], &["default", "off"]] {
        let made = server.ask(&[&["ACL", "SETUSER"], user].concat())?;
        ensure!(made == Reply::Text("OK".to_owned()), "{made:?}");
    }
    let url = format!("redis://match:p%40ss@127.0.0.1:{}/3", server.port());
    let process = Redis::new(settings(&url)?);
    process.register(&topic("compute"), &host("host1")).await?;
    ensure!(hosts(&process, "compute").await? == ["host1"]);
    let other = Redis::new(settings(&url.replace("/3", "/4"))?);
    ensure!(hosts(&other, "compute").await?.is_empty());

    let wrong = Redis::new(settings(&url.replace("p%40ss", "hunter2"))?);
    let error = format!("{:#}", anyhow::Error::from(wrong.members(&topic("compute")).await.expect_err("refused")));
    ensure!(!error.contains("hunter2") && !error.contains("p@ss"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_listing_has_every_topic_and_only_live_hosts() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let process = process(&server)?;
    for (name, at) in [("compute", "host1"), ("compute", "host2"), ("compute.host1", "host1"), ("q", "host3")] {
        process.register(&topic(name), &host(at)).await?;
    }
    server.ask(&["SADD", "dead", "dead.host9"])?;
    server.ask(&["SET", "another program's", "key"])?;
    let listing = process.listing().await?.into_iter();
    let listing: BTreeMap<_, _> = listing
        .map(|(topic, members)| {
            let hosts: Vec<_> = members.iter().map(|member| member.name.to_string()).collect();
            (topic.to_string(), hosts.join(" "))
        })
        .collect();
    let expected = [("compute", "host1 host2"), ("compute.host1", "host1"), ("dead", ""), ("q", "host3")];
    ensure!(listing == expected.map(|(topic, hosts)| (topic.to_owned(), hosts.to_owned())).into(), "{listing:?}");
    Ok(())
}

const FREQ: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(20);
