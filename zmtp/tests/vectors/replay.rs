//! Scenarios of the capture file, and connections that are fed with them.
//!
//! What a connection does with a stream is written as one line of words, a transcript:
//!
//! | word | event |
//! |---|---|
//! | `PUSH/3.1` | the handshake is over, with a PUSH of ZMTP 3.1 |
//! | `admin:secret?` | a peer asks to be let in |
//! | `[a\|\|c]` | a message of three frames |
//! | `+A`, `-A` | a subscription to `A`, its end |
//! | `?2` | two commands of unknown name were ignored |
//! | `!closed-in-handshake` | the connection is over: `ProtocolError::reason` |
//!
//! Octets are escaped as in Rust, eight or more equal ones are written `t*246`.

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut};
use serde_json::Value;
use zmtp::proto::{Connection, Credentials, Event, Limits, Mechanism, ProtocolError, Setup, SocketType};

/// One captured conversation with a libzmq socket.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Its key; what libzmq 4.3.4 did otherwise is a scenario of its own, `KEY@4.3.4`.
    pub(crate) name: String,
    /// Whether libzmq closed the stream.
    pub(crate) closed: bool,
    /// In the order of time; most scenarios have one connection.
    pub(crate) connections: Vec<Vec<Step>>,
    /// The keys of both sides, by their names in RFC 26.
    #[cfg(feature = "curve")]
    keys: Value,
}

/// Octets that went one way.
#[derive(Debug)]
pub(crate) struct Step {
    /// From libzmq; otherwise from the raw peer that the capture was made with.
    pub(crate) from_libzmq: bool,
    #[cfg(feature = "curve")]
    label: String,
    /// Empty when libzmq was waited for in vain.
    pub(crate) octets: Vec<u8>,
}

/// The capture file.
pub(crate) fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/zmtp.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every captured scenario.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (key, scenario) in vectors()["captured"].as_object().unwrap() {
        scenarios.push(Scenario::load(key.clone(), &scenario["steps"]));
        if let Some(steps) = scenario.get("libzmq_4_3_4_steps") {
            scenarios.push(Scenario::load(format!("{key}@4.3.4"), steps));
        }
    }
    scenarios
}

/// The octets of an entry of `constructed` or `negative`, or of a step.
pub(crate) fn hex(entry: &Value) -> Vec<u8> {
    let digits = entry["hex"].as_str().unwrap().as_bytes();
    let digit = |d: &u8| char::from(*d).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

impl Scenario {
    fn load(name: String, steps: &Value) -> Self {
        let steps = steps.as_array().unwrap();
        let closed = steps.iter().any(|step| step.get("closed").is_some());
        let mut connections = vec![Vec::new()];
        for step in steps.iter().filter(|step| step.get("hex").is_some()) {
            let from_libzmq = step["from"] == "libzmq";
            if FIRST_OF_A_CONNECTION.contains(&(name.as_str(), step["label"].as_str().unwrap())) {
                connections.push(Vec::new());
            }
            connections.last_mut().unwrap().push(Step {
                from_libzmq,
                #[cfg(feature = "curve")]
                label: step["label"].as_str().unwrap().to_owned(),
                octets: hex(step),
            });
        }
        Self {
            name,
            closed,
            connections,
            #[cfg(feature = "curve")]
            keys: steps
                .iter()
                .map(|step| &step["note"]["keys"])
                .find(|keys| keys.is_object())
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Whether there are octets to replay.
    pub(crate) fn has_octets(&self) -> bool {
        self.connections.iter().flatten().any(|step| !step.octets.is_empty())
    }

    /// The octets of the step with a label.
    #[cfg(feature = "curve")]
    pub(crate) fn step(&self, label: &str) -> &[u8] {
        let mut steps = self.connections.iter().flatten();
        &steps.find(|step| step.label == label).unwrap().octets
    }

    /// A key that the notes name.
    #[cfg(feature = "curve")]
    pub(crate) fn key(&self, name: &str) -> [u8; 32] {
        let key = self.keys.get(name).unwrap().as_str().unwrap();
        hex(&serde_json::json!({ "hex": key })).try_into().unwrap()
    }

    /// What one side wrote, a stream for each connection on which it wrote anything.
    pub(crate) fn streams(&self, from_libzmq: bool) -> Vec<Vec<u8>> {
        let side = |steps: &Vec<Step>| {
            let side = steps.iter().filter(|step| step.from_libzmq == from_libzmq);
            side.flat_map(|step| step.octets.clone()).collect::<Vec<u8>>()
        };
        self.connections.iter().map(side).filter(|octets| !octets.is_empty()).collect()
    }
}

/// A connection under test and what it did.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) connection: Connection,
    admits: bool,
    words: Vec<String>,
    /// What it wrote so far.
    pub(crate) written: Vec<u8>,
    over: bool,
}

impl Replay {
    pub(crate) fn new(socket_type: SocketType, limits: Limits) -> Self {
        Self::secured(socket_type, limits, Mechanism::null(), true)
    }

    /// Which also takes a peer of ZMTP 2.0.
    pub(crate) fn admitting_2_0(socket_type: SocketType, mechanism: Mechanism) -> Self {
        let mut replay = Self::secured(socket_type, Limits::default(), mechanism, true);
        replay.connection = replay.connection.admitting_2_0();
        replay
    }

    /// With a mechanism; `admits`: every peer that asks is let in.
    pub(crate) fn secured(socket_type: SocketType, limits: Limits, mechanism: Mechanism, admits: bool) -> Self {
        let setup = Setup { socket_type, limits, handshake_timeout: Duration::from_secs(30) };
        let connection = Connection::secured(setup, mechanism, Instant::now());
        Self { connection, admits, words: Vec::new(), written: Vec::new(), over: false }
    }

    /// Feeds octets in pieces of the sizes that `cuts` yields; the last piece is what is left.
    pub(crate) fn feed(&mut self, mut octets: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<Event> {
        let mut cuts = cuts.into_iter();
        let mut events = Vec::new();
        while !octets.is_empty() && !self.over {
            let mut room = self.connection.read_buffer();
            let n = cuts.next().unwrap_or(usize::MAX).min(octets.len()).min(room.remaining_mut());
            room.put_slice(&octets[..n]);
            octets.advance(n);
            assert_eq!(self.connection.handle_read(), n);
            events.extend(self.drain());
        }
        self.write();
        events
    }

    /// Ends the stream and gives the transcript.
    pub(crate) fn finish(mut self) -> String {
        if !self.over {
            let end = self.connection.handle_eof();
            self.note(end);
        }
        self.transcript()
    }

    /// The transcript so far.
    pub(crate) fn transcript(&self) -> String {
        let mut words = self.words.clone();
        let unknown = self.connection.unknown_commands();
        if unknown > 0 {
            words.push(format!("?{unknown}"));
        }
        words.join(" ")
    }

    /// Writes all that waits.
    pub(crate) fn write(&mut self) {
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let n = self.connection.poll_transmit(&mut slices);
            let octets: Vec<u8> = slices[..n].iter().flat_map(|slice| slice.to_vec()).collect();
            if octets.is_empty() {
                return;
            }
            self.connection.handle_written(octets.len());
            self.written.extend(octets);
        }
    }

    fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match self.connection.poll_event() {
                Ok(Some(event)) => {
                    self.words.extend(words(&event));
                    match event {
                        Event::Authenticate(_) if self.admits => self.connection.authorize(),
                        Event::Authenticate(_) => {
                            self.connection.refuse("by the test");
                        }
                        _ => {}
                    }
                    events.push(event);
                }
                Ok(None) => return events,
                Err(error) => {
                    self.note(Err(error));
                    return events;
                }
            }
        }
    }

    fn note(&mut self, result: Result<(), ProtocolError>) {
        if let Err(error) = result {
            self.words.push(format!("!{}", error.reason()));
            self.over = true;
        }
    }
}

fn words(event: &Event) -> Vec<String> {
    match event {
        Event::Ready(peer) => vec![format!("{}/{}.{}", peer.socket_type, peer.version.0, peer.version.1)],
        Event::Run(run) => run
            .clone()
            .map(|message| {
                let frames: Vec<String> = message.frames().map(text).collect();
                format!("[{}]", frames.join("|"))
            })
            .collect(),
        Event::Authenticate(Credentials::Plain(login)) => {
            vec![format!("{}:{}?", text(login.username()), text(login.password()))]
        }
        #[cfg(feature = "curve")]
        Event::Authenticate(Credentials::Curve(key)) => vec![format!("{key}?")],
        Event::Subscribe(prefix) => vec![format!("+{}", text(prefix))],
        Event::Cancel(prefix) => vec![format!("-{}", text(prefix))],
        other => vec![format!("{other:?}")],
    }
}

fn text(octets: &[u8]) -> String {
    let repeats = octets.chunk_by(|a, b| a == b).map(|same| match same.len() {
        0..8 => same.escape_ascii().to_string(),
        n => format!("{}*{n}", same[..1].escape_ascii()),
    });
    repeats.collect()
}

/// Scenario and label of the steps that begin one more connection.
const FIRST_OF_A_CONNECTION: [(&str, &str); 3] = [
    ("queue.connecting_PUSH", "2nd connection"),
    ("curve_server.downgrade_attempts", "sig"),
    ("curve_server.downgrade_attempts", "2.0"),
];
