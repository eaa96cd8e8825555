//! The thread that writes: all that waits becomes one record, and is then handed on in that order.
//!
//! So a write, and with `spool_fsync = always` a wait for the disk, is for all connections together. Where the disk may have
//! messages later, nobody waits but what comes while it gets them. Without work the thread sleeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Parcel;
use super::account::Account;
use super::item::Kept;
use super::shelf::Shelf;
use crate::logging::OncePer;
use crate::settings::{Fsync, SpoolSettings};

/// What the thread is asked for.
pub(super) enum Command {
    /// To keep messages and hand them on; tells when both is done.
    Put(Vec<Box<dyn Parcel>>, oneshot::Sender<()>),
    /// To look at what is settled.
    Settled,
    /// To tell when all that came before is done.
    Flush(oneshot::Sender<()>),
    /// To end, and tell when all is written.
    Close(oneshot::Sender<()>),
}

/// The state of the thread.
pub(super) struct Writer {
    shelf: Shelf,
    account: Arc<Account>,
    commands: Receiver<Command>,
    /// Octets that may be kept.
    limit: u64,
    /// How long what was written may not be on the disk.
    sync_within: Option<Duration>,
    /// When it has to be.
    sync_at: Option<Instant>,
    record: Vec<u8>,
    /// After a failure nothing is tried until then.
    paused_until: Option<Instant>,
    log: OncePer<&'static str>,
}

/// What is done in one go.
#[derive(Default)]
struct Batch {
    parcels: Vec<Box<dyn Parcel>>,
    octets: usize,
    /// Whom to tell.
    waiting: Vec<oneshot::Sender<()>>,
    is_last: bool,
}

impl Batch {
    fn add(&mut self, command: Command) {
        match command {
            Command::Put(parcels, done) => {
                self.octets += parcels.iter().map(|parcel| parcel.run().octets()).sum::<usize>();
                self.parcels.extend(parcels);
                self.waiting.push(done);
            }
            Command::Settled => {}
            Command::Flush(done) => self.waiting.push(done),
            Command::Close(done) => {
                self.waiting.push(done);
                self.is_last = true;
            }
        }
    }
}

impl Writer {
    pub(super) fn new(
        shelf: Shelf,
        account: Arc<Account>,
        commands: Receiver<Command>,
        settings: &SpoolSettings,
    ) -> Self {
        let sync_within = match settings.fsync {
            Fsync::Within(time) => Some(time),
            Fsync::Never | Fsync::Always => None,
        };
        Self {
            shelf,
            account,
            commands,
            limit: settings.max_octets as u64,
            sync_within,
            sync_at: None,
            record: Vec::new(),
            paused_until: None,
            log: OncePer::default(),
        }
    }

    /// Works until it is asked to end, or nobody is left to ask.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.gather() {
            self.sync_in_time();
            let firsts = self.write(&batch.parcels);
            for (parcel, first) in batch.parcels.into_iter().zip(firsts) {
                let end = first + parcel.run().messages() as u64;
                let refused = parcel.hand_on(first) as u64;
                self.account.settle(end - refused..end);
            }
            if batch.is_last {
                // The last chance, whatever happened a moment ago.
                self.paused_until = None;
                self.write(&[]);
                let left = self.shelf.len();
                match self.shelf.close() {
                    Ok(()) => info!(runs = left, "the spool is closed"),
                    Err(error) => warn!("cannot remove files of the spool that are not needed: {error}"),
                }
                tell(batch.waiting);
                return;
            }
            tell(batch.waiting);
        }
    }

    /// Waits for work, and takes what there is. That messages are settled may wait a moment for company.
    fn gather(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        let first = match self.time_to_sync() {
            None => self.commands.recv().ok()?,
            Some(time) => match self.commands.recv_timeout(time) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => return Some(batch),
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        if let Command::Settled = first {
            match self.commands.recv_timeout(self.time_to_sync().map_or(COMPANY, |time| time.min(COMPANY))) {
                Ok(command) => batch.add(command),
                Err(RecvTimeoutError::Timeout) => return Some(batch),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        } else {
            batch.add(first);
        }
        while batch.octets < BATCH
            && !batch.is_last
            && let Ok(command) = self.commands.try_recv()
        {
            batch.add(command);
        }
        Some(batch)
    }

    /// Numbers messages and writes down what it can. Returns the number of each parcel's first message.
    fn write(&mut self, parcels: &[Box<dyn Parcel>]) -> Vec<u64> {
        let firsts: Vec<u64> = parcels.iter().map(|parcel| self.account.number(parcel.run().messages())).collect();
        let settled = self.account.take_settled();
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            self.shelf.settle_untold(&settled);
            self.note_unprotected(parcels.iter().map(|parcel| parcel.run().messages()).sum());
            self.note_extent();
            return firsts;
        }
        let (mut kept, mut octets, mut beyond) = (Vec::new(), self.shelf.live_octets(), 0);
        let arrived = now();
        for (parcel, first) in parcels.iter().zip(&firsts) {
            let run = parcel.run().clone();
            let messages = Kept { first: *first, arrived, run };
            if octets + messages.octets() as u64 > self.limit {
                beyond += messages.run.messages();
                continue;
            }
            octets += messages.octets() as u64;
            kept.push(messages);
        }
        if beyond > 0 {
            self.note_unprotected(beyond);
            if let Some(suppressed) = self.log.permit("full", Instant::now()) {
                let limit = self.limit;
                warn!(
                    messages = beyond,
                    suppressed,
                    "the spool is full ({octets} of {limit} octets): messages are handed on without it; raise \
                     spool_max_octets, or see whose consumers are away"
                );
            }
        }
        let messages: usize = kept.iter().map(|kept| kept.run.messages()).sum();
        match self.shelf.write(&kept, &settled, &mut self.record) {
            Ok(()) => {
                self.account.stored.fetch_add(messages as u64, Relaxed);
                self.paused_until = None;
                if self.sync_at.is_none() && self.shelf.is_ahead() {
                    self.sync_at = self.sync_within.map(|time| Instant::now() + time);
                }
            }
            Err(error) => {
                self.note_unprotected(messages);
                self.note_failure(&error);
            }
        }
        if self.record.capacity() > BATCH * 2 {
            // A large message is rare.
            self.record = Vec::new();
        }
        self.note_extent();
        firsts
    }

    fn note_extent(&self) {
        self.account.octets.store(self.shelf.live_octets(), Relaxed);
    }

    fn time_to_sync(&self) -> Option<Duration> {
        self.sync_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn sync_in_time(&mut self) {
        if self.time_to_sync().is_some_and(|time| time.is_zero()) {
            self.sync_at = None;
            if let Err(error) = self.shelf.sync() {
                self.note_failure(&error);
            }
        }
    }

    fn note_failure(&mut self, error: &io::Error) {
        self.account.failures.fetch_add(1, Relaxed);
        self.paused_until = Some(Instant::now() + PAUSE);
        if let Some(suppressed) = self.log.permit("failed", Instant::now()) {
            warn!(
                suppressed,
                "cannot write to the spool: {error}; messages are handed on without it, and it is tried again in {PAUSE:?}"
            );
        }
    }

    fn note_unprotected(&self, messages: usize) {
        self.account.unprotected.fetch_add(messages as u64, Relaxed);
    }
}

/// Who does not wait any longer was a connection that is gone.
fn tell(waiting: Vec<oneshot::Sender<()>>) {
    for waiting in waiting {
        let _ = waiting.send(());
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Octets that are written at once, about: enough that the disk's latency is shared by many messages.
const BATCH: usize = 1 << 20;
/// How long settled messages wait to be written down with new ones: a crash within it makes them come twice.
const COMPANY: Duration = Duration::from_millis(20);
/// After a failure of the disk: short enough to protect messages again soon after there is room.
const PAUSE: Duration = Duration::from_secs(2);
