//! Peers of ZMTP 2.0, where they are let in: the captures in which libzmq 4.3 spoke to one, replayed in libzmq's place,
//! and what libzmq 3.2.6 itself wrote.

use bytes::BufMut;
use zmtp::proto::{
    Decoder, Event, Item, Limits, Mechanism, Message, PlainLogin,
    SocketType::{self, Pub, Pull, Push, Sub},
};

use super::{
    act,
    replay::{Replay, Scenario, hex, scenarios},
};

/// Scenario, our type, transcript of what the peer wrote.
const CASES: [(&str, SocketType, &str); 7] = [
    ("zmtp2.0.PUSH", Push, "PULL/2.0"),
    ("zmtp2.0.PULL", Pull, "PUSH/2.0 [to-pull]"),
    ("zmtp2.0.PUB", Pub, "SUB/2.0 +to"),
    ("zmtp2.0.SUB", Sub, "PUB/2.0 [topic]"),
    ("zmtp2.0.XPUB", Pub, "SUB/2.0 +to"),
    ("zmtp2.0.XSUB", Sub, "PUB/2.0"),
    ("subscriptions_stepwise.SUB.peer2.0", Sub, "PUB/2.0"),
];

fn scenario(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).unwrap()
}

fn admitting(socket_type: SocketType) -> Replay {
    Replay::admitting_2_0(socket_type, Mechanism::null())
}

#[test]
fn transcripts_of_old_peers_at_any_cut() {
    for (name, ours, expected) in CASES {
        let octets = &scenario(name).streams(false)[0];
        for cut in [1, 2, 3, 5, 11, 13, 14, 15, 100] {
            let mut replay = admitting(ours);
            replay.feed(octets, std::iter::repeat(cut));
            assert_eq!(replay.finish(), expected, "{name} in pieces of {cut}");
        }
    }
}

#[test]
fn in_libzmqs_place_an_old_peer_reads_the_same_octets() {
    for (name, ours, _) in CASES.into_iter().filter(|case| !case.0.contains(".X")) {
        let mut replay = admitting(ours);
        let mut theirs = Vec::new();
        for step in &scenario(name).connections[0] {
            if !step.from_libzmq {
                replay.feed(&step.octets, []);
                continue;
            }
            // What libzmq said of its own accord; with a topic of 255 octets it breaks its stream.
            let greeting = GREETED.saturating_sub(theirs.len()).min(step.octets.len());
            let Some(events) = messages(&step.octets[greeting..]) else { break };
            for event in events {
                match (ours, event) {
                    (Sub, Event::Run(run)) => run.for_each(|message| {
                        let (kind, prefix) = message.frame(0).unwrap().split_first().unwrap();
                        let connection = &mut replay.connection;
                        if *kind == 1 { connection.subscribe(prefix) } else { connection.cancel(prefix) }
                    }),
                    (_, event) => act(&mut replay, event),
                }
            }
            theirs.extend_from_slice(&step.octets);
            replay.write();
        }
        assert!(theirs.len() >= GREETED, "{name}");
        // The padding of the signature says nothing: libzmq writes the length of its identity there.
        theirs[1..9].fill(0);
        assert_eq!(replay.written, theirs, "{name}");
    }
}

/// Type of its socket and of ours, transcript, what ours says of its own accord.
type Libzmq3 = (&'static str, SocketType, &'static str, fn(&mut Replay));

const LIBZMQ_3_2_6: [Libzmq3; 4] = [
    ("PUSH", Pull, "PUSH/2.0 [part1|x*300]", |_| {}),
    ("PULL", Push, "PULL/2.0", |ours| ours.connection.send(Message::from("hello").into())),
    ("PUB", Sub, "PUB/2.0 [topic news] [topic news]", |ours| ours.connection.subscribe(b"topic")),
    ("SUB", Pub, "SUB/2.0 +to", |ours| ours.connection.send(Message::from("topic news").into())),
];

#[test]
fn libzmq_3_2_6_is_understood_and_gets_what_it_took() {
    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/zmtp-2.0.json");
    let captures: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(captures).unwrap()).unwrap();
    for (libzmq, ours, expected, act) in LIBZMQ_3_2_6 {
        let steps = captures["captured"][libzmq]["steps"].as_array().unwrap();
        for cut in [1, 7, 1000] {
            let mut replay = admitting(ours);
            let (mut taken, mut acted) = (Vec::new(), false);
            for step in steps {
                match step["from"].as_str() {
                    Some("libzmq") => drop(replay.feed(&hex(step), std::iter::repeat(cut))),
                    _ => taken.extend(hex(step)),
                }
                if replay.connection.is_ready() && !std::mem::replace(&mut acted, true) {
                    act(&mut replay);
                    replay.write();
                }
            }
            assert_eq!(replay.written, taken, "to a {libzmq}");
            assert!(replay.finish().starts_with(expected), "{libzmq} in pieces of {cut}");
        }
    }
}

#[test]
fn an_identity_is_told_and_what_follows_it_at_once_is_read() {
    let octets = [HELLO, b"\x08", b"\x00\x02id", b"\x00\x02m1\x01\x01a\x00\x01b"].concat();
    let mut replay = admitting(Pull);
    let events = replay.feed(&octets, []);
    let Some(Event::Ready(peer)) = events.first() else { panic!("{events:?}") };
    assert_eq!(peer.properties.find(b"identity").unwrap(), "id");
    assert_eq!(peer.version, (2, 0));
    assert_eq!(replay.finish(), "PUSH/2.0 [m1] [a|b]");
}

#[test]
fn an_old_peer_that_breaks_the_rules_is_refused() {
    let long = [b"\x08\x02\x00\x00\x00\x00\x00\x00\x01\x00", &[b'i'; 256][..]].concat();
    let cases: [(SocketType, &[u8], &str); 8] = [
        // A PULL to our PULL, a type of no RFC.
        (Pull, b"\x07", "!socket-type"),
        (Pull, b"\x7f", "!socket-type"),
        // An identity of two frames, or of 256 octets.
        (Pull, b"\x08\x01\x01a\x00\x01b", "!too-many-frames"),
        (Pull, &long, "!frame-too-large"),
        // Commands came with ZMTP 3.
        (Pull, b"\x08\x04\x05\x04PING", "!reserved-flags"),
        (Pull, b"\x08\x00\x00\x04\x07\x04PING\x00\x00", "PUSH/2.0 !reserved-flags"),
        // A PUSH has its peer before the message that it may not get, however they come.
        (Push, b"\x07\x00\x00\x00\x01x", "PULL/2.0 !unexpected-message"),
        (Push, b"\x07\x00\x02id\x01\x01x", "PULL/2.0 !unexpected-message"),
    ];
    for (ours, octets, expected) in cases {
        for cut in [1, 1000] {
            let mut replay = admitting(ours);
            replay.feed(&[HELLO, octets].concat(), std::iter::repeat(cut));
            assert_eq!(replay.finish(), expected, "{}", octets.escape_ascii());
        }
    }
}

#[test]
fn no_mechanism_and_no_other_version_is_relaxed() {
    let octets = [HELLO, b"\x08\x00\x00\x00\x02m1"].concat();
    let login = || PlainLogin::new("a", "b").unwrap();
    let mechanisms = [Mechanism::plain_server(), Mechanism::plain_client(login()), Mechanism::null_server()];
    for mechanism in mechanisms {
        let mut replay = Replay::admitting_2_0(Pull, mechanism);
        replay.feed(&octets, []);
        assert_eq!(replay.finish(), "!old-version");
    }
    for name in ["zmtp1.0.PULL", "zmtp1.0.longform.PULL", "revision0.PULL", "zmtp2.0.revision2.PULL"] {
        let mut replay = admitting(Pull);
        replay.feed(&scenario(name).streams(false)[0], []);
        assert_eq!(replay.finish(), "!old-version", "{name}");
    }
    let mut replay = Replay::new(Pull, Limits::default());
    replay.feed(&octets, []);
    assert_eq!(replay.finish(), "!old-version", "and all that only where it is asked for");
}

/// What is in octets after the greeting, `None` when they are no frames.
fn messages(octets: &[u8]) -> Option<Vec<Event>> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.read_buffer().put_slice(octets);
    decoder.handle_read();
    let mut events = Vec::new();
    while let Some(item) = decoder.decode().ok()? {
        let Item::Run(run) = item else { return None };
        events.push(Event::Run(run));
    }
    decoder.is_between_messages().then_some(events)
}

/// Signature and revision of a ZMTP 2.0 peer.
const HELLO: &[u8] = b"\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x01";
/// Octets of our side's greeting and identity.
const GREETED: usize = 14;
