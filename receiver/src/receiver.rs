//! The daemon: a PULL on TCP in front, a socket per topic behind.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::{debug, info, warn};
use zmtp::{BindError, Disconnect, Endpoint, Intake, Limits, Monitor, Options, SocketEvent};

use crate::backends::Backends;
use crate::clock::Clock;
use crate::drops::host_of;
use crate::logging::OncePer;
use crate::observer::{MakeRouter, Observer, Parts, Totals};
use crate::router::Router;
use crate::routes::Routes;
use crate::senders::Senders;
use crate::settings::Settings;

/// A running receiver.
///
/// It serves until [`stop`](Self::stop). Dropping it stops it without handing on what is queued.
#[derive(Debug)]
pub struct Receiver {
    parts: Arc<Parts>,
    drain_timeout: Duration,
    /// Ends with the receiver.
    handing_over: JoinSet<()>,
}

/// The receiver cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The TCP port cannot be had.
    #[error("{cause}; {}", next_step(.cause))]
    Bind {
        /// Where and why.
        cause: BindError,
    },
}

/// How a receiver ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Messages handed on after the stop began.
    pub delivered: u64,
    /// Messages that nobody took in time.
    pub left: u64,
}

impl Receiver {
    /// Binds the port and begins to serve. `dir` is where local sockets are made.
    ///
    /// # Errors
    /// [`StartError`] when the port cannot be bound.
    pub async fn start(settings: &Settings, dir: &Path) -> Result<Self, StartError> {
        Self::start_on(None, settings, dir).await
    }

    /// The same on a socket that listens already, in place of the address and port of the settings.
    ///
    /// # Errors
    /// [`StartError`] when the runtime cannot have the socket.
    pub async fn start_on(listener: Option<TcpListener>, settings: &Settings, dir: &Path) -> Result<Self, StartError> {
        let clock = Clock::new();
        let routes = Arc::new(Routes::new(settings, dir, clock));
        let senders = Senders::new(clock);
        let limits = Limits {
            max_frame: settings.limits.max_message_size,
            max_message: settings.limits.max_message_size,
            max_frames: settings.limits.max_frames,
            ..Limits::default()
        };
        let options = Options::new()
            .limits(limits)
            .max_connections(settings.limits.max_connections)
            .handshake_timeout(settings.handshake_timeout)
            .budget(routes.memory().clone());
        let backends = Arc::new(Backends::new(routes.clone(), settings.backend_fallback));
        let make: MakeRouter = {
            let (routes, backends, senders) = (routes.clone(), backends.clone(), senders.clone());
            Box::new(move |peer| Router::new(routes.clone(), backends.clone(), senders.enter(peer)))
        };
        let intake = Intake::new(options, make);
        tokio::spawn(log_connections(intake.monitor()));
        let bound = match listener {
            Some(listener) => intake.bind_open(listener),
            None => intake.bind(&settings.bind.endpoint()).await,
        };
        let endpoint = bound.map_err(|cause| StartError::Bind { cause })?;
        if let Err(error) = routes.open_replies() {
            warn!("no socket for replies yet, it is tried again at the first one: {error}");
        }
        info!("listening on {endpoint}, sockets in {}", dir.display());
        let mut handing_over = JoinSet::new();
        handing_over.spawn(async move { backends.hand_over_forever().await });
        let parts = Arc::new(Parts { intake, routes, senders, endpoint, dir: dir.to_owned(), clock });
        Ok(Self { parts, drain_timeout: settings.drain_timeout, handing_over })
    }

    /// Where it listens, with the port that the system chose if it was to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.parts.endpoint
    }

    /// Takes new settings, as far as a running receiver can: `drain_timeout` and `max_topics` from now on; what concerns
    /// a topic's queue for topics that are opened from now on.
    pub fn apply(&mut self, settings: &Settings) {
        self.drain_timeout = settings.drain_timeout;
        self.parts.routes.apply(settings);
    }

    /// Takes no more connections, for good. Those that are go on.
    pub fn stop_listening(&self) {
        self.parts.intake.stop_listening();
    }

    /// The counters now.
    pub fn totals(&self) -> Totals {
        self.parts.totals()
    }

    /// Reads the state of this receiver, to its end.
    pub fn observer(&self) -> Observer {
        Observer(Arc::downgrade(&self.parts))
    }

    /// Stops: takes no more connections, ends those that are, hands on what is queued for a bounded time, removes its
    /// sockets.
    ///
    /// Not cancel-safe: dropping the future drops what is queued.
    pub async fn stop(mut self) -> Stopped {
        let begun = Instant::now();
        let written_before = self.totals().written;
        // What has arrived is still read and routed.
        self.parts.intake.close(LAST_READS.min(self.drain_timeout)).await;
        self.handing_over.shutdown().await;
        let totals = self.totals();
        let linger = self.drain_timeout.saturating_sub(begun.elapsed());
        let report = self.parts.routes.close(linger).await;
        let written = totals.written + report.flushed;
        let stopped = Stopped { delivered: written - written_before, left: report.discarded };
        info!(
            received = totals.received,
            written,
            delivered = stopped.delivered,
            left = stopped.left,
            dropped = ?totals.dropped,
            faults = ?totals.faults,
            "stopped"
        );
        stopped
    }
}

/// Logs what happens to connections; faults once per peer and reason in a while.
async fn log_connections(mut monitor: Monitor) {
    let log = OncePer::<(String, &'static str)>::default();
    while let Some(event) = monitor.recv().await {
        let (peer, cause, what) = match event {
            SocketEvent::Ready { peer, info, .. } => {
                debug!(%peer, version = ?info.version, "peer connected");
                continue;
            }
            SocketEvent::AcceptFailed { error, pause, .. } => {
                if let Some(suppressed) = log.permit((String::new(), "accept"), Instant::now()) {
                    warn!(suppressed, "cannot accept connections, trying again in {pause:?}: {error}");
                }
                continue;
            }
            SocketEvent::Full { connections, .. } => {
                if let Some(suppressed) = log.permit((String::new(), "connection-limit"), Instant::now()) {
                    warn!(suppressed, "{connections} connections: others wait until one ends (max_connections)");
                }
                continue;
            }
            SocketEvent::Missed(n) => {
                debug!(n, "more happened than could be logged");
                continue;
            }
            SocketEvent::HandshakeFailed { peer, cause, .. } => (peer, cause, "refused a connection"),
            SocketEvent::Disconnected { peer, cause, .. } => (peer, cause, "ended a connection"),
            _ => continue,
        };
        if !matches!(cause, Disconnect::Protocol(_) | Disconnect::OverBudget) {
            debug!(%peer, "connection over: {cause}");
            continue;
        }
        if let Some(suppressed) = log.permit((host_of(&peer).to_owned(), cause.reason()), Instant::now()) {
            warn!(%peer, reason = cause.reason(), suppressed, "{what}: {cause}");
        }
    }
}

/// Ample for what the kernel's buffers hold, and an end to a sender that never pauses.
const LAST_READS: Duration = Duration::from_millis(250);

fn next_step(error: &BindError) -> &'static str {
    let BindError::Io { cause, .. } = error else {
        return "set rpc_zmq_bind_address to *, an IP address or the name of an interface";
    };
    match cause.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there (ss -ltnp shows it), or set rpc_zmq_port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: set rpc_zmq_port",
        _ => "set rpc_zmq_bind_address to *, an address of this machine or the name of an interface",
    }
}
