//! The daemon: a PULL on TCP in front, a socket per topic behind.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::{error, info, warn};
use zmtp::{BindError, Endpoint, Limits, Options};

use crate::backends::Backends;
use crate::clock::Clock;
use crate::front::{Front, MakeRouter, security};
use crate::keys::KeyError;
use crate::observer::{Observer, Parts, Totals};
use crate::router::Router;
use crate::routes::Routes;
use crate::senders::Senders;
use crate::settings::{Settings, SpoolSettings};
use crate::spool::{Restored, Spool};

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
    #[error("{cause}; {}", next_step(.cause, .option))]
    Bind {
        /// The option that names the port.
        option: &'static str,
        /// Where and why.
        cause: BindError,
    },
    /// A key for the port of peers that encrypt cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
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
        let (spool, restored) = match &settings.spool {
            Some(spool) => open_spool(spool, settings.limits.max_connections),
            None => (None, Vec::new()),
        };
        let routes = Arc::new(Routes::new(settings, dir, clock, spool));
        // Before anybody can send more to the same topics.
        restored.into_iter().for_each(|messages| routes.restore(messages));
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
            .busy_poll(settings.busy_poll)
            .budget(routes.memory().clone());
        let backends = Arc::new(Backends::new(routes.clone(), settings.backend_fallback));
        let make = || -> MakeRouter {
            let (routes, backends, senders) = (routes.clone(), backends.clone(), senders.clone());
            Box::new(move |peer| Router::new(routes.clone(), backends.clone(), senders.enter(peer)))
        };
        let refused = |option| move |cause| StartError::Bind { option, cause };
        let security = settings.curve.as_ref().map(security).transpose()?;
        let plain = Front::open(listener, &settings.bind, &settings.access, options.clone(), make())
            .await
            .map_err(refused("rpc_zmq_port"))?;
        let mut curve = None;
        if let Some((wanted, security)) = settings.curve.as_ref().zip(security) {
            let options = options.security(security);
            let front = Front::open(None, &wanted.bind, &settings.access, options, make()).await;
            let front = front.map_err(refused("curve_port"))?;
            info!("for peers that encrypt there is {}", front.endpoint);
            curve = Some(front);
        }
        if let Err(error) = routes.open_replies() {
            warn!("no socket for replies yet, it is tried again at the first one: {error}");
        }
        info!("listening on {}, sockets in {}", plain.endpoint, dir.display());
        let mut handing_over = JoinSet::new();
        handing_over.spawn(async move { backends.hand_over_forever().await });
        let parts = Arc::new(Parts { plain, curve, routes, senders, dir: dir.to_owned(), clock });
        Ok(Self { parts, drain_timeout: settings.drain_timeout, handing_over })
    }

    /// Where it listens, with the port that the system chose if it was to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.parts.plain.endpoint
    }

    /// Where it listens for peers that encrypt, if it does.
    pub fn curve_endpoint(&self) -> Option<&Endpoint> {
        self.parts.curve.as_ref().map(|front| &front.endpoint)
    }

    /// Takes new settings, as far as a running receiver can: `drain_timeout` and `max_topics` from now on; who may
    /// connect for connections that come, and what concerns a topic's queue for topics that are opened from now on.
    pub fn apply(&mut self, settings: &Settings) {
        self.drain_timeout = settings.drain_timeout;
        self.parts.routes.apply(settings);
        self.parts.fronts().for_each(|front| front.apply(&settings.access));
    }

    /// Takes no more connections, for good. Those that are go on.
    pub fn stop_listening(&self) {
        self.parts.fronts().for_each(|front| front.intake.stop_listening());
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
        self.parts.routes.hurry();
        self.parts.fronts().for_each(Front::hurry);
        // Senders are told, and what they had sent by then is read and routed.
        let last_reads = LAST_READS.min(self.drain_timeout);
        let close_curve = async {
            if let Some(curve) = &self.parts.curve {
                curve.intake.close(last_reads).await;
            }
        };
        tokio::join!(self.parts.plain.intake.close(last_reads), close_curve);
        self.handing_over.shutdown().await;
        if let Some(spool) = &self.parts.routes.spool {
            spool.flush().await;
        }
        let totals = self.totals();
        let linger = self.drain_timeout.saturating_sub(begun.elapsed());
        let closed = self.parts.routes.close(linger).await;
        if let Some(spool) = &self.parts.routes.spool {
            spool.close().await;
            info!(left = closed.left, totals = ?spool.totals(), "what is left is in the spool");
        }
        let stopped = Stopped { delivered: closed.written.saturating_sub(written_before), left: closed.left };
        info!(
            received = totals.received,
            written = closed.written,
            delivered = stopped.delivered,
            left = stopped.left,
            dropped = ?totals.dropped,
            faults = ?totals.faults,
            "stopped"
        );
        stopped
    }
}

/// Without a spool messages are handed on as they are without the option, so that a disk that fails stops nothing.
fn open_spool(settings: &SpoolSettings, connections: usize) -> (Option<Spool>, Vec<Restored>) {
    match Spool::open(settings, connections) {
        Ok((spool, restored)) => (Some(spool), restored),
        Err(error) => {
            error!("no spool, messages are handed on without it: {error}");
            (None, Vec::new())
        }
    }
}

/// Ample for senders to hear that this end takes no more and for what they had sent by then, and an end to those that do not
/// listen.
const LAST_READS: Duration = Duration::from_secs(1);

fn next_step(error: &BindError, option: &str) -> String {
    let address = option.replace("port", "bind_address");
    let BindError::Io { cause, .. } = error else {
        return format!("set {address} to *, an IP address or the name of an interface");
    };
    match cause.kind() {
        io::ErrorKind::AddrInUse => format!("stop what listens there (ss -ltnp shows it), or set {option}"),
        io::ErrorKind::PermissionDenied => format!("ports below 1024 need privileges: set {option}"),
        _ => format!("set {address} to *, an address of this machine or the name of an interface"),
    }
}
