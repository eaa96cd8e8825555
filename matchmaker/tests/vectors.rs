//! Lookups as captured from the original matchmakers, and where ours deliberately differ.
//!
//! `tolerance-*.json` holds what the ring, localhost and stub matchmakers of three releases answered;
//! `redis-*.json` what the Redis matchmaker did.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matchmaker::{Absence, LookupError, MatchMaker, Memory, RingFile, Topic};
use serde_json::Value;

/// Topic for frame 1 and host, per copy; or why not.
type Answer = Result<Vec<(String, String)>, Refusal>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Not even a topic, so there is nothing to ask a matchmaker.
    NoTopic,
    /// A topic that names no host where it should.
    NoServer,
    /// Nobody has heard of the topic.
    Unknown,
    /// The topic has an empty list.
    NoHosts,
}

/// Where ours gives another answer than the original.
struct Deviation {
    matchmaker: &'static str,
    key: &'static str,
    /// In oslo-bugs, or the section of oslo-zmq that asks for it.
    because: &'static str,
    ours: Result<&'static [(&'static str, &'static str)], Refusal>,
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        matchmaker: "ring",
        key: "empty",
        because: "B34: an empty list raises StopIteration",
        ours: Err(Refusal::NoHosts),
    },
    Deviation {
        matchmaker: "ring",
        key: "cinder-volume.host1@lvm",
        because: "B1: no resolver knows host1@lvm",
        ours: Ok(&[("cinder-volume.host1@lvm", "host1")]),
    },
    Deviation {
        matchmaker: "localhost",
        key: "cinder-volume.host1@lvm",
        because: "B1: no resolver knows host1@lvm",
        ours: Ok(&[("cinder-volume.host1@lvm", "host1")]),
    },
    Deviation {
        matchmaker: "ring",
        key: "a.",
        because: "B2: an empty host is a bad address, and those are typed errors",
        ours: Err(Refusal::NoServer),
    },
    Deviation {
        matchmaker: "localhost",
        key: "a.",
        because: "B2: an empty host is a bad address, and those are typed errors",
        ours: Err(Refusal::NoServer),
    },
    Deviation {
        matchmaker: "localhost",
        key: "",
        because: "section 6: an empty topic is refused",
        ours: Err(Refusal::NoTopic),
    },
];

#[tokio::test]
async fn ring_lookups_are_those_of_the_originals() {
    for vectors in files("tolerance-") {
        let (_dir, ring) = ring_of(&vectors);
        assert_eq!(lookups(&vectors, "ring", &ring, |topic| topic).await, 23);
    }
}

#[tokio::test]
async fn localhost_lookups_are_those_of_the_originals_if_the_node_is_localhost() {
    for vectors in files("tolerance-") {
        let ours = MatchMaker::localhost("localhost".parse().unwrap());
        assert_eq!(lookups(&vectors, "localhost", &ours, |topic| topic).await, 19);
    }
}

/// B30: the originals end every topic in `.localhost`, under which no service listens.
#[tokio::test]
async fn localhost_lookups_end_in_the_name_of_the_node() {
    for vectors in files("tolerance-") {
        let ours = MatchMaker::localhost("host1".parse().unwrap());
        let node = |topic: String| match topic.strip_suffix(".localhost") {
            Some(topic) => format!("{topic}.host1"),
            None => topic,
        };
        assert_eq!(lookups(&vectors, "localhost", &ours, node).await, 19);
    }
}

/// B2: the original stub gives a topic and no host, which its driver then dials; ours says so.
#[tokio::test]
async fn the_stub_has_no_host_for_anything() {
    for vectors in files("tolerance-") {
        let mut asked = 0;
        for lookup in of(&vectors, "stub") {
            let originals = lookup["result"].as_array().unwrap();
            assert!(originals.iter().all(|pair| pair[1].is_null()), "{lookup}");
            let expected = match key(lookup) {
                "" => Refusal::NoTopic,
                _ => Refusal::Unknown,
            };
            assert_eq!(ask(&MatchMaker::stub(), key(lookup)).await, Err(expected), "{lookup}");
            asked += 1;
        }
        assert_eq!(asked, 19);
    }
}

/// B14: the original Redis matchmaker takes `fanout~` off, so that one worker of each host sees the
/// message. Whatever the registry, ours leaves it on.
#[tokio::test]
async fn a_fanout_is_a_fanout_over_any_registry() {
    for vectors in files("redis-") {
        let ours = MatchMaker::new(Arc::new(Memory::new()));
        let steps = vectors["steps"].as_array().unwrap();
        let step = |name: &str| steps.iter().find(|step| step["step"] == name).unwrap();
        for host in ["host1", "host2"] {
            step(&format!("register(compute, {host})"));
            let host = host.parse().unwrap();
            ours.register(&"compute".parse().unwrap(), &host).await.unwrap();
        }

        let originals = pairs(&step("queues(fanout~compute)")["result"]);
        let fanned = |(topic, host)| (format!("fanout~{topic}"), host);
        let expected: Vec<_> = originals.into_iter().map(fanned).collect();
        assert_eq!(ask(&ours, "fanout~compute").await, Ok(expected));

        let originals = pairs(&step("queues(compute.host2) directed")["result"]);
        assert_eq!(ask(&ours, "compute.host2").await, Ok(originals));
    }
}

/// Asks for each captured key in turn; `expected` is what becomes of an original's topic.
async fn lookups(vectors: &Value, name: &str, ours: &MatchMaker, expected: impl Fn(String) -> String) -> usize {
    let mut asked = 0;
    for lookup in of(vectors, name) {
        let key = key(lookup);
        let mut deviations = DEVIATIONS.iter();
        let deviation = deviations.find(|it| it.matchmaker == name && it.key == key);
        let ours = ask(ours, key).await;
        match deviation {
            Some(Deviation { ours: wanted, because, .. }) => {
                let text = |(topic, host): &(&str, &str)| (topic.to_string(), host.to_string());
                let wanted = wanted.map(|pairs| pairs.iter().map(text).collect());
                assert_eq!(ours, wanted, "{name} {key:?}: {because}");
                assert_ne!(ours, original(lookup), "{name} {key:?} does not deviate");
            }
            None => {
                let renamed = |(topic, host)| (expected(topic), host);
                let wanted = original(lookup).map(|pairs| pairs.into_iter().map(renamed).collect());
                assert_eq!(ours, wanted, "{name} {key:?}");
            }
        }
        asked += 1;
    }
    asked
}

async fn ask(ours: &MatchMaker, key: &str) -> Answer {
    let Ok(key) = key.parse::<Topic>() else {
        return Err(Refusal::NoTopic);
    };
    match ours.resolve(&key).await {
        Ok(destinations) => Ok(destinations.iter().map(|to| (to.topic.to_string(), to.host.to_string())).collect()),
        Err(LookupError::NoHost { absence: Absence::NoHosts, .. }) => Err(Refusal::NoHosts),
        Err(LookupError::NoHost { absence: Absence::UnknownTopic { .. }, .. }) => Err(Refusal::Unknown),
        Err(LookupError::Key { .. }) => Err(Refusal::NoServer),
        Err(error) => panic!("{key}: {error}"),
    }
}

/// An empty list is how the originals say that nobody is there; ours says which key it was.
fn original(lookup: &Value) -> Answer {
    match (key(lookup), pairs(&lookup["result"])) {
        ("", none) if none.is_empty() => Err(Refusal::NoTopic),
        ("fanout~empty", none) if none.is_empty() => Err(Refusal::NoHosts),
        (_, none) if none.is_empty() => Err(Refusal::Unknown),
        (_, pairs) => Ok(pairs),
    }
}

fn pairs(result: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |pair: &Value| (text(&pair[0]), text(&pair[1]));
    // What is no list is the name of an exception.
    result.as_array().into_iter().flatten().map(pair).collect()
}

fn of<'v>(vectors: &'v Value, matchmaker: &str) -> impl Iterator<Item = &'v Value> {
    let lookups = vectors["matchmaker_lookups"].as_array().unwrap();
    lookups.iter().filter(move |lookup| lookup["matchmaker"] == matchmaker)
}

fn key(lookup: &Value) -> &str {
    lookup["key"].as_str().unwrap()
}

fn ring_of(vectors: &Value) -> (tempfile::TempDir, MatchMaker) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring.json");
    fs::write(&path, vectors["ring"].to_string()).unwrap();
    let ring = RingFile::open(path).unwrap();
    (dir, MatchMaker::new(Arc::new(ring)))
}

/// The captures of all three releases.
fn files(prefix: &str) -> [Value; 3] {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/oslo");
    ["1.4.1", "1.8.3", "2.5.0"].map(|release| {
        let path: PathBuf = dir.join(format!("{prefix}{release}.json"));
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    })
}
