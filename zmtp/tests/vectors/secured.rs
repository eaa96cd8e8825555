//! The captured conversations of PLAIN and CURVE: libzmq's octets, given to a connection of the same mechanism and the other role,
//! and a connection in libzmq's place, which has to write what libzmq wrote.

use zmtp::proto::{Greeting, Limits, Mechanism, PlainLogin, SocketType};

use super::replay::{Replay, Scenario, scenarios};

fn scenario(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).unwrap()
}

fn login() -> PlainLogin {
    PlainLogin::new("admin", "secret").unwrap()
}

fn server(socket_type: SocketType, admits: bool) -> Replay {
    Replay::secured(socket_type, Limits::default(), Mechanism::plain_server(), admits)
}

fn client(socket_type: SocketType) -> Replay {
    Replay::secured(socket_type, Limits::default(), Mechanism::plain_client(login()), true)
}

/// What a side of a scenario wrote, but for what differs without a meaning: the padding of the signature, and as-server,
/// which libzmq always leaves 0.
fn blurred(octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets.iter_mut().skip(1).take(8).for_each(|padding| *padding = 0);
    if let Some(as_server) = octets.get_mut(32) {
        *as_server = 0;
    }
    octets
}

#[test]
fn a_plain_client_of_libzmq_logs_in_to_ours() {
    for (admits, transcript) in [(true, "admin:secret? PUSH/3.1 [hi]"), (false, "admin:secret? !unauthorized")] {
        for cuts in [vec![], vec![1; 1000], vec![7; 1000]] {
            let mut ours = server(SocketType::Pull, admits);
            ours.feed(&scenario("plain_client.PUSH").streams(true)[0], cuts);
            assert_eq!(ours.finish(), transcript);
        }
    }
}

#[test]
fn our_plain_server_writes_what_libzmq_took() {
    let scenario = scenario("plain_client.PUSH");
    let mut ours = server(SocketType::Pull, true);
    ours.feed(&scenario.streams(true)[0], []);
    assert_eq!(blurred(&ours.written), blurred(&scenario.streams(false)[0]));
    assert_eq!(ours.written[32], 1, "RFC 24: the server says that it is");
}

#[test]
fn our_plain_client_logs_in_to_libzmq() {
    let scenario = scenario("plain_server.200");
    let mut ours = client(SocketType::Push);
    ours.feed(&scenario.streams(true)[0], []);
    assert_eq!(ours.transcript(), "PULL/3.1");
    let theirs = scenario.streams(false)[0].clone();
    assert_eq!(blurred(&theirs)[..ours.written.len()], blurred(&ours.written));
}

#[test]
fn a_refusal_by_libzmq_is_understood() {
    let mut ours = client(SocketType::Push);
    ours.feed(&scenario("plain_server.400").streams(true)[0], []);
    assert_eq!(ours.transcript(), "!peer-refused");
    // A status of 300 closes without a word.
    let mut ours = client(SocketType::Push);
    ours.feed(&scenario("plain_server.300").streams(true)[0], []);
    assert_eq!(ours.finish(), "!closed-in-handshake");
}

/// The server of the capture, with its keys and all that it drew at random, so that its octets come again.
#[cfg(feature = "curve")]
fn curve_server(conversation: &Scenario) -> Replay {
    use zmtp::proto::{Fresh, KeyPair, SecretKey};

    let secret = |name| SecretKey::from_octets(conversation.key(name));
    let fresh = [
        &conversation.key("sprime")[..],
        &conversation.step("WELCOME")[10..26],
        &conversation.step("INITIATE")[18..114],
    ];
    let fresh = Fresh::from_octets(&fresh.concat().try_into().unwrap());
    let mechanism = Mechanism::curve_server(KeyPair::from(secret("s")), fresh);
    Replay::secured(SocketType::Pull, Limits::default(), mechanism, true)
}

#[cfg(feature = "curve")]
#[test]
fn a_curve_client_of_libzmq_is_understood_and_answered_octet_by_octet() {
    let conversation = scenario("curve_client.PUSH");
    let client = zmtp::proto::PublicKey::from_octets(conversation.key("C"));
    for cuts in [vec![], vec![1; 5000], vec![97; 5000]] {
        let mut ours = curve_server(&conversation);
        ours.feed(&conversation.streams(true)[0], cuts);
        assert_eq!(blurred(&ours.written), blurred(&conversation.streams(false)[0]));
        assert_eq!(ours.finish(), format!("{client}? PUSH/3.1 [hello] [p1|p2]"));
    }
}

#[cfg(feature = "curve")]
#[test]
fn what_was_sealed_is_refused_altered_repeated_or_in_clear() {
    let conversation = scenario("curve_client.PUSH");
    let octets = conversation.streams(true)[0].clone();
    let messages = conversation.step("MESSAGE x3");
    let start = octets.len() - messages.len();
    let outcome = |octets: &[u8]| {
        let mut ours = curve_server(&conversation);
        ours.feed(octets, []);
        ours.finish()
    };
    assert!(outcome(&[&octets[..], &messages[..40]].concat()).ends_with("[p1|p2] !repeated"));
    assert!(outcome(&[&octets[..], b"\x00\x05hello"].concat()).ends_with("[p1|p2] !unexpected-command"));
    assert!(outcome(&[&octets[..], b"\x04\x07\x04PING\x00\x00"].concat()).ends_with("[p1|p2] !unexpected-command"));
    // An error, or an end within a frame that is longer now.
    let ends_badly = |octets: &[u8]| {
        let mut ours = curve_server(&conversation);
        ours.feed(octets, []);
        ours.connection.handle_eof().is_err() || !ours.connection.is_between_messages()
    };
    assert!(!ends_badly(&octets));
    for at in start..octets.len() {
        let mut altered = octets.clone();
        altered[at] ^= 0x10;
        assert!(ends_badly(&altered), "octet {at}");
    }
}

#[test]
fn no_other_mechanism_and_no_older_version_gets_past_plain() {
    let null = Greeting::encode("NULL", false);
    let mut revision_2 = null;
    revision_2[10] = 1;
    let cases = [(&null[..], "!mechanism"), (&revision_2[..], "!old-version"), (b"\x01\x00", "!old-version")];
    for (octets, transcript) in cases {
        for mut ours in [server(SocketType::Pull, true), client(SocketType::Pull)] {
            ours.feed(octets, []);
            assert_eq!(ours.finish(), transcript);
        }
    }
    let scenario = scenario("curve_server.downgrade_attempts");
    for octets in scenario.streams(false) {
        let mut ours = server(SocketType::Pull, true);
        ours.feed(&octets, []);
        assert!(ours.finish().starts_with('!'));
    }
}

#[test]
fn a_message_in_place_of_hello_gets_nowhere() {
    let mut ours = server(SocketType::Pull, true);
    ours.feed(&[&Greeting::encode("PLAIN", false)[..], b"\x00\x03msg"].concat(), []);
    assert_eq!(ours.finish(), "!unexpected-message");
}

#[test]
fn two_clients_do_not_talk_past_each_other() {
    let mut ours = client(SocketType::Pull);
    ours.feed(&scenario("plain_client.both_clients").streams(true)[0], []);
    assert_eq!(ours.finish(), "!unexpected-command");
}
