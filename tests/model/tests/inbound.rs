//! The queue between connections' tasks and the receiver, with every interleaving of their steps tried (loom).
//!
//! What is tried is the crate's own `inbound.rs` and `roster.rs`, compiled in here, on the crate's own fair queue; see
//! `outbound.rs` for the sending half. A wake-up that is lost is a deadlock, which loom reports with the steps that led to
//! it; a message that is lost is one too, since the receiver waits for it.

#![allow(dead_code, unreachable_pub, reason = "the files have more than is tried")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "stand_ins/proto.rs"]
pub(crate) mod proto;
#[path = "stand_ins/session.rs"]
pub(crate) mod session;

pub(crate) use zmtp::pattern;

/// The sockets' own files, as far as threads meet there.
mod socket {
    mod stats;
    #[path = "../../../../zmtp/src/socket/roster.rs"]
    mod roster;
    mod lock;
    mod shared;
    #[path = "../../../../zmtp/src/socket/inbound.rs"]
    pub(crate) mod inbound;

    pub(crate) use shared::Socket;
}

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use bytes::BufMut;
use loom::{
    future::block_on,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering::Relaxed},
    thread,
};
use session::Port;
use socket::{
    Socket,
    inbound::{InPort, Inbound},
};
use zmtp::{
    Mark, Message,
    pattern::{FairQueue, Turns},
    proto::{Connection, Event, Greeting, PeerInfo, Run, Setup, SocketType},
};

/// What a PUSH tells of itself.
fn push() -> PeerInfo {
    let setup =
        Setup { socket_type: SocketType::Pull, limits: Default::default(), handshake_timeout: Duration::from_secs(1) };
    let mut connection = Connection::new(setup, Instant::now());
    let octets = [&Greeting::encode("NULL", false)[..], b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH"].concat();
    connection.read_buffer().put_slice(&octets);
    connection.handle_read();
    let Some(Event::Ready(info)) = connection.poll_event().unwrap() else { panic!("no READY") };
    info
}

/// Tries every interleaving with at most two threads put off at a time, as `outbound.rs` does.
fn every_interleaving(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(test);
}

fn pull(mark: usize) -> Arc<Inbound> {
    Inbound::new(FairQueue::new(Mark::messages(mark), None))
}

fn port(inbound: &Arc<Inbound>) -> InPort {
    let mut port = inbound.port("peer", false);
    port.attach(&push());
    port
}

/// The messages of these numbers, as one read brings them.
fn run(numbers: std::ops::Range<u8>) -> Run {
    let octets: Vec<u8> = numbers.clone().flat_map(|n| [0, 1, n]).collect();
    let mut decoder = zmtp::proto::Decoder::new(Default::default());
    decoder.read_buffer().put_slice(&octets);
    decoder.handle_read();
    let Some(zmtp::proto::Item::Run(run)) = decoder.decode().unwrap() else { panic!("no run") };
    assert_eq!(run.messages(), numbers.len());
    run
}

/// What a connection's task does with what it has read.
fn deliver(port: &mut InPort, numbers: std::ops::Range<u8>) {
    let mut run = run(numbers);
    block_on(poll_fn(|cx| port.poll_deliver(cx, &mut run)));
}

fn number(message: &Message) -> u8 {
    message.frame(0).unwrap()[0]
}

/// Receives so many.
fn receive(inbound: &Inbound, turns: &mut Turns, count: usize) -> Vec<u8> {
    (0..count).map(|_| number(&block_on(poll_fn(|cx| inbound.poll_recv(cx, turns))))).collect()
}

/// Something that one thread says and another hears.
#[derive(Default)]
struct Word(Mutex<(bool, Option<Waker>)>);

impl Word {
    fn say(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    async fn said(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if !state.0 {
                state.1 = Some(cx.waker().clone());
            }
            if state.0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A receiver that finds nothing sleeps and is woken, and so is a connection that finds no room; what comes is in order.
#[test]
fn a_receiver_that_sleeps_is_woken_and_a_connection_that_waits_too() {
    every_interleaving(|| {
        let inbound = pull(1);
        let mut port = port(&inbound);
        let connection = thread::spawn(move || {
            deliver(&mut port, 0..2);
            deliver(&mut port, 2..3);
        });
        let mut turns = Turns::default();
        assert_eq!(receive(&inbound, &mut turns, 3), [0, 1, 2]);
        connection.join().unwrap();
        assert!(inbound.try_recv(&mut turns).is_none());
    });
}

/// No more is taken from a connection than the mark allows beyond what was received, both halves of the queue counted.
#[test]
fn the_mark_holds_at_every_moment() {
    every_interleaving(|| {
        let inbound = pull(2);
        let mut port = port(&inbound);
        // Counted before the next is asked for: what the receiver has is no more than it was given.
        let received = Arc::new(AtomicUsize::new(0));
        let connection = thread::spawn({
            let received = received.clone();
            move || {
                let mut run = run(0..4);
                block_on(poll_fn(|cx| {
                    let delivered = port.poll_deliver(cx, &mut run);
                    let taken = 4 - run.messages();
                    let received = received.load(Relaxed);
                    assert!(taken <= received + 2, "{taken} taken, {received} received");
                    delivered
                }));
            }
        });
        let mut turns = Turns::default();
        for n in 0..4 {
            assert_eq!(receive(&inbound, &mut turns, 1), [n]);
            received.fetch_add(1, Relaxed);
        }
        connection.join().unwrap();
    });
}

/// A future that receives is given up at whatever moment: asked once, asleep, or woken and not asked again. The next one
/// gets what it would have got, once.
#[test]
fn a_receiving_future_that_is_dropped_takes_nothing_along() {
    every_interleaving(|| {
        let inbound = pull(1);
        let mut port = port(&inbound);
        let stop = Arc::new(Word::default());
        let connection = thread::spawn(move || deliver(&mut port, 0..2));
        let stopping = thread::spawn({
            let stop = stop.clone();
            move || stop.say()
        });
        let mut turns = Turns::default();
        let mut got = Vec::new();
        let given_up = block_on(async {
            let (mut stopped, mut message) = (pin!(stop.said()), pin!(poll_fn(|cx| inbound.poll_recv(cx, &mut turns))));
            poll_fn(|cx| match stopped.as_mut().poll(cx) {
                // Also when a message has woken this task.
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => message.as_mut().poll(cx).map(Some),
            })
            .await
        });
        got.extend(given_up.as_ref().map(number));
        got.extend(receive(&inbound, &mut turns, 2 - got.len()));
        assert_eq!(got, [0, 1]);
        connection.join().unwrap();
        stopping.join().unwrap();
        assert!(inbound.try_recv(&mut turns).is_none());
    });
}

/// Two connections that find no room are both woken by one look into the queue, and each keeps its order.
#[test]
fn two_connections_that_wait_both_go_on() {
    every_interleaving(|| {
        let inbound = pull(1);
        let connections = [0, 10].map(|first| {
            let mut port = port(&inbound);
            deliver(&mut port, first..first + 1);
            thread::spawn(move || deliver(&mut port, first + 1..first + 2))
        });
        let got = receive(&inbound, &mut Turns::default(), 4);
        let of = |tens: u8| got.iter().copied().filter(move |n| n / 10 == tens);
        assert!(of(0).eq([0, 1]) && of(1).eq([10, 11]), "{got:?}");
        connections.into_iter().for_each(|connection| connection.join().unwrap());
    });
}

/// What a peer sent before it went is received, and its place goes with it; the next peer is served.
#[test]
fn what_a_peer_sent_before_it_went_is_received() {
    every_interleaving(|| {
        let inbound = pull(2);
        let mut first = port(&inbound);
        let connections = thread::spawn({
            let inbound = inbound.clone();
            move || {
                deliver(&mut first, 0..2);
                first.detach(Default::default(), 0);
                drop(first);
                let mut second = port(&inbound);
                deliver(&mut second, 2..3);
                second.detach(Default::default(), 0);
            }
        });
        let mut turns = Turns::default();
        let mut got = receive(&inbound, &mut turns, 3);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
        connections.join().unwrap();
        assert!(inbound.try_recv(&mut turns).is_none());
        let mut stats = Default::default();
        inbound.add_to(&mut stats);
        assert_eq!((stats.peers, stats.queued, stats.received), (0, 0, 3));
    });
}

/// Closing wakes a connection that waits for room as well as one that waits for nothing.
#[test]
fn closing_wakes_every_connection() {
    every_interleaving(|| {
        let inbound = pull(1);
        let mut full = port(&inbound);
        let mut idle = port(&inbound);
        let waiting = thread::spawn(move || {
            let mut run = run(0..2);
            block_on(poll_fn(|cx| {
                assert!(full.poll_deliver(cx, &mut run).is_pending(), "nobody receives");
                full.poll_done(cx)
            }));
        });
        let idling = thread::spawn(move || block_on(poll_fn(|cx| idle.poll_done(cx))));
        inbound.close();
        waiting.join().unwrap();
        idling.join().unwrap();
    });
}
