//! Several backends of a service on one machine, such as `cinder-volume.host1@lvm` (oslo-bugs B1).
//!
//! Each backend consumes the topic of its own name. An original service does not: whatever its server is called, on
//! `host1` it consumes `cinder-volume.host1`. So messages for `cinder-volume.host1@lvm` go there if
//! - they waited for a consumer of their own for as long as the settings say,
//! - none ever came, neither for this backend nor for another of the machine's: if one did, services here know their own
//!   names, and who consumes the topic of the machine is another backend that must not have what is not its own,
//! - and somebody consumes the topic of the machine.
//!
//! What is known of a machine is lost when the receiver stops.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oslo_rpc::Topic;
use tokio::sync::Notify;
use tracing::info;
use zmtp::SendError;

use crate::route::Route;
use crate::routes::Routes;

/// Which backends consume topics of their own, and what waits for those of whom that is not known.
#[derive(Debug)]
pub(crate) struct Backends {
    routes: Arc<Routes>,
    /// How long messages wait; zero: for ever.
    patience: Duration,
    known: Mutex<Known>,
    /// Told when a message waits.
    waits: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// Topics of machines whose backends consume their own. Only consumers on this machine make entries.
    apart: HashSet<Box<str>>,
    /// By key, at most as many as there are routes.
    unserved: HashMap<Box<str>, Unserved>,
}

/// A backend's topic that never had a consumer.
#[derive(Debug)]
struct Unserved {
    machine: Box<str>,
    since: Instant,
    /// Whether its messages have begun to go to the topic of the machine.
    falls_back: bool,
}

/// Where messages of a topic go.
#[derive(Debug)]
pub(crate) enum Way {
    /// To its own route, from now on.
    Own,
    /// To its own route, where they wait for what comes.
    Wait,
    /// To this route, this time.
    Machine(Arc<Route>),
}

impl Backends {
    pub(crate) fn new(routes: Arc<Routes>, patience: Duration) -> Self {
        Self { routes, patience, known: Mutex::default(), waits: Notify::new() }
    }

    /// Where messages of `topic` go, whose own route is `own`.
    pub(crate) fn way(&self, topic: &Topic<'_>, own: &Route) -> Way {
        let Some(machine) = topic.machine().filter(|_| !self.patience.is_zero()) else { return Way::Own };
        let mut known = self.lock();
        if known.apart.contains(machine.key()) {
            return Way::Own;
        }
        if own.was_served() {
            known.note_apart(machine.key().into());
            return Way::Own;
        }
        if !known.unserved.contains_key(topic.key()) {
            // An original service connects to the topic of the machine when there is a socket. Without one it is tried
            // again with the next message.
            if self.routes.open(&machine).is_err() {
                return Way::Wait;
            }
            let unserved = Unserved { machine: machine.key().into(), since: Instant::now(), falls_back: false };
            known.unserved.insert(topic.key().into(), unserved);
        }
        // Behind what waits in its own route, so that order is kept.
        let falls_back = known.unserved.get(topic.key()).is_some_and(|unserved| unserved.falls_back);
        if falls_back
            && own.stats().queued == 0
            && let Some(route) = self.routes.find(&machine).filter(|route| route.stats().peers > 0)
        {
            return Way::Machine(route);
        }
        self.waits.notify_one();
        Way::Wait
    }

    /// Hands over what has waited long enough, for ever.
    pub(crate) async fn hand_over_forever(&self) {
        loop {
            self.waits.notified().await;
            while self.hand_over() {
                tokio::time::sleep(GLANCE).await;
            }
        }
    }

    /// Returns whether something still waits.
    fn hand_over(&self) -> bool {
        // Held while messages move, so that later ones do not overtake them.
        let mut known = self.lock();
        let keys: Vec<_> = known.unserved.keys().cloned().collect();
        let mut waits = false;
        for key in keys {
            let Some(own) = self.routes.with_key(&key) else {
                // Given up as idle.
                known.unserved.remove(&key);
                continue;
            };
            let Some(unserved) = known.unserved.get_mut(&key) else { continue };
            if own.was_served() {
                let machine = unserved.machine.clone();
                known.note_apart(machine);
                continue;
            }
            let machine = self.routes.with_key(&unserved.machine).filter(|route| route.stats().peers > 0);
            if let Some(machine) = machine.filter(|_| unserved.since.elapsed() >= self.patience) {
                if !std::mem::replace(&mut unserved.falls_back, true) {
                    info!("{key}: no consumer of this name ever came, messages go to {}", machine.key());
                }
                self.move_backlog(&own, &machine);
            }
            waits |= own.stats().queued > 0;
        }
        waits
    }

    /// What finds no room goes back.
    fn move_backlog(&self, from: &Route, to: &Route) {
        let now = self.routes.clock().now();
        for (run, first) in from.take_backlog() {
            let end = first + run.messages() as u64;
            let Err(SendError::Full(rest) | SendError::Closed(rest)) = to.push_numbered(run, first, now) else {
                continue;
            };
            let first = end - rest.messages() as u64;
            if let Err(SendError::Full(rest) | SendError::Closed(rest)) = from.push_numbered(rest, first, now) {
                self.routes.note_full(from, &rest, "its own queue");
                if let Some(spool) = &self.routes.spool {
                    spool.settle(end - rest.messages() as u64..end);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The backends of a machine consume topics of their own: none of them falls back any more.
    fn note_apart(&mut self, machine: Box<str>) {
        self.unserved.retain(|_, unserved| unserved.machine != machine);
        self.apart.insert(machine);
    }
}

/// How often a topic is looked at for which messages wait. A caller waits for a minute, so this is soon enough, and it
/// wakes the process only while there are such messages.
const GLANCE: Duration = Duration::from_millis(500);
