//! The queue between senders and a connection's task, with every interleaving of their steps tried (loom).
//!
//! What is tried is the crate's own `outbound.rs` and `roster.rs`, compiled in here, on the crate's own patterns and
//! connections. In place of the lock and of tokio's `Notify` are loom's, and what is not shared between threads has
//! the least that makes it compile. A wake-up that is lost is a deadlock, which loom reports with the steps that led to it.
//! The receiving half is in `inbound.rs` here.

#![allow(dead_code, unreachable_pub, reason = "the files have more than is tried")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// `outbound.rs` takes `Notify` and `timeout` from tokio: here from below.
extern crate self as tokio;

#[path = "stand_ins/proto.rs"]
pub(crate) mod proto;
#[path = "stand_ins/session.rs"]
pub(crate) mod session;
#[path = "stand_ins/sync.rs"]
pub(crate) mod sync;
#[path = "stand_ins/time.rs"]
pub(crate) mod time;

/// The sockets' own files, as far as threads meet there.
mod socket {
    #[path = "../../../../zmtp/src/socket/roster.rs"]
    mod roster;
    mod stats;
    mod brief;
    mod options;
    pub(crate) mod shared;
    #[path = "../../../../zmtp/src/socket/outbound.rs"]
    pub(crate) mod outbound;
}

use std::{
    future::poll_fn,
    io::IoSlice,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::BufMut;
use loom::{future::block_on, thread};
use session::{Feed, Port};
use socket::{outbound::Outbound, shared::Socket};
use zmtp::{
    Mark, Message, SubscriptionLimits,
    pattern::{self, Distributor, LoadBalancer, Outflow},
    proto::{Connection, Event, Greeting, PeerInfo, Setup, SocketType},
};

/// A connection after its handshake.
fn ready(socket_type: SocketType, peer: &str) -> (Connection, PeerInfo) {
    let setup = Setup { socket_type, limits: Default::default(), handshake_timeout: Duration::from_secs(1) };
    let mut connection = Connection::new(setup, Instant::now());
    let mut octets = Greeting::encode("NULL", false).to_vec();
    octets.extend_from_slice(&[4, 22 + peer.len() as u8]);
    octets.extend_from_slice(b"\x05READY\x0bSocket-Type\0\0\0");
    octets.push(peer.len() as u8);
    octets.extend_from_slice(peer.as_bytes());
    connection.read_buffer().put_slice(&octets);
    connection.handle_read();
    let Some(Event::Ready(info)) = connection.poll_event().unwrap() else { panic!("no READY") };
    (connection, info)
}

/// What the task of a connection does with its port until the socket is closed: takes what there is, writes it, sleeps.
/// Returns how many messages it wrote.
fn work<P: Outflow>(port: &mut impl Port, outbound: &Outbound<P>, most: u64) -> u64 {
    let (mut connection, info) = match P::TYPE {
        SocketType::Pub => ready(SocketType::Pub, "SUB"),
        _ => ready(SocketType::Push, "PULL"),
    };
    write(&mut connection);
    let before = connection.messages_written();
    port.attach(&info);
    if P::TYPE == SocketType::Pub {
        port.handle_subscription(bytes::Bytes::new(), true).unwrap();
    }
    block_on(poll_fn(|cx| {
        loop {
            match port.poll_feed(cx, &mut connection) {
                Poll::Ready(Feed::Fed) => write(&mut connection),
                Poll::Ready(Feed::Closed | Feed::Over) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            if connection.messages_written() - before >= most {
                return Poll::Ready(());
            }
        }
    }));
    let _ = outbound;
    let written = connection.messages_written() - before;
    port.detach(connection.take_unsent(), connection.messages_written());
    written
}

fn write(connection: &mut Connection) {
    while connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 4];
        let n = connection.poll_transmit(&mut slices);
        let octets = slices[..n].iter().map(|slice| slice.len()).sum();
        connection.handle_written(octets);
    }
}

/// Tries every interleaving with at most two threads put off at a time, which finds what there is to find in steps as
/// few as these and takes seconds.
fn every_interleaving(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(test);
}

fn push(mark: usize, backlog: Option<usize>) -> Arc<Outbound<LoadBalancer>> {
    Outbound::new(LoadBalancer::new(Mark::messages(mark), backlog.map(Mark::messages), false, None), None)
}

const MESSAGE: &str = "x";

/// A sender that finds no room, since no peer is there or since its queue is full, sleeps and is woken.
#[test]
fn a_sender_that_waits_is_woken_and_a_task_that_sleeps_too() {
    every_interleaving(|| {
        let outbound = push(1, None);
        let mut port = outbound.port("peer", false);
        let sender = thread::spawn({
            let outbound = outbound.clone();
            move || {
                for _ in 0..3 {
                    block_on(outbound.put_later(Message::from(MESSAGE), None)).unwrap();
                }
            }
        });
        assert_eq!(work(&mut port, &outbound, 3), 3);
        sender.join().unwrap();
    });
}

/// Two senders wait for the same room: each is told, and neither takes the other's turn away for good.
#[test]
fn two_senders_that_wait_both_come_to_an_end() {
    every_interleaving(|| {
        let outbound = push(1, None);
        let mut port = outbound.port("peer", false);
        let senders = [(); 2].map(|()| {
            let outbound = outbound.clone();
            thread::spawn(move || block_on(outbound.put_later(Message::from(MESSAGE), None)).unwrap())
        });
        assert_eq!(work(&mut port, &outbound, 2), 2);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

/// What was taken before the close is written, and what was not is given back.
#[test]
fn closing_wakes_everyone_and_loses_nothing() {
    every_interleaving(|| {
        let outbound = push(1, None);
        let mut port = outbound.port("peer", false);
        let sender = thread::spawn({
            let outbound = outbound.clone();
            move || (0..2).filter(|_| block_on(outbound.put_later(Message::from(MESSAGE), None)).is_ok()).count() as u64
        });
        let closer = thread::spawn({
            let outbound = outbound.clone();
            move || outbound.close()
        });
        let written = work(&mut port, &outbound, u64::MAX);
        closer.join().unwrap();
        assert_eq!(written, sender.join().unwrap());
    });
}

/// A peer that goes while a sender is at work: what it had not written is in the backlog, for the next.
#[test]
fn what_a_peer_leaves_is_the_next_one_s() {
    every_interleaving(|| {
        let outbound = push(1, Some(9));
        let sender = thread::spawn({
            let outbound = outbound.clone();
            move || {
                for _ in 0..2 {
                    outbound.put(Message::from(MESSAGE), false).unwrap();
                }
            }
        });
        let mut first = outbound.port("first", false);
        let (_, info) = ready(SocketType::Push, "PULL");
        first.attach(&info);
        first.detach(Default::default(), 0);
        drop(first);
        let mut second = outbound.port("second", false);
        assert_eq!(work(&mut second, &outbound, 2), 2);
        sender.join().unwrap();
    });
}

/// A run that is forwarded wakes the task once, and that is enough.
#[test]
fn a_run_reaches_a_task_that_sleeps() {
    every_interleaving(|| {
        let outbound = push(9, None);
        let mut port = outbound.port("peer", true);
        let forwarder = thread::spawn({
            let outbound = outbound.clone();
            move || {
                for _ in 0..2 {
                    outbound.push(&mut Message::from(MESSAGE).into());
                }
            }
        });
        assert_eq!(work(&mut port, &outbound, 2), 2);
        forwarder.join().unwrap();
    });
}

/// A publisher never waits: whoever has subscribed by then gets it, and sleeps on otherwise.
#[test]
fn what_is_published_reaches_a_subscriber_that_sleeps() {
    every_interleaving(|| {
        let outbound =
            Outbound::new(Distributor::new(Mark::messages(9), SubscriptionLimits::default(), None, None), None);
        let mut port = outbound.port("peer", false);
        let publisher = thread::spawn({
            let outbound = outbound.clone();
            move || {
                for _ in 0..2 {
                    outbound.put(Message::from(MESSAGE), false).unwrap();
                }
                outbound.close();
            }
        });
        let written = work(&mut port, &outbound, u64::MAX);
        publisher.join().unwrap();
        let mut stats = Default::default();
        outbound.add_to(&mut stats);
        assert_eq!(written + stats.tally.unmatched, 2);
    });
}

/// Who waits for a queue to drain is told when it has.
#[test]
fn waiting_for_a_drained_queue_ends() {
    every_interleaving(|| {
        let outbound = push(9, None);
        let mut port = outbound.port("peer", false);
        let (_, info) = ready(SocketType::Push, "PULL");
        port.attach(&info);
        outbound.put(Message::from(MESSAGE), false).unwrap();
        let waiting = thread::spawn({
            let outbound = outbound.clone();
            move || block_on(outbound.drained_to(0))
        });
        assert_eq!(work(&mut port, &outbound, 1), 1);
        waiting.join().unwrap();
    });
}
