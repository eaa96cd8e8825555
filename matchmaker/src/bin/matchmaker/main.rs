//! The command `matchmaker`: asks a [`MatchMaker`] and prints its answers, changes what a backend lists, lints a ring or
//! keeps one in step with a server.
//!
//! Answers go to standard output, all else to standard error. The exit codes are listed in `--help`;
//! those above 10 are the ones of `sysexits.h`.

mod graph;
mod registry;
mod report;
mod sync;

mod options;
mod chosen;
mod watch;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use matchmaker::{Host, Level, Locator, LookupError, Member, RingError, Topic, differences, lint_file};
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::chosen::{ChoiceError, Chosen};
use crate::options::{Command, Options};
use crate::registry::RegistryError;
use crate::report::Report;
use crate::sync::{Sync, SyncError};

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime);
    match runtime.and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("matchmaker: {}", chain(&failure));
            failure.code().into()
        }
    }
}

async fn run(options: &Options) -> Result<u8, Failure> {
    match &options.command {
        Command::Resolve { key } => {
            let destinations = Chosen::of(options)?.matchmaker()?.resolve(key).await?;
            print(options, &Report::Destinations(&destinations))
        }
        Command::Topics => {
            let matchmaker = Chosen::of(options)?.matchmaker()?;
            let (listing, expired) = (matchmaker.listing().await?, matchmaker.expired().await?);
            print(options, &Report::Topics(&listing, &expired))
        }
        Command::Hosts { topic } => {
            let members = Chosen::of(options)?.matchmaker()?.members(topic).await?;
            print(options, &Report::Hosts(&members))
        }
        Command::Register { topic, host, keep } => register(options, topic, host, *keep).await,
        Command::Unregister { topic, host } => {
            Chosen::of(options)?.registry()?.remove(topic, host).await?;
            Ok(DONE)
        }
        Command::Expire { dry_run } => {
            let matchmaker = Chosen::of(options)?.matchmaker()?;
            let gone = if *dry_run { matchmaker.expired().await? } else { matchmaker.expire().await? };
            print(options, &Report::Expired(&gone))
        }
        Command::Watch { topic, interval } => {
            let backend = Chosen::of(options)?.open()?;
            let ended = watch::watch(&*backend, topic.as_ref(), *interval, options.json).await;
            unless_unread(ended)
        }
        Command::Lint { file: Some(file) } => lint(options, file),
        Command::Lint { file: None } => match Chosen::of(options)?.locator {
            Locator::Ring(file) => lint(options, &file),
            _ => Err(Failure::NothingToLint),
        },
        Command::Diff { a, b } => {
            let (old, new) = (Chosen::named(options, a)?.listing().await?, Chosen::named(options, b)?.listing().await?);
            let changes = differences(&old, &new);
            print(options, &Report::Changes(&changes))?;
            Ok(if changes.is_empty() { DONE } else { FOUND })
        }
        Command::Copy { a, b } => {
            let listing = Chosen::named(options, a)?.listing().await?;
            Chosen::named(options, b)?.registry()?.add(&listing).await?;
            Ok(DONE)
        }
        Command::Graph { format } => {
            let listing = Chosen::of(options)?.listing().await?;
            write(&graph::picture(&listing, *format))
        }
        Command::Sync(sync) => keep_in_step(options, sync).await,
    }
}

async fn register(options: &Options, topic: &Topic, host: &Host, keep: bool) -> Result<u8, Failure> {
    let registry = Chosen::of(options)?.registry()?;
    let member: Arc<[Member]> = [Member::from(host.clone())].into();
    let added = registry.add(&[(topic.clone(), member)].into()).await;
    if !keep {
        added?;
        return Ok(DONE);
    }
    // One that failed is made as soon as the server is there.
    if let Err(error) = added {
        eprintln!("matchmaker: {}", chain(&error));
    }
    // Before it is said, so that whoever reads it can end this in order.
    let mut term = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    write(&format!("registered {topic} on {host}\n"))?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    registry.remove(topic, host).await?;
    Ok(DONE)
}

async fn keep_in_step(options: &Options, arguments: &options::Sync) -> Result<u8, Failure> {
    let mut source = Chosen::named(options, &arguments.from)?;
    if let Locator::Consul(consul) = &mut source.locator {
        // Or the names would be short before they got here.
        consul.full_names |= arguments.full_names;
    }
    let source = source.open()?;
    let sync = Sync::new(arguments, &*source)?;
    if arguments.watch {
        return unless_unread(sync.watch().await);
    }
    let outcome = sync.once().await?;
    if arguments.dry_run {
        print(options, &Report::Changes(&outcome.changes))?;
        return Ok(if outcome.differs { FOUND } else { DONE });
    }
    if outcome.differs {
        match options.json {
            true => print(options, &Report::Changes(&outcome.changes))?,
            false => write(&format!("{}\n", sync.account_of(&outcome)))?,
        };
        sync.run_command()?;
    }
    Ok(DONE)
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

fn print(options: &Options, report: &Report<'_>) -> Result<u8, Failure> {
    write(&if options.json { report.json() } else { report.text() })
}

fn write(text: &str) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    unless_unread(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A reader that has seen enough, such as `head`, is no failure.
fn unless_unread(outcome: io::Result<()>) -> Result<u8, Failure> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(DONE),
    }
}

/// The error and its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !line.ends_with(&said) {
            line += &format!(": {said}");
        }
        cause = error.source();
    }
    line
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("this backend has no file to lint: name one")]
    NothingToLint,
    #[error("cannot start a runtime: check the limits of this user")]
    Runtime(#[source] io::Error),
    #[error("cannot write the output: check where it goes")]
    Output(#[source] io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Choice(ChoiceError::Lookup(error)) | Self::Lookup(error) => of_lookup(error),
            Self::Choice(ChoiceError::Ring(error))
            | Self::Ring(error)
            | Self::Sync(SyncError::Ring(error))
            | Self::Registry(RegistryError::Ring(error)) => of_ring(error),
            Self::Choice(ChoiceError::File(_) | ChoiceError::Settings(_)) => CONFIG,
            Self::Choice(_) | Self::NothingToLint | Self::Sync(SyncError::Account(_)) => USAGE,
            Self::Sync(SyncError::Refused(_)) => REFUSED,
            Self::Sync(SyncError::Command { .. }) => COMMAND,
            Self::Sync(SyncError::Source(_)) | Self::Registry(RegistryError::Server(_)) => UNAVAILABLE,
            Self::Sync(SyncError::Write(_) | SyncError::Copy(_)) | Self::Registry(RegistryError::Write(_)) => {
                CANNOT_CREATE
            }
            Self::Runtime(_) => SYSTEM,
            Self::Output(_) => OUTPUT,
        }
    }
}

fn of_lookup(error: &LookupError) -> u8 {
    match error {
        LookupError::NoHost { .. } => FOUND,
        LookupError::Key { .. } => USAGE,
        _ => UNAVAILABLE,
    }
}

fn of_ring(error: &RingError) -> u8 {
    match error {
        RingError::Read { .. } | RingError::NotAFile { .. } => NO_INPUT,
        _ => BAD_DATA,
    }
}

const DONE: u8 = 0;
const FOUND: u8 = 1;
/// As clap has it.
const USAGE: u8 = 2;
const REFUSED: u8 = 5;
const COMMAND: u8 = 6;
const BAD_DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const UNAVAILABLE: u8 = 69;
const SYSTEM: u8 = 71;
const CANNOT_CREATE: u8 = 73;
const OUTPUT: u8 = 74;
const CONFIG: u8 = 78;
