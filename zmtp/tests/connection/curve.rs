//! The handshake of CURVE with a peer that does one thing wrong: what the server, or the client, says to it.

use std::time::{Duration, Instant};

use zmtp::proto::{
    Connection, Event, Fresh, Greeting, KeyPair, Limits, Mechanism, Message, PublicKey, SecretKey, Setup, SocketType,
};

use super::pair::{messages, read, write_all};

fn connection(socket_type: SocketType, mechanism: Mechanism) -> Connection {
    let setup = Setup { socket_type, limits: Limits::default(), handshake_timeout: Duration::from_secs(1) };
    Connection::secured(setup, mechanism, Instant::now())
}

fn server(keys: &KeyPair) -> Connection {
    connection(SocketType::Pull, Mechanism::curve_server(keys.clone(), Fresh::generate().unwrap()))
}

fn client(server: PublicKey) -> Connection {
    let keys = KeyPair::generate().unwrap();
    connection(SocketType::Push, Mechanism::curve_client(keys, server, Fresh::generate().unwrap()))
}

/// A server and what a client wrote to it: HELLO, or with `welcomed` the INITIATE behind it.
fn before(welcomed: bool) -> (Connection, Vec<u8>) {
    let keys = KeyPair::generate().unwrap();
    let (mut server, mut client) = (server(&keys), client(keys.public()));
    read(&mut client, &write_all(&mut server)).unwrap();
    read(&mut server, &write_all(&mut client)).unwrap();
    read(&mut client, &write_all(&mut server)).unwrap();
    let hello = write_all(&mut client);
    assert_eq!(hello[..8], *b"\x04\xc8\x05HELLO");
    if !welcomed {
        return (server, hello);
    }
    read(&mut server, &hello).unwrap();
    read(&mut client, &write_all(&mut server)).unwrap();
    let initiate = write_all(&mut client);
    assert_eq!(initiate[9..18], *b"\x08INITIATE");
    (server, initiate)
}

/// A command in the long form, which any length has.
fn frame(body: &[u8]) -> Vec<u8> {
    [&[6][..], &(body.len() as u64).to_be_bytes(), body].concat()
}

/// What the server makes of the body of a command, changed by `change`.
fn refusal(welcomed: bool, change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    let (mut server, octets) = before(welcomed);
    let mut body = octets[if welcomed { 9 } else { 2 }..].to_vec();
    change(&mut body);
    let error = read(&mut server, &frame(&body)).unwrap_err();
    assert!(!server.is_ready());
    error.reason()
}

#[test]
fn unchanged_commands_are_no_fault() {
    for welcomed in [false, true] {
        let (mut server, octets) = before(welcomed);
        read(&mut server, &frame(&octets[if welcomed { 9 } else { 2 }..])).unwrap();
        assert_eq!(server.is_ready(), welcomed);
    }
}

#[test]
fn a_hello_of_another_length_is_malformed() {
    assert_eq!(refusal(false, |body| body.push(0)), "malformed-command");
    assert_eq!(refusal(false, |body| body.truncate(body.len() - 1)), "malformed-command");
    assert_eq!(refusal(false, |body| body.truncate(6)), "malformed-command");
}

#[test]
fn another_command_in_place_of_hello_is_unexpected() {
    assert_eq!(refusal(false, |body| body[1] = b'J'), "unexpected-command");
}

#[test]
fn a_hello_of_another_version_is_malformed() {
    assert_eq!(refusal(false, |body| body[6] = 2), "malformed-command");
    assert_eq!(refusal(false, |body| body[7] = 1), "malformed-command");
}

#[test]
fn a_hello_whose_key_proves_nothing_is_refused() {
    assert_eq!(refusal(false, |body| body[80..112].fill(0)), "box");
}

#[test]
fn an_initiate_that_is_cut_is_refused() {
    assert_eq!(refusal(true, |body| body.truncate(9)), "malformed-command");
    assert_eq!(refusal(true, |body| body.truncate(9 + 96)), "malformed-command");
    assert_eq!(refusal(true, |body| body.truncate(body.len() - 1)), "box");
    assert_eq!(refusal(true, |body| body.push(0)), "box");
}

#[test]
fn another_command_in_place_of_initiate_is_unexpected() {
    assert_eq!(refusal(true, |body| body[1] = b'J'), "unexpected-command");
}

#[test]
fn an_initiate_with_another_cookie_is_refused() {
    assert_eq!(refusal(true, |body| body[9 + 50] ^= 1), "malformed-command");
}

#[test]
fn an_initiate_whose_box_was_changed_is_refused() {
    assert_eq!(refusal(true, |body| body[9 + 96 + 8 + 30] ^= 1), "box");
    assert_eq!(refusal(true, |body| *body.last_mut().unwrap() ^= 1), "box");
}

/// However long the client's INITIATE is, the server holds 8 KiB of it at most (CVE-2019-13132).
#[test]
fn an_initiate_of_any_length_does_no_harm() {
    for more in (0..300).chain([1000, 4096, 7000, 7900]) {
        assert_eq!(refusal(true, |body| body.resize(body.len() + 1 + more, 7)), "box", "{more}");
    }
    for more in [8192, 10_000, 65_536, 1 << 20] {
        assert_eq!(refusal(true, |body| body.resize(body.len() + more, 7)), "frame-too-large", "{more}");
    }
}

/// A HELLO with a forged sender's address sends no more to that than it cost.
#[test]
fn no_answer_to_a_hello_is_longer_than_it() {
    let (mut server, hello) = before(false);
    read(&mut server, &hello).unwrap();
    let welcome = write_all(&mut server);
    assert_eq!((hello.len(), welcome.len()), (2 + 200, 2 + 168));
}

/// What a client wrote to one connection opens no other, not even of the same server.
#[test]
fn a_handshake_that_is_played_again_gets_nowhere() {
    let keys = KeyPair::generate().unwrap();
    let (mut first, mut client) = (server(&keys), client(keys.public()));
    let mut recorded = Vec::new();
    for _ in 0..4 {
        read(&mut client, &write_all(&mut first)).unwrap();
        let octets = write_all(&mut client);
        read(&mut first, &octets).unwrap();
        recorded.extend(octets);
    }
    client.send(Message::from("once").into());
    recorded.extend(write_all(&mut client));
    assert!(first.is_ready());
    let mut second = server(&keys);
    let error = read(&mut second, &recorded).unwrap_err();
    assert_eq!(error.to_string(), "malformed INITIATE command: not with the cookie of WELCOME");
}

/// Octets that come in place of sealed ones never reach the application, nor do those that come before any command.
#[test]
fn what_is_not_sealed_never_arrives() {
    for greeted in [false, true] {
        let mut server = server(&KeyPair::generate().unwrap());
        if greeted {
            read(&mut server, &Greeting::encode("CURVE", false)).unwrap();
        }
        let error = read(&mut server, b"\0\x05hello\0\x05hello\0\x05hello").unwrap_err();
        assert_eq!(error.reason(), if greeted { "unexpected-message" } else { "not-zmtp" });
    }
}

/// All zeros are a key with which every secret gives the same: with such a server's there is no secrecy to begin with.
#[test]
fn a_server_s_key_of_zeros_is_refused_by_the_client() {
    let mut client = client(PublicKey::from_octets([0; 32]));
    let error = read(&mut client, &Greeting::encode("CURVE", true)).unwrap_err();
    assert_eq!(error.reason(), "box");
    let mut greeting = write_all(&mut client);
    greeting.truncate(Greeting::LEN);
    assert_eq!(greeting, Greeting::encode("CURVE", false), "nothing but the greeting");
}

/// A client whose secret is all zeros has a public key like any other, which the server is asked about.
#[test]
fn a_secret_key_of_zeros_is_a_key_that_has_to_be_known() {
    let keys = KeyPair::generate().unwrap();
    let zeros = KeyPair::from(SecretKey::from_octets([0; 32]));
    let expected = zeros.public();
    let mechanism = Mechanism::curve_client(zeros, keys.public(), Fresh::generate().unwrap());
    let (mut server, mut client) = (server(&keys), connection(SocketType::Push, mechanism));
    for _ in 0..3 {
        read(&mut client, &write_all(&mut server)).unwrap();
        let octets = write_all(&mut client);
        let mut room = server.read_buffer();
        bytes::BufMut::put_slice(&mut room, &octets);
        server.handle_read();
        if let Some(Event::Authenticate(credentials)) = server.poll_event().unwrap() {
            assert_eq!(format!("{credentials:?}"), format!("{:?}", zmtp::proto::Credentials::Curve(expected)));
            assert_eq!(server.refuse("not known").reason(), "unauthorized");
            return;
        }
    }
    panic!("nobody was asked");
}

/// libzmq frames a sealed message as a message, the RFC as a command: both are read.
#[test]
fn sealed_messages_are_read_in_either_form() {
    for flags in [0, 4] {
        let keys = KeyPair::generate().unwrap();
        let (mut server, mut client) = (server(&keys), client(keys.public()));
        for _ in 0..4 {
            read(&mut client, &write_all(&mut server)).unwrap();
            read(&mut server, &write_all(&mut client)).unwrap();
        }
        client.send(Message::from("hello").into());
        let mut octets = write_all(&mut client);
        assert_eq!((octets[0], &octets[2..10]), (0, &b"\x07MESSAGE"[..]), "as libzmq does");
        octets[0] = flags;
        let arrived = messages(read(&mut server, &octets).unwrap());
        assert_eq!(arrived, [Message::from("hello")], "{flags}");
    }
}
