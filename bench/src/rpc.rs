//! `bench rpc`: what a call costs, next to the original driver's and to a bare message there and back.
//!
//! A turn is a fresh receiver, a service and a caller, each a process of its own, and callers one after another for each
//! number of calls at a time. A call takes four hops, TCP and Unix socket to the service and the same back, for all that
//! go through the receiver; the bare message is measured on these four hops, and on two TCP connections without any
//! receiver.
//!
//! Every program prints its figures as `zrpc bench --json` does. Warming up is theirs.

mod target;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use clap::Args;
use serde::Deserialize;

use crate::cargo::{self, BuildError};
use crate::delivery::{self, DeliveryError};
use crate::peers::{Peer, PeerError};
use crate::proc::{ProcError, Process};
use crate::progress;
use crate::report::{FailedRound, Machine, Report, Row, Version};
use crate::rounds;
use self::target::{MEASURES, TARGETS};

/// What to measure, and where to write it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Two rounds of a tenth of the calls: a look, not a result
    #[arg(long)]
    quick: bool,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the report to results/rpc.json and .md beside this program's source
    #[arg(long)]
    save: bool,
    /// Turns of each peer [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Calls of a turn, for each number at a time; the original driver makes a 40th of them [default: 20000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    calls: Option<u32>,
    /// The environment of Python 2.7 with oslo.messaging 1.8.3; `cargo xtask test` makes the default
    #[arg(long, value_name = "ENVDIR", default_value = PYTHON)]
    python: PathBuf,
    /// Words for the report: what else the machine was doing
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// The receiver or the original driver is not to be had.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A program of ours does not build.
    #[error("{0}; mend the build")]
    Build(#[from] BuildError),
    /// No directory, no file in it, or no free port.
    #[error("cannot prepare a turn: {0}; it needs a writable directory for temporary files, and loopback")]
    Prepare(io::Error),
    /// A program does not start.
    #[error(transparent)]
    Start(#[from] ProcError),
    /// The report could not be written.
    #[error(transparent)]
    Deliver(#[from] DeliveryError),
    /// A signal asked for the end.
    #[error("interrupted; no report")]
    Interrupted,
}

/// Measures, prints the report, and writes it where asked. `true` if no turn failed and every target is met.
/// `interrupted` is looked at between turns.
pub(crate) fn run(options: &Options, interrupted: &AtomicBool) -> Result<bool, RpcError> {
    let programs = Programs::obtain(options)?;
    let (rounds, calls) = if options.quick { (2, 2_000) } else { (5, 20_000) };
    let (rounds, calls) = (options.rounds.unwrap_or(rounds), options.calls.unwrap_or(calls));
    let bar = progress::bar(CALLERS.len() as u64 * u64::from(rounds));
    let turns = rounds::interleave(rounds, CALLERS, |&caller| {
        if interrupted.load(Ordering::Relaxed) {
            return Err(RpcError::Interrupted);
        }
        bar.set_message(caller.name());
        let turn = programs.take(caller, calls)?;
        bar.inc(1);
        Ok(turn)
    })?;
    bar.finish_and_clear();

    let report = report(&programs, &turns, method(rounds, calls, options.note.as_deref()));
    let targets: Vec<_> = TARGETS.iter().map(|target| (target, target.found(&report.rows))).collect();
    let mut text = report.markdown() + "\n## Targets\n\n| medians compared | wanted | found | |\n|---|--:|--:|---|\n";
    for &(target, found) in &targets {
        text += &target.line(found);
    }
    print!("{text}");
    delivery::deliver(&report, &text, options.json.as_deref(), options.save.then_some("rpc"))?;
    Ok(report.failed.is_empty() && targets.iter().all(|&(target, found)| target.is_met(found)))
}

/// Who sends requests to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// The original driver calls itself.
    Python,
    /// `zrpc bench` calls `zrpc serve`.
    Ours,
    /// No calls: a bare message, on the way of a call.
    BareRouted,
    /// A bare message without a receiver.
    BareDirect,
}

impl Caller {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Ours => "ours",
            Self::BareRouted => "bare zmtp, four hops",
            Self::BareDirect => "bare zmtp, two hops",
        }
    }

    /// How many of its requests are under way together, a run for each.
    fn at_a_time(self) -> &'static [u32] {
        match self {
            Self::Python | Self::Ours => &[1, MANY],
            Self::BareRouted | Self::BareDirect => &[1],
        }
    }
}

/// What one run of a caller printed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Run {
    what: String,
    concurrency: u32,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// The runs of a turn, or what went wrong.
type Turn = Result<Vec<Run>, String>;

/// All that is started.
struct Programs {
    receiver: Peer,
    zrpc: PathBuf,
    ping: PathBuf,
    python: PathBuf,
    python_version: String,
}

impl Programs {
    fn obtain(options: &Options) -> Result<Self, RpcError> {
        Ok(Self {
            // First: what may be missing is told before anything is built.
            python_version: Peer::python(&options.python)?.version,
            python: options.python.join("bin/python"),
            receiver: Peer::ours()?,
            zrpc: cargo::build(WORKSPACE, "zrpc")?.executable,
            ping: cargo::build(BENCH, "peer-ping")?.executable,
        })
    }

    fn take(&self, caller: Caller, calls: u32) -> Result<Turn, RpcError> {
        let directory = tempfile::tempdir().map_err(RpcError::Prepare)?;
        let stage = Stage::new(directory.path()).map_err(RpcError::Prepare)?;
        let mut receiver = match caller {
            Caller::BareDirect => None,
            _ => Some(self.receiver.start(stage.ports[0], stage.directory)?),
        };
        let mut service = Process::start(&mut self.service(caller, &stage), stage.directory.join("service.log"))?;
        let mut runs = Vec::new();
        for &at_a_time in caller.at_a_time() {
            let mut command = self.caller(caller, &stage, calls, at_a_time);
            let output = command.stdin(Stdio::null()).output().map_err(RpcError::Prepare)?;
            let run = serde_json::from_slice::<Vec<Run>>(&output.stdout).ok();
            let run = run.and_then(|runs| runs.into_iter().find(|run| run.is_of(at_a_time)));
            let Some(run) = run.filter(|_| output.status.success()) else {
                let printed = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
                let service = service.state();
                let receiver = receiver.as_mut().map_or_else(|| "is none".to_owned(), Process::state);
                return Ok(Err(format!(
                    "the caller with {at_a_time} at a time ended with {}: {printed}; the service {service}; the receiver \
                     {receiver}",
                    output.status
                )));
            };
            runs.push(run);
        }
        Ok(Ok(runs))
    }

    fn service(&self, caller: Caller, stage: &Stage<'_>) -> Command {
        let mut command;
        match caller {
            Caller::Python => {
                command = self.script(stage);
                command.args(["serve", TOPIC]);
            }
            Caller::Ours => {
                command = Command::new(&self.zrpc);
                command.arg("--config-file").arg(&stage.config).args(["serve", TOPIC]);
            }
            Caller::BareRouted => {
                command = Command::new(&self.ping);
                command.args(["echo", &stage.local("pong"), &stage.tcp(0), "ping"]);
            }
            Caller::BareDirect => {
                command = Command::new(&self.ping);
                command.args(["echo", &stage.tcp(0), &stage.tcp(1), "ping"]);
            }
        }
        command
    }

    fn caller(&self, caller: Caller, stage: &Stage<'_>, calls: u32, at_a_time: u32) -> Command {
        let mut command;
        match caller {
            Caller::Python => {
                command = self.script(stage);
                let calls = calls.div_ceil(PYTHON_SHARE).max(at_a_time).to_string();
                command.args(["bench", TOPIC, &calls, &at_a_time.to_string()]);
            }
            Caller::Ours => {
                command = Command::new(&self.zrpc);
                command.arg("--config-file").arg(&stage.config).args(["bench", TOPIC, "--json"]);
                command.args(["--calls", &calls.to_string(), "--concurrency", &at_a_time.to_string()]);
            }
            Caller::BareRouted => {
                command = Command::new(&self.ping);
                command.args(["ping", &calls.to_string(), &stage.local("ping"), &stage.tcp(0), "pong"]);
            }
            Caller::BareDirect => {
                command = Command::new(&self.ping);
                command.args(["ping", &calls.to_string(), &stage.tcp(1), &stage.tcp(0), "pong"]);
            }
        }
        command
    }

    fn script(&self, stage: &Stage<'_>) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-W", "ignore", SCRIPT]).arg(&stage.config);
        command
    }
}

impl Run {
    fn is_of(&self, at_a_time: u32) -> bool {
        self.what == "calls" && self.concurrency == at_a_time
    }
}

/// Where a turn takes place.
struct Stage<'a> {
    directory: &'a Path,
    config: PathBuf,
    /// Free a moment ago. Should somebody take one before a program does, that program says so and ends.
    ports: [u16; 2],
}

impl<'a> Stage<'a> {
    fn new(directory: &'a Path) -> io::Result<Self> {
        // Both are held until both are known, so that they differ.
        let listeners = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
        let ports = [listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()];
        let config = directory.join("rpc.conf");
        let text = format!(
            "[DEFAULT]\nrpc_backend = zmq\nrpc_zmq_host = localhost\nrpc_zmq_port = {}\nrpc_zmq_ipc_dir = {}\n\
             rpc_zmq_matchmaker = local\n",
            ports[0],
            directory.display()
        );
        fs::write(&config, text)?;
        Ok(Self { directory, config, ports })
    }

    fn tcp(&self, port: usize) -> String {
        format!("tcp://127.0.0.1:{}", self.ports[port])
    }

    /// The socket of a topic, as the receiver names it.
    fn local(&self, topic: &str) -> String {
        format!("ipc://{}/zmq_topic_{topic}", self.directory.display())
    }
}

fn report(programs: &Programs, turns: &[Vec<Turn>], method: String) -> Report {
    let mut rows = Vec::new();
    for measure in MEASURES {
        for (caller, turns) in CALLERS.iter().zip(turns) {
            for &at_a_time in caller.at_a_time() {
                let runs = turns.iter().flatten().flatten().filter(|run| run.is_of(at_a_time));
                let samples: Vec<_> = runs.map(measure.figure).collect();
                let failed = turns.len() - samples.len();
                rows.push(Row::new(&measure.work(at_a_time), caller.name(), measure.name, samples, failed));
            }
        }
    }
    let mut failed = Vec::new();
    for (caller, turns) in CALLERS.iter().zip(turns) {
        for what in turns.iter().filter_map(|turn| turn.as_ref().err()) {
            failed.push(FailedRound { work: "calls".to_owned(), peer: caller.name().to_owned(), what: what.clone() });
        }
    }
    let version = |peer: Caller, version: &str| Version { peer: peer.name().to_owned(), version: version.to_owned() };
    let mut report = Report {
        title: "Calls".to_owned(),
        method,
        machine: Machine::this(),
        peers: vec![
            version(Caller::Python, &format!("{} on both ends, with eventlet", programs.python_version)),
            version(Caller::Ours, "`zrpc bench` and `zrpc serve` of this workspace"),
            version(Caller::BareRouted, "PUSH and PULL of this workspace's zmtp, by the way a call takes"),
            version(Caller::BareDirect, "the same over two TCP connections, without a receiver"),
        ],
        rows,
        costs: Vec::new(),
        failed,
    };
    report.compare_to(Caller::Python.name());
    report
}

fn method(rounds: u32, calls: u32, note: Option<&str>) -> String {
    let mut method = format!(
        "Calls of `echo` with 16 octets: caller and service are processes of their own, with the receiver of this workspace \
         between them, so that a request and its reply take four hops (TCP, Unix socket, and the same back). Turns of \
         {calls} calls for each number at a time, the original driver's of {}; {rounds} rounds, in which the peers take \
         turns; the median over the rounds, with the extremes. Bare messages are of 256 octets, one at a time. Ratio: \
         median to the median of {}.",
        calls.div_ceil(PYTHON_SHARE),
        Caller::Python.name()
    );
    if let Some(note) = note {
        method = format!("{method} {note}");
    }
    method
}

/// The reference first.
const CALLERS: &[Caller] = &[Caller::Python, Caller::Ours, Caller::BareRouted, Caller::BareDirect];

/// Enough to keep every process busy, and no more than the original driver's pool of 64 runs at once.
const MANY: u32 = 64;

/// The original driver is slower by about as much, so that its turns take as long as ours.
const PYTHON_SHARE: u32 = 40;

const TOPIC: &str = "bench";

/// Where releases of the original driver are installed for the tests.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/pyenv/oslo-1.8.3");

/// The original driver as caller and as service.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/calls.py");

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64) -> Run {
        Run { what: "calls".to_owned(), concurrency: 1, per_second: rate, p50_us: 1e6 / rate, p99_us: 2e6 / rate }
    }

    #[test]
    fn what_a_caller_prints_is_read_and_other_runs_are_not_taken_for_calls() {
        let printed = r#"[{"what":"bare round trips","concurrency":1,"count":9,"per_second":9,"p50_us":1,"p90_us":1,"p99_us":2},
            {"what":"calls","concurrency":1,"count":9,"per_second":4.0,"p50_us":250000,"p99_us":500000.0}]"#;
        let runs: Vec<Run> = serde_json::from_str(printed).unwrap();
        assert_eq!(runs.into_iter().find(|found| found.is_of(1)), Some(run(4.0)));
    }
}
