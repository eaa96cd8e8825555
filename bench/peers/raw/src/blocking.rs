//! The sockets of the standard library, which block.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use peer::{Failure, Incoming, Library, Listening, Receiver, Sender};
use rustix::event::{PollFd, PollFlags, poll};

use crate::wire::{Gather, Put, Splitter};

/// std.
#[derive(Debug)]
pub(crate) struct Std;

/// A TCP or Unix stream.
trait Stream: Read + Write + AsFd + Send {}

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

impl Library for Std {
    type Push = Dealer;
    type Pull = Collector;
    type Pub = Copier;
    type Sub = Collector;

    async fn push(&self, endpoint: &str) -> Result<Dealer, Failure> {
        Ok(Dealer::new(vec![connect(endpoint)?]))
    }

    async fn pull(&self, endpoint: &str) -> Result<Collector, Failure> {
        Ok(Collector::new(vec![connect(endpoint)?]))
    }

    async fn subscribe(&self, endpoint: &str) -> Result<Collector, Failure> {
        self.pull(endpoint).await
    }

    async fn push_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Dealer, Failure> {
        Ok(Dealer::new(accept(endpoint, peers, listening)?))
    }

    async fn pull_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Collector, Failure> {
        Ok(Collector::new(accept(endpoint, peers, listening)?))
    }

    async fn publish_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Copier, Failure> {
        Ok(Copier { gather: Gather::default(), peers: accept(endpoint, peers, listening)? })
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
                Put::Write => stream.write_all(gather.octets())?,
                Put::WriteThenPart => {
                    stream.write_all(gather.octets())?;
                    stream.write_all(part)?;
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
            stream.write_all(gather.octets())?;
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
                    stream.write_all(self.gather.octets())?;
                    if put == Put::WriteThenPart {
                        stream.write_all(part)?;
                    }
                }
                self.gather.clear();
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        for stream in &mut self.peers {
            stream.write_all(self.gather.octets())?;
        }
        self.gather.clear();
        Ok(())
    }
}

impl Collector {
    fn new(streams: Vec<Box<dyn Stream>>) -> Self {
        Self { peers: streams.into_iter().map(|stream| (Splitter::new(), stream)).collect(), next: 0 }
    }

    /// Waits until one can be read; after the last that could be, so that all have their turn.
    fn readable(&mut self) -> io::Result<usize> {
        if self.peers.len() == 1 {
            return Ok(0);
        }
        let mut polled: Vec<_> = self.peers.iter().map(|(_, stream)| PollFd::new(stream, PollFlags::IN)).collect();
        poll(&mut polled, None)?;
        let order = (self.next..polled.len()).chain(0..self.next);
        let found = order.into_iter().find(|&at| !polled[at].revents().is_empty()).unwrap_or(self.next);
        self.next = (found + 1) % polled.len();
        Ok(found)
    }
}

impl Receiver for Collector {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        loop {
            let at = self.readable()?;
            let (splitter, stream) = &mut self.peers[at];
            let read = stream.read(splitter.room())?;
            if read == 0 {
                return Err("the other process closed the connection".into());
            }
            if splitter.read(read, incoming) {
                return Ok(());
            }
        }
    }
}

fn connect(endpoint: &str) -> Result<Box<dyn Stream>, Failure> {
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        return Ok(Box::new(UnixStream::connect(path)?));
    }
    let stream = TcpStream::connect(endpoint.trim_start_matches("tcp://"))?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

fn accept(endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Vec<Box<dyn Stream>>, Failure> {
    let mut streams: Vec<Box<dyn Stream>> = Vec::new();
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        let listener = UnixListener::bind(path)?;
        listening.now();
        for _ in 0..peers {
            streams.push(Box::new(listener.accept()?.0));
        }
    } else {
        let listener = TcpListener::bind(endpoint.trim_start_matches("tcp://"))?;
        listening.now();
        for _ in 0..peers {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            streams.push(Box::new(stream));
        }
    }
    Ok(streams)
}
