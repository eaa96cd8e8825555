//! libzmq, the system's, on its default settings, by the zmq crate: each call is one call of the C library.
//!
//! A message is made with `zmq_msg_init_size` and a copy, sent with `zmq_msg_send`, and received into a `zmq_msg_t` that
//! is used again, as libzmq's own performance programs do.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use peer::{Executor, Face, Failure, Incoming, Library, Listening, Receiver, Sender};
use zmq::{Context, Message, SNDMORE, Socket, SocketType};

fn main() -> ExitCode {
    let play = |work| peer::play(Libzmq { context: Context::new() }, Executor::Threads, work);
    peer::main(&[Face { name: "libzmq", play }])
}

struct Libzmq {
    context: Context,
}

/// A socket that sends.
struct Outbound(Socket);

/// A socket that receives, and the message it receives into.
struct Inbound {
    socket: Socket,
    message: Message,
}

impl Libzmq {
    fn connected(&self, kind: SocketType, endpoint: &str) -> Result<Socket, Failure> {
        let socket = self.context.socket(kind)?;
        if kind == zmq::SUB {
            socket.set_rcvhwm(UNLIMITED)?;
            socket.set_subscribe(b"")?;
        }
        socket.connect(endpoint)?;
        Ok(socket)
    }

    fn bound(&self, kind: SocketType, endpoint: &str, listening: Listening<'_>) -> Result<Socket, Failure> {
        let socket = self.context.socket(kind)?;
        if kind == zmq::PUB {
            // Messages beyond the mark would be dropped.
            socket.set_sndhwm(UNLIMITED)?;
        }
        if kind == zmq::PULL {
            // A closed PUSH connects in the background; more of them than wait here would be sent away for a second.
            socket.set_backlog(BACKLOG)?;
        }
        socket.bind(endpoint)?;
        listening.now();
        Ok(socket)
    }
}

impl Library for Libzmq {
    type Push = Outbound;
    type Pull = Inbound;
    type Pub = Outbound;
    type Sub = Inbound;

    async fn push(&self, endpoint: &str) -> Result<Outbound, Failure> {
        Ok(Outbound(self.connected(zmq::PUSH, endpoint)?))
    }

    async fn pull(&self, endpoint: &str) -> Result<Inbound, Failure> {
        Ok(self.connected(zmq::PULL, endpoint)?.into())
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        // A closed socket goes on sending in the background, and counts against the limit of sockets until it is done.
        let push = loop {
            match self.connected(zmq::PUSH, endpoint) {
                Err(error) if error.downcast_ref() == Some(&zmq::Error::EMFILE) => thread::sleep(FULL),
                made => break made?,
            }
        };
        Outbound(push).send(parts).await
    }

    async fn subscribe(&self, endpoint: &str) -> Result<Inbound, Failure> {
        Ok(self.connected(zmq::SUB, endpoint)?.into())
    }

    async fn push_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Outbound, Failure> {
        Ok(Outbound(self.bound(zmq::PUSH, endpoint, listening)?))
    }

    async fn pull_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Inbound, Failure> {
        Ok(self.bound(zmq::PULL, endpoint, listening)?.into())
    }

    async fn publish_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Outbound, Failure> {
        Ok(Outbound(self.bound(zmq::PUB, endpoint, listening)?))
    }
}

impl Sender for Outbound {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let Some((last, more)) = parts.split_last() else {
            return Ok(());
        };
        for part in more {
            self.0.send(part.as_slice(), SNDMORE)?;
        }
        Ok(self.0.send(last.as_slice(), 0)?)
    }
}

impl Receiver for Inbound {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        loop {
            self.socket.recv(&mut self.message, 0)?;
            incoming.part(&self.message);
            if !self.message.get_more() {
                incoming.end();
                return Ok(());
            }
        }
    }
}

impl From<Socket> for Inbound {
    fn from(socket: Socket) -> Self {
        Self { socket, message: Message::new() }
    }
}

/// A high-water mark that is none.
const UNLIMITED: i32 = 0;

/// Before another look at whether there is a socket to be had again.
const FULL: Duration = Duration::from_millis(1);

/// As many connections as libzmq makes at a time by default (`ZMQ_MAX_SOCKETS`).
const BACKLOG: i32 = 1024;
