//! What is asked of Redis, command by command (oslo-zmq, section 7.1).
//!
//! What always holds: a change is one transaction, so nobody sees a member without its life
//! (oslo-bugs B15, B43); a lookup changes nothing; a key of the other release's type is an answer,
//! not a failure (oslo-bugs B13). Only [`expire`] removes what others announced, and Redis itself
//! decides there, in one step, what is dead.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value};

use crate::exchange::Member;
use crate::name::{Host, Topic};
use crate::redis::keys;

/// Announces that these hosts serve these topics for `ttl` from now, each in a transaction.
///
/// The keys are those of 1.8.3, which 1.4.1 reads as well. Where 1.4.1 left a string, it stays, and
/// lives on.
pub(super) async fn register(
    connection: &mut MultiplexedConnection,
    pairs: &[(Topic, Host)],
    ttl: Duration,
) -> Result<(), RedisError> {
    for some in pairs.chunks(PIPELINE) {
        let mut pipeline = redis::pipe();
        for (topic, host) in some {
            let member = keys::member(topic, host);
            pipeline.cmd("MULTI");
            pipeline.cmd("SADD").arg(topic.as_str()).arg(&member);
            pipeline.cmd("SADD").arg(&member).arg("");
            pipeline.cmd("EXPIRE").arg(&member).arg(ttl.as_secs().max(1));
            pipeline.cmd("EXEC");
        }
        tolerant(connection, &mut pipeline).await?;
    }
    Ok(())
}

/// Takes one announcement back: all of it, and nothing else (oslo-bugs B17).
///
/// The liveness key may also be the set of a directed topic. It loses its `""` only, and is gone if
/// that was all; a string of 1.4.1 goes whole.
pub(super) async fn unregister(
    connection: &mut MultiplexedConnection,
    topic: &Topic,
    host: &Host,
) -> Result<(), RedisError> {
    let member = keys::member(topic, host);
    let mut command = redis::cmd("EVAL");
    command.arg(UNREGISTER).arg(2).arg(topic.as_str()).arg(&member);
    command.query_async(connection).await
}

/// The hosts that are announced for `topic` and alive, sorted.
pub(super) async fn members(connection: &mut MultiplexedConnection, topic: &Topic) -> Result<Vec<Member>, RedisError> {
    let sets = sets(connection, std::slice::from_ref(topic)).await?;
    let hosts = sets.into_values().next().unwrap_or_default();
    let mut alive = Vec::with_capacity(hosts.len());
    for some in hosts.chunks(PIPELINE) {
        let mut pipeline = redis::pipe();
        for host in some {
            pipeline.cmd("EXISTS").arg(keys::member(topic, host));
        }
        let there: Vec<bool> = pipeline.query_async(connection).await?;
        let some = some.iter().zip(there);
        alive.extend(some.filter(|(_, there)| *there).map(|(host, _)| Member::from(host.clone())));
    }
    Ok(alive)
}

/// All keys that could be topics or signs of life; None if there are more than `most`.
pub(super) async fn keys(
    connection: &mut MultiplexedConnection,
    most: usize,
) -> Result<Option<HashSet<String>>, RedisError> {
    let mut found = HashSet::new();
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(PIPELINE);
        let (next, some): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
        found.extend(some.into_iter().filter_map(|key| String::from_utf8(key).ok()));
        if found.len() > most {
            return Ok(None);
        }
        if next == 0 {
            return Ok(Some(found));
        }
        cursor = next;
    }
}

/// The hosts announced for each of these topics, dead or alive, sorted; topics without any left out.
pub(super) async fn sets(
    connection: &mut MultiplexedConnection,
    topics: &[Topic],
) -> Result<BTreeMap<Topic, Vec<Host>>, RedisError> {
    let mut found = BTreeMap::new();
    for some in topics.chunks(PIPELINE) {
        let mut pipeline = redis::pipe();
        for topic in some {
            pipeline.cmd("SMEMBERS").arg(topic.as_str());
        }
        for (topic, answer) in some.iter().zip(tolerant(connection, &mut pipeline).await?) {
            let mut hosts: Vec<_> = texts(answer).filter_map(|member| keys::host(topic, &member)).collect();
            hosts.sort();
            if !hosts.is_empty() {
                found.insert(topic.clone(), hosts);
            }
        }
    }
    Ok(found)
}

/// Removes those of these hosts from `topic` that are dead when Redis comes to it. Returns them.
pub(super) async fn expire(
    connection: &mut MultiplexedConnection,
    topic: &Topic,
    hosts: &[Host],
) -> Result<Vec<Host>, RedisError> {
    let mut command = redis::cmd("EVAL");
    command.arg(EXPIRE).arg(hosts.len() + 1).arg(topic.as_str());
    for host in hosts {
        command.arg(keys::member(topic, host));
    }
    let removed: Vec<Vec<u8>> = command.query_async(connection).await?;
    Ok(removed.iter().filter_map(|member| keys::host(topic, member)).collect())
}

/// Answers one by one, None for a key of another type. Any other refusal fails them all.
async fn tolerant(
    connection: &mut MultiplexedConnection,
    pipeline: &mut Pipeline,
) -> Result<Vec<Option<Value>>, RedisError> {
    let answers: Vec<Result<Value, RedisError>> = pipeline.ignore_errors().query_async(connection).await?;
    let answers = answers.into_iter().map(|answer| match answer {
        Ok(Value::Array(inner)) => {
            // Of a transaction: the refusals stand among its answers.
            for one in &inner {
                if let Value::ServerError(error) = one
                    && error.code() != WRONG_TYPE
                {
                    return Err(error.clone().into());
                }
            }
            Ok(Some(Value::Array(inner)))
        }
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some(WRONG_TYPE) => Ok(None),
        Err(error) => Err(error),
    });
    answers.collect()
}

/// The texts of a set or list.
fn texts(answer: Option<Value>) -> impl Iterator<Item = Vec<u8>> {
    let items = match answer {
        Some(Value::Array(items) | Value::Set(items)) => items,
        _ => Vec::new(),
    };
    items.into_iter().filter_map(|item| match item {
        Value::BulkString(text) => Some(text),
        _ => None,
    })
}

const WRONG_TYPE: &str = "WRONGTYPE";

/// KEYS: topic, member.
const UNREGISTER: &str = "\
if redis.call('TYPE', KEYS[1]).ok == 'set' then redis.call('SREM', KEYS[1], KEYS[2]) end
if redis.call('TYPE', KEYS[2]).ok == 'set' then redis.call('SREM', KEYS[2], '') else redis.call('DEL', KEYS[2]) end";

/// KEYS: topic, members. Returns the members it removed.
const EXPIRE: &str = "\
local removed = {}
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 and redis.call('SREM', KEYS[1], KEYS[i]) == 1 then
    removed[#removed + 1] = KEYS[i]
  end
end
return removed";

/// Commands sent at once: enough that the way there and back no longer counts, and few enough that
/// other users of the server are not held up.
const PIPELINE: usize = 500;
