//! The matchmaker over its backends: what its parts cannot show alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::sync::Arc;

use matchmaker::{Backend, Binding, Exchange, Host, Locator, LookupError, MatchMaker, Memory, RingError, Start, Topic};

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

async fn registry(entries: &[(&str, &str)]) -> Arc<Memory> {
    let memory = Memory::new();
    for (name, at) in entries {
        memory.register(&topic(name), &host(at)).await.unwrap();
    }
    Arc::new(memory)
}

async fn hosts(matchmaker: &MatchMaker, key: &str) -> Vec<String> {
    let destinations = matchmaker.resolve(&topic(key)).await.unwrap();
    destinations.iter().map(|to| to.host.to_string()).collect()
}

#[tokio::test]
async fn the_first_binding_that_matches_answers_alone() {
    let registry = registry(&[("t", "h1"), ("t", "h2")]).await;
    let bindings = || vec![(Binding::Any, Exchange::Nobody), (Binding::Fanout, Exchange::Fanout)];
    let first = MatchMaker::with_bindings(registry.clone(), bindings());
    assert!(first.resolve(&topic("fanout~t")).await.is_err());

    let reversed = bindings().into_iter().rev().collect();
    let second = MatchMaker::with_bindings(registry.clone(), reversed);
    assert_eq!(hosts(&second, "fanout~t").await, ["h1", "h2"]);

    let nothing = MatchMaker::with_bindings(registry, Vec::new());
    let error = nothing.resolve(&topic("other")).await.unwrap_err();
    assert!(matches!(error, LookupError::NoHost { .. }));
}

/// A server's name need not be a host, as long as it is registered.
#[tokio::test]
async fn b37_a_server_is_found_where_it_registered() {
    let matchmaker = MatchMaker::new(registry(&[("engine.0f3c-uuid", "host1")]).await);
    assert_eq!(hosts(&matchmaker, "engine.0f3c-uuid").await, ["host1"]);
    assert_eq!(hosts(&matchmaker, "engine.host2").await, ["host2"]);
}

#[tokio::test]
async fn b36_an_ipv6_literal_is_a_host() {
    let matchmaker = MatchMaker::new(registry(&[("compute", "::1")]).await);
    for key in ["compute", "compute.::1"] {
        let to = matchmaker.resolve(&topic(key)).await.unwrap().remove(0);
        assert_eq!(to.topic.as_str(), "compute.::1");
        assert_eq!(to.host.with_port(9501), "[::1]:9501");
    }
}

#[tokio::test]
async fn a_failed_lookup_does_not_take_a_turn() {
    let registry = registry(&[]).await;
    let matchmaker = MatchMaker::new(registry.clone());
    for _ in 0..3 {
        assert!(matchmaker.resolve(&topic("t")).await.is_err());
    }
    for name in ["h1", "h2"] {
        matchmaker.register(&topic("t"), &host(name)).await.unwrap();
    }
    assert_eq!(hosts(&matchmaker, "t").await, ["h1"]);
    assert_eq!(hosts(&matchmaker, "t").await, ["h2"]);
    matchmaker.unregister(&topic("t"), &host("h2")).await.unwrap();
    assert_eq!(hosts(&matchmaker, "t").await, ["h1"]);
}

/// Short-lived processes need not all go to the first host.
#[tokio::test]
async fn b34_a_random_start_spreads_processes() {
    let registry = registry(&[("t", "h1"), ("t", "h2"), ("t", "h3")]).await;
    let mut first = HashSet::new();
    for _ in 0..64 {
        let process = MatchMaker::starting(Start::Random, registry.clone());
        first.extend(hosts(&process, "t").await);
    }
    assert_eq!(first.len(), 3);
}

#[tokio::test]
async fn a_topic_too_long_for_its_host_is_an_error_of_the_key() {
    let long = "x".repeat(250);
    let matchmaker = MatchMaker::new(registry(&[(&long, "controller1")]).await);
    let error = matchmaker.resolve(&topic(&long)).await.unwrap_err();
    assert!(matches!(error, LookupError::Key { .. }));
    assert!(error.source().unwrap().to_string().contains("262 octets"));
}

#[tokio::test]
async fn a_lookup_without_an_answer_names_the_next_step() {
    let registry = registry(&[("cinder-scheduler", "h1"), ("compute", "h1")]).await;
    let matchmaker = MatchMaker::new(registry);
    for (key, said) in [
        ("scheduler", r#"no host for topic "scheduler" in memory (2 topics; nearest: "cinder-scheduler")"#),
        ("fanout~network", r#"no host for topic "network" in memory (2 topics)"#),
    ] {
        let error = matchmaker.resolve(&topic(key)).await.unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

/// What two listeners announced stands until both have taken it back.
#[tokio::test]
async fn b17_an_announcement_stands_as_long_as_anybody_who_made_it() {
    let registry = registry(&[("compute", "h1"), ("compute", "h1")]).await;
    let matchmaker = MatchMaker::new(registry);
    matchmaker.unregister(&topic("compute"), &host("h1")).await.unwrap();
    assert_eq!(hosts(&matchmaker, "compute").await, ["h1"]);
    matchmaker.unregister(&topic("compute"), &host("h1")).await.unwrap();
    assert!(matchmaker.resolve(&topic("compute")).await.is_err());
}

/// B2: what is missing is told at construction. The names themselves are tested beside them.
#[test]
fn a_matchmaker_by_text_is_built_or_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring.json");
    let at = |text: &str| MatchMaker::at(&text.parse::<Locator>().unwrap(), &host("node1"));

    for text in ["local", "localhost", "stub"] {
        at(text).unwrap();
    }
    let text = format!("ring:{}", ring.display());
    assert!(matches!(at(&text), Err(RingError::Read { .. })));
    fs::write(&ring, "{}").unwrap();
    at(&text).unwrap();
}
