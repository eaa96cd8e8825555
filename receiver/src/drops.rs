//! What was not handed on, and why: counted always, logged once per peer and reason in a while.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::warn;

use crate::logging::OncePer;

/// Counters of dropped messages by reason, and their log.
///
/// Reasons are constants of this program, so there are few; peers are told apart without their port.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    log: OncePer<(String, &'static str)>,
}

impl Drops {
    /// Counts `messages` and says so, unless that was said of this peer a moment ago. `text` is made only then.
    pub(crate) fn note<T: Display>(&self, reason: &'static str, messages: usize, peer: &str, text: impl FnOnce() -> T) {
        *self.lock().entry(reason).or_default() += messages as u64;
        let host = host_of(peer).to_owned();
        if let Some(suppressed) = self.log.permit((host, reason), Instant::now()) {
            warn!(peer, reason, messages, suppressed, "dropped: {}", text());
        }
    }

    /// Says what concerns a peer, unless that was said a moment ago.
    pub(crate) fn tell(&self, reason: &'static str, peer: &str, text: impl FnOnce() -> String) {
        if let Some(suppressed) = self.log.permit((host_of(peer).to_owned(), reason), Instant::now()) {
            warn!(peer, reason, suppressed, "{}", text());
        }
    }

    /// The counters so far.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer's address without its port, which changes with each connection.
pub(crate) fn host_of(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}
