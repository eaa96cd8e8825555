//! One connection, and things done to it in any order: octets read, time passed, messages sent, the stream ended.

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use bytes::{BufMut, Bytes, BytesMut};
use zmtp::{
    Mark, Message, Multipart,
    pattern::Queue,
    proto::{
        Connection, Event, Fresh, Greeting, Heartbeats, KeyPair, Limits, Mechanism, PlainLogin, ProtocolError,
        SecretKey, Setup, SocketType,
    },
};

/// Nothing panics, an error is the last word and prints as one harmless line, time that has passed is over with, and what is
/// unsent at the end is of what was sent.
pub fn operations(input: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let mut run = Running::new(&script);
    for step in &script.steps {
        if let Err(error) = run.step(step) {
            return run.fail(&error);
        }
    }
    let Running { mut connection, sent, .. } = run;
    let written = connection.messages_written();
    let unsent: usize = connection.take_unsent().iter().map(|run| run.messages()).sum();
    assert!(written + unsent as u64 <= sent, "{written} and {unsent} of {sent}");
    if let Err(error) = connection.handle_eof() {
        harmless(&error);
    }
}

#[derive(Debug, Arbitrary)]
struct Script<'a> {
    role: u8,
    mechanism: u8,
    admits_2_0: bool,
    heartbeats: Option<(u8, u8, u16)>,
    properties: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Read(&'a [u8]),
    /// Something that is right, somewhere.
    Hear(u8),
    Write(u16),
    /// So many milliseconds pass.
    Wait(u16),
    Send(u8, &'a [u8]),
    Subscribe(&'a [u8]),
    Cancel(&'a [u8]),
    Idle,
    Unread,
    Authorize,
    Refuse,
}

struct Running {
    connection: Connection,
    socket_type: SocketType,
    queue: Queue,
    now: Instant,
    sent: u64,
    asked: bool,
}

impl Running {
    fn new(script: &Script<'_>) -> Self {
        let now = Instant::now();
        let socket_type = ROLES[usize::from(script.role) % ROLES.len()];
        let setup = Setup { socket_type, limits: Limits::default(), handshake_timeout: Duration::from_secs(1) };
        let mut connection = Connection::secured(setup, mechanism(script.mechanism), now);
        if script.admits_2_0 {
            connection = connection.admitting_2_0();
        }
        if let Some((interval, timeout, ttl)) = script.heartbeats {
            let millis = |n: u64| Duration::from_millis(n);
            let (interval, timeout) = (millis(u64::from(interval) * 10), millis(u64::from(timeout) * 10));
            connection = connection.with_heartbeats(Heartbeats { interval, timeout, ttl: millis(ttl.into()) });
        }
        if script.properties {
            connection = connection.with_properties(&[("X-Name".into(), "value".into())]);
        }
        Self { connection, socket_type, queue: Queue::new(Mark::UNLIMITED, None), now, sent: 0, asked: false }
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), ProtocolError> {
        match step {
            Step::Read(octets) => self.read(octets)?,
            Step::Hear(which) => self.read(&heard(*which))?,
            Step::Write(most) => self.write((*most).into()),
            Step::Wait(millis) => {
                self.now += Duration::from_millis((*millis).into());
                self.connection.handle_timeout(self.now)?;
                let next = self.connection.poll_timeout();
                assert!(next.is_none_or(|at| at > self.now), "what has passed is due again");
            }
            Step::Send(kind, octets) if self.connection.is_ready() && self.sends() => self.send(*kind, octets),
            Step::Subscribe(prefix) if self.connection.is_ready() && !self.sends() => self.connection.subscribe(prefix),
            Step::Cancel(prefix) if self.connection.is_ready() && !self.sends() => self.connection.cancel(prefix),
            Step::Send(..) | Step::Subscribe(_) | Step::Cancel(_) => {}
            Step::Idle => self.connection.handle_idle(),
            Step::Unread => self.connection.handle_unread(),
            Step::Authorize => {
                self.connection.authorize();
                self.listen()?;
            }
            Step::Refuse if self.asked => return Err(self.connection.refuse("the script says so")),
            Step::Refuse => {}
        }
        assert!(self.connection.unfinished() <= 64 << 20);
        let _ = self.connection.unknown_commands();
        Ok(())
    }

    fn sends(&self) -> bool {
        matches!(self.socket_type, SocketType::Push | SocketType::Pub)
    }

    /// One message of any kind that can be sent, through a queue as on a socket.
    fn send(&mut self, kind: u8, octets: &[u8]) {
        let text = String::from_utf8_lossy(octets).into_owned();
        let size = 20 + text.len() * 2;
        let queued = match kind % 9 {
            0 => self.queue.put(octets, size).is_ok(),
            1 => self.queue.put(octets.to_vec(), size).is_ok(),
            2 => self.queue.put(text.as_str(), size).is_ok(),
            3 => self.queue.put(text, size).is_ok(),
            4 => self.queue.put(Multipart(&[octets, b"", octets]), 3 * size).is_ok(),
            5 => self.queue.put(Message::builder().more(octets.to_vec()).last(vec![0; 9000]), 9000 + size).is_ok(),
            6 => self.queue.put(BytesMut::from(octets), size).is_ok(),
            7 => self.queue.put(&octets.to_vec(), size).is_ok(),
            _ => self.queue.put(Bytes::copy_from_slice(octets), size).is_ok(),
        };
        assert!(queued, "there is no mark");
        let mut runs = Vec::new();
        self.queue.take(usize::MAX, &mut runs);
        self.sent += 1;
        runs.into_iter().for_each(|run| self.connection.send(run));
    }

    fn read(&mut self, mut octets: &[u8]) -> Result<(), ProtocolError> {
        while !octets.is_empty() {
            let mut room = self.connection.read_buffer();
            let n = octets.len().min(room.remaining_mut());
            room.put_slice(&octets[..n]);
            octets = &octets[n..];
            assert_eq!(self.connection.handle_read(), n);
            self.listen()?;
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<(), ProtocolError> {
        while let Some(event) = self.connection.poll_event()? {
            match event {
                Event::Run(run) => {
                    for message in run {
                        assert_eq!(message.detach(), message);
                        assert!(format!("{message:?}").starts_with("Message["));
                        assert_eq!(message.chunks().map(<[u8]>::len).sum::<usize>(), message.octets());
                    }
                }
                Event::Authenticate(credentials) => {
                    self.asked = true;
                    assert!(!format!("{credentials:?}").contains(PASSWORD));
                }
                other => assert!(!format!("{other:?}").is_empty()),
            }
        }
        Ok(())
    }

    fn write(&mut self, most: usize) {
        let mut slices = [IoSlice::new(&[]); 8];
        let n = self.connection.poll_transmit(&mut slices);
        let all: usize = slices[..n].iter().map(|slice| slice.len()).sum();
        self.connection.handle_written(all.min(most));
    }

    fn fail(mut self, error: &ProtocolError) {
        harmless(error);
        assert_eq!(self.connection.poll_event().err().as_ref(), Some(error));
        assert_eq!(self.connection.handle_eof().err().as_ref(), Some(error));
        assert_eq!(self.connection.poll_timeout(), None);
        assert!(!self.connection.is_ready());
    }
}

fn harmless(error: &ProtocolError) {
    let text = format!("{error} {error:?} {} {}", error.reason(), error.section());
    assert!(!text.contains(char::is_control) && !text.contains(PASSWORD), "{text:?}");
}

fn mechanism(which: u8) -> Mechanism {
    let keys = |n| KeyPair::from(SecretKey::from_octets([n; 32]));
    let fresh = || Fresh::from_octets(&[5; Fresh::OCTETS]);
    match which % 6 {
        0 => Mechanism::null(),
        1 => Mechanism::null_server(),
        2 => PlainLogin::new("user", PASSWORD).map_or_else(|_| Mechanism::null(), Mechanism::plain_client),
        3 => Mechanism::plain_server(),
        4 => Mechanism::curve_client(keys(1), keys(2).public(), fresh()),
        _ => Mechanism::curve_server(keys(2), fresh()),
    }
}

/// What a peer says somewhere in a conversation that goes well.
fn heard(which: u8) -> Vec<u8> {
    let greeting = |mechanism, minor| {
        let mut octets = Greeting::encode(mechanism, false).to_vec();
        octets[11] = minor;
        octets
    };
    let ready = |socket_type: &str| {
        let size = socket_type.len() as u8;
        [&[4, 22 + size][..], b"\x05READY\x0bSocket-Type\0\0\0", &[size], socket_type.as_bytes()].concat()
    };
    match which % 24 {
        0 => greeting("NULL", 1),
        1 => greeting("NULL", 0),
        2 => greeting("PLAIN", 1),
        3 => greeting("CURVE", 1),
        4 => ready("PULL"),
        5 => ready("PUSH"),
        6 => ready("SUB"),
        7 => ready("PUB"),
        8 => b"\x04\x04\x05HELLO\x01u\x01p"[..].to_vec(),
        9 => b"\x04\x08\x07WELCOME".to_vec(),
        10 => [&b"\x04\x1d\x08INITIATE\x0bSocket-Type\0\0\0\x04"[..], b"PUSH"].concat(),
        11 => b"\x04\x0a\x05ERROR\x03400".to_vec(),
        12 => b"\x04\x09^RROR\x03400".to_vec(),
        13 => b"\x04\x0b\x04PING\0\x01ping".to_vec(),
        14 => b"\x04\x09\x04PONGping".to_vec(),
        15 => b"\x04\x0b\x09SUBSCRIBEA".to_vec(),
        16 => b"\x04\x08\x06CANCELA".to_vec(),
        17 => b"\0\x02\x01A\0\x02\0A".to_vec(),
        18 => b"\x01\x01a\0\x01b".to_vec(),
        19 => b"\xff\0\0\0\0\0\0\0\x01\x7f\x01".to_vec(),
        // The rest of such a greeting: a type and an identity.
        20 => b"\x07\0\0".to_vec(),
        21 => b"\x08\0\x02me".to_vec(),
        22 => b"\x04\x0e\x05HELLO\x04user\x03pwd".to_vec(),
        _ => b"\x04\x05\x04WHAT".to_vec(),
    }
}

const ROLES: [SocketType; 4] = [SocketType::Pull, SocketType::Push, SocketType::Pub, SocketType::Sub];
const PASSWORD: &str = "unlikely-secret";
