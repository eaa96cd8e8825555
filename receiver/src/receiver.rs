//! The daemon: a PULL on TCP in front, a socket per topic behind.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};
use zmtp::transport::{Tcp, Transport};
use zmtp::{
    Applicant, BindError, Credentials, Disconnect, Endpoint, Intake, Limits, Monitor, Options, Security, SocketEvent,
    Stats, Verdict,
};

use crate::backends::Backends;
use crate::drops::host_of;
use crate::gate::Gate;
use crate::inherited::Inherited;
use crate::keys::{self, KeyError};
use crate::logging::OncePer;
use crate::router::Router;
use crate::routes::Routes;
use crate::settings::{Access, Bind, CurveSettings, Settings, SpoolSettings};
use crate::spool::{Restored, Spool, SpoolTotals};

/// A running receiver.
///
/// It serves until [`stop`](Self::stop). Dropping it stops it without handing on what is queued.
#[derive(Debug)]
pub struct Receiver {
    plain: Front,
    /// For peers that encrypt.
    curve: Option<Front>,
    routes: Arc<Routes>,
    drain_timeout: Duration,
    /// Ends with the receiver.
    handing_over: JoinSet<()>,
}

type MakeRouter = Box<dyn Fn(&str) -> Router + Send + Sync>;

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
    /// A key for the port of peers that encrypt cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// The counters of a receiver. Messages unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// TCP peers now.
    pub connections: usize,
    /// That came in over TCP.
    pub received: u64,
    /// Written whole to a consumer's socket; a fanout counts once for each consumer.
    pub written: u64,
    /// Waiting now.
    pub queued: u64,
    /// Octets waiting now, those of large messages that are coming in included.
    pub queued_octets: usize,
    /// How often a sender had to wait for room.
    pub waits: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// TCP connections refused, or cut for a fault of the peer, by reason.
    pub faults: BTreeMap<&'static str, u64>,
    /// Of the spool, if there is one.
    pub spool: Option<SpoolTotals>,
    /// Each topic's own counters, by [key](oslo_rpc::Topic::key).
    pub topics: Vec<(String, Stats)>,
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
        let (spool, restored) = match &settings.spool {
            Some(spool) => open_spool(spool, settings.limits.max_connections),
            None => (None, Vec::new()),
        };
        let routes = Arc::new(Routes::new(settings, dir, spool));
        // Before anybody can send more to the same topics.
        restored.into_iter().for_each(|messages| routes.restore(messages));
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
        let transport: Arc<dyn Transport> = match listener {
            Some(listener) => Arc::new(Inherited::new(listener)),
            None => Arc::new(Tcp),
        };
        let backends = Arc::new(Backends::new(routes.clone(), settings.backend_fallback));
        let make = || -> MakeRouter {
            let (routes, backends) = (routes.clone(), backends.clone());
            Box::new(move |peer| Router::new(routes.clone(), backends.clone(), peer))
        };
        let security = settings.curve.as_ref().map(security).transpose()?;
        let plain = Front::open(&settings.bind, &settings.access, transport, options.clone(), make()).await?;
        let mut curve = None;
        if let Some((wanted, security)) = settings.curve.as_ref().zip(security) {
            let options = options.security(security);
            let front = Front::open(&wanted.bind, &settings.access, Arc::new(Tcp), options, make()).await?;
            info!("for peers that encrypt there is {}", front.endpoint);
            curve = Some(front);
        }
        if let Err(error) = routes.open_replies() {
            warn!("no socket for replies yet, it is tried again at the first one: {error}");
        }
        info!("listening on {}, sockets in {}", plain.endpoint, dir.display());
        let mut handing_over = JoinSet::new();
        handing_over.spawn(async move { backends.hand_over_forever().await });
        Ok(Self { plain, curve, routes, drain_timeout: settings.drain_timeout, handing_over })
    }

    /// Where it listens, with the port that the system chose if it was to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.plain.endpoint
    }

    /// Where it listens for peers that encrypt, if it does.
    pub fn curve_endpoint(&self) -> Option<&Endpoint> {
        self.curve.as_ref().map(|front| &front.endpoint)
    }

    fn fronts(&self) -> impl Iterator<Item = &Front> {
        std::iter::once(&self.plain).chain(&self.curve)
    }

    /// Takes new settings, as far as a running receiver can: `drain_timeout` and `max_topics` from now on; what concerns
    /// a topic's queue for topics that are opened from now on.
    pub fn apply(&mut self, settings: &Settings) {
        self.drain_timeout = settings.drain_timeout;
        self.routes.apply(settings);
    }

    /// Takes no more connections, for good. Those that are go on.
    pub fn stop_listening(&self) {
        self.fronts().for_each(|front| front.intake.stop_listening());
    }

    /// The counters now.
    pub fn totals(&self) -> Totals {
        let fronts: Vec<_> = self.fronts().map(|front| front.intake.stats()).collect();
        let topics = self.routes.stats();
        let mut dropped = self.routes.drops.counts();
        let mut sums = self.routes.given_up();
        topics.iter().for_each(|(_, stats)| sums.add(stats));
        dropped.extend([
            ("consumer-full", sums.over_mark),
            ("no-subscriber", sums.unmatched),
            ("consumer-gone", sums.discarded),
            ("oldest-displaced", sums.displaced),
            ("expired", sums.expired),
        ]);
        dropped.retain(|_, n| *n > 0);
        let mut faults = BTreeMap::new();
        let refused = self.fronts().filter_map(|front| front.gate.as_ref()).flat_map(Gate::refused);
        for (reason, n) in fronts.iter().flat_map(|stats| stats.faults.clone()).chain(refused) {
            *faults.entry(reason).or_default() += n;
        }
        Totals {
            connections: fronts.iter().map(|stats| stats.peers).sum(),
            received: fronts.iter().map(|stats| stats.received).sum(),
            written: sums.written,
            queued: topics.iter().map(|(_, stats)| stats.queued as u64).sum(),
            queued_octets: self.routes.memory().used(),
            dropped,
            waits: self.routes.waits(),
            faults,
            spool: self.routes.spool.as_ref().map(Spool::totals),
            topics,
        }
    }

    /// Stops: takes no more connections, ends those that are, hands on what is queued for a bounded time, removes its
    /// sockets.
    ///
    /// Not cancel-safe: dropping the future drops what is queued.
    pub async fn stop(mut self) -> Stopped {
        let begun = Instant::now();
        let written_before = self.totals().written;
        self.routes.hurry();
        self.fronts().filter_map(|front| front.gate.as_ref()).for_each(Gate::hurry);
        // Senders are told, and what they had sent by then is read and routed.
        let last_reads = LAST_READS.min(self.drain_timeout);
        let close_curve = async {
            if let Some(curve) = &self.curve {
                curve.intake.close(last_reads).await;
            }
        };
        tokio::join!(self.plain.intake.close(last_reads), close_curve);
        self.handing_over.shutdown().await;
        if let Some(spool) = &self.routes.spool {
            spool.flush().await;
        }
        let totals = self.totals();
        let linger = self.drain_timeout.saturating_sub(begun.elapsed());
        let report = self.routes.close(linger).await;
        if let Some(spool) = &self.routes.spool {
            spool.close().await;
            info!(left = report.discarded, totals = ?spool.totals(), "what is left is in the spool");
        }
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

/// A port and the connections that came by it.
#[derive(Debug)]
struct Front {
    intake: Intake<MakeRouter, Router>,
    /// If not everybody may send as much as they like.
    gate: Option<Gate>,
    endpoint: Endpoint,
}

impl Front {
    async fn open(
        bind: &Bind,
        access: &Access,
        transport: Arc<dyn Transport>,
        options: Options,
        make: MakeRouter,
    ) -> Result<Self, StartError> {
        let gate = (!access.is_open()).then(|| Gate::new(transport.clone(), access.clone()));
        let options = options.transport("tcp", gate.clone().map_or(transport, |gate| Arc::new(gate)));
        let intake = Intake::new(options, make);
        tokio::spawn(log_connections(intake.monitor()));
        let endpoint = intake.bind(&bind.endpoint()).await.map_err(|cause| StartError::Bind { cause })?;
        Ok(Self { intake, gate, endpoint })
    }
}

/// Who may connect to the port for peers that encrypt.
fn security(curve: &CurveSettings) -> Result<Security, KeyError> {
    let keys = keys::load(&curve.key_file)?;
    let clients = curve.clients.as_deref().map(keys::load_public).transpose()?;
    match &clients {
        Some(clients) => info!("the public key is {}, {} keys may connect", keys.public(), clients.len()),
        None => warn!("the public key is {}, who knows it may connect: see curve_clients", keys.public()),
    }
    let clients: Option<HashSet<_>> = clients.map(|clients| clients.into_iter().collect());
    let judge = move |applicant: &Applicant| match (&applicant.credentials, &clients) {
        (Credentials::Curve(key), Some(clients)) if clients.contains(key) => Verdict::Admit,
        (Credentials::Curve(_), None) => Verdict::Admit,
        _ => Verdict::Refuse,
    };
    Ok(Security::CurveServer { keys, authenticator: Arc::new(judge) })
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

/// Logs what happens to connections; faults once per peer and reason in a while.
async fn log_connections(mut monitor: Monitor) {
    let log = OncePer::<(String, &'static str)>::default();
    while let Some(event) = monitor.recv().await {
        let (peer, cause, what) = match event {
            SocketEvent::Ready { peer, info } => {
                debug!(%peer, version = ?info.version, "peer connected");
                continue;
            }
            SocketEvent::AcceptFailed { error, pause } => {
                if let Some(suppressed) = log.permit((String::new(), "accept"), Instant::now()) {
                    warn!(suppressed, "cannot accept connections, trying again in {pause:?}: {error}");
                }
                continue;
            }
            SocketEvent::Full { connections } => {
                if let Some(suppressed) = log.permit((String::new(), "connection-limit"), Instant::now()) {
                    warn!(suppressed, "{connections} connections: others wait until one ends (max_connections)");
                }
                continue;
            }
            SocketEvent::Missed(n) => {
                debug!(n, "more happened than could be logged");
                continue;
            }
            SocketEvent::HandshakeFailed { peer, cause } => (peer, cause, "refused a connection"),
            SocketEvent::Disconnected { peer, cause } => (peer, cause, "ended a connection"),
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

/// Ample for senders to hear that this end takes no more and for what they had sent by then, and an end to those that do not
/// listen.
const LAST_READS: Duration = Duration::from_secs(1);

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
