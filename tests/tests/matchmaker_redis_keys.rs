//! The keys that the Redis matchmaker writes and reads, held to the transcripts of the originals (`redis-*.json`).

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use matchmaker::{Backend, Locator, Redis, RedisSettings};
use serde_json::{Value, json};
use tests::lookup::{host, hosts, topic};
use tests::redis::RedisServer;

fn settings(url: &str) -> anyhow::Result<RedisSettings> {
    match url.parse()? {
        Locator::Redis(settings) => Ok(settings),
        other => bail!("{other:?} is no Redis"),
    }
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
            let process = Redis::new(RedisSettings { fresh_for: Duration::ZERO, ..settings(&server.url())? });
            for of in ["compute", "compute.host1"] {
                let members = keyspace[of]["value"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let alive = members.filter(|member| keyspace.get(member).is_some());
                let mut expected: Vec<_> =
                    alive.filter_map(|member| member.strip_prefix(of)?.strip_prefix('.')).collect();
                expected.sort_unstable();
                let found = hosts(&process, of).await.with_context(|| format!("{release}, {name}"))?;
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
