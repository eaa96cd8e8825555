//! Two connections joined by octets in memory, and a list of things to do with them.

use std::{
    collections::VecDeque,
    io::IoSlice,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use zmtp::proto::{Connection, Event, Limits, Message, Setup, SocketType};

use crate::feed::fill;

/// Messages arrive once, whole and in order, and so do subscriptions; when the stream ends early, what was written
/// and what is unsent are together what was sent.
pub fn pair(input: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let mut pair = Pair::new(&script);
    for step in &script.steps {
        pair.step(step);
    }
    if script.ends_early { pair.end_early() } else { pair.finish() }
}

/// What an input says.
#[derive(Debug, Arbitrary)]
struct Script {
    /// PUB and SUB, else PUSH and PULL.
    publishes: bool,
    /// The greeting of each arrives as that of a 3.0 peer.
    as_3_0: bool,
    /// The stream ends after the steps; else all that is on the way arrives.
    ends_early: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// The first side sends a message with frames of these sizes.
    Send(Vec<u16>),
    /// The second side subscribes to this many octets.
    Subscribe(u8),
    Cancel(u8),
    /// One write of at most so many octets.
    Write(Side, u16),
    /// One read of at most so many octets.
    Read(Side, u16),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Side {
    First,
    Second,
}

struct Pair {
    ends: [End; 2],
    as_3_0: bool,
    publishes: bool,
    /// What the first side sent, what the second side asked for.
    sent: Vec<Message>,
    asked: Vec<(bool, Bytes)>,
    /// What arrived of each.
    received: usize,
    heard: usize,
    octets_sent: usize,
}

struct End {
    connection: Connection,
    /// On the way to this side.
    incoming: VecDeque<u8>,
    came: usize,
}

impl Pair {
    fn new(script: &Script) -> Self {
        let types = match script.publishes {
            true => [SocketType::Pub, SocketType::Sub],
            false => [SocketType::Push, SocketType::Pull],
        };
        let end = |socket_type| {
            let setup = Setup { socket_type, limits: Limits::default(), handshake_timeout: Duration::from_secs(1) };
            End { connection: Connection::new(setup, Instant::now()), incoming: VecDeque::new(), came: 0 }
        };
        Self {
            ends: types.map(end),
            as_3_0: script.as_3_0,
            publishes: script.publishes,
            sent: Vec::new(),
            asked: Vec::new(),
            received: 0,
            heard: 0,
            octets_sent: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(sizes) if self.ends[0].connection.is_ready() && self.octets_sent < MOST_SENT => {
                let fill = self.sent.len() as u8;
                let Some(message) = Message::from_frames(sizes.iter().map(|size| vec![fill; usize::from(*size)]))
                else {
                    return;
                };
                self.octets_sent += message.octets();
                self.ends[0].connection.send(message.clone().into());
                self.sent.push(message);
            }
            Step::Subscribe(size) | Step::Cancel(size) if self.publishes && self.ends[1].connection.is_ready() => {
                let prefix = Bytes::from(vec![b't'; usize::from(*size)]);
                let subscribes = matches!(step, Step::Subscribe(_));
                let subscriber = &mut self.ends[1].connection;
                if subscribes {
                    subscriber.subscribe(&prefix)
                } else {
                    subscriber.cancel(&prefix)
                }
                self.asked.push((subscribes, prefix));
            }
            Step::Write(side, most) => self.write(*side, usize::from(*most)),
            Step::Read(side, most) => self.read(*side, usize::from(*most)),
            _ => {}
        }
    }

    fn write(&mut self, from: Side, most: usize) {
        let [first, second] = &mut self.ends;
        let (from, to) = match from {
            Side::First => (first, second),
            Side::Second => (second, first),
        };
        let mut slices = [IoSlice::new(&[]); 4];
        let n = from.connection.poll_transmit(&mut slices);
        let mut left = most;
        for slice in &slices[..n] {
            let octets = &slice[..left.min(slice.len())];
            to.incoming.extend(octets);
            left -= octets.len();
        }
        // Minor version 0, wherever the greeting was cut.
        let minor = MINOR.checked_sub(to.came).and_then(|at| to.incoming.get_mut(at));
        minor.into_iter().filter(|_| self.as_3_0).for_each(|minor| *minor = 0);
        from.connection.handle_written(most - left);
    }

    fn read(&mut self, to: Side, most: usize) {
        let end = &mut self.ends[to as usize];
        let mut stream: &[u8] = end.incoming.make_contiguous();
        let n = fill(end.connection.read_buffer(), &mut stream, most, end.came);
        end.incoming.drain(..n);
        end.came += n;
        assert_eq!(end.connection.handle_read(), n);
        loop {
            match self.ends[to as usize].connection.poll_event() {
                Ok(None) => return,
                Ok(Some(event)) => self.see(event),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn see(&mut self, event: Event) {
        let heard = match event {
            Event::Run(run) => {
                for message in run {
                    assert_eq!(Some(&message), self.sent.get(self.received));
                    self.received += 1;
                }
                return;
            }
            Event::Subscribe(prefix) => (true, prefix),
            Event::Cancel(prefix) => (false, prefix),
            _ => return,
        };
        assert_eq!(Some(&heard), self.asked.get(self.heard));
        self.heard += 1;
    }

    /// Moves octets until none is left.
    fn finish(&mut self) {
        while self.ends.iter().any(|end| end.connection.wants_write() || !end.incoming.is_empty()) {
            for side in [Side::First, Side::Second] {
                self.write(side, usize::MAX);
                self.read(side, usize::MAX);
            }
        }
        assert!(self.ends.iter().all(|end| end.connection.is_ready()));
        assert_eq!((self.received, self.heard), (self.sent.len(), self.asked.len()));
        assert_eq!(self.ends[0].connection.messages_written(), self.sent.len() as u64);
    }

    fn end_early(&mut self) {
        let unsent: Vec<Message> = self.ends[0].connection.take_unsent().into_iter().flatten().collect();
        let written = self.ends[0].connection.messages_written() as usize;
        assert_eq!(unsent, self.sent[written..]);
        assert!(!self.ends[0].connection.wants_write());
        while !self.ends[1].incoming.is_empty() {
            self.read(Side::Second, usize::MAX);
        }
        assert_eq!(self.received, written);
    }
}

/// Offset of the minor version in a greeting.
const MINOR: usize = 11;
/// Octets after which no more is sent: enough for frames of every kind, and little enough for many runs a second.
const MOST_SENT: usize = 256 << 10;
