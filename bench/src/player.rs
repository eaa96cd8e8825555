//! A process of a turn, as the driver sees it: started, told what to do, listened to, blamed.
//!
//! What is said is in the `peer` crate, module `control`.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use peer::report::Report;

use crate::proc::{ProcError, Process};
use crate::wire::WireError;
use crate::works::Transport;

/// One process of a turn, under the driver's command.
#[derive(Debug)]
pub(crate) struct Player {
    which: &'static str,
    process: Process,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Whether it has said that it can't go on.
    failed: bool,
}

impl Player {
    /// Starts `command`, which is to do `which`; its log goes to `directory`.
    pub(crate) fn start(which: &'static str, command: &mut Command, directory: &Path) -> Result<Self, ProcError> {
        let log = directory.join(which).with_extension("log");
        let (process, input, output) = Process::converse(command, log)?;
        let (line, lines) = mpsc::channel();
        // Ends with the process, whose output ends then.
        thread::spawn(move || {
            let output = BufReader::new(output).lines();
            output.map_while(Result::ok).try_for_each(|text| line.send(text))
        });
        Ok(Self { which, process, input, lines, failed: false })
    }

    /// Tells it a word.
    pub(crate) fn tell(&mut self, word: &str) {
        // One that is gone is found out when its answer does not come.
        let _ = writeln!(self.input, "{word}");
    }

    /// Whether it says this word in time.
    pub(crate) fn says(&mut self, word: &str, within: Duration) -> bool {
        let line = self.lines.recv_timeout(within);
        self.failed |= line.as_deref() == Ok("failed");
        line.as_deref() == Ok(word)
    }

    /// Its account, which it gives at its end.
    pub(crate) fn report(&mut self) -> Result<Report, Fault> {
        let deadline = Instant::now() + READY_WITHIN;
        // Words that came too late may stand before it.
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Ok(report) = serde_json::from_str(&line) {
                return Ok(report);
            }
        }
        Err(Fault::Ended { which: self.which, state: self.process.state() })
    }

    /// It should have said so in time.
    pub(crate) fn not_ready(&mut self, awaited: &'static str) -> Fault {
        Fault::NotReady { which: self.which, awaited, state: self.process.state() }
    }

    /// It did not shake hands.
    pub(crate) fn refused(&mut self, open: usize, source: WireError) -> Fault {
        Fault::Refused { open, source, which: self.which, state: self.process.state() }
    }

    /// The most memory it ever held resident, in octets.
    pub(crate) fn peak_memory(&self) -> Result<u64, ProcError> {
        Ok(self.process.usage()?.peak_rss)
    }

    /// How it ended or failed, if it has before its time.
    pub(crate) fn end(&mut self) -> Option<Fault> {
        self.failed |= self.lines.try_iter().any(|line| line == "failed");
        let ended = self.failed || self.process.ended().is_some();
        ended.then(|| Fault::Ended { which: self.which, state: self.process.state() })
    }
}

/// Whether the account of the process that received shows every message as it was sent. If not, it is the fault of one
/// that `ended` before its time, if any has.
pub(crate) fn verify(account: &Report, expected: u64, ended: Option<Fault>) -> Result<(), Fault> {
    let &Report { received, out_of_order, foreign, complete, .. } = account;
    if out_of_order + foreign > 0 {
        return Err(Fault::Disorder { out_of_order, foreign });
    }
    if complete { Ok(()) } else { Err(ended.unwrap_or(Fault::Missing { received, expected })) }
}

/// How a library can fail a turn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A process did not get as far as sending or receiving.
    #[error("nothing {awaited} within {} s; the process that {which} {state}", READY_WITHIN.as_secs())]
    NotReady {
        /// Which process should have said so.
        which: &'static str,
        /// What should have been.
        awaited: &'static str,
        /// Whether it runs, and what it said at last.
        state: String,
    },
    /// A process ended in the middle.
    #[error("the process that {which} {state}")]
    Ended {
        /// Which.
        which: &'static str,
        /// How, and what it said at last.
        state: String,
    },
    /// Messages lost, or never sent.
    #[error("{received} of {expected} messages came, and then none, or too slowly for a turn")]
    Missing {
        /// How many had come.
        received: u64,
        /// How many should have.
        expected: u64,
    },
    /// A bare connection was not accepted as one of ZMTP.
    #[error("after {open} connections: {source}; the process that {which} {state}")]
    Refused {
        /// How many there were.
        open: usize,
        /// What went wrong with the next one.
        source: WireError,
        /// Which process.
        which: &'static str,
        /// Whether it runs, and what it said at last.
        state: String,
    },
    /// All messages came, but not as they were sent.
    #[error("{out_of_order} messages out of order or twice, {foreign} not as they were sent")]
    Disorder {
        /// Behind a later one, or a second time.
        out_of_order: u64,
        /// Changed.
        foreign: u64,
    },
}

/// Why a turn could not be taken at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlayError {
    /// No temporary directory, no free port, or no say over CPUs.
    #[error(
        "cannot prepare a turn: {0}; it needs a writable directory for temporary files, loopback, and CPU affinity"
    )]
    Prepare(#[from] io::Error),
    /// A program cannot be started.
    #[error(transparent)]
    Start(#[from] ProcError),
}

/// Where messages go, and where they come back: two ports nobody uses now, or two paths.
pub(crate) fn addresses(transport: Transport, directory: &Path) -> io::Result<[String; 2]> {
    Ok(match transport {
        Transport::Tcp => {
            let listeners =
                [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
            let [there, back] = listeners.map(|listener| listener.local_addr().map(|addr| format!("tcp://{addr}")));
            [there?, back?]
        }
        Transport::Ipc => ["there", "back"].map(|name| format!("ipc://{}", directory.join(name).display())),
    })
}

/// From start to listening, and from there to the first message: a hundred times what the slowest needs.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(10);

/// For the messages of a turn, which are counted out to take a second or less.
pub(crate) const DONE_WITHIN: Duration = Duration::from_secs(15);
