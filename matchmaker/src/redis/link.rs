//! The connection to Redis, which may be away.
//!
//! ```text
//! Idle --first use--> Up --fault--> Away --a task reconnects--> Up
//! ```
//!
//! What always holds: while Redis is away nobody waits for it but one task, with growing pauses; its
//! going and its coming are each logged once; when it is back the heartbeat is told, because Redis
//! may have lost all it knew.
//!
//! The library's connection manager is not used: it comes back to the address it left, which after a
//! failover is the wrong one. Here each attempt looks for the primary anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::backend::Status;
use crate::backoff::Backoff;
use crate::redis::primary::{self, ConnectError};
use crate::redis::settings::RedisSettings;

/// A connection that is made at its first use, and made again when it is lost.
#[derive(Debug)]
pub(super) struct Link {
    settings: RedisSettings,
    state: Mutex<State>,
    /// Held by the one who makes the first connection.
    first: tokio::sync::Mutex<()>,
    /// Told when Redis is back.
    returned: Arc<Notify>,
}

#[derive(Debug)]
enum State {
    Idle,
    Up(Lease),
    Away {
        since: SystemTime,
        cause: Arc<RedisFault>,
        /// What reconnects. It ends early only with its runtime.
        task: JoinHandle<()>,
    },
}

/// A connection in use.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// When it was made, which tells it from others.
    made: Instant,
    pub(super) connection: MultiplexedConnection,
}

impl Link {
    /// Connects to nothing yet.
    pub(super) fn new(settings: RedisSettings, returned: Arc<Notify>) -> Self {
        Self { settings, state: Mutex::new(State::Idle), first: tokio::sync::Mutex::default(), returned }
    }

    pub(super) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// A connection. Waits for the first one; after that never.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, Arc<RedisFault>> {
        if let Some(known) = self.known() {
            return known;
        }
        let _first = self.first.lock().await;
        // Whoever held it before may have connected, or failed to.
        if let Some(known) = self.known() {
            return known;
        }
        match primary::connect(&self.settings).await {
            Ok(connection) => {
                let lease = Lease { made: Instant::now(), connection };
                *self.state() = State::Up(lease.clone());
                Ok(lease)
            }
            Err(error) => Err(self.leave(None, RedisFault::Connect(error))),
        }
    }

    /// Passes on what came of a lease. A fault of the connection ends its use by others too.
    pub(super) fn settle<T>(
        self: &Arc<Self>,
        lease: &Lease,
        outcome: Result<T, RedisError>,
    ) -> Result<T, Arc<RedisFault>> {
        match outcome {
            Ok(answer) => Ok(answer),
            Err(error) if severs(&error) => Err(self.leave(Some(lease), RedisFault::Lost(error))),
            Err(error) => Err(Arc::new(RedisFault::Refused(error))),
        }
    }

    pub(super) fn status(&self) -> Status {
        match &*self.state() {
            State::Idle | State::Up(_) => Status::Current,
            State::Away { since, cause, .. } => Status::Stale { since: *since, cause: cause.clone() },
        }
    }

    /// None before the first connection, and where nothing is left that would reconnect.
    fn known(&self) -> Option<Result<Lease, Arc<RedisFault>>> {
        match &*self.state() {
            State::Up(lease) => Some(Ok(lease.clone())),
            State::Away { cause, task, .. } if !task.is_finished() => Some(Err(cause.clone())),
            State::Idle | State::Away { .. } => None,
        }
    }

    /// Gives `lost` up for this reason, unless a later connection has taken its place.
    fn leave(self: &Arc<Self>, lost: Option<&Lease>, fault: RedisFault) -> Arc<RedisFault> {
        let fault = Arc::new(fault);
        let mut state = self.state();
        let current = match &*state {
            State::Up(lease) => lost.is_some_and(|lost| lost.made == lease.made),
            State::Away { task, .. } => task.is_finished(),
            State::Idle => true,
        };
        if current {
            let task = tokio::spawn(reconnect(Arc::downgrade(self)));
            *state = State::Away { since: SystemTime::now(), cause: fault.clone(), task };
            drop(state);
            let error: &dyn std::error::Error = &*fault;
            tracing::warn!(error, "{} is away: keeping its last answers", self.settings);
        }
        fault
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure at Redis.
#[derive(Debug, Error)]
pub(super) enum RedisFault {
    /// It cannot be reached.
    #[error(transparent)]
    Connect(ConnectError),
    /// It was reached, and is no more, or is no primary any more.
    #[error("the connection was lost")]
    Lost(#[source] RedisError),
    /// It answers no.
    #[error("Redis refuses the command: check what its user may do")]
    Refused(#[source] RedisError),
    /// More keys than could be a matchmaker's.
    #[error("the database has more than {most} keys: give the matchmaker one of its own")]
    TooManyKeys { most: usize },
}

/// Until it succeeds or the link is gone.
async fn reconnect(link: Weak<Link>) {
    let gone = Instant::now();
    let mut backoff = Backoff::default();
    loop {
        sleep(backoff.next()).await;
        let Some(link) = link.upgrade() else { return };
        if let Ok(connection) = primary::connect(&link.settings).await {
            *link.state() = State::Up(Lease { made: Instant::now(), connection });
            tracing::info!(seconds = gone.elapsed().as_secs(), "{} is back", link.settings);
            link.returned.notify_one();
            return;
        }
    }
}

/// Whether the connection is of no use after this error: it broke, nothing came in time, or the
/// server says that it is not, or not yet, the primary.
fn severs(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
        ErrorKind::Server(kind) => matches!(kind, BusyLoading | MasterDown | ReadOnly),
        _ => error.is_unrecoverable_error(),
    }
}
