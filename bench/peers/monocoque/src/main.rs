//! monocoque on tokio, on its default settings and with the write coalescing it offers.
//!
//! Without coalescing each `send` is one write. With it, messages are kept until 64 KiB have come together or `flush` is
//! called; its own texts recommend that for throughput, and so it is measured under a name of its own.

use std::process::ExitCode;

use bytes::Bytes;
use monocoque::SocketOptions;
use monocoque::rt::{TcpListener, TcpStream, UnixListener, UnixStream};
use monocoque::zmq::{PubSocket, PullFanIn, PullSocket, PushFanOut, PushSocket, SubSocket};
use peer::{Executor, Face, Failure, Incoming, Library, Listening, Receiver, Sender, Work};

fn main() -> ExitCode {
    peer::main(&[
        Face { name: "monocoque", play: |work| play(false, work) },
        Face { name: "monocoque-coalescing", play: |work| play(true, work) },
    ])
}

fn play(coalescing: bool, work: Work) -> Failure {
    let executor = Executor::current_thread();
    executor.map_or_else(Failure::from, |executor| peer::play(Monocoque { coalescing }, executor, work))
}

struct Monocoque {
    coalescing: bool,
}

/// A socket holds one connection, whose kind is part of its type; there is another type for several.
enum Push {
    Tcp(PushSocket<TcpStream>),
    Unix(PushSocket<UnixStream>),
    Several(PushFanOut),
}

enum Pull {
    Tcp(PullSocket<TcpStream>, Vec<Bytes>),
    Unix(PullSocket<UnixStream>, Vec<Bytes>),
    Several(PullFanIn),
}

struct Publisher(PubSocket);

struct Subscriber(SubSocket, Vec<Bytes>);

impl Monocoque {
    fn options(&self) -> SocketOptions {
        SocketOptions::default().with_write_coalescing(self.coalescing)
    }
}

impl Library for Monocoque {
    type Push = Push;
    type Pull = Pull;
    type Pub = Publisher;
    type Sub = Subscriber;

    async fn push(&self, endpoint: &str) -> Result<Push, Failure> {
        Ok(match place(endpoint)? {
            Place::Tcp(addr) => Push::Tcp(PushSocket::connect_with_options(addr, self.options()).await?),
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                Push::Unix(PushSocket::from_unix_stream_with_options(stream, self.options()).await?)
            }
        })
    }

    async fn pull(&self, endpoint: &str) -> Result<Pull, Failure> {
        Ok(match place(endpoint)? {
            Place::Tcp(addr) => Pull::Tcp(PullSocket::connect(addr).await?, Vec::new()),
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                Pull::Unix(PullSocket::from_unix_stream(stream).await?, Vec::new())
            }
        })
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let mut push = self.push(endpoint).await?;
        push.send(parts).await?;
        push.flush().await
    }

    async fn subscribe(&self, endpoint: &str) -> Result<Subscriber, Failure> {
        let mut sub = SubSocket::connect(endpoint).await?;
        sub.subscribe(b"").await?;
        Ok(Subscriber(sub, Vec::new()))
    }

    async fn push_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Push, Failure> {
        match place(endpoint)? {
            Place::Tcp(addr) => {
                let listener = TcpListener::bind(addr).await?;
                listening.now();
                if peers == 1 {
                    let (stream, _) = listener.accept().await?;
                    return Ok(Push::Tcp(PushSocket::from_tcp_with_options(stream, self.options()).await?));
                }
                Ok(Push::Several(PushFanOut::accept_workers(&listener, peers.into(), self.options()).await?))
            }
            Place::Unix(path) => {
                let stream = accept_unix(path, peers, listening).await?;
                Ok(Push::Unix(PushSocket::from_unix_stream_with_options(stream, self.options()).await?))
            }
        }
    }

    async fn pull_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Pull, Failure> {
        match place(endpoint)? {
            Place::Tcp(addr) => {
                let listener = TcpListener::bind(addr).await?;
                listening.now();
                if peers == 1 {
                    let (stream, _) = listener.accept().await?;
                    return Ok(Pull::Tcp(PullSocket::from_tcp(stream).await?, Vec::new()));
                }
                Ok(Pull::Several(PullFanIn::accept_workers(&listener, peers.into(), self.options()).await?))
            }
            Place::Unix(path) => {
                let stream = accept_unix(path, peers, listening).await?;
                Ok(Pull::Unix(PullSocket::from_unix_stream(stream).await?, Vec::new()))
            }
        }
    }

    async fn publish_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Publisher, Failure> {
        let Place::Tcp(addr) = place(endpoint)? else {
            return Err("its PUB binds to TCP only".into());
        };
        // Messages beyond the mark would be dropped.
        let mut publisher = PubSocket::bind_with_options(addr, self.options().with_send_hwm(UNLIMITED)).await?;
        listening.now();
        for _ in 0..peers {
            publisher.accept_subscriber().await?;
        }
        Ok(Publisher(publisher))
    }
}

impl Sender for Push {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        match (self, parts) {
            (Self::Tcp(push), [part]) => push.send_one(Bytes::copy_from_slice(part)).await?,
            (Self::Tcp(push), _) => push.send(frames(parts)).await?,
            (Self::Unix(push), [part]) => push.send_one(Bytes::copy_from_slice(part)).await?,
            (Self::Unix(push), _) => push.send(frames(parts)).await?,
            (Self::Several(push), [part]) => push.send_one(Bytes::copy_from_slice(part)).await?,
            (Self::Several(push), _) => push.send(frames(parts)).await?,
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Tcp(push) => push.flush().await?,
            Self::Unix(push) => push.flush().await?,
            Self::Several(push) => push.flush().await?,
        }
        Ok(())
    }
}

impl Receiver for Pull {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        let open = match self {
            Self::Tcp(pull, frames) => pull.recv_into(frames).await?,
            Self::Unix(pull, frames) => pull.recv_into(frames).await?,
            Self::Several(pull) => {
                let message = pull.recv().await?.ok_or(CLOSED)?;
                incoming.message(message.iter().map(|frame| &frame[..]));
                return Ok(());
            }
        };
        let (Self::Tcp(_, frames) | Self::Unix(_, frames)) = self else {
            return Ok(());
        };
        if !open {
            return Err(CLOSED.into());
        }
        incoming.message(frames.iter().map(|frame| &frame[..]));
        Ok(())
    }
}

impl Sender for Publisher {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        Ok(self.0.send(frames(parts)).await?)
    }
}

impl Receiver for Subscriber {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        let Self(sub, frames) = self;
        if !sub.recv_into(frames).await? {
            return Err(CLOSED.into());
        }
        incoming.message(frames.iter().map(|frame| &frame[..]));
        Ok(())
    }
}

fn frames(parts: &[Vec<u8>]) -> Vec<Bytes> {
    parts.iter().map(|part| Bytes::copy_from_slice(part)).collect()
}

async fn accept_unix(path: &str, peers: u16, listening: Listening<'_>) -> Result<UnixStream, Failure> {
    if peers > 1 {
        return Err("it has no socket for several peers but on TCP".into());
    }
    let listener = UnixListener::bind(path).await?;
    listening.now();
    Ok(listener.accept().await?.0)
}

enum Place<'a> {
    Tcp(&'a str),
    Unix(&'a str),
}

fn place(endpoint: &str) -> Result<Place<'_>, Failure> {
    match endpoint.split_once("://") {
        Some(("tcp", addr)) => Ok(Place::Tcp(addr)),
        Some(("ipc", path)) => Ok(Place::Unix(path)),
        _ => Err("expected tcp:// or ipc://".into()),
    }
}

const CLOSED: &str = "the other process closed the connection";

/// A high-water mark that no turn reaches.
const UNLIMITED: usize = 1 << 40;
