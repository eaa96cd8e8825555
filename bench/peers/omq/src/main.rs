//! omq-tokio, on its default settings: its sockets for tokio, and those that block, with an I/O thread of its own.
//!
//! Messages are copied in with `from_slice`, which keeps small ones in place. PUB is asked not to drop (`xpub_nodrop`).

use std::process::ExitCode;

use bytes::Bytes;
use omq_tokio::{Context, Message, Options, Socket, SocketType, blocking};
use peer::{Executor, Face, Failure, Incoming, Library, Listening, Receiver, Sender};

fn main() -> ExitCode {
    peer::main(&[
        Face {
            name: "omq-tokio",
            play: |work| {
                Executor::current_thread().map_or_else(Failure::from, |executor| peer::play(Tokio, executor, work))
            },
        },
        Face {
            name: "omq-tokio-blocking",
            play: |work| peer::play(Blocking { context: Context::new() }, Executor::Threads, work),
        },
    ])
}

struct Tokio;

struct Blocking {
    context: Context,
}

/// A socket as the benchmark sees it.
struct End<S>(S);

impl Tokio {
    async fn connected(kind: SocketType, endpoint: &str) -> Result<End<Socket>, Failure> {
        let socket = Socket::new(kind, Options::default());
        socket.connect(endpoint).await?;
        Ok(End(socket))
    }

    async fn bound(kind: SocketType, endpoint: &str, listening: Listening<'_>) -> Result<End<Socket>, Failure> {
        let socket = Socket::new(kind, options(kind));
        socket.bind(endpoint).await?;
        listening.now();
        Ok(End(socket))
    }
}

impl Library for Tokio {
    type Push = End<Socket>;
    type Pull = End<Socket>;
    type Pub = End<Socket>;
    type Sub = End<Socket>;

    async fn push(&self, endpoint: &str) -> Result<End<Socket>, Failure> {
        Self::connected(SocketType::Push, endpoint).await
    }

    async fn pull(&self, endpoint: &str) -> Result<End<Socket>, Failure> {
        Self::connected(SocketType::Pull, endpoint).await
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let End(push) = self.push(endpoint).await?;
        push.send(message(parts)).await?;
        Ok(push.close_with_linger(None).await?)
    }

    async fn subscribe(&self, endpoint: &str) -> Result<End<Socket>, Failure> {
        let end = Self::connected(SocketType::Sub, endpoint).await?;
        end.0.subscribe(Bytes::new()).await?;
        Ok(end)
    }

    async fn push_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End<Socket>, Failure> {
        Self::bound(SocketType::Push, endpoint, listening).await
    }

    async fn pull_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End<Socket>, Failure> {
        Self::bound(SocketType::Pull, endpoint, listening).await
    }

    async fn publish_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End<Socket>, Failure> {
        Self::bound(SocketType::Pub, endpoint, listening).await
    }
}

impl Sender for End<Socket> {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        Ok(self.0.send(message(parts)).await?)
    }
}

impl Receiver for End<Socket> {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        show(&self.0.recv().await?, incoming);
        Ok(())
    }
}

impl Blocking {
    fn connected(&self, kind: SocketType, endpoint: &str) -> Result<End<blocking::Socket>, Failure> {
        let socket = self.context.blocking_socket(kind, Options::default());
        socket.connect(endpoint)?;
        Ok(End(socket))
    }

    fn bound(
        &self,
        kind: SocketType,
        endpoint: &str,
        listening: Listening<'_>,
    ) -> Result<End<blocking::Socket>, Failure> {
        let socket = self.context.blocking_socket(kind, options(kind));
        socket.bind(endpoint)?;
        listening.now();
        Ok(End(socket))
    }
}

impl Library for Blocking {
    type Push = End<blocking::Socket>;
    type Pull = End<blocking::Socket>;
    type Pub = End<blocking::Socket>;
    type Sub = End<blocking::Socket>;

    async fn push(&self, endpoint: &str) -> Result<Self::Push, Failure> {
        self.connected(SocketType::Push, endpoint)
    }

    async fn pull(&self, endpoint: &str) -> Result<Self::Pull, Failure> {
        self.connected(SocketType::Pull, endpoint)
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let End(push) = self.push(endpoint).await?;
        push.send(message(parts))?;
        Ok(push.close_with_linger(None)?)
    }

    async fn subscribe(&self, endpoint: &str) -> Result<Self::Sub, Failure> {
        let end = self.connected(SocketType::Sub, endpoint)?;
        end.0.subscribe(Bytes::new())?;
        Ok(end)
    }

    async fn push_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Self::Push, Failure> {
        self.bound(SocketType::Push, endpoint, listening)
    }

    async fn pull_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Self::Pull, Failure> {
        self.bound(SocketType::Pull, endpoint, listening)
    }

    async fn publish_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Self::Pub, Failure> {
        self.bound(SocketType::Pub, endpoint, listening)
    }
}

impl Sender for End<blocking::Socket> {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        Ok(self.0.send(message(parts))?)
    }
}

impl Receiver for End<blocking::Socket> {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        show(&self.0.recv()?, incoming);
        Ok(())
    }
}

fn options(kind: SocketType) -> Options {
    Options { xpub_nodrop: kind == SocketType::Pub, ..Options::default() }
}

fn message(parts: &[Vec<u8>]) -> Message {
    match parts {
        [part] => Message::from_slice(part),
        _ => Message::multipart(parts.iter().map(|part| Bytes::copy_from_slice(part))),
    }
}

fn show(message: &Message, incoming: &mut Incoming) {
    incoming.message((0..message.len()).filter_map(|part| message.get(part)));
}
