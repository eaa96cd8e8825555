//! The command `matchmaker`: asks a [`MatchMaker`] and prints its answers, or lints a ring.
//!
//! Answers go to standard output, all else to standard error. The exit codes are listed in `--help`;
//! those above 2 are the ones of `sysexits.h`.

mod options;
mod report;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use matchmaker::{Host, Level, LookupError, MatchMaker, RingError, RingFile, Topic, lint_file};
use thiserror::Error;
use tokio::runtime::Builder;

use crate::options::{Command, Options, Source, SourceError};
use crate::report::Report;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("matchmaker: {}", chain(&failure));
            failure.code().into()
        }
    }
}

fn run(options: &Options) -> Result<u8, Failure> {
    let runtime = Builder::new_current_thread().build().map_err(Failure::Runtime)?;
    let source = options.backend.parse()?;
    match (&options.command, &source) {
        (Command::Lint { file: Some(file) }, _) => lint(options, file),
        (Command::Lint { file: None }, Source::Ring(file)) => lint(options, file),
        (Command::Lint { file: None }, _) => Err(Failure::NothingToLint),
        (Command::Resolve { key }, _) => {
            let destinations = runtime.block_on(matchmaker(options, &source)?.resolve(key))?;
            print(options, &Report::Destinations(&destinations))
        }
        (Command::Topics, _) => {
            let topics = runtime.block_on(topics(&matchmaker(options, &source)?))?;
            print(options, &Report::Topics(&topics))
        }
        (Command::Hosts { topic }, _) => {
            let members = runtime.block_on(matchmaker(options, &source)?.members(topic))?;
            print(options, &Report::Hosts(&members))
        }
    }
}

fn matchmaker(options: &Options, source: &Source) -> Result<MatchMaker, Failure> {
    match source {
        Source::Ring(file) => {
            let file = RingFile::open(file)?;
            for finding in file.ring().findings() {
                eprintln!("{}:{finding}", file.path().display());
            }
            Ok(MatchMaker::new(Arc::new(file)))
        }
        Source::Localhost => {
            let node = options.node.clone().or_else(host_name);
            Ok(MatchMaker::localhost(node.ok_or(Failure::Nameless)?))
        }
        Source::Stub => Ok(MatchMaker::stub()),
    }
}

async fn topics(matchmaker: &MatchMaker) -> Result<Vec<(Topic, usize)>, LookupError> {
    let mut topics = Vec::new();
    for topic in matchmaker.topics().await? {
        let hosts = match matchmaker.members(&topic).await {
            Ok(members) => members.len(),
            Err(LookupError::NoHost { .. }) => 0,
            Err(error) => return Err(error),
        };
        topics.push((topic, hosts));
    }
    Ok(topics)
}

fn lint(options: &Options, file: &Path) -> Result<u8, Failure> {
    let findings = lint_file(file)?;
    print(options, &Report::Findings(file, &findings))?;
    let worst = findings.iter().map(|finding| finding.rule.level()).max();
    Ok(match worst {
        None => DONE,
        Some(Level::Warn) => FOUND,
        Some(Level::Error) => BAD_DATA,
    })
}

/// A reader that has seen enough, such as `head`, is no failure.
fn print(options: &Options, report: &Report<'_>) -> Result<u8, Failure> {
    let text = if options.json { report.json() } else { report.text() };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(DONE),
    }
}

/// The default of `rpc_zmq_host`.
fn host_name() -> Option<Host> {
    let system = rustix::system::uname();
    system.nodename().to_str().ok()?.parse().ok()
}

/// The error and its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("this backend has no file to lint: name one")]
    NothingToLint,
    #[error("the name of this machine is no host name: give its rpc_zmq_host as --node")]
    Nameless,
    #[error("cannot start a runtime: check the limits of this user")]
    Runtime(#[source] io::Error),
    #[error("cannot write the output: check where it goes")]
    Output(#[source] io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Lookup(LookupError::NoHost { .. }) => FOUND,
            Self::Source(_) | Self::NothingToLint | Self::Nameless => USAGE,
            Self::Lookup(LookupError::Key { .. }) => USAGE,
            Self::Lookup(_) => UNAVAILABLE,
            Self::Ring(RingError::Read { .. } | RingError::NotAFile { .. }) => NO_INPUT,
            Self::Ring(_) => BAD_DATA,
            Self::Runtime(_) => SYSTEM,
            Self::Output(_) => OUTPUT,
        }
    }
}

const DONE: u8 = 0;
const FOUND: u8 = 1;
/// As clap has it.
const USAGE: u8 = 2;
const BAD_DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const UNAVAILABLE: u8 = 69;
const SYSTEM: u8 = 71;
const OUTPUT: u8 = 74;
