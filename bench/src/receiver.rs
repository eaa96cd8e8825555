//! `bench receiver`: at what rate, and at what cost, a daemon hands messages to the local sockets of their topics.
//!
//! Each work is a number of topics, and a stream of messages on a choice of CPUs or one message at a time. At each, the
//! peers take turns for some rounds; a turn is [`turn::take`] or [`single::take`].
//! The reference is the C proxy on libzmq, measured in the same run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use clap::{Args, ValueEnum};

use crate::cpus::Cpus;
use crate::delivery::{self, DeliveryError};
use crate::peers::{Peer, PeerError};
use crate::progress;
use crate::report::{FailedRound, Machine, RATE, Report, Row, Version};
use crate::rounds;
use crate::single::{self, Latency};
use crate::stage::{Failed, TurnError};
use crate::traffic::{Shape, ShapeError};
use crate::turn::{self, Figures};

/// What to measure, and where to write it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Two rounds of 100,000 messages: a look, not a result
    #[arg(long)]
    quick: bool,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the report to results/receiver.json and .md beside this program's source
    #[arg(long)]
    save: bool,
    /// Turns of each peer at each work [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Messages of a turn [default: 1000000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    messages: Option<u64>,
    /// Octets of a message: all its frames together, their headers not counted
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Frames of a message: id, topic, style, and the rest body
    #[arg(long, default_value_t = 4)]
    parts: usize,
    /// One work for each of these numbers of topics
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    topics: Vec<usize>,
    /// One work for each of these, too: on all CPUs, on one
    #[arg(long, value_delimiter = ',', default_value = "all,one")]
    cpus: Vec<Cpus>,
    /// The peers that take turns
    #[arg(long, value_delimiter = ',', default_value = "c-proxy,ours,raw-std")]
    peers: Vec<Name>,
    /// A receiver to measure instead of the one built here; may be repeated with different names
    #[arg(long, value_name = "[NAME=]PATH", value_parser = parse_daemon)]
    daemon: Vec<(String, PathBuf)>,
    /// Also measure the original daemon of this Python environment, in one round of 10,000 messages
    #[arg(long, value_name = "ENVDIR")]
    python: Option<PathBuf>,
}

/// A peer that takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The C proxy on libzmq, the reference
    CProxy,
    /// This workspace's receiver
    Ours,
    /// Plain sockets, the limit
    RawStd,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiverError {
    /// Impossible messages.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Two peers of one name.
    #[error("two peers are called {0:?}: give --daemon NAME=PATH different names")]
    SameName(String),
    /// A peer is not to be had.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A turn could not be taken.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// No directory for what is built.
    #[error("cannot prepare a run: {0}; it needs a writable directory for temporary files")]
    Prepare(io::Error),
    /// The report could not be written.
    #[error(transparent)]
    Deliver(#[from] DeliveryError),
    /// A signal asked for the end.
    #[error("interrupted; no report")]
    Interrupted,
}

/// Measures, prints the report, and writes it where asked. `true` if every message of every turn was delivered.
/// `interrupted` is looked at between turns.
pub(crate) fn run(options: &Options, interrupted: &AtomicBool) -> Result<bool, ReceiverError> {
    let plan = Plan::of(options)?;
    let report = plan.carry_out(interrupted)?;
    print!("{}", report.markdown());
    let name = options.save.then_some("receiver");
    delivery::deliver(&report, &report.markdown(), options.json.as_deref(), name)?;
    Ok(report.failed.is_empty())
}

/// What the peers are compared at.
#[derive(Clone, Copy)]
struct Work {
    shape: Shape,
    load: Load,
}

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// As fast as they are taken; all that takes part runs on these CPUs.
    Stream(Cpus),
    /// Each when the one before it has arrived.
    OneAtATime,
}

/// What one turn measured.
#[derive(Debug)]
enum Measured {
    Stream(Figures),
    OneAtATime(Latency),
}

/// All turns of one peer at one work.
type Turns = Vec<Result<Measured, Failed>>;

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.load {
            Load::Stream(cpus) => write!(f, "{}, {cpus}", self.shape),
            Load::OneAtATime => write!(f, "{}, one at a time", self.shape),
        }
    }
}

/// The works, the peers, and how often.
struct Plan {
    works: Vec<Work>,
    peers: Vec<Peer>,
    python: Option<Peer>,
    rounds: u32,
    messages: u64,
    /// Where peers are built; gone with the plan.
    _workshop: tempfile::TempDir,
}

impl Plan {
    fn of(options: &Options) -> Result<Self, ReceiverError> {
        let mut works = Vec::new();
        for &topics in &options.topics {
            let shape = Shape::new(options.size, options.parts, topics)?;
            let streams = options.cpus.iter().map(|&cpus| Load::Stream(cpus));
            works.extend(streams.chain([Load::OneAtATime]).map(|load| Work { shape, load }));
        }
        let workshop = tempfile::tempdir().map_err(ReceiverError::Prepare)?;
        let mut peers: Vec<Peer> = Vec::new();
        let mut wanted = options.peers.clone();
        if !options.daemon.is_empty() && !wanted.contains(&Name::Ours) {
            wanted.push(Name::Ours);
        }
        for name in wanted {
            match name {
                Name::CProxy => peers.push(Peer::c_proxy(workshop.path())?),
                Name::RawStd => peers.push(Peer::raw_std()?),
                Name::Ours if options.daemon.is_empty() => peers.push(Peer::ours()?),
                Name::Ours => {
                    for (name, path) in &options.daemon {
                        peers.push(Peer::daemon(name.clone(), path.clone())?);
                    }
                }
            }
        }
        let python = options.python.as_deref().map(Peer::python).transpose()?;
        let mut names: Vec<_> = peers.iter().chain(&python).map(|peer| &peer.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ReceiverError::SameName(twice[0].clone()));
        }
        let (rounds, messages) = if options.quick { (2, 100_000) } else { (5, 1_000_000) };
        Ok(Self {
            works,
            peers,
            python,
            rounds: options.rounds.unwrap_or(rounds),
            messages: options.messages.unwrap_or(messages),
            _workshop: workshop,
        })
    }

    fn carry_out(&self, interrupted: &AtomicBool) -> Result<Report, ReceiverError> {
        let turns = self.works.len() * (self.peers.len() * self.rounds as usize + usize::from(self.python.is_some()));
        let bar = progress::bar(turns as u64);
        let take = |work: &Work, peer: &Peer, messages| {
            if interrupted.load(Ordering::Relaxed) {
                return Err(ReceiverError::Interrupted);
            }
            bar.set_message(format!("{work}: {}", peer.name));
            let measured = match work.load {
                Load::Stream(cpus) => turn::take(peer, &work.shape, messages, cpus)?.map(Measured::Stream),
                Load::OneAtATime => {
                    single::take(peer, &work.shape, messages.div_ceil(STREAM_TO_ONE))?.map(Measured::OneAtATime)
                }
            };
            bar.inc(1);
            Ok(measured)
        };
        let mut results = Vec::new();
        for work in &self.works {
            let turns = rounds::interleave(self.rounds, &self.peers, |peer| take(work, peer, self.messages))?;
            results.extend(self.peers.iter().zip(turns).map(|(peer, turns)| (work, peer, turns)));
            if let Some(python) = &self.python {
                results.push((work, python, vec![take(work, python, PYTHON_MESSAGES)?]));
            }
        }
        bar.finish_and_clear();
        Ok(self.report(&results))
    }

    fn report(&self, results: &[(&Work, &Peer, Turns)]) -> Report {
        let rows = |measures: &[Measure]| {
            let mut rows = Vec::new();
            for measure in measures {
                for (work, peer, turns) in results.iter().filter(|(work, ..)| measure.applies(work)) {
                    let clean: Vec<_> = turns.iter().flatten().filter_map(|measured| measure.of(measured)).collect();
                    let failed = turns.len() - clean.len();
                    let work = format!("{work}{}", measure.detail);
                    rows.push(Row::new(&work, &peer.name, measure.name, clean, failed));
                }
            }
            rows
        };
        let mut failed = Vec::new();
        for (work, peer, turns) in results {
            for Failed { fault, daemon } in turns.iter().filter_map(|turn| turn.as_ref().err()) {
                let what = format!("{fault}; the daemon {daemon}");
                failed.push(FailedRound { work: work.to_string(), peer: peer.name.clone(), what });
            }
        }
        let peers = self.peers.iter().chain(&self.python);
        let version = |peer: &Peer| Version { peer: peer.name.clone(), version: peer.version.clone() };
        let mut report = Report {
            title: "Receiver".to_owned(),
            method: self.method(),
            machine: Machine::this(),
            peers: peers.map(version).collect(),
            rows: rows(RESULTS),
            costs: rows(COSTS),
            failed,
        };
        report.compare_to(REFERENCE);
        report
    }

    fn method(&self) -> String {
        let mut method = format!(
            "Messages in by TCP, out by the topic's Unix socket. Turns of {} messages, or of {} one at a time, with a CPU for \
             the daemon and one for the ends; {} rounds, in which the peers take turns; the median over the rounds, with \
             the extremes. Ratio: median to the median of {REFERENCE}.",
            self.messages,
            self.messages.div_ceil(STREAM_TO_ONE),
            self.rounds
        );
        if self.python.is_some() {
            method += &format!(" The Python daemon: one round of {PYTHON_MESSAGES}.");
        }
        method
    }
}

fn parse_daemon(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').unwrap_or(("ours", text));
    if name.is_empty() || path.is_empty() {
        return Err("give PATH or NAME=PATH".to_owned());
    }
    Ok((name.to_owned(), path.into()))
}

/// One figure of a turn.
struct Measure {
    /// With its unit.
    name: &'static str,
    /// What the work's name needs to tell this figure from another.
    detail: &'static str,
    figure: Figure,
}

/// Which turns have it, and how to get it.
enum Figure {
    OfStream(fn(&Figures) -> f64),
    OfOne(fn(&Latency) -> f64),
}

impl Measure {
    const fn of_stream(name: &'static str, figure: fn(&Figures) -> f64) -> Self {
        Self { name, detail: "", figure: Figure::OfStream(figure) }
    }

    const fn of_one(name: &'static str, detail: &'static str, figure: fn(&Latency) -> f64) -> Self {
        Self { name, detail, figure: Figure::OfOne(figure) }
    }

    fn applies(&self, work: &Work) -> bool {
        matches!(
            (&self.figure, work.load),
            (Figure::OfStream(_), Load::Stream(_)) | (Figure::OfOne(_), Load::OneAtATime)
        )
    }

    fn of(&self, measured: &Measured) -> Option<f64> {
        match (&self.figure, measured) {
            (Figure::OfStream(figure), Measured::Stream(figures)) => Some(figure(figures)),
            (Figure::OfOne(figure), Measured::OneAtATime(latency)) => Some(figure(latency)),
            _ => None,
        }
    }
}

/// What is to be found out.
const RESULTS: &[Measure] = &[
    Measure::of_stream(RATE, |figures| figures.rate),
    Measure::of_one(WHOLE, ", p50", |latency| latency.whole.median),
    Measure::of_one(WHOLE, ", p99", |latency| latency.whole.high),
    Measure::of_one(ADDED, ", p50, added", |latency| latency.whole.median - latency.direct.median),
    Measure::of_one(ADDED, ", p99, added", |latency| latency.whole.high - latency.direct.high),
];

/// What it costs.
const COSTS: &[Measure] = &[
    Measure::of_stream("CPU seconds of the daemon per million messages", |figures| figures.cpu),
    Measure::of_stream("Peak memory of the daemon, MiB", |figures| figures.peak_rss),
    Measure::of_stream("CPU seconds of feeder and sinks per million messages", |figures| figures.harness_cpu),
];

const WHOLE: &str = "From the feeder's write to the sink's read, microseconds";
const ADDED: &str = "The same, less what one hop without a daemon takes, microseconds";

/// So many messages stream in the time that one at a time takes for one.
const STREAM_TO_ONE: u64 = 100;

/// Everything is told in relation to this peer.
const REFERENCE: &str = "c-proxy";

/// Half a second of the Python daemon's time: it takes tens of CPU seconds for a million.
const PYTHON_MESSAGES: u64 = 10_000;
