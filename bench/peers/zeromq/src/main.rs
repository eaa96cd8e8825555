//! zeromq, on its default settings and tokio's runtime of one thread, on which it was faster here than on that of several.
//!
//! Its PUB drops what does not fit its queue, and its `send` never waits; so its user lets other tasks go first now and
//! then.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use peer::{Executor, Face, Failure, Incoming, Library, Listening, Receiver, Sender};
use zeromq::{PubSocket, PullSocket, PushSocket, Socket, SocketRecv, SocketSend, SubSocket, ZmqError, ZmqMessage};

fn main() -> ExitCode {
    let play =
        |work| Executor::current_thread().map_or_else(Failure::from, |executor| peer::play(Zeromq, executor, work));
    peer::main(&[Face { name: "zeromq", play }])
}

struct Zeromq;

/// A socket as the benchmark sees it.
struct End<S>(S);

struct Publisher {
    socket: PubSocket,
    sent: usize,
}

impl Zeromq {
    async fn connected<S: Socket>(endpoint: &str) -> Result<End<S>, Failure> {
        let mut socket = S::new();
        socket.connect(endpoint).await?;
        Ok(End(socket))
    }

    async fn bound<S: Socket>(endpoint: &str, listening: Listening<'_>) -> Result<End<S>, Failure> {
        let mut socket = S::new();
        socket.bind(endpoint).await?;
        listening.now();
        Ok(End(socket))
    }
}

impl Library for Zeromq {
    type Push = End<PushSocket>;
    type Pull = End<PullSocket>;
    type Pub = Publisher;
    type Sub = End<SubSocket>;

    async fn push(&self, endpoint: &str) -> Result<Self::Push, Failure> {
        Self::connected(endpoint).await
    }

    async fn pull(&self, endpoint: &str) -> Result<Self::Pull, Failure> {
        Self::connected(endpoint).await
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let mut push = self.push(endpoint).await?;
        push.send(parts).await?;
        push.0.close().await;
        Ok(())
    }

    async fn subscribe(&self, endpoint: &str) -> Result<Self::Sub, Failure> {
        let mut end: Self::Sub = Self::connected(endpoint).await?;
        end.0.subscribe("").await?;
        Ok(end)
    }

    async fn push_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Self::Push, Failure> {
        Self::bound(endpoint, listening).await
    }

    async fn pull_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Self::Pull, Failure> {
        Self::bound(endpoint, listening).await
    }

    async fn publish_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Publisher, Failure> {
        let End(socket) = Self::bound(endpoint, listening).await?;
        Ok(Publisher { socket, sent: 0 })
    }
}

impl Sender for End<PushSocket> {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let mut message = message(parts)?;
        // While nobody is connected it hands a message back.
        while let Err(error) = self.0.send(message).await {
            message = match error {
                ZmqError::ReturnToSender { message, .. } => message,
                other => return Err(other.into()),
            };
            tokio::time::sleep(NOBODY_YET).await;
        }
        Ok(())
    }
}

impl Sender for Publisher {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        self.socket.send(message(parts)?).await?;
        self.sent += 1;
        if self.sent.is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl<S: SocketRecv> Receiver for End<S> {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        let message = self.0.recv().await?;
        incoming.message(message.iter().map(|frame| &frame[..]));
        Ok(())
    }
}

fn message(parts: &[Vec<u8>]) -> Result<ZmqMessage, Failure> {
    if let [part] = parts {
        return Ok(part.clone().into());
    }
    let frames: Vec<_> = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
    frames.try_into().map_err(|_| "a message without parts".into())
}

/// Messages after which other tasks go first: a thousandth of the queue.
const YIELD_EVERY: usize = 100;

/// Between attempts to send before a peer has connected.
const NOBODY_YET: Duration = Duration::from_millis(1);
