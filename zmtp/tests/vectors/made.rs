//! Octets made after the RFCs: `constructed`, which are right, and `negative`, most of which are wrong.

use zmtp::proto::{
    self, Limits, Message,
    SocketType::{self, Pub, Pull, Push, Sub},
};

use crate::replay::{Replay, hex, vectors};

/// What comes before the octets of a vector.
#[derive(Debug, Clone, Copy)]
enum After {
    /// Nothing; the peer's READY comes after them.
    Nothing,
    /// The peer's greeting.
    Greeting,
    /// Greeting and READY of a 3.0 peer.
    Ready30,
    /// Greeting and READY of a 3.1 peer.
    Ready31,
}

use After::{Greeting, Nothing, Ready30, Ready31};

/// Vector, what comes before, type of the connection that is fed, transcript up to here.
type Case = (&'static str, After, SocketType, &'static str);

const CONSTRUCTED: &[Case] = &[
    ("greeting.3.0.NULL.as_server=0", Nothing, Pull, "PUSH/3.0"),
    ("greeting.3.1.NULL.as_server=0", Nothing, Pull, "PUSH/3.1"),
    ("greeting.3.0.PLAIN.as_server=0", Nothing, Pull, "!mechanism"),
    ("greeting.3.0.PLAIN.as_server=1", Nothing, Pull, "!mechanism"),
    ("greeting.3.1.PLAIN.as_server=0", Nothing, Pull, "!mechanism"),
    ("greeting.3.1.PLAIN.as_server=1", Nothing, Pull, "!mechanism"),
    ("greeting.3.0.CURVE.as_server=0", Nothing, Pull, "!mechanism"),
    ("greeting.3.0.CURVE.as_server=1", Nothing, Pull, "!mechanism"),
    ("greeting.3.1.CURVE.as_server=0", Nothing, Pull, "!mechanism"),
    ("greeting.3.1.CURVE.as_server=1", Nothing, Pull, "!mechanism"),
    ("ready.REQ", Greeting, Pull, "!socket-type"),
    ("ready.REP", Greeting, Pull, "!socket-type"),
    ("ready.DEALER", Greeting, Pull, "!socket-type"),
    ("ready.ROUTER", Greeting, Pull, "!socket-type"),
    ("ready.PUB", Greeting, Sub, "PUB/3.1"),
    ("ready.XPUB", Greeting, Sub, "XPUB/3.1"),
    ("ready.SUB", Greeting, Pub, "SUB/3.1"),
    ("ready.XSUB", Greeting, Pub, "XSUB/3.1"),
    ("ready.PUSH", Greeting, Pull, "PUSH/3.1"),
    ("ready.PULL", Greeting, Push, "PULL/3.1"),
    ("ready.PAIR", Greeting, Pull, "!socket-type"),
    ("ready.PUSH.with_resource", Greeting, Pull, "PUSH/3.1"),
    ("error.400", Greeting, Pull, "!peer-refused"),
    // Its first octet, `^`, stands where the length of the name is: 94.
    ("error.400.as_libzmq_PLAIN_server_writes_it", Greeting, Pull, "!malformed-command"),
    ("ping.ttl15.ctx", Ready31, Pull, "PUSH/3.1"),
    ("pong.ctx", Ready31, Pull, "PUSH/3.1"),
    ("subscribe.3.1.A", Ready31, Pub, "SUB/3.1 +A"),
    ("cancel.3.1.A", Ready31, Pub, "SUB/3.1 -A"),
    ("subscribe.3.0.A", Ready30, Pub, "SUB/3.0 +A"),
    ("cancel.3.0.A", Ready30, Pub, "SUB/3.0 -A"),
    ("subscribe.3.1.empty", Ready31, Pub, "SUB/3.1 +"),
    ("subscribe.3.0.empty", Ready30, Pub, "SUB/3.0 +"),
    ("plain.hello.admin.secret", Greeting, Pull, "!unexpected-command"),
    ("plain.welcome", Greeting, Pull, "!unexpected-command"),
    ("plain.initiate.PUSH", Greeting, Pull, "!unexpected-command"),
    ("frame.empty", Ready31, Pull, "PUSH/3.1 []"),
    ("frame.hello", Ready31, Pull, "PUSH/3.1 [hello]"),
    ("frame.more.a_last.b", Ready31, Pull, "PUSH/3.1 [a|b]"),
    ("frame.255x.header", Ready31, Pull, "PUSH/3.1"),
    ("frame.256x.header", Ready31, Pull, "PUSH/3.1"),
    ("frame.256x.more.header", Ready31, Pull, "PUSH/3.1"),
    ("v2.greeting.PULL", Nothing, Push, "!old-version"),
    ("v1.anonymous_identity", Nothing, Pull, "!old-version"),
    ("v1.message.hello", Nothing, Pull, "!not-zmtp"),
];

const NEGATIVE: &[Case] = &[
    ("bad.sig.first_byte_00", Nothing, Pull, "!not-zmtp"),
    ("bad.http", Nothing, Pull, "!not-zmtp"),
    ("bad.sig.byte9_even", Nothing, Pull, "!old-version"),
    ("bad.revision.0", Nothing, Pull, "!old-version"),
    ("bad.revision.1_2", Nothing, Pull, "!old-version"),
    ("ok.major.4", Nothing, Pull, "PUSH/4.0"),
    ("bad.mechanism.mismatch", Nothing, Pull, "!mechanism"),
    ("bad.mechanism.lower", Nothing, Pull, "!mechanism"),
    ("bad.mechanism.garbage_after_nul", Nothing, Pull, "!mechanism"),
    ("bad.frame.reserved_bits", Ready31, Pull, "PUSH/3.1 !reserved-flags"),
    ("bad.frame.cmd_more", Ready31, Pull, "PUSH/3.1 !command-more"),
    ("bad.frame.len_msb", Ready31, Pull, "PUSH/3.1 !frame-too-large"),
    ("bad.frame.len_max", Ready31, Pull, "PUSH/3.1 !frame-too-large"),
    ("bad.frame.len_2^40", Ready31, Pull, "PUSH/3.1 !frame-too-large"),
    ("ok.frame.long_form_short_body", Ready31, Pull, "PUSH/3.1 [abc]"),
    ("bad.cmd.empty", Ready31, Pull, "PUSH/3.1 !malformed-command"),
    ("bad.cmd.name_len_0", Ready31, Pull, "PUSH/3.1 !malformed-command"),
    ("bad.cmd.name_overrun", Ready31, Pull, "PUSH/3.1 !malformed-command"),
    ("ok.cmd.unknown", Ready31, Pull, "PUSH/3.1 ?1"),
    ("bad.ready.wrong_type", Greeting, Pull, "!socket-type"),
    ("bad.ready.trailing_byte", Greeting, Pull, "!malformed-command"),
    ("bad.ready.value_overrun", Greeting, Pull, "!malformed-command"),
    ("bad.ready.value_ffffffff", Greeting, Pull, "!malformed-command"),
    ("bad.ready.zero_name", Greeting, Pull, "!malformed-command"),
    ("ok.ready.no_socket_type", Greeting, Pull, "!no-socket-type"),
    ("ok.ready.lowercase_name", Greeting, Pull, "PUSH/3.1"),
    ("bad.ping.no_ttl", Ready31, Pull, "PUSH/3.1 !malformed-command"),
    ("bad.ping.ctx17", Ready31, Pull, "PUSH/3.1"),
    ("bad.sub.4.3.4.topic246", Ready31, Pub, "SUB/3.1 !malformed-command"),
    ("bad.sub.v2encoder.topic255", Ready30, Pub, "SUB/3.0 - !reserved-flags"),
    ("bad.message_before_ready", Greeting, Pull, "!unexpected-message"),
    ("bad.ping_before_ready", Greeting, Pull, "!unexpected-command"),
    ("bad.hello_in_null", Greeting, Pull, "!unexpected-command"),
];

/// Where the name of a vector of `negative` and what is done with it part, and why.
const POLICY: &[(&str, &str)] = &[
    ("ok.ready.no_socket_type", "without a type the pair can't be checked; every known library sends one"),
    ("bad.ping.ctx17", "the first 16 octets are echoed, as libzmq does"),
];

fn check(name: &str, octets: &[u8], (_, after, to, expected): &Case) -> Replay {
    let made = &vectors()["constructed"];
    let greeting = |minor| hex(&made[format!("greeting.3.{minor}.NULL.as_server=0")]);
    let ready = hex(&made[match *to {
        Push => "ready.PULL",
        Pull => "ready.PUSH",
        Pub => "ready.SUB",
        _ => "ready.PUB",
    }]);
    let stream = match after {
        Nothing => [octets, &ready].concat(),
        Greeting => [&greeting(1), octets].concat(),
        Ready30 => [&greeting(0), &ready, octets].concat(),
        Ready31 => [&greeting(1), &ready, octets].concat(),
    };
    let [whole, cut] = [usize::MAX, 1].map(|step| {
        let mut replay = Replay::new(*to, Limits::default());
        replay.feed(&stream, std::iter::repeat(step));
        replay
    });
    assert_eq!(whole.transcript(), *expected, "{name}");
    assert_eq!(cut.transcript(), *expected, "{name}, octet by octet");
    whole
}

#[test]
fn constructed() {
    let vectors = vectors();
    let vectors = vectors["constructed"].as_object().unwrap();
    assert_eq!(vectors.len(), CONSTRUCTED.len());
    for case in CONSTRUCTED {
        check(case.0, &hex(&vectors[case.0]), case);
    }
}

#[test]
fn negative() {
    let vectors = vectors();
    let vectors = vectors["negative"].as_array().unwrap();
    assert_eq!(vectors.len(), NEGATIVE.len());
    for case in NEGATIVE {
        let (name, _, _, expected) = case;
        let vector = vectors.iter().find(|vector| vector["name"] == *name).unwrap();
        check(name, &hex(vector), case);
        let policy = POLICY.iter().any(|(excepted, _)| name == excepted);
        assert_eq!(expected.contains('!'), name.starts_with("bad.") != policy, "{name}");
    }
}

#[test]
fn our_own_octets() {
    let vectors = vectors();
    let made = |name: &str| hex(&vectors["constructed"][name]);
    let greeting = made("greeting.3.1.NULL.as_server=0");
    // The rest is not written until the peer has shown its version.
    let (version, rest) = greeting.split_at(proto::Greeting::VERSION_END);
    for (ours, peer) in [("PUSH", "PULL"), ("PULL", "PUSH"), ("PUB", "SUB"), ("SUB", "PUB")] {
        let mut replay = Replay::new(SocketType::parse(ours.as_bytes()).unwrap(), Limits::default());
        replay.write();
        assert_eq!(replay.written, version);
        replay.feed(version, []);
        assert_eq!(replay.written, greeting);
        replay.feed(rest, []);
        assert_eq!(replay.written, [greeting.clone(), made(&format!("ready.{ours}"))].concat());
        replay.feed(&made(&format!("ready.{peer}")), []);
        replay.written.clear();
        replay.feed(&made("ping.ttl15.ctx"), []);
        assert_eq!(replay.written, made("pong.ctx"));
    }
    for (minor, version) in [(0, "3.0"), (1, "3.1")] {
        let mut replay = Replay::new(Sub, Limits::default());
        replay.feed(&made(&format!("greeting.3.{minor}.NULL.as_server=0")), []);
        replay.feed(&made("ready.PUB"), []);
        replay.written.clear();
        replay.connection.subscribe(b"A");
        replay.connection.subscribe(b"");
        replay.connection.cancel(b"A");
        replay.write();
        let expected = ["subscribe.{}.A", "subscribe.{}.empty", "cancel.{}.A"].map(|n| made(&n.replace("{}", version)));
        assert_eq!(replay.written, expected.concat());
    }
    let wire = |message: Message| message.chunks().flat_map(|chunk| chunk.to_vec()).collect::<Vec<u8>>();
    assert_eq!(wire(Message::from("")), made("frame.empty"));
    assert_eq!(wire(Message::from("hello")), made("frame.hello"));
    assert_eq!(wire(Message::builder().more("a").last("b")), made("frame.more.a_last.b"));
    assert!(wire(Message::from(vec![b'x'; 255])).starts_with(&made("frame.255x.header")));
    assert!(wire(Message::from(vec![b'x'; 256])).starts_with(&made("frame.256x.header")));
    assert!(wire(Message::builder().more(vec![b'x'; 256]).last("")).starts_with(&made("frame.256x.more.header")));
}

#[test]
fn early_messages_are_accepted() {
    // RFC 23 lets a peer send messages right behind its READY; five `pipelining` scenarios tell what libzmq makes of
    // that, and none has octets. Whoever is in libzmq's place here takes the message, in one write or in three.
    let vectors = vectors();
    let made = |name: &str| hex(&vectors["constructed"][name]);
    let writes = [made("greeting.3.1.NULL.as_server=0"), made("ready.PUSH"), made("frame.hello")];
    let mut one = Replay::new(Pull, Limits::default());
    one.feed(&writes.concat(), []);
    assert_eq!(one.transcript(), "PUSH/3.1 [hello]");
    let mut three = Replay::new(Pull, Limits::default());
    for write in &writes {
        three.feed(write, []);
    }
    assert_eq!(three.transcript(), "PUSH/3.1 [hello]");
    assert_eq!(one.written, three.written);
}
