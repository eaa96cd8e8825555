//! The sending service: one bare connection that offers messages as fast as the daemon takes them.
//!
//! Messages are encoded once; a batch is sent again and again with new numbers written into it, so that a message costs
//! the feeder little more than the kernel's copy.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use crate::traffic::Template;
use crate::wire::{self, SocketType, WireError};

/// A PUSH socket connected to the daemon, its handshake done.
#[derive(Debug)]
pub(crate) struct Feeder {
    stream: TcpStream,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    /// Nobody accepts.
    #[error("nothing accepts connections at {address}: {source}")]
    Connect {
        /// Where the daemon should listen.
        address: SocketAddr,
        /// The last attempt's failure.
        source: io::Error,
    },
    /// Somebody accepts, but not as a ZMTP peer.
    #[error("the handshake with {address} failed: {source}")]
    Handshake {
        /// Where the daemon listens.
        address: SocketAddr,
        /// What went wrong.
        source: WireError,
    },
}

impl Feeder {
    /// Connects to `address`; once, without waiting for anybody to listen.
    pub(crate) fn connect(address: SocketAddr, patience: Duration) -> Result<Self, FeedError> {
        let connect = |source| FeedError::Connect { address, source };
        let mut stream = TcpStream::connect_timeout(&address, patience).map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        stream.set_read_timeout(Some(patience)).map_err(connect)?;
        wire::handshake(&mut stream, SocketType::Push).map_err(|source| FeedError::Handshake { address, source })?;
        Ok(Self { stream })
    }

    /// Sends the messages of these numbers, to the topics in turn; the first number belongs to the first topic. Blocks
    /// while the daemon does not read; fails once it is gone.
    pub(crate) fn send(&mut self, templates: &[Template], numbers: Range<u64>) -> io::Result<()> {
        let mut batch = Batch::new(templates);
        let mut next = numbers.start;
        while next < numbers.end {
            let (wire, messages) = batch.numbered(next..numbers.end);
            self.stream.write_all(wire)?;
            next += messages;
        }
        Ok(())
    }

    /// Sends messages that are encoded already.
    pub(crate) fn send_wire(&mut self, wire: &[u8]) -> io::Result<()> {
        self.stream.write_all(wire)
    }
}

/// Some whole turns around the topics, encoded.
struct Batch<'a> {
    templates: &'a [Template],
    wire: Vec<u8>,
    /// Octets of each message: all are equally long.
    message: usize,
}

impl<'a> Batch<'a> {
    fn new(templates: &'a [Template]) -> Self {
        let message = templates.first().map_or(1, Template::len);
        let turn = message * templates.len();
        let mut wire = Vec::new();
        while wire.is_empty() || wire.len() + turn <= BATCH {
            templates.iter().for_each(|template| template.put(0, &mut wire));
        }
        Self { templates, wire, message }
    }

    /// The messages of the first of these numbers, as many as there is room for, and how many they are.
    fn numbered(&mut self, numbers: Range<u64>) -> (&[u8], u64) {
        let mut messages = 0;
        let slots = self.wire.chunks_exact_mut(self.message).zip(self.templates.iter().cycle());
        for ((wire, template), number) in slots.zip(numbers) {
            template.renumber(number, wire);
            messages += 1;
        }
        (&self.wire[..messages * self.message], messages as u64)
    }
}

/// Octets per write: as many as a daemon is likely to read at once.
const BATCH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Shape;

    #[test]
    fn batches_carry_every_number_once_and_end_where_told() {
        for topics in [1, 3, 8] {
            let templates = Shape::new(256, 4, topics).unwrap().templates();
            let mut batch = Batch::new(&templates);
            let (mut next, end) = (topics as u64, 1000);
            while next < end {
                let (wire, messages) = batch.numbered(next..end);
                assert!(wire.len() <= BATCH);
                for (message, number) in wire.chunks(templates[0].len()).zip(next..) {
                    let template = &templates[number as usize % topics];
                    assert_eq!(template.number(message), Some(number));
                }
                next += messages;
            }
            assert_eq!(next, end);
        }
    }

    #[test]
    fn nobody_listening_is_said_with_the_address() {
        let error = Feeder::connect(([127, 0, 0, 1], 1).into(), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().starts_with("nothing accepts connections at 127.0.0.1:1: "), "{error}");
    }
}
