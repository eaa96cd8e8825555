//! The sockets of tokio, on its runtime of one thread.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use peer::{Failure, Incoming, Library, Listening, Receiver, Sender};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::wire::{Gather, Put, Splitter};

/// tokio.
#[derive(Debug)]
pub(crate) struct Tokio;

/// A TCP or Unix stream.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// Sends each message to the next stream in turn.
pub(crate) struct Dealer {
    peers: Vec<(Gather, Box<dyn Stream>)>,
    next: usize,
}

/// Sends each message to all streams.
pub(crate) struct Copier {
    gather: Gather,
    peers: Vec<Box<dyn Stream>>,
}

/// Receives from all streams.
pub(crate) struct Collector {
    peers: Vec<(Splitter, Box<dyn Stream>)>,
    next: usize,
}

impl Library for Tokio {
    type Push = Dealer;
    type Pull = Collector;
    type Pub = Copier;
    type Sub = Collector;

    async fn push(&self, endpoint: &str) -> Result<Dealer, Failure> {
        Ok(Dealer::new(vec![connect(endpoint).await?]))
    }

    async fn pull(&self, endpoint: &str) -> Result<Collector, Failure> {
        Ok(Collector::new(vec![connect(endpoint).await?]))
    }

    async fn subscribe(&self, endpoint: &str) -> Result<Collector, Failure> {
        self.pull(endpoint).await
    }

    async fn push_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Dealer, Failure> {
        Ok(Dealer::new(accept(endpoint, peers, listening).await?))
    }

    async fn pull_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Collector, Failure> {
        Ok(Collector::new(accept(endpoint, peers, listening).await?))
    }

    async fn publish_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Copier, Failure> {
        Ok(Copier { gather: Gather::default(), peers: accept(endpoint, peers, listening).await? })
    }
}

impl Dealer {
    fn new(streams: Vec<Box<dyn Stream>>) -> Self {
        Self { peers: streams.into_iter().map(|stream| (Gather::default(), stream)).collect(), next: 0 }
    }
}

impl Sender for Dealer {
    #[inline]
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let (gather, stream) = &mut self.peers[self.next];
        for (left, part) in (0..parts.len()).rev().zip(parts) {
            match gather.put(part, left > 0) {
                Put::Gathered => continue,
                Put::Write => stream.write_all(gather.octets()).await?,
                Put::WriteThenPart => {
                    stream.write_all(gather.octets()).await?;
                    stream.write_all(part).await?;
                }
            }
            gather.clear();
        }
        self.next += 1;
        if self.next == self.peers.len() {
            self.next = 0;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        for (gather, stream) in &mut self.peers {
            stream.write_all(gather.octets()).await?;
            gather.clear();
        }
        Ok(())
    }
}

impl Sender for Copier {
    #[inline]
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        for (left, part) in (0..parts.len()).rev().zip(parts) {
            let put = self.gather.put(part, left > 0);
            if put != Put::Gathered {
                for stream in &mut self.peers {
                    stream.write_all(self.gather.octets()).await?;
                    if put == Put::WriteThenPart {
                        stream.write_all(part).await?;
                    }
                }
                self.gather.clear();
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        for stream in &mut self.peers {
            stream.write_all(self.gather.octets()).await?;
        }
        self.gather.clear();
        Ok(())
    }
}

impl Collector {
    fn new(streams: Vec<Box<dyn Stream>>) -> Self {
        Self { peers: streams.into_iter().map(|stream| (Splitter::new(), stream)).collect(), next: 0 }
    }

    /// One read from a stream that has something, after the last that had, so that all have their turn. True if a
    /// message ended.
    fn poll_read(&mut self, cx: &mut Context<'_>, incoming: &mut Incoming) -> Poll<io::Result<bool>> {
        for _ in 0..self.peers.len() {
            let this = self.next;
            self.next = if this + 1 == self.peers.len() { 0 } else { this + 1 };
            let (splitter, stream) = &mut self.peers[this];
            let mut room = ReadBuf::new(splitter.room());
            if Pin::new(stream).poll_read(cx, &mut room)?.is_ready() {
                let read = room.filled().len();
                if read == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                return Poll::Ready(Ok(splitter.read(read, incoming)));
            }
        }
        Poll::Pending
    }
}

impl Receiver for Collector {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        while !poll_fn(|cx| self.poll_read(cx, incoming)).await? {}
        Ok(())
    }
}

async fn connect(endpoint: &str) -> Result<Box<dyn Stream>, Failure> {
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let stream = TcpStream::connect(endpoint.trim_start_matches("tcp://")).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

async fn accept(endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Vec<Box<dyn Stream>>, Failure> {
    let mut streams: Vec<Box<dyn Stream>> = Vec::new();
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        let listener = UnixListener::bind(path)?;
        listening.now();
        for _ in 0..peers {
            streams.push(Box::new(listener.accept().await?.0));
        }
    } else {
        let listener = TcpListener::bind(endpoint.trim_start_matches("tcp://")).await?;
        listening.now();
        for _ in 0..peers {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            streams.push(Box::new(stream));
        }
    }
    Ok(streams)
}
