//! What the endpoint knows and may ask for: the running receiver, the log, the configuration, and the way to the service.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::process::process;
use crate::effective::Effective;
use crate::logging::Log;
use crate::observer::{Observer, owned};
use crate::settings::Settings;
use crate::view::{Overview, Phase, Readiness, Reloaded};

/// What the endpoint answers from.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) observer: Observer,
    pub(super) log: Log,
    pub(super) metrics_max_topics: usize,
    begun: Instant,
    host: String,
    memory_limit: usize,
    state: Mutex<State>,
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    effective: Effective,
    reloads: u64,
    reload_failures: u64,
    needs_restart: Vec<String>,
}

/// What the endpoint asks of the service.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the configuration anew, and say what came of it.
    Reload(oneshot::Sender<Result<Reloaded, String>>),
    /// Take no more connections, and end in a while.
    LameDuck,
    /// Hand on what is queued, and end.
    Drain,
}

impl Desk {
    /// Orders come out of the receiver.
    pub(crate) fn new(
        observer: Observer,
        log: Log,
        settings: &Settings,
        effective: Effective,
    ) -> (Self, mpsc::Receiver<Order>) {
        let (orders, coming) = mpsc::channel(ORDERS);
        let (phase, needs_restart) = (Phase::Serving, Vec::new());
        let state = State { phase, effective, reloads: 0, reload_failures: 0, needs_restart };
        let desk = Self {
            observer,
            log,
            metrics_max_topics: settings.admin.metrics_max_topics,
            begun: Instant::now(),
            host: settings.host.clone(),
            memory_limit: settings.limits.memory_limit,
            state: Mutex::new(state),
            orders,
        };
        (desk, coming)
    }

    /// The receiver does something else now.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// The configuration was read anew; with the options that count from the next start.
    pub(crate) fn note_reload(&self, effective: Effective, needs_restart: &[String]) {
        let mut state = self.lock();
        state.effective = effective;
        state.reloads += 1;
        state.needs_restart = needs_restart.to_vec();
    }

    /// The configuration was read anew and refused.
    pub(crate) fn note_refused_reload(&self) {
        self.lock().reload_failures += 1;
    }

    /// Asks the service to read the configuration anew. An error is for whoever asked.
    ///
    /// Cancel-safe: it is read all the same.
    pub(super) async fn reload(&self) -> Result<Reloaded, String> {
        let (done, outcome) = oneshot::channel();
        let gone = "the receiver is stopping";
        self.orders.try_send(Order::Reload(done)).map_err(|error| match error {
            TrySendError::Full(_) => "others ask for the same at this moment; ask again".to_owned(),
            TrySendError::Closed(_) => gone.to_owned(),
        })?;
        outcome.await.map_err(|_| gone.to_owned())?
    }

    /// Asks the service to end, at once or in a while; false if it does already.
    pub(super) fn end(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    pub(super) fn effective(&self) -> Effective {
        self.lock().effective.clone()
    }

    /// Whether the receiver is to be sent work.
    pub(super) fn readiness(&self) -> Readiness {
        let mut reasons = self.observer.obstacles();
        match self.lock().phase {
            Phase::Serving => {}
            Phase::LameDuck => reasons.push("it takes no more connections".to_owned()),
            Phase::Draining => reasons.push("it is stopping".to_owned()),
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// `None` when the receiver is no more.
    pub(super) fn overview(&self) -> Option<Overview> {
        let totals = self.observer.totals()?;
        let (endpoint, curve_endpoint, dir) = self.observer.places()?;
        let state = self.lock();
        Some(Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            host: self.host.clone(),
            phase: state.phase,
            endpoint,
            curve_endpoint,
            ipc_dir: dir.display().to_string(),
            uptime_seconds: self.begun.elapsed().as_secs_f64(),
            log_level: self.log.levels().to_string(),
            topics: totals.topics.len(),
            connections: totals.connections,
            connections_total: totals.connections_total,
            received: totals.received,
            received_octets: totals.received_octets,
            written: totals.written,
            queued: totals.queued,
            queued_octets: totals.queued_octets,
            memory_limit: self.memory_limit,
            dropped: owned(totals.dropped),
            faults: owned(totals.faults),
            reloads: state.reloads,
            reload_failures: state.reload_failures,
            needs_restart: state.needs_restart.clone(),
            waits: totals.waits,
            spool: totals.spool,
            process: process(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More at a time than anybody means.
const ORDERS: usize = 4;
