//! The receiving service of one topic: a bare connection that reads, and checks every octet.
//!
//! A service connects before the daemon has bound the topic's socket and keeps trying, as libzmq's sockets do. What it
//! then receives must be exactly the topic's messages, in order, each once: a number that skips ahead leaves messages
//! missing, one that falls back is out of order or a copy, and anything that is no message of the topic is foreign.

use std::fmt;
use std::io;
use std::ops::AddAssign;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::traffic::Template;
use crate::wire::{self, Reader, SocketType, WireError};

/// A PULL socket connected to the daemon, its handshake done.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    path: PathBuf,
    reader: Reader<UnixStream>,
    template: &'a Template,
    /// The topic's numbers are those congruent to `first` modulo `step`.
    first: u64,
    step: u64,
    /// The least number not seen yet.
    next: u64,
}

/// How the messages of a run arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Expected, and never seen.
    pub(crate) missing: u64,
    /// Behind a later one, or a second time.
    pub(crate) out_of_order: u64,
    /// Not one of the topic's messages to the octet.
    pub(crate) foreign: u64,
}

/// Why a topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// The daemon does not bind the topic's socket.
    #[error("cannot connect to {path}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The last attempt's failure.
        source: io::Error,
    },
    /// What is there does not speak ZMTP, or broke off.
    #[error("reading {path}: {source}")]
    Wire {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: WireError,
    },
}

impl<'a> Sink<'a> {
    /// Connects to the topic's socket at `path`, trying again until `patience` is over. The topic's numbers start at
    /// `first` and go up by `step`, which is larger. Later a silence of `patience` counts as the end.
    pub(crate) fn connect(
        path: &Path,
        template: &'a Template,
        first: u64,
        step: u64,
        patience: Duration,
    ) -> Result<Self, SinkError> {
        let deadline = Instant::now() + patience;
        let connect = |source| SinkError::Connect { path: path.to_owned(), source };
        let mut stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() >= deadline => return Err(connect(error)),
                Err(_) => thread::sleep(RETRY),
            }
        };
        stream.set_read_timeout(Some(patience)).map_err(connect)?;
        let path = path.to_owned();
        match wire::handshake(&mut stream, SocketType::Pull) {
            Ok(()) => Ok(Self { path, reader: Reader::new(stream), template, first, step, next: first }),
            Err(source) => Err(SinkError::Wire { path, source }),
        }
    }

    /// Reads `count` messages, or as many as come before the daemon falls silent or hangs up; tells how they came and
    /// when the last one did.
    pub(crate) fn receive(&mut self, count: u64) -> Result<(Tally, Instant), SinkError> {
        self.read(count).map_err(|source| SinkError::Wire { path: self.path.clone(), source })
    }

    fn read(&mut self, count: u64) -> Result<(Tally, Instant), WireError> {
        let mut tally = Tally { missing: count, ..Tally::default() };
        let mut last = Instant::now();
        while tally.missing > 0 {
            match self.reader.fill() {
                Ok(0) => break,
                Err(error) if is_silence(&error) => break,
                read => read?,
            };
            let mut at = 0;
            while let Some(message) = wire::message(&self.reader.unread()[at..])? {
                at += message.wire.len();
                let number = self.template.number(message.wire).filter(|number| number % self.step == self.first);
                let Some(number) = number else {
                    tally.foreign += 1;
                    continue;
                };
                tally.missing = tally.missing.saturating_sub(1);
                if number < self.next {
                    tally.out_of_order += 1;
                } else {
                    self.next = number.saturating_add(self.step);
                }
            }
            self.reader.consume(at);
            last = Instant::now();
        }
        Ok((tally, last))
    }
}

impl Tally {
    /// Everything came, once, in order and unchanged.
    pub(crate) fn is_perfect(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.out_of_order += other.out_of_order;
        self.foreign += other.foreign;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, out_of_order, foreign } = self;
        write!(f, "{missing} missing, {out_of_order} out of order or twice, {foreign} foreign")
    }
}

/// A read that timed out: the two names the system has for it (read(2), SO_RCVTIMEO).
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Between attempts to connect. Well under libzmq's 100 ms, so that a run starts promptly.
const RETRY: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::traffic::Shape;

    /// What a sink says of a daemon that sends `wire` when four messages, 1 4 7 10, are due.
    fn tally_of(wire: &[u8]) -> Tally {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let templates = Shape::new(64, 4, 3).unwrap().templates();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(RETRY * 2);
                let (mut push, _) = UnixListener::bind(&path).unwrap().accept().unwrap();
                wire::handshake(&mut push, SocketType::Push).unwrap();
                push.write_all(wire).unwrap();
            });
            let mut sink = Sink::connect(&path, &templates[1], 1, 3, Duration::from_secs(5)).unwrap();
            sink.receive(4).unwrap().0
        })
    }

    fn messages(numbers: &[u64]) -> Vec<u8> {
        let templates = Shape::new(64, 4, 3).unwrap().templates();
        let mut wire = Vec::new();
        numbers.iter().for_each(|&number| templates[1].put(number, &mut wire));
        wire
    }

    #[test]
    fn all_in_order_is_perfect() {
        let tally = tally_of(&messages(&[1, 4, 7, 10]));
        assert!(tally.is_perfect(), "{tally}");
    }

    #[test]
    fn every_fault_of_a_daemon_is_seen() {
        let faults = |missing, out_of_order, foreign| Tally { missing, out_of_order, foreign };
        assert_eq!(tally_of(&messages(&[])), faults(4, 0, 0), "silent");
        assert_eq!(tally_of(&messages(&[1, 4, 10])), faults(1, 0, 0), "lost in the middle");
        assert_eq!(tally_of(&messages(&[1, 4, 7])), faults(1, 0, 0), "lost at the end");
        assert_eq!(tally_of(&messages(&[1, 7, 4, 10])), faults(0, 1, 0), "swapped");
        assert_eq!(tally_of(&messages(&[1, 4, 4, 7])), faults(0, 1, 0), "sent twice");
        assert_eq!(tally_of(&messages(&[1, 4, 5, 7, 10])), faults(0, 0, 1), "another topic's number");
        let mut changed = messages(&[1, 4, 7, 10]);
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(tally_of(&changed), faults(1, 0, 1), "changed on the way");
        let cut = messages(&[1, 4, 7, 10]);
        assert_eq!(tally_of(&cut[..cut.len() - 1]), faults(1, 0, 0), "cut short");
    }

    #[test]
    fn silence_counts_as_loss() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let templates = Shape::new(64, 4, 3).unwrap().templates();
        let listener = UnixListener::bind(&path).unwrap();
        thread::scope(|scope| {
            let daemon = scope.spawn(|| {
                let (mut push, _) = listener.accept().unwrap();
                wire::handshake(&mut push, SocketType::Push).unwrap();
                push.write_all(&messages(&[1, 4])).unwrap();
                push
            });
            let mut sink = Sink::connect(&path, &templates[1], 1, 3, Duration::from_millis(50)).unwrap();
            let _open = daemon.join().unwrap();
            let (tally, _) = sink.receive(3).unwrap();
            assert_eq!(tally, Tally { missing: 1, ..Tally::default() });
        });
    }

    #[test]
    fn a_socket_never_bound_is_named() {
        let templates = Shape::new(64, 4, 1).unwrap().templates();
        let path = Path::new("/nonexistent/zmq_topic_compute.host00");
        let error = Sink::connect(path, &templates[0], 0, 1, Duration::from_millis(10)).unwrap_err();
        assert!(error.to_string().starts_with("cannot connect to /nonexistent/zmq_topic_compute.host00: "));
    }
}
