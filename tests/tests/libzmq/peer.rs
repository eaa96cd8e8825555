//! A process with sockets of libzmq: the script `zmq_peer.py`, over JSON lines.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::program::Program;
use tests::python;

use crate::deadline::LIMIT;

/// A version of libzmq to test against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Libzmq {
    V4_3_4,
    V4_3_5,
}

impl Libzmq {
    fn version(self) -> &'static str {
        match self {
            Self::V4_3_4 => "4.3.4",
            Self::V4_3_5 => "4.3.5",
        }
    }
}

/// The process. Its methods block until it has answered. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Peer(Program);

/// A socket of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theirs(u64);

impl Peer {
    pub(crate) fn start(libzmq: Libzmq) -> anyhow::Result<Self> {
        let mut command = Command::new(python::interpreter(&format!("py3-{}", libzmq.version()))?);
        // -B: the scripts lie in the sources, where compiled copies have no place.
        command.arg("-B").arg(python::script("zmq_peer.py"));
        let mut peer = Self(Program::start("libzmq", &mut command)?);
        let version: String = peer.answer()?;
        ensure!(version == libzmq.version(), "the environment has libzmq {version} in place of {libzmq:?}");
        Ok(peer)
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.0.kill()?)
    }

    /// Stops the process in its tracks: its kernel keeps its connections.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        Ok(self.0.pause()?)
    }

    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        Ok(self.0.resume()?)
    }

    /// A socket of a type such as `PULL`. Options are named as libzmq names them, without `ZMQ_`.
    pub(crate) fn socket(&mut self, kind: &str, options: Value) -> anyhow::Result<Theirs> {
        self.request(json!({ "do": "socket", "type": kind, "options": options })).map(Theirs)
    }

    /// From now on its servers of PLAIN know one login, and those of CURVE let everyone in.
    pub(crate) fn authenticate(&mut self, username: &str, password: &str) -> anyhow::Result<()> {
        self.request(json!({ "do": "authenticate", "username": username, "password": password }))
    }

    pub(crate) fn set(&mut self, socket: Theirs, option: &str, value: Value) -> anyhow::Result<()> {
        self.request(json!({ "do": "set", "socket": socket.0, "option": option, "value": value }))
    }

    /// Returns the endpoint with the port that the system chose.
    pub(crate) fn bind(&mut self, socket: Theirs, endpoint: &str) -> anyhow::Result<String> {
        self.request(json!({ "do": "bind", "socket": socket.0, "endpoint": endpoint }))
    }

    pub(crate) fn connect(&mut self, socket: Theirs, endpoint: &str) -> anyhow::Result<()> {
        self.request(json!({ "do": "connect", "socket": socket.0, "endpoint": endpoint }))
    }

    pub(crate) fn close(&mut self, socket: Theirs) -> anyhow::Result<()> {
        self.request(json!({ "do": "close", "socket": socket.0 }))
    }

    /// What its monitor saw since last asked, by libzmq's names; after `HANDSHAKE_FAILED_PROTOCOL` the reason.
    pub(crate) fn events(&mut self, socket: Theirs) -> anyhow::Result<Vec<String>> {
        self.request(json!({ "do": "events", "socket": socket.0, "until": null }))
    }

    /// As [`events`](Self::events), waiting until `event` is among them.
    pub(crate) fn events_until(&mut self, socket: Theirs, event: &str) -> anyhow::Result<Vec<String>> {
        self.request(json!({ "do": "events", "socket": socket.0, "until": event }))
    }

    /// How many handshakes its monitor saw since last asked, at least one; an error if one failed or a connection ended.
    pub(crate) fn handshakes(&mut self, socket: Theirs) -> anyhow::Result<usize> {
        let events = self.events_until(socket, "HANDSHAKE_SUCCEEDED")?;
        let trouble = events.iter().any(|event| event.starts_with("HANDSHAKE_FAILED") || event == "DISCONNECTED");
        ensure!(!trouble, "libzmq saw {events:?}");
        Ok(events.iter().filter(|event| *event == "HANDSHAKE_SUCCEEDED").count())
    }

    /// Sends messages of one frame.
    pub(crate) fn send<T: AsRef<str>>(&mut self, socket: Theirs, bodies: &[T]) -> anyhow::Result<()> {
        let messages: Vec<_> = bodies.iter().map(|body| [body.as_ref()]).collect();
        self.request(json!({ "do": "send", "socket": socket.0, "messages": messages }))
    }

    /// Receives messages of one frame.
    pub(crate) fn receive(&mut self, socket: Theirs, count: usize) -> anyhow::Result<Vec<String>> {
        let messages: Vec<[String; 1]> =
            self.request(json!({ "do": "receive", "socket": socket.0, "count": count }))?;
        Ok(messages.into_iter().flatten().collect())
    }

    /// Whether a message comes within a time.
    pub(crate) fn is_readable(&mut self, socket: Theirs, within: Duration) -> anyhow::Result<bool> {
        let within = u64::try_from(within.as_millis())?;
        self.request(json!({ "do": "readable", "socket": socket.0, "within": within }))
    }

    /// Sends random messages, given the sizes of their frames. Returns their digests.
    pub(crate) fn send_random(&mut self, socket: Theirs, shapes: &[Vec<usize>]) -> anyhow::Result<Vec<String>> {
        self.request(json!({ "do": "send_random", "socket": socket.0, "shapes": shapes }))
    }

    /// The digests of the next messages.
    pub(crate) fn receive_digests(&mut self, socket: Theirs, count: usize) -> anyhow::Result<Vec<String>> {
        self.request(json!({ "do": "receive_digests", "socket": socket.0, "count": count }))
    }

    /// Sends `[number, padding]` for the numbers from 0 until all are sent or none has room for the socket's SNDTIMEO.
    /// Returns how many.
    pub(crate) fn send_numbers(&mut self, socket: Theirs, count: u64, padding: usize) -> anyhow::Result<u64> {
        self.request(json!({ "do": "send_numbers", "socket": socket.0, "count": count, "padding": padding }))
    }

    /// Receives `[number, padding]` for `count` numbers, which must come in order.
    pub(crate) fn receive_numbers(&mut self, socket: Theirs, first: u64, count: u64) -> anyhow::Result<()> {
        self.request(json!({ "do": "receive_numbers", "socket": socket.0, "first": first, "count": count }))
    }

    fn request<T: DeserializeOwned>(&mut self, request: Value) -> anyhow::Result<T> {
        let request = request.to_string();
        self.0.send_line(&request)?;
        self.answer().with_context(|| request)
    }

    fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.0.next_line(LIMIT)?;
        let mut answer: Value = serde_json::from_str(&line).with_context(|| format!("not an answer: {line}"))?;
        if let Some(error) = answer["error"].as_str() {
            bail!("libzmq: {error}");
        }
        serde_json::from_value(answer["result"].take()).with_context(|| format!("not the answer: {line}"))
    }
}
