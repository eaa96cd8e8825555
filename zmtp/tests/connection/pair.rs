//! Two connections joined by queues of octets, and what else the tests read and write with.
//!
//! Every write and every read of a [`Pair`] moves as many octets as the test's cuts say, so a frame, a header or a
//! greeting may come apart anywhere, on either side. There is no clock and no task.

use std::{
    collections::VecDeque,
    io::IoSlice,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes};
use zmtp::proto::{
    Connection, Decoder, Event, Greeting, Header, Item, Limits, Message, ProtocolError, Setup, SocketType,
};

/// Two connections and what is on the way between them.
pub(crate) struct Pair {
    pub(crate) sides: [Side; 2],
    pub(crate) cuts: Cuts,
    /// Each greeting arrives as that of a 3.0 peer.
    as_3_0: bool,
}

pub(crate) struct Side {
    pub(crate) connection: Connection,
    /// Octets on their way to this side.
    pub(crate) incoming: VecDeque<u8>,
    received: u64,
    pub(crate) events: Vec<Event>,
}

/// Sizes of reads and writes, over and over.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    sizes: Vec<usize>,
    next: usize,
}

impl Pair {
    pub(crate) fn new(types: [SocketType; 2], cuts: Cuts) -> Self {
        Self::of(types.map(|socket_type| connection(socket_type, Limits::default())), cuts)
    }

    pub(crate) fn of(connections: [Connection; 2], cuts: Cuts) -> Self {
        let side = |connection| Side { connection, incoming: VecDeque::new(), received: 0, events: Vec::new() };
        Self { sides: connections.map(side), cuts, as_3_0: false }
    }

    /// A pair after the handshake.
    pub(crate) fn ready(types: [SocketType; 2], cuts: Cuts, as_3_0: bool) -> Self {
        Self { as_3_0, ..Self::new(types, cuts) }.after_handshake()
    }

    /// The same, after the handshake.
    pub(crate) fn after_handshake(mut self) -> Self {
        self.run();
        for side in &mut self.sides {
            let minor = if self.as_3_0 { 0 } else { 1 };
            assert!(matches!(&side.events[..], [Event::Ready(peer)] if peer.version == (3, minor)));
            side.events.clear();
        }
        self
    }

    /// Moves octets until none is left on either side.
    pub(crate) fn run(&mut self) {
        while self.sides.iter().any(|side| side.connection.wants_write() || !side.incoming.is_empty()) {
            for from in [0, 1] {
                self.transmit(from);
                self.deliver(1 - from);
            }
        }
    }

    /// One write.
    pub(crate) fn transmit(&mut self, from: usize) {
        let octets = write(&mut self.sides[from].connection, self.cuts.next());
        self.sides[1 - from].incoming.extend(octets);
    }

    /// One read.
    pub(crate) fn deliver(&mut self, to: usize) {
        let side = &mut self.sides[to];
        let n = self.cuts.next().min(side.incoming.len());
        let mut octets: Vec<u8> = side.incoming.drain(..n).collect();
        let minor = MINOR.checked_sub(side.received).and_then(|at| octets.get_mut(at as usize));
        if let Some(minor) = minor.filter(|_| self.as_3_0) {
            *minor = 0;
        }
        side.received += n as u64;
        side.events.extend(read(&mut side.connection, &octets).unwrap());
    }
}

impl Cuts {
    pub(crate) fn of(sizes: Vec<usize>) -> Self {
        Self { sizes, next: 0 }
    }

    pub(crate) fn next(&mut self) -> usize {
        self.next = (self.next + 1) % self.sizes.len();
        self.sizes[self.next]
    }
}

pub(crate) fn connection(socket_type: SocketType, limits: Limits) -> Connection {
    Connection::new(Setup { socket_type, limits, handshake_timeout: Duration::from_secs(1) }, Instant::now())
}

/// Reads all of `octets`, as much at a time as the connection has room for. Whoever asks is let in.
pub(crate) fn read(connection: &mut Connection, mut octets: &[u8]) -> Result<Vec<Event>, ProtocolError> {
    let mut events = Vec::new();
    while !octets.is_empty() {
        let mut room = connection.read_buffer();
        let n = octets.len().min(room.remaining_mut());
        room.put_slice(&octets[..n]);
        octets = &octets[n..];
        assert_eq!(connection.handle_read(), n);
        while let Some(event) = connection.poll_event()? {
            match event {
                Event::Authenticate(_) => connection.authorize(),
                event => events.push(event),
            }
        }
    }
    Ok(events)
}

/// Writes at most `most` octets.
pub(crate) fn write(connection: &mut Connection, most: usize) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 4];
    let n = connection.poll_transmit(&mut slices);
    let mut octets = Vec::new();
    for slice in &slices[..n] {
        octets.extend_from_slice(&slice[..slice.len().min(most - octets.len())]);
    }
    connection.handle_written(octets.len());
    octets
}

pub(crate) fn write_all(connection: &mut Connection) -> Vec<u8> {
    let mut octets = Vec::new();
    while connection.wants_write() {
        octets.extend(write(connection, usize::MAX));
    }
    octets
}

/// Greeting and READY of a peer, as it writes them.
pub(crate) fn hello(socket_type: SocketType) -> Vec<u8> {
    let name = socket_type.name();
    let mut octets = Greeting::encode("NULL", false).to_vec();
    octets.extend_from_slice(&[0x04, 22 + name.len() as u8]);
    octets.extend_from_slice(b"\x05READY\x0bSocket-Type\x00\x00\x00");
    octets.push(name.len() as u8);
    octets.extend_from_slice(name.as_bytes());
    octets
}

/// A connection after the handshake with a peer of `peer`, all that it had to write written.
pub(crate) fn ready(ours: SocketType, peer: SocketType) -> Connection {
    let mut connection = connection(ours, Limits::default());
    let events = read(&mut connection, &hello(peer)).unwrap();
    assert!(matches!(events[..], [Event::Ready(_)]));
    assert_eq!(write_all(&mut connection), hello(ours));
    connection
}

pub(crate) fn wire(message: &Message) -> Vec<u8> {
    message.chunks().flat_map(|chunk| chunk.to_vec()).collect()
}

/// The frames of a message, each with its header.
pub(crate) fn frames_on_the_wire(message: &Message) -> Vec<Vec<u8>> {
    let wire = wire(message);
    let mut rest = &wire[..];
    let mut frames = Vec::new();
    while let Some((header, n)) = Header::decode(rest).unwrap() {
        let (frame, after) = rest.split_at(n + header.size as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

pub(crate) fn messages(events: impl IntoIterator<Item = Event>) -> Vec<Message> {
    let runs = events.into_iter().map(|event| match event {
        Event::Run(run) => run,
        other => panic!("{other:?}"),
    });
    runs.flatten().collect()
}

/// Messages and commands of a stream after greeting and READY.
pub(crate) fn items(mut octets: &[u8]) -> (Vec<Message>, Vec<Bytes>) {
    let mut decoder = Decoder::new(Limits::default());
    let (mut messages, mut commands) = (Vec::new(), Vec::new());
    while !octets.is_empty() {
        let mut room = decoder.read_buffer();
        let n = octets.len().min(room.remaining_mut());
        room.put_slice(&octets[..n]);
        octets = &octets[n..];
        decoder.handle_read();
        while let Some(item) = decoder.decode().unwrap() {
            match item {
                Item::Run(run) => messages.extend(run),
                Item::Command(body) => commands.push(body),
            }
        }
    }
    (messages, commands)
}

/// Offset of the minor version in a greeting.
const MINOR: u64 = 11;
