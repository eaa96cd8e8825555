//! A port and the connections that came by it: what happens to them is logged, and who may connect is decided here.

use std::collections::{BTreeMap, HashSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, info, warn};
use zmtp::transport::Tcp;
use zmtp::{
    Applicant, BindError, Credentials, Disconnect, Endpoint, Intake, Monitor, Options, Security, SocketEvent, Stats,
    Verdict,
};

use crate::drops::host_of;
use crate::gate::Gate;
use crate::keys::{self, KeyError};
use crate::logging::OncePer;
use crate::router::Router;
use crate::settings::{Access, Bind, CurveSettings};

/// From a connection, as its transport describes the peer, to its inbox.
pub(crate) type MakeRouter = Box<dyn Fn(&str) -> Router + Send + Sync>;

/// A port and the connections that came by it.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) intake: Intake<MakeRouter, Router>,
    gate: Gate,
    pub(crate) endpoint: Endpoint,
}

impl Front {
    /// Listens, on `listener` in place of the address if there is one.
    pub(crate) async fn open(
        listener: Option<TcpListener>,
        bind: &Bind,
        access: &Access,
        options: Options,
        make: MakeRouter,
    ) -> Result<Self, BindError> {
        let gate = Gate::new(Arc::new(Tcp::new()), access.clone());
        let options = options.transport("tcp", Arc::new(gate.clone()));
        let intake = Intake::new(options, make);
        tokio::spawn(log_connections(intake.monitor()));
        let endpoint = match listener {
            Some(listener) => intake.bind_open(listener)?,
            None => intake.bind(&bind.endpoint()).await?,
        };
        Ok(Self { intake, gate, endpoint })
    }

    /// Nobody waits any more: what has been sent is to be read before the end.
    pub(crate) fn hurry(&self) {
        self.gate.hurry();
    }

    /// Who may connect from now on.
    pub(crate) fn apply(&self, access: &Access) {
        self.gate.set_access(access);
    }

    /// Connections refused, or cut for a fault of the peer, by reason.
    pub(crate) fn faults(&self, stats: &Stats) -> BTreeMap<&'static str, u64> {
        let mut faults = stats.faults.clone();
        for (reason, n) in self.gate.refused() {
            *faults.entry(reason).or_default() += n;
        }
        faults
    }
}

/// Who may connect to the port for peers that encrypt.
pub(crate) fn security(curve: &CurveSettings) -> Result<Security, KeyError> {
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
