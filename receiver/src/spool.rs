//! Messages on disk until they were written to a consumer, so that a restart or a crash loses none.
//!
//! Messages to queues are written down before they are handed on, all that came at the same time with one write. When a
//! consumer's socket has taken them whole, that is written down with the next ones. What is left at the next start is
//! handed on first, in order. Fanouts and replies are for whoever listens now and are not kept.
//!
//! The spool never stops the daemon. When it is full, or the disk fails, messages are handed on without it, which is
//! counted and logged. Files that are damaged are read as far as they can be; a copy is left for people.
//!
//! Owner of the files is one thread. Its file format is in `item`; framing and checksums are those of the crate `wal-db`.

mod item;
mod segment;
mod shelf;
mod account;
mod writer;

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{error, info};
use zmtp::Run;

use self::account::Account;
use self::item::Kept;
use self::shelf::Shelf;
use self::writer::{Command, Writer, now};
use crate::dir_lock::{DirLock, DirLockError};
use crate::settings::SpoolSettings;
use crate::view::SpoolTotals;

/// Messages of one topic on their way through the spool.
pub(crate) trait Parcel: Send {
    /// The messages.
    fn run(&self) -> &Run;

    /// Hands them on, numbered from `first`. Returns how many of the last were dropped.
    fn hand_on(self: Box<Self>, first: u64) -> usize;
}

/// A spool at work. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Spool {
    account: Arc<Account>,
    commands: SyncSender<Command>,
    restored: u64,
    damaged: u64,
    _lock: Arc<DirLock>,
}

/// Messages of an earlier run that no consumer was written.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Of one topic.
    pub(crate) run: Run,
    /// The number of the first.
    pub(crate) first: u64,
    /// When they came, as far as this run's clock reaches back.
    pub(crate) arrived: Instant,
}

/// The spool cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("cannot use the spool directory {}: {source}; make it writable for this user, or set spool_dir", path.display())]
    System { path: PathBuf, source: io::Error },
    #[error("the spool directory is in use: {0}")]
    Lock(#[from] DirLockError),
}

impl Spool {
    /// Opens the directory, made if need be, and reads what an earlier run left. `connections` is how many may put
    /// messages at the same time. Needs a tokio runtime.
    pub(crate) fn open(settings: &SpoolSettings, connections: usize) -> Result<(Self, Vec<Restored>), SpoolError> {
        let dir = &settings.dir;
        let system = |source| SpoolError::System { path: dir.clone(), source };
        // Messages hold secrets.
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(system(error)),
            _ => {}
        }
        let lock = Arc::new(DirLock::take(dir)?);
        let (shelf, found) = Shelf::open(dir, settings.fsync).map_err(system)?;
        if found.damaged > 0 {
            let files = &found.damaged_files;
            error!(
                octets = found.damaged,
                ?files,
                "the spool is damaged: what could be read is handed on; copies were kept"
            );
        }
        let restored: Vec<_> = found.kept.into_iter().map(Restored::from).collect();
        let messages = restored.iter().map(|restored| restored.run.messages() as u64).sum();
        if messages > 0 {
            info!(messages, "messages of an earlier run are in the spool and are handed on first");
        }
        let account = Arc::new(Account::beginning_at(found.next));
        let (commands, requests) = sync_channel(connections + SPARE);
        account.octets.store(shelf.live_octets(), Relaxed);
        let writer = Writer::new(shelf, account.clone(), requests, settings);
        let runtime = Handle::current();
        let work = move || {
            // Sockets of topics are made here too.
            let _runtime = runtime.enter();
            writer.run();
        };
        thread::Builder::new().name("spool".to_owned()).spawn(work).map_err(system)?;
        Ok((Self { account, commands, restored: messages, damaged: found.damaged, _lock: lock }, restored))
    }

    /// Writes messages down and hands them on. One call of a connection at a time.
    ///
    /// Dropping the future changes nothing of that.
    pub(crate) fn put(&self, parcels: Vec<Box<dyn Parcel>>) -> impl Future<Output = ()> + Send + use<> {
        let (done, waiting) = oneshot::channel();
        if let Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) =
            self.commands.try_send(Command::Put(parcels, done))
            && let Command::Put(parcels, _) = command
        {
            // It takes one of each connection, so this is after the end.
            for parcel in parcels {
                let messages = parcel.run().messages();
                self.account.unprotected.fetch_add(messages as u64, Relaxed);
                parcel.hand_on(self.account.number(messages));
            }
        }
        async move { drop(waiting.await) }
    }

    /// These messages need not be kept any longer.
    pub(crate) fn settle(&self, numbers: Range<u64>) {
        if self.account.settle(numbers) {
            // A full channel has the thread look in any case.
            let _ = self.commands.try_send(Command::Settled);
        }
    }

    /// Waits until all that was put is handed on.
    pub(crate) async fn flush(&self) {
        self.ask(Command::Flush).await;
    }

    /// Writes down what is settled, and ends. What is not settled stays for the next run.
    pub(crate) async fn close(&self) {
        self.ask(Command::Close).await;
    }

    pub(crate) fn totals(&self) -> SpoolTotals {
        let Account { stored, unprotected, failures, octets, .. } = &*self.account;
        SpoolTotals {
            restored: self.restored,
            stored: stored.load(Relaxed),
            unprotected: unprotected.load(Relaxed),
            failures: failures.load(Relaxed),
            damaged_octets: self.damaged,
            octets: octets.load(Relaxed),
        }
    }

    async fn ask(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        loop {
            let (done, waiting) = oneshot::channel();
            match self.commands.try_send(command(done)) {
                Ok(()) => return drop(waiting.await),
                Err(TrySendError::Disconnected(_)) => return,
                // It is at work, and this is the end of the run, where nothing is urgent.
                Err(TrySendError::Full(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("totals", &self.totals()).finish_non_exhaustive()
    }
}

impl From<Kept> for Restored {
    fn from(Kept { first, arrived, run }: Kept) -> Self {
        let age = Duration::from_millis(now().saturating_sub(arrived));
        let at = Instant::now();
        Self { run, first, arrived: at.checked_sub(age).unwrap_or(at) }
    }
}

/// Places in the channel beyond one for each connection: for words of settled messages, flushing, closing.
const SPARE: usize = 64;
