//! What holds of a connection with a security mechanism however its stream is cut.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use zmtp::proto::{Connection, Event, Limits, Mechanism, Message, PlainLogin, Setup, SocketType};

use super::{
    cuts,
    pair::{Cuts, Pair, messages, read, write_all},
    some_messages,
};

/// The mechanisms of a client and of its server.
type Roles = fn() -> [Mechanism; 2];

fn plain() -> [Mechanism; 2] {
    let login = PlainLogin::new("admin", "secret").unwrap();
    [Mechanism::plain_client(login), Mechanism::plain_server()]
}

#[cfg(feature = "curve")]
fn curve() -> [Mechanism; 2] {
    use zmtp::proto::{Fresh, KeyPair};

    let fresh = || Fresh::generate().unwrap();
    let [client, server] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let known = server.public();
    [Mechanism::curve_client(client, known, fresh()), Mechanism::curve_server(server, fresh())]
}

#[cfg(not(feature = "curve"))]
const ROLES: [Roles; 1] = [plain];
#[cfg(feature = "curve")]
const ROLES: [Roles; 2] = [plain, curve];

fn secured(socket_type: SocketType, mechanism: Mechanism, limits: Limits) -> Connection {
    let setup = Setup { socket_type, limits, handshake_timeout: Duration::from_secs(1) };
    Connection::secured(setup, mechanism, Instant::now())
}

/// After the handshake; `types` are of the client and of the server.
fn pair(types: [SocketType; 2], roles: Roles, cuts: Cuts, limits: Limits) -> Pair {
    let [client, server] = roles();
    let connections = [secured(types[0], client, limits), secured(types[1], server, limits)];
    Pair::of(connections, cuts).after_handshake()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn messages_arrive_equal_and_in_order(sent in some_messages(), cuts in cuts()) {
        for roles in ROLES {
            // The sender is the client, then the server.
            for (types, sender) in [([SocketType::Push, SocketType::Pull], 0), ([SocketType::Sub, SocketType::Pub], 1)] {
                let mut pair = pair(types, roles, cuts.clone(), Limits::default());
                for message in &sent {
                    pair.sides[sender].connection.send(message.clone().into());
                }
                pair.run();
                prop_assert_eq!(pair.sides[sender].connection.messages_written(), sent.len() as u64);
                let received = std::mem::take(&mut pair.sides[1 - sender].events);
                prop_assert_eq!(&messages(received), &sent);
            }
        }
    }

    #[test]
    fn what_was_not_written_whole_goes_back(sent in some_messages(), written in 0usize..200_000) {
        for roles in ROLES {
            let mut pair = pair([SocketType::Push, SocketType::Pull], roles, Cuts::of(vec![usize::MAX]), Limits::default());
            let [pusher, puller] = &mut pair.sides;
            for message in &sent {
                pusher.connection.send(message.clone().into());
            }
            let octets = {
                let mut rest = written;
                let mut octets = Vec::new();
                while rest > 0 && pusher.connection.wants_write() {
                    let some = super::pair::write(&mut pusher.connection, rest);
                    rest -= some.len();
                    octets.extend(some);
                }
                octets
            };
            let arrived = messages(read(&mut puller.connection, &octets).unwrap());
            let unsent: Vec<Message> = pusher.connection.take_unsent().into_iter().flatten().collect();
            prop_assert_eq!([arrived, unsent].concat(), sent.clone());
        }
    }
}

#[test]
fn subscriptions_go_through() {
    for roles in ROLES {
        let types = [SocketType::Sub, SocketType::Pub];
        let mut pair = pair(types, roles, Cuts::of(vec![13]), Limits::default());
        pair.sides[0].connection.subscribe(b"a");
        pair.sides[0].connection.subscribe(&[b't'; 300]);
        pair.sides[0].connection.cancel(b"a");
        pair.run();
        let [Event::Subscribe(a), Event::Subscribe(t), Event::Cancel(b)] = &pair.sides[1].events[..] else {
            panic!("{:?}", pair.sides[1].events)
        };
        assert_eq!((&a[..], t.len(), &b[..]), (&b"a"[..], 300, &b"a"[..]));
    }
}

#[test]
fn limits_hold_for_what_is_sealed() {
    let limits = Limits { max_frame: 100, max_message: 150, max_frames: 3, ..Limits::default() };
    let message = |sizes: &[usize]| Message::from_frames(sizes.iter().map(|size| Bytes::from(vec![7; *size]))).unwrap();
    for roles in ROLES {
        let outcome = |sizes: &[usize]| {
            let types = [SocketType::Push, SocketType::Pull];
            let mut pair = pair(types, roles, Cuts::of(vec![usize::MAX]), limits);
            pair.sides[0].connection.send(message(sizes).into());
            let octets = write_all(&mut pair.sides[0].connection);
            read(&mut pair.sides[1].connection, &octets).map(|events| events.len()).map_err(|error| error.reason())
        };
        for sizes in [&[100][..], &[100, 50], &[50, 50, 50], &[0, 0, 0]] {
            assert_eq!(outcome(sizes), Ok(1), "{sizes:?}");
        }
        assert_eq!(outcome(&[101]), Err("frame-too-large"));
        assert_eq!(outcome(&[100_000]), Err("frame-too-large"));
        assert_eq!(outcome(&[100, 51]), Err("message-too-large"));
        assert_eq!(outcome(&[1, 1, 1, 1]), Err("too-many-frames"));
    }
}

#[test]
fn a_refused_peer_learns_that_it_was() {
    for roles in ROLES {
        let [client, server] = roles();
        let mut client = secured(SocketType::Push, client, Limits::default());
        let mut server = secured(SocketType::Pull, server, Limits::default());
        let mut asked = false;
        while !asked {
            read(&mut client, &write_all(&mut server)).unwrap();
            let octets = write_all(&mut client);
            let mut room = server.read_buffer();
            bytes::BufMut::put_slice(&mut room, &octets);
            server.handle_read();
            asked = matches!(server.poll_event(), Ok(Some(Event::Authenticate(_))));
        }
        // Nothing happens while the question is open.
        assert!(matches!(server.poll_event(), Ok(None)));
        let ours = server.refuse("not on the list");
        assert_eq!(server.poll_event().unwrap_err(), ours);
        server.authorize();
        assert_eq!(server.poll_event().unwrap_err().reason(), "unauthorized");
        let theirs = read(&mut client, &write_all(&mut server)).unwrap_err();
        assert_eq!(theirs.to_string(), r#"peer refused: ERROR "400""#);
    }
}

#[test]
fn no_secret_is_printed() {
    let [client, _] = plain();
    let client = secured(SocketType::Push, client, Limits::default());
    assert!(!format!("{client:?}").contains("secret"));
}

#[cfg(feature = "curve")]
#[test]
fn nothing_of_a_message_is_on_the_wire() {
    let mut pair = pair([SocketType::Push, SocketType::Pull], curve, Cuts::of(vec![usize::MAX]), Limits::default());
    pair.sides[0].connection.send(Message::from("nobody should read this").into());
    let octets = write_all(&mut pair.sides[0].connection);
    assert!(!octets.windows(6).any(|window| window == b"nobody"));
    assert_eq!(octets.len(), 2 + 33 + "nobody should read this".len());
}

#[cfg(feature = "curve")]
#[test]
fn a_server_with_another_key_is_not_talked_to() {
    use zmtp::proto::{Fresh, KeyPair};

    let [client, impostor, expected] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let client = Mechanism::curve_client(client, expected.public(), Fresh::generate().unwrap());
    let mut client = secured(SocketType::Push, client, Limits::default());
    let impostor = Mechanism::curve_server(impostor, Fresh::generate().unwrap());
    let mut impostor = secured(SocketType::Pull, impostor, Limits::default());
    read(&mut client, &write_all(&mut impostor)).unwrap();
    read(&mut impostor, &write_all(&mut client)).unwrap();
    read(&mut client, &write_all(&mut impostor)).unwrap();
    let error = read(&mut impostor, &write_all(&mut client)).unwrap_err();
    assert_eq!(error.reason(), "box");
}
