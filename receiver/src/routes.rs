//! All topics: from a topic to its route, made on the first message.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use oslo_rpc::Topic;
use tracing::{debug, info};
use zmtp::{Budget, CloseReport, Run, Stats};

use crate::drops::Drops;
use crate::route::{Route, RouteError, Rules};
use crate::settings::Settings;

/// The routes of a receiver, shared by all connections.
#[derive(Debug)]
pub(crate) struct Routes {
    rules: Rules,
    max_topics: usize,
    by_key: RwLock<HashMap<String, Arc<Route>>>,
    /// Held while a socket is bound, so that look-ups of other topics do not wait for that.
    opening: Mutex<()>,
    pub(crate) drops: Drops,
}

/// Why a topic has no route.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoute {
    #[error("{0} topics are served already: raise max_topics in [zmq_receiver], or see who makes so many")]
    TooMany(usize),
    #[error(transparent)]
    Open(#[from] RouteError),
}

impl NoRoute {
    /// A label for counters.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::TooMany(_) => "topic-limit",
            Self::Open(_) => "bind-failed",
        }
    }
}

impl Routes {
    pub(crate) fn new(settings: &Settings, dir: &Path) -> Self {
        Self {
            rules: Rules::new(settings, dir),
            max_topics: settings.limits.max_topics,
            by_key: RwLock::default(),
            opening: Mutex::default(),
            drops: Drops::default(),
        }
    }

    /// The route of a topic, if there is one.
    pub(crate) fn find(&self, topic: &Topic<'_>) -> Option<Arc<Route>> {
        self.read().get(topic.key()).cloned()
    }

    /// The route of a topic, made if it is the first of its key.
    pub(crate) fn open(&self, topic: &Topic<'_>) -> Result<Arc<Route>, NoRoute> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = self.find(topic) {
            return Ok(route);
        }
        let open = self.read().len();
        if open >= self.max_topics {
            return Err(NoRoute::TooMany(open));
        }
        let route = Arc::new(Route::open(topic, &self.rules)?);
        debug!(topic = route.key(), kind = ?topic.kind(), "topic opened");
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        by_key.insert(route.key().to_owned(), route.clone());
        Ok(route)
    }

    /// Why a queue took no more, for counters: whichever limit is reached.
    pub(crate) fn full(&self, route: &Route, rest: &Run) -> &'static str {
        let octets = rest.first_octets();
        if self.rules.memory.left() < octets {
            "memory-limit"
        } else if route.octets_left() < octets {
            "topic-octets"
        } else {
            "topic-backlog"
        }
    }

    /// Counters of each topic by key, in order of keys.
    pub(crate) fn stats(&self) -> Vec<(String, Stats)> {
        let mut all: Vec<_> = self.read().iter().map(|(key, route)| (key.clone(), route.stats())).collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Octets for all topics together.
    pub(crate) fn memory(&self) -> &Budget {
        &self.rules.memory
    }

    /// Closes all routes at the same time, each with `linger`.
    pub(crate) async fn close(&self, linger: Duration) -> CloseReport {
        let all: Vec<_> = self.by_key.write().unwrap_or_else(PoisonError::into_inner).drain().collect();
        let mut closing = tokio::task::JoinSet::new();
        for (key, route) in all {
            // The connections are closed, and with them the routers that shared it.
            let Some(route) = Arc::into_inner(route) else { continue };
            closing.spawn(async move {
                let stats = route.stats();
                (key, stats, route.close(linger).await)
            });
        }
        let mut total = CloseReport::default();
        while let Some(closed) = closing.join_next().await {
            let Ok((topic, stats, report)) = closed else { continue };
            let written = stats.written + report.flushed;
            let tally = stats.tally;
            debug!(
                topic,
                accepted = tally.accepted,
                written,
                returned = tally.returned,
                late = tally.late,
                over_mark = tally.over_mark,
                unmatched = tally.unmatched,
                left = report.discarded,
                "topic closed"
            );
            if report.discarded > 0 {
                info!(topic, left = report.discarded, "nobody took these messages in time");
            }
            total.flushed += report.flushed;
            total.discarded += report.discarded;
        }
        total
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Route>>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner)
    }
}
