//! What holds of a connection however its stream is cut.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod pair;
mod secured;
#[cfg(feature = "curve")]
mod curve;

use std::time::Duration;

use bytes::BufMut;
use pair::{Cuts, Pair, connection, frames_on_the_wire, hello, items, messages, read, ready, wire, write, write_all};
use proptest::prelude::*;
use zmtp::proto::{Event, Greeting, Limits, Message, ProtocolError, SocketType};

/// Less than a header, less than a buffer, more than one; the last is never small, so that large messages get through.
fn cuts() -> impl Strategy<Value = Cuts> {
    let size = prop_oneof![4 => 1usize..20, 3 => 20usize..3000, 2 => 3000usize..70_000, 1 => Just(usize::MAX)];
    let sizes = (prop::collection::vec(size, 0..40), 1000usize..70_000);
    sizes.prop_map(|(mut sizes, last)| {
        sizes.push(last);
        Cuts::of(sizes)
    })
}

/// Sizes where the form of the header, the page or the way of a frame changes.
fn frame_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        40 => 0usize..40,
        20 => prop::sample::select(&[0, 1, 254, 255, 256, 257][..]),
        3 => prop::sample::select(&[8191, 8192, 8193][..]),
        2 => 32usize << 10..=70 << 10,
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let count = prop_oneof![6 => 1usize..5, 1 => 5usize..=100];
    let frames = count.prop_flat_map(|count| prop::collection::vec((frame_size(), any::<u8>()), count));
    frames.prop_map(|frames| Message::from_frames(frames.into_iter().map(|(size, fill)| vec![fill; size])).unwrap())
}

fn some_messages() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(message(), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn messages_arrive_equal_and_in_order(sent in some_messages(), cuts in cuts()) {
        for types in [[SocketType::Push, SocketType::Pull], [SocketType::Pub, SocketType::Sub]] {
            let mut pair = Pair::ready(types, cuts.clone(), false);
            for message in &sent {
                pair.sides[0].connection.send(message.clone().into());
            }
            pair.run();
            prop_assert_eq!(pair.sides[0].connection.messages_written(), sent.len() as u64);
            let [_, receiver] = pair.sides;
            prop_assert_eq!(&messages(receiver.events), &sent);
        }
    }

    #[test]
    fn runs_are_forwarded_as_they_came(sent in some_messages(), cuts in cuts()) {
        let mut first = Pair::ready([SocketType::Push, SocketType::Pull], cuts.clone(), false);
        let mut second = Pair::ready([SocketType::Push, SocketType::Pull], cuts, false);
        for message in &sent {
            first.sides[0].connection.send(message.clone().into());
        }
        first.run();
        let [_, forwarder] = first.sides;
        for event in forwarder.events {
            let Event::Run(run) = event else { panic!("{event:?}") };
            second.sides[0].connection.send(run);
        }
        second.run();
        let [_, receiver] = second.sides;
        prop_assert_eq!(&messages(receiver.events), &sent);
    }

    #[test]
    fn subscriptions_arrive_in_both_forms(
        asked in prop::collection::vec((any::<bool>(), prop_oneof![0usize..5, 240usize..260]), 1..20),
        cuts in cuts(),
    ) {
        for as_3_0 in [false, true] {
            let mut pair = Pair::ready([SocketType::Sub, SocketType::Pub], cuts.clone(), as_3_0);
            for (subscribe, size) in &asked {
                let prefix = vec![b't'; *size];
                let subscriber = &mut pair.sides[0].connection;
                if *subscribe { subscriber.subscribe(&prefix) } else { subscriber.cancel(&prefix) }
            }
            pair.run();
            let [_, publisher] = pair.sides;
            let arrived: Vec<(bool, usize)> = publisher.events.iter().map(|event| match event {
                Event::Subscribe(prefix) => (true, prefix.len()),
                Event::Cancel(prefix) => (false, prefix.len()),
                other => panic!("{other:?}"),
            }).collect();
            prop_assert_eq!(&arrived, &asked);
        }
    }

    #[test]
    fn a_ping_between_any_frames_is_answered_and_cuts_no_message(
        sent in some_messages(),
        at in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        mut cuts in cuts(),
    ) {
        let frames: Vec<Vec<u8>> = sent.iter().flat_map(frames_on_the_wire).collect();
        let before: Vec<usize> = at.iter().map(|at| at.index(frames.len() + 1)).collect();
        let mut wire = Vec::new();
        for (n, frame) in frames.iter().map(Some).chain([None]).enumerate() {
            if before.contains(&n) {
                wire.extend_from_slice(b"\x04\x0b\x04PING\x00\x00ping");
            }
            wire.extend(frame.into_iter().flatten());
        }
        let mut puller = ready(SocketType::Pull, SocketType::Push);
        let (mut events, mut written) = (Vec::new(), Vec::new());
        let mut rest = &wire[..];
        while let Some(octets) = rest.split_off(..cuts.next().min(rest.len())).filter(|octets| !octets.is_empty()) {
            events.extend(read(&mut puller, octets).unwrap());
            written.extend(write_all(&mut puller));
        }
        prop_assert_eq!(&messages(events), &sent);
        let (none, answers) = items(&written);
        prop_assert!(none.is_empty());
        prop_assert!((1..=before.len()).contains(&answers.len()));
        prop_assert!(answers.iter().all(|answer| answer == &b"\x04PONGping"[..]));
    }

    #[test]
    fn an_answer_to_a_ping_cuts_no_message_of_ours(sent in some_messages(), mut cuts in cuts(), often in 1u32..20) {
        let mut pusher = ready(SocketType::Push, SocketType::Pull);
        for message in &sent {
            pusher.send(message.clone().into());
        }
        let (mut written, mut last) = (Vec::new(), 0u32);
        for turn in 1.. {
            if turn % often == 0 && turn < 100 {
                last = turn;
                let ping = [&b"\x04\x0b\x04PING\x00\x00"[..], &turn.to_be_bytes()].concat();
                prop_assert!(read(&mut pusher, &ping).unwrap().is_empty());
            }
            if !pusher.wants_write() {
                break;
            }
            written.extend(write(&mut pusher, cuts.next()));
        }
        written.extend(write_all(&mut pusher));
        let (messages, answers) = items(&written);
        prop_assert_eq!(&messages, &sent);
        let answers: Vec<u32> = answers.iter().map(|body| u32::from_be_bytes(body[5..].try_into().unwrap())).collect();
        prop_assert!(answers.is_sorted() && answers.last().is_none_or(|answer| *answer == last), "{:?} {}", answers, last);
    }

    #[test]
    fn what_is_unsent_and_what_was_written_is_what_was_sent(
        sent in some_messages(),
        together in any::<bool>(),
        part in 0.0..=1.0f64,
    ) {
        let mut pusher = ready(SocketType::Push, SocketType::Pull);
        let wire: Vec<u8> = sent.iter().flat_map(wire).collect();
        if together {
            // As a forwarder has them: several messages in one run.
            let mut puller = ready(SocketType::Pull, SocketType::Push);
            for event in read(&mut puller, &wire).unwrap() {
                let Event::Run(run) = event else { panic!("{event:?}") };
                pusher.send(run);
            }
        } else {
            sent.iter().for_each(|message| pusher.send(message.clone().into()));
        }
        let most = (part * wire.len() as f64) as usize;
        let mut written = Vec::new();
        while written.len() < most {
            written.extend(write(&mut pusher, most - written.len()));
        }
        prop_assert_eq!(&written[..], &wire[..most]);
        let unsent: Vec<Message> = pusher.take_unsent().into_iter().flatten().collect();
        let whole = items(&written).0;
        prop_assert_eq!(pusher.messages_written(), whole.len() as u64);
        prop_assert_eq!([whole, unsent].concat(), sent);
        prop_assert!(!pusher.wants_write());
    }

    #[test]
    fn nothing_but_greeting_and_ready_before_the_peers_ready(cuts in cuts()) {
        let mut pair = Pair::new([SocketType::Push, SocketType::Pull], cuts);
        let mut written = Vec::new();
        while pair.sides[0].events.is_empty() {
            let octets = { let most = pair.cuts.next(); write(&mut pair.sides[0].connection, most) };
            written.extend_from_slice(&octets);
            pair.sides[1].incoming.extend(octets);
            pair.deliver(1);
            pair.transmit(1);
            pair.deliver(0);
        }
        prop_assert!(hello(SocketType::Push).starts_with(&written));
        pair.sides[0].connection.send(Message::from("first").into());
        pair.run();
        let [_, puller] = pair.sides;
        prop_assert_eq!(puller.events.len(), 2);
    }
}

#[test]
fn a_later_major_version_is_spoken_to_as_3_1() {
    let mut subscriber = connection(SocketType::Sub, Limits::default());
    let mut stream = hello(SocketType::Pub);
    (stream[10], stream[11]) = (4, 0);
    read(&mut subscriber, &stream).unwrap();
    write_all(&mut subscriber);
    subscriber.subscribe(b"A");
    assert_eq!(write_all(&mut subscriber), b"\x04\x0b\x09SUBSCRIBEA");
}

#[test]
fn an_answer_waits_for_greeting_and_ready() {
    // The peer writes a PING right behind its READY, and nothing of ours is written yet.
    let mut puller = connection(SocketType::Pull, Limits::default());
    let stream = [&hello(SocketType::Push)[..], b"\x04\x08\x04PING\x00\x00p"].concat();
    read(&mut puller, &stream).unwrap();
    let expected = [&hello(SocketType::Pull)[..], b"\x04\x06\x04PONGp"].concat();
    assert_eq!(write_all(&mut puller).escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn a_message_before_ready_is_refused_at_its_header() {
    let mut puller = connection(SocketType::Pull, Limits::default());
    let stream = [&Greeting::encode("NULL", false)[..], b"\x02\x00\x00\x00\x00\x03\xff\xff\xff"].concat();
    let error = read(&mut puller, &stream).unwrap_err();
    assert_eq!(error, ProtocolError::UnexpectedMessage { state: "before READY" });
}

#[test]
fn a_message_to_a_push_is_refused_at_its_header() {
    let mut pusher = ready(SocketType::Push, SocketType::Pull);
    let error = read(&mut pusher, b"\x02\x00\x00\x00\x00\x03\xff\xff\xff").unwrap_err();
    assert_eq!(error, ProtocolError::UnexpectedMessage { state: "to a PUSH socket" });
}

#[test]
fn what_came_before_a_fault_is_delivered() {
    let mut puller = ready(SocketType::Pull, SocketType::Push);
    let mut room = puller.read_buffer();
    room.put_slice(b"\x00\x01a\x00\x01b\xf8\x00");
    puller.handle_read();
    let event = puller.poll_event().unwrap().unwrap();
    assert_eq!(messages([event]), ["a", "b"].map(Message::from));
    assert_eq!(puller.poll_event().unwrap_err(), ProtocolError::ReservedFlags { flags: 0xf8 });
}

#[test]
fn an_error_stays() {
    let mut puller = ready(SocketType::Pull, SocketType::Push);
    let error = read(&mut puller, b"\xf8").unwrap_err();
    for _ in 0..3 {
        assert_eq!(read(&mut puller, b"\x00\x01a").unwrap_err(), error);
        assert_eq!(puller.poll_event().unwrap_err(), error);
        assert_eq!(puller.handle_eof().unwrap_err(), error);
    }
    assert!(!puller.is_ready());
    assert_eq!(puller.poll_timeout(), None);
}

#[test]
fn the_deadline_fires_once_and_only_before_ready() {
    let mut puller = connection(SocketType::Pull, Limits::default());
    let deadline = puller.poll_timeout().unwrap();
    read(&mut puller, &hello(SocketType::Push)[..70]).unwrap();
    assert_eq!(puller.poll_timeout(), Some(deadline), "octets that trickle in renew nothing");
    puller.handle_timeout(deadline - Duration::from_nanos(1)).unwrap();
    let error = puller.handle_timeout(deadline).unwrap_err();
    assert_eq!(error, ProtocolError::HandshakeTimeout { millis: 1000 });
    puller.handle_timeout(deadline + Duration::from_secs(60)).unwrap();
    assert_eq!(puller.poll_timeout(), None);
    assert_eq!(puller.poll_event().unwrap_err(), error);

    let mut puller = ready(SocketType::Pull, SocketType::Push);
    assert_eq!(puller.poll_timeout(), None);
    puller.handle_timeout(deadline + Duration::from_secs(60)).unwrap();
    assert!(puller.is_ready());
}

#[test]
fn the_end_of_the_stream_is_a_fault_only_within_the_handshake() {
    let stream = [&hello(SocketType::Push)[..], b"\x01\x01a"].concat();
    let mut at_eof = Vec::new();
    for end in 0..=stream.len() {
        let mut puller = connection(SocketType::Pull, Limits::default());
        let ready = !read(&mut puller, &stream[..end]).unwrap().is_empty();
        // A health check that says nothing is none either.
        assert_eq!(puller.handle_eof().is_ok(), ready || end == 0, "{end} octets");
        at_eof.push(ready);
    }
    assert_eq!(at_eof.iter().filter(|ready| !**ready).count(), hello(SocketType::Push).len());
}
