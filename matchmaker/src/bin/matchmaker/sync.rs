//! `matchmaker sync`: a ring file kept in step with a registry, so that services which read the file
//! once, or only the file, see what the registry sees.
//!
//! What always holds: the ring is replaced whole or left alone; it is left alone if it says the same;
//! a catalogue that does not answer, is empty or is halved leaves it alone; whatever is written into
//! the file, the next look puts it right.

pub(crate) mod account;
pub(crate) mod memory;
pub(crate) mod pace;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use matchmaker::{
    Backend, BackendError, Change, Listing, Refusal, Ring, RingError, RingFile, RingWriter, Rules, Wanted, WriteError,
    differences, reconcile, ring_text,
};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::options;
use crate::sync::account::NoAccount;

/// A ring, and what it is kept in step with.
pub(crate) struct Sync<'a> {
    options: &'a options::Sync,
    source: &'a dyn Backend,
    writer: RingWriter,
    rules: Rules,
    /// Topics of a file that the ring is to hold as well.
    fixed: Listing,
}

/// What one look came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) changes: Vec<Change>,
    /// Whether the file was, or would have been, written: for its form alone, too.
    pub(crate) differs: bool,
}

impl<'a> Sync<'a> {
    pub(crate) fn new(options: &'a options::Sync, source: &'a dyn Backend) -> Result<Self, SyncError> {
        let writer = RingWriter {
            owner: options.owner.as_deref().map(account::user).transpose()?,
            group: options.group.as_deref().map(account::group).transpose()?,
            mode: options.mode,
            backups: options.backup,
        };
        let rules =
            Rules { full_names: options.full_names, min_hosts: options.min_hosts, max_remove: options.max_remove };
        let fixed = match &options.keep_static {
            None => Listing::new(),
            Some(file) => RingFile::load(file)?.listing().clone(),
        };
        Ok(Self { options, source, writer, rules, fixed })
    }

    /// One look.
    pub(crate) async fn once(&self) -> Result<Outcome, SyncError> {
        let catalogue = self.source.listing().await?;
        self.apply(&catalogue)
    }

    /// Looks again and again. Says what it does; never returns but for an error of the output.
    pub(crate) async fn watch(&self) -> Result<(), io::Error> {
        // What was said last, so that a lasting trouble is said once.
        let mut trouble = String::new();
        let mut settled: Option<Listing> = None;
        loop {
            let outcome = match self.settled(settled.as_ref()).await {
                Ok(catalogue) => {
                    let outcome = self.apply(&catalogue);
                    settled = Some(catalogue);
                    outcome
                }
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(outcome) => {
                    if !trouble.is_empty() {
                        say("all is well again")?;
                    }
                    trouble.clear();
                    if outcome.differs {
                        say(&self.account_of(&outcome))?;
                        if let Err(error) = self.run_command() {
                            eprintln!("matchmaker: {}", crate::chain(&error));
                        }
                    }
                }
                Err(error) => {
                    let said = crate::chain(&error);
                    if said != trouble {
                        eprintln!("matchmaker: {}: kept {}", said, self.options.to.display());
                    }
                    trouble = said;
                }
            }
            sleep(self.options.interval).await;
        }
    }

    /// Runs the command that is to follow a change.
    pub(crate) fn run_command(&self) -> Result<(), SyncError> {
        let Some(command) = &self.options.exec else { return Ok(()) };
        let failed = |why: String| SyncError::Command { command: command.clone(), why };
        let status = Command::new("sh").args(["-c", command]).status().map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
    }

    /// One line on what was done.
    pub(crate) fn account_of(&self, outcome: &Outcome) -> String {
        let changes: Vec<_> = outcome.changes.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = outcome.changes.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        format!("wrote {} ({}{more})", self.options.to.display(), changes.join(", "))
    }

    /// The catalogue, once it has rested; at once if it is as it was, or for the first time.
    async fn settled(&self, before: Option<&Listing>) -> Result<Listing, BackendError> {
        let mut catalogue = self.source.listing().await?;
        let deadline = Instant::now() + self.options.wait.longest;
        while before.is_some_and(|before| !differences(before, &catalogue).is_empty()) && Instant::now() < deadline {
            sleep(self.options.wait.rest).await;
            let next = self.source.listing().await?;
            let rested = differences(&catalogue, &next).is_empty();
            catalogue = next;
            if rested {
                break;
            }
        }
        Ok(catalogue)
    }

    fn apply(&self, catalogue: &Listing) -> Result<Outcome, SyncError> {
        let path = &self.options.to;
        let (current, damage) = current(path)?;
        let last = memory::recall(path);
        let ring = current.as_ref().map(|ring| ring.listing().clone()).unwrap_or_default();
        let mut wanted = reconcile(catalogue, &ring, last.as_ref(), &self.rules)?;
        for (topic, members) in &self.fixed {
            wanted.managed.remove(topic);
            wanted.kept.insert(topic.clone(), members.clone());
        }
        let next = wanted.ring();
        // The originals refuse what is not strict JSON, and take hosts in their order.
        let same = current.is_some_and(|ring| ring.findings().is_empty() && *ring.listing() == next);
        let outcome = Outcome { changes: differences(&ring, &next), differs: !same };
        if !self.options.dry_run {
            if let Some(damage) = damage {
                keep_copy(path, &damage)?;
            }
            if outcome.differs {
                self.writer.replace(path, &ring_text(&next))?;
            }
            self.remember(path, &wanted);
        }
        Ok(outcome)
    }

    /// The ring itself is written, which is what counts.
    fn remember(&self, path: &Path, wanted: &Wanted) {
        if let Err(error) = memory::remember(path, wanted, &self.writer) {
            eprintln!("matchmaker: {}", crate::chain(&error));
        }
    }
}

/// The ring as it is, if there is a good one, and what is wrong with one that is not.
fn current(path: &Path) -> Result<(Option<Ring>, Option<RingError>), SyncError> {
    match RingFile::load(path) {
        Ok(ring) => Ok((Some(ring), None)),
        Err(RingError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok((None, None)),
        Err(damage @ (RingError::Parse { .. } | RingError::NotUtf8 { .. } | RingError::TooLarge { .. })) => {
            Ok((None, Some(damage)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Of a ring that nobody can read, because somebody may have meant something by it.
fn keep_copy(path: &Path, damage: &RingError) -> Result<(), SyncError> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(".unreadable");
    eprintln!("matchmaker: {damage}: keeping a copy as {}", Path::new(&copy).display());
    fs::copy(path, &copy).map(drop).map_err(SyncError::Copy)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// Why a ring is left as it is.
#[derive(Debug, Error)]
pub(crate) enum SyncError {
    #[error("the catalogue cannot be had")]
    Source(#[from] BackendError),
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot keep a copy of the damaged ring")]
    Copy(#[source] io::Error),
    #[error(transparent)]
    Account(#[from] NoAccount),
    #[error("the ring is written, and `{command}` failed: {why}")]
    Command { command: String, why: String },
}

/// Changes named in a line of log.
const SHOWN: usize = 5;
