//! This workspace's library, on its default settings: `send` and `recv` in a loop, nothing tuned, nothing flushed.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use peer::{Executor, Face, Failure, Incoming, Library, Listening, Receiver, Sender, Work};
use zmtp::{Multipart, Options, Pub, Pull, Push, Sub};

fn main() -> ExitCode {
    peer::main(&[
        Face { name: "zmtp", play: |work| play(Executor::current_thread(), work) },
        Face { name: "zmtp-mt", play: |work| play(Executor::multi_thread(), work) },
    ])
}

fn play(executor: io::Result<Executor>, work: Work) -> Failure {
    executor.map_or_else(Failure::from, |executor| peer::play(Zmtp, executor, work))
}

#[derive(Debug)]
struct Zmtp;

/// A socket as the benchmark sees it.
#[derive(Debug)]
struct End<S>(S);

/// A PUB never waits, and drops beyond its mark. A sender that must not lose anything waits now and then.
#[derive(Debug)]
struct Publisher {
    socket: Pub,
    sent: usize,
}

impl Library for Zmtp {
    type Push = End<Push>;
    type Pull = End<Pull>;
    type Pub = Publisher;
    type Sub = End<Sub>;

    async fn push(&self, endpoint: &str) -> Result<End<Push>, Failure> {
        let push = Push::new(Options::new());
        push.connect(endpoint)?;
        Ok(End(push))
    }

    async fn pull(&self, endpoint: &str) -> Result<End<Pull>, Failure> {
        let pull = Pull::new(Options::new());
        pull.connect(endpoint)?;
        Ok(End(pull))
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let End(push) = self.push(endpoint).await?;
        push.send(Multipart(parts)).await?;
        push.close(LINGER).await;
        Ok(())
    }

    async fn subscribe(&self, endpoint: &str) -> Result<End<Sub>, Failure> {
        let sub = Sub::new(Options::new());
        sub.subscribe("");
        sub.connect(endpoint)?;
        Ok(End(sub))
    }

    async fn push_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End<Push>, Failure> {
        let push = Push::new(Options::new());
        push.bind(endpoint).await?;
        listening.now();
        Ok(End(push))
    }

    async fn pull_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End<Pull>, Failure> {
        let pull = Pull::new(Options::new());
        pull.bind(endpoint).await?;
        listening.now();
        Ok(End(pull))
    }

    async fn publish_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<Publisher, Failure> {
        let socket = Pub::new(Options::new());
        socket.bind(endpoint).await?;
        listening.now();
        Ok(Publisher { socket, sent: 0 })
    }
}

impl Sender for End<Push> {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        Ok(self.0.send(Multipart(parts)).await?)
    }
}

impl Sender for Publisher {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        self.socket.send(Multipart(parts))?;
        self.sent += 1;
        if self.sent.is_multiple_of(MARK / 4) {
            let octets: usize = parts.iter().map(Vec::len).sum();
            self.socket.drained_to(octets * MARK / 2).await;
        }
        Ok(())
    }
}

impl Receiver for End<Pull> {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        incoming.message(self.0.recv().await.frames());
        Ok(())
    }
}

impl Receiver for End<Sub> {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        incoming.message(self.0.recv().await.frames());
        Ok(())
    }
}

/// Messages that a peer's queue holds by default ([`Options::send_mark`]).
const MARK: usize = 1000;

/// How long a closed socket may go on sending: longer than it needs to.
const LINGER: Duration = Duration::from_secs(10);
