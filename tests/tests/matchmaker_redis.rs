//! The Redis matchmaker against a real redis-server: what it writes, what it finds, and what it does while the server
//! is empty, slow, gone or another one.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use matchmaker::{Backend, Host, Locator, LookupError, MatchMaker, Redis, RedisSettings, Status, Topic};
use serde_json::{Value, json};
use tests::binary;
use tests::clock::Clock;
use tests::program::Program;
use tests::redis::{RedisServer, Reply};
use tokio::time::sleep;

/// The originals register a topic, the topic on its server, and the topic again.
const LISTEN: [&str; 3] = ["compute", "compute.host1", "compute"];

fn topic(text: &str) -> Topic {
    text.parse().expect("a topic")
}

fn host(text: &str) -> Host {
    text.parse().expect("a host")
}

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

async fn hosts(registry: &dyn Backend, of: &str) -> anyhow::Result<Vec<String>> {
    let members = registry.members(&topic(of)).await?;
    Ok(members.iter().map(|member| member.name.to_string()).collect())
}

async fn resolved(matchmaker: &MatchMaker, key: &str) -> Result<Vec<(String, String)>, LookupError> {
    let to = matchmaker.resolve(&topic(key)).await?;
    Ok(to.iter().map(|to| (to.topic.to_string(), to.host.to_string())).collect())
}

/// Polls until `found`, for at most `limit`.
async fn until(
    limit: Duration,
    what: &str,
    mut found: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    while !found().await? {
        ensure!(Instant::now() < end, "after {limit:?} still not: {what}");
        sleep(POLL).await;
    }
    Ok(())
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
    let to = resolved(&matchmaker, "compute.host7").await?;
    ensure!(to == [("compute.host7".to_owned(), "host7".to_owned())]);

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
        let role = replica.ask(&["ROLE"])?;
        let promoted = matches!(role, Reply::List(role) if role.first() == Some(&Reply::Text("master".to_owned())));
        Ok(promoted && server_has(&replica, "compute.host1")? && matches!(process.status(), Status::Current))
    })
    .await?;
    process.register(&topic("network"), &host("host1")).await?;
    ensure!(replica.set("network")? == ["network.host1"]);
    Ok(())
}

/// The captured registrations and lookups of an original, step by step: the same keys, types and lives after each, where
/// the original is right.
#[tokio::test]
async fn the_keys_after_each_step_are_those_of_the_originals() -> anyhow::Result<()> {
    for release in ["1.8.3", "2.5.0"] {
        let server = RedisServer::start()?;
        let mut replayed = 0;
        for step in transcript(release)? {
            let name = step["step"].as_str().unwrap_or_default();
            if name.ends_with("on an empty server") {
                server.ask(&["FLUSHALL"])?;
            }
            // Another process each time, with the lives of the transcripts: 600 s, the default.
            let process = Redis::new(settings(&server.url())?);
            match call_in(name) {
                Some(("register" | "ack_alive", of, at)) => process.register(&topic(of), &host(at)).await?,
                Some(("unregister", of, at)) => process.unregister(&topic(of), &host(at)).await?,
                _ => {
                    // A lookup, or what befell the keys in between.
                    store(&server, &step["keyspace_after"])?;
                    continue;
                }
            }
            ensure!(keyspace(&server)? == step["keyspace_after"], "{release}, {name}: {}", keyspace(&server)?);
            replayed += 1;
        }
        ensure!(replayed >= 5, "{release}: only {replayed} steps");
    }
    Ok(())
}

/// Lookups over the keys that each release left: the live members, which is what the originals mean to find.
#[tokio::test]
async fn lookups_over_captured_keys_find_the_live_members() -> anyhow::Result<()> {
    for release in ["1.4.1", "1.8.3", "2.5.0"] {
        let server = RedisServer::start()?;
        let mut looked = 0;
        for step in transcript(release)? {
            let name = step["step"].as_str().unwrap_or_default();
            let keyspace = &step["keyspace_after"];
            store(&server, keyspace)?;
            let process = process(&server)?;
            for of in ["compute", "compute.host1"] {
                let members = keyspace[of]["value"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let alive = members.filter(|member| keyspace.get(member).is_some());
                let mut expected: Vec<_> =
                    alive.filter_map(|member| member.strip_prefix(of)?.strip_prefix('.')).collect();
                expected.sort_unstable();
                let found = hosts(&*process, of).await.with_context(|| format!("{release}, {name}"))?;
                ensure!(found == expected, "{release}, {name}: {of} is on {found:?}, not {expected:?}");
                looked += found.len();
            }
        }
        ensure!(looked >= 10, "{release}: only {looked} hosts found");
    }
    Ok(())
}

fn transcript(release: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!("{}/vectors/oslo/redis-{release}.json", env!("CARGO_MANIFEST_DIR"));
    let transcript: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    Ok(transcript["steps"].as_array().cloned().unwrap_or_default())
}

/// Of `register(compute, host1) again`: the three words.
fn call_in(step: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = step.split_once('(')?;
    let (arguments, _) = rest.split_once(')')?;
    let (of, at) = arguments.split_once(", ")?;
    Some((name, of, at))
}

/// The server's keys in the form of the transcripts.
fn keyspace(server: &RedisServer) -> anyhow::Result<Value> {
    let mut all = serde_json::Map::new();
    for (key, kind) in server.keys()? {
        let value = match kind.as_str() {
            "set" => json!(server.set(&key)?),
            _ => json!(""),
        };
        all.insert(key.clone(), json!({ "ttl": server.ttl(&key)?, "type": kind, "value": value }));
    }
    Ok(all.into())
}

/// Makes the server hold exactly these keys.
fn store(server: &RedisServer, keyspace: &Value) -> anyhow::Result<()> {
    server.ask(&["FLUSHALL"])?;
    for (key, held) in keyspace.as_object().into_iter().flatten() {
        match held["value"].as_array() {
            Some(members) => {
                for member in members {
                    server.ask(&["SADD", key, member.as_str().unwrap_or_default()])?;
                }
            }
            None => drop(server.ask(&["SET", key, ""])?),
        }
        if let Some(ttl) = held["ttl"].as_i64().filter(|&ttl| ttl > 0) {
            server.ask(&["EXPIRE", key, &ttl.to_string()])?;
        }
    }
    Ok(())
}

fn server_has(server: &RedisServer, key: &str) -> anyhow::Result<bool> {
    Ok(server.ask(&["EXISTS", key])? == Reply::Number(1))
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

/// How long a server that is back may go unnoticed: the longest pause between attempts, and a margin.
const BACK: Duration = Duration::from_secs(10);

/// How long Sentinels may take to meet, or to agree: a failover that collides with another is tried again.
const FAILOVER: Duration = Duration::from_secs(40);

const POLL: Duration = Duration::from_millis(20);
