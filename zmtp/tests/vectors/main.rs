//! Replay of what real libzmq wrote and was given, and of octets made after the RFCs.
//!
//! Each capture is read three ways: libzmq's octets go to a connection of the opposite type; the octets that libzmq
//! was given go to a connection of libzmq's type; and, step by step, a connection in libzmq's place has to write the
//! octets that libzmq wrote. The first two give the same transcript however the octets are cut.
//!
//! A scenario that is neither in [`CASES`] nor excused by name fails a test, so a new capture can't go unnoticed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;
mod made;
mod old;
mod replay;
mod secured;

use std::collections::BTreeSet;

use bytes::Bytes;
use cases::{CASES, DIFFERENCES, NOT_PROTOCOL, PIPELINING, counterpart, limits, substitute};
use proptest::prelude::*;
use replay::{Replay, Scenario, scenarios};
use zmtp::proto::{Event, Limits, Message, ProtocolError, SocketType};

/// A stream of a scenario, the connection it goes to, and what is to come of it.
struct Stream {
    scenario: String,
    to: SocketType,
    limits: Limits,
    octets: Vec<u8>,
    expected: &'static str,
}

impl Stream {
    fn transcript(&self, cuts: impl IntoIterator<Item = usize>) -> String {
        let mut replay = Replay::new(self.to, self.limits);
        replay.feed(&self.octets, cuts);
        replay.finish()
    }
}

fn streams() -> Vec<Stream> {
    let mut streams = Vec::new();
    for scenario in scenarios() {
        let Some((_, libzmq, from_libzmq, from_peer)) = CASES.iter().find(|case| case.0 == scenario.name) else {
            continue;
        };
        let from_libzmq = (true, counterpart(*libzmq), Limits::default(), from_libzmq);
        let from_peer = (false, substitute(*libzmq), limits(&scenario.name), from_peer);
        for (side, to, limits, expected) in [from_libzmq, from_peer] {
            let octets = scenario.streams(side);
            let expected: Vec<&str> = expected.split(" / ").filter(|words| !words.is_empty()).collect();
            assert_eq!(octets.len(), expected.len(), "{}: one transcript for each connection", scenario.name);
            streams.extend(octets.into_iter().zip(expected).map(|(octets, expected)| Stream {
                scenario: scenario.name.clone(),
                to,
                limits,
                octets,
                expected,
            }));
        }
    }
    streams
}

#[test]
fn every_scenario_is_replayed_or_excused() {
    let scenarios = scenarios();
    let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let cases = CASES.iter().map(|case| case.0);
    let known: Vec<&str> = cases.chain(NOT_PROTOCOL.iter().map(|n| n.0)).chain(PIPELINING.iter().copied()).collect();
    assert_eq!(known.iter().copied().collect::<BTreeSet<_>>(), names);
    assert_eq!(known.len(), names.len(), "a scenario is named twice");
    for scenario in scenarios {
        let replayed = CASES.iter().any(|case| case.0 == scenario.name);
        assert_eq!(scenario.has_octets(), replayed, "{}: octets are there to be replayed", scenario.name);
    }
}

#[test]
fn transcripts_of_whole_streams() {
    for stream in streams() {
        assert_eq!(stream.transcript([]), stream.expected, "{} to {}", stream.scenario, stream.to);
    }
}

#[test]
fn transcripts_octet_by_octet() {
    for stream in streams() {
        assert_eq!(stream.transcript(std::iter::repeat(1)), stream.expected, "{} to {}", stream.scenario, stream.to);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn transcripts_at_any_cuts(cuts in prop::collection::vec(1usize..100, 1..30)) {
        for stream in streams() {
            let transcript = stream.transcript(cuts.iter().copied().cycle());
            prop_assert_eq!(transcript, stream.expected, "{} to {}", stream.scenario, stream.to);
        }
    }
}

#[test]
fn in_libzmqs_place() {
    let scenarios = scenarios();
    let mut differing = BTreeSet::new();
    for (name, libzmq, _, expected) in CASES {
        let scenario = scenarios.iter().find(|scenario| scenario.name == *name).unwrap();
        let ends = expected.contains('!');
        if ends != scenario.closed || !writes_the_same(scenario, *libzmq) {
            differing.insert(*name);
        }
    }
    let excused = |name: &&str| DIFFERENCES.iter().any(|(start, _)| name.starts_with(start));
    let surprising: Vec<&&str> = differing.iter().filter(|name| !excused(name)).collect();
    assert!(surprising.is_empty(), "not as libzmq: {surprising:#?}");
    for (start, why) in DIFFERENCES {
        let mut cases = CASES.iter().filter(|case| case.0.starts_with(start)).peekable();
        assert!(cases.peek().is_some(), "no such scenario: {start}");
        assert!(cases.all(|case| differing.contains(case.0)), "no difference any more: {start}, {why}");
    }
}

/// Plays libzmq's part against its captured peer: what libzmq wrote is read by a counterpart, and what that saw is
/// done by the connection in libzmq's place.
fn writes_the_same(scenario: &Scenario, libzmq: SocketType) -> bool {
    scenario.connections.iter().all(|steps| {
        let mut ours = Replay::new(substitute(libzmq), limits(&scenario.name));
        let mut reader = Replay::new(counterpart(libzmq), Limits::default());
        let mut theirs = Vec::new();
        for step in steps {
            if !step.from_libzmq {
                ours.feed(&step.octets, []);
                continue;
            }
            theirs.extend_from_slice(&step.octets);
            for event in reader.feed(&step.octets, []) {
                if ours.connection.is_ready() {
                    act(&mut ours, event);
                }
            }
            ours.write();
        }
        // The padding of the signature says nothing: libzmq writes the length of its identity there.
        for greeting in [&mut ours.written, &mut theirs] {
            greeting.iter_mut().skip(1).take(8).for_each(|padding| *padding = 0);
        }
        ours.written == theirs
    })
}

pub(crate) fn act(ours: &mut Replay, event: Event) {
    match event {
        Event::Run(run) => {
            for message in run {
                let frames = message.frames().map(Bytes::copy_from_slice);
                ours.connection.send(Message::from_frames(frames).unwrap().into());
            }
        }
        Event::Subscribe(prefix) => ours.connection.subscribe(&prefix),
        Event::Cancel(prefix) => ours.connection.cancel(&prefix),
        _ => {}
    }
}

#[test]
fn an_unfinished_handshake_ends_at_its_deadline() {
    let scenarios = scenarios();
    for name in ["handshake_timeout.greeting", "handshake_timeout.ready"] {
        let scenario = scenarios.iter().find(|scenario| scenario.name == name).unwrap();
        let mut replay = Replay::new(SocketType::Pull, Limits::default());
        replay.feed(&scenario.streams(false)[0], []);
        let deadline = replay.connection.poll_timeout().unwrap();
        replay.connection.handle_timeout(deadline - std::time::Duration::from_millis(1)).unwrap();
        let error = replay.connection.handle_timeout(deadline).unwrap_err();
        assert!(matches!(error, ProtocolError::HandshakeTimeout { .. }), "{name}: {error}");
    }
}
