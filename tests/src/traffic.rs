//! Senders and consumers of numbered casts on libzmq, each a process: the script `traffic.py`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Program, ProgramError};
use crate::python::{self, NoEnvironment};

/// A client that casts to topics in turn.
#[derive(Debug)]
pub struct Sender(Program);

/// The keys of a sender that encrypts, in Z85.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Of whom it connects to.
    pub server: String,
    /// Its own.
    pub public: String,
    /// Its own.
    pub secret: String,
}

/// A service of one topic, which records what it receives.
#[derive(Debug)]
pub struct Consumer {
    program: Program,
    record: PathBuf,
}

/// A subscriber of a fanout or reply topic.
#[derive(Debug)]
pub struct Subscriber(Program);

/// A message that a subscriber got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Since the subscriber's connection was made.
    pub after: Duration,
    /// The frames.
    pub frames: Vec<String>,
}

/// What a consumer received, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record(Vec<(u32, u32)>);

/// A peer that failed.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// libzmq is not installed.
    #[error(transparent)]
    Environment(#[from] NoEnvironment),
    /// Its process failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its process cannot be signalled.
    #[error("cannot stop a consumer")]
    Signal(#[from] Errno),
    /// It printed something else.
    #[error("{name} printed {line}")]
    Line {
        /// Who.
        name: String,
        /// What.
        line: String,
    },
    /// A record cannot be read.
    #[error("cannot read the record {}", path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A message came twice, not at all, or not in its turn.
    #[error("from sender {sender} came number {found} in place of {expected}")]
    Gap {
        /// Who sent it.
        sender: u32,
        /// The number that should have come.
        expected: u32,
        /// The number that came.
        found: u32,
    },
}

impl Sender {
    /// Starts client number `sender`, connecting.
    pub fn start(endpoint: &str, sender: u32, topics: &[&str]) -> Result<Self, TrafficError> {
        Self::start_with(endpoint, sender, topics, &[])
    }

    /// The same, which encrypts.
    pub fn start_encrypting(endpoint: &str, sender: u32, topics: &[&str], keys: &Keys) -> Result<Self, TrafficError> {
        let Keys { server, public, secret } = keys;
        let keys = [("CURVE_SERVER", &**server), ("CURVE_PUBLIC", public), ("CURVE_SECRET", secret)];
        Self::start_with(endpoint, sender, topics, &keys)
    }

    /// The same as [`start`](Self::start), with casts of `octets`: large ones keep the connection as full as it can be, however
    /// slow the program is.
    pub fn start_large(endpoint: &str, sender: u32, topics: &[&str], octets: usize) -> Result<Self, TrafficError> {
        Self::start_with(endpoint, sender, topics, &[("PADDING", &octets.to_string())])
    }

    fn start_with(
        endpoint: &str,
        sender: u32,
        topics: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, TrafficError> {
        let mut command = command("send")?;
        command.arg(endpoint).arg(sender.to_string()).args(topics).envs(environment.iter().copied());
        Ok(Self(Program::start(&format!("sender {sender}"), &mut command)?))
    }

    /// Begins to send more casts.
    pub fn begin(&mut self, casts: u32) -> Result<(), TrafficError> {
        Ok(self.0.send_line(&casts.to_string())?)
    }

    /// Waits until libzmq has taken what was begun.
    pub fn finish(&mut self) -> Result<(), TrafficError> {
        expect(&mut self.0, "sent")
    }

    /// Sends more casts.
    pub fn send(&mut self, casts: u32) -> Result<(), TrafficError> {
        self.begin(casts)?;
        self.finish()
    }
}

impl Consumer {
    /// Starts a service of `topic`, connecting to `socket`. It makes the file `record`, or appends to it.
    pub fn start(socket: &Path, topic: &str, record: PathBuf) -> Result<Self, TrafficError> {
        Self::start_pausing(socket, topic, record, Duration::ZERO)
    }

    /// The same, which does nothing for a while once it has received one message.
    pub fn start_pausing(socket: &Path, topic: &str, record: PathBuf, pause: Duration) -> Result<Self, TrafficError> {
        Self::start_with(socket, topic, record, pause, None)
    }

    /// The same as [`start`](Self::start), for casts of [large senders](Sender::start_large).
    pub fn start_large(socket: &Path, topic: &str, record: PathBuf, octets: usize) -> Result<Self, TrafficError> {
        Self::start_with(socket, topic, record, Duration::ZERO, Some(octets))
    }

    fn start_with(
        socket: &Path,
        topic: &str,
        record: PathBuf,
        pause: Duration,
        octets: Option<usize>,
    ) -> Result<Self, TrafficError> {
        let mut command = command("consume")?;
        command.envs(octets.map(|octets| ("PADDING", octets.to_string())));
        command.arg(format!("ipc://{}", socket.display())).arg(topic).arg(&record);
        command.arg(pause.as_secs_f64().to_string());
        Ok(Self { program: Program::start(&format!("consumer of {topic}"), &mut command)?, record })
    }

    /// Waits until it has received so many messages.
    pub fn wait_for(&mut self, messages: usize) -> Result<Record, TrafficError> {
        let path = self.record.clone();
        let len = (messages * Record::ENTRY) as u64;
        let received = |_: &mut Program| (path.metadata().ok()?.len() >= len).then_some(());
        self.program.wait(&format!("short of {messages} messages"), PATIENCE, received)?;
        self.record()
    }

    /// Waits until it has received the cast `number` of each of `senders`.
    pub fn wait_for_last(&mut self, senders: u32, number: u32) -> Result<Record, TrafficError> {
        (0..senders).try_for_each(|sender| self.wait_for_one(sender, number))?;
        self.record()
    }

    /// Waits until it has received the cast `number` of `sender`.
    pub fn wait_for_one(&mut self, sender: u32, number: u32) -> Result<(), TrafficError> {
        let path = self.record.clone();
        let received = |_: &mut Program| {
            Record::read(&path).ok()?.0.iter().rev().any(|cast| *cast == (sender, number)).then_some(())
        };
        Ok(self.program.wait(&format!("without the cast {number} of sender {sender}"), PATIENCE, received)?)
    }

    /// Stops it where it is (SIGSTOP): it stays connected and receives nothing more.
    pub fn freeze(&self) -> Result<(), TrafficError> {
        let process = i32::try_from(self.program.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
        Ok(process.and_then(|process| kill_process(process, Signal::STOP))?)
    }

    /// Ends it at once with SIGKILL. What it had received.
    pub fn kill(mut self) -> Result<Record, TrafficError> {
        self.program.kill()?;
        self.record()
    }

    /// What it has received.
    pub fn record(&self) -> Result<Record, TrafficError> {
        Record::read(&self.record).map_err(|source| TrafficError::Record { path: self.record.clone(), source })
    }
}

impl Record {
    /// Octets of a sender and a number.
    const ENTRY: usize = 8;

    fn read(path: &Path) -> io::Result<Self> {
        let octets = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            octets => octets?,
        };
        let (entries, _) = octets.as_chunks::<{ Self::ENTRY }>();
        let number = |octets: &[u8]| octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
        Ok(Self(entries.iter().map(|entry| (number(&entry[..4]), number(&entry[4..]))).collect()))
    }

    /// How many messages.
    pub fn messages(&self) -> usize {
        self.0.len()
    }

    /// What is missing of each sender before the last of its messages that came: the first number, and how many. What came
    /// has to have come once and in order.
    pub fn gaps(&self) -> Result<Vec<(u32, u32, u32)>, TrafficError> {
        let mut next = BTreeMap::new();
        let mut gaps = Vec::new();
        for (sender, number) in &self.0 {
            let expected = next.entry(*sender).or_insert(0);
            match number.checked_sub(*expected) {
                None => return Err(TrafficError::Gap { sender: *sender, expected: *expected, found: *number }),
                Some(0) => {}
                Some(missing) => gaps.push((*sender, *expected, missing)),
            }
            *expected = number + 1;
        }
        Ok(gaps)
    }

    /// The numbers that came from each sender, which must be in order and without a gap.
    pub fn ranges(&self) -> Result<BTreeMap<u32, Range<u32>>, TrafficError> {
        let mut ranges = BTreeMap::new();
        for (sender, number) in &self.0 {
            let range = ranges.entry(*sender).or_insert(*number..*number);
            if *number != range.end {
                return Err(TrafficError::Gap { sender: *sender, expected: range.end, found: *number });
            }
            range.end += 1;
        }
        Ok(ranges)
    }
}

impl Subscriber {
    /// Starts a subscriber of messages whose first frame begins with `prefix`, connecting to `socket`.
    pub fn start(socket: &Path, prefix: &str) -> Result<Self, TrafficError> {
        let mut command = command("subscribe")?;
        command.arg(format!("ipc://{}", socket.display())).arg(prefix);
        let mut program = Program::start(&format!("subscriber of {prefix:?}"), &mut command)?;
        expect(&mut program, "subscribed")?;
        Ok(Self(program))
    }

    /// The next message.
    pub fn receive(&mut self) -> Result<Published, TrafficError> {
        let line = self.0.next_line(PATIENCE)?;
        match serde_json::from_str::<(u64, Vec<String>)>(&line) {
            Ok((after, frames)) => Ok(Published { after: Duration::from_millis(after), frames }),
            Err(_) => Err(TrafficError::Line { name: self.0.name().to_owned(), line }),
        }
    }
}

fn command(role: &str) -> Result<Command, TrafficError> {
    let mut command = Command::new(python::interpreter("py3-4.3.5")?);
    // -B: the scripts lie in the sources, where compiled copies have no place.
    command.arg("-B").arg(python::script("traffic.py")).arg(role);
    Ok(command)
}

fn expect(program: &mut Program, expected: &str) -> Result<(), TrafficError> {
    let line = program.next_line(PATIENCE)?;
    if line == expected { Ok(()) } else { Err(TrafficError::Line { name: program.name().to_owned(), line }) }
}

/// Ten times what the slowest step of a test takes on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);
