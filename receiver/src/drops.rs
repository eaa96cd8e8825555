//! What was not handed on, and why: counted always, by reason and by who sent it, and logged once per peer and reason in
//! a while.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::warn;

use crate::logging::OncePer;

/// Counters of dropped messages by reason, and their log.
///
/// Reasons are constants of this program, so there are few; peers are told apart without their port.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    counts: Mutex<Counts>,
    log: OncePer<(String, &'static str)>,
}

#[derive(Debug, Default)]
struct Counts {
    by_reason: BTreeMap<&'static str, u64>,
    by_sender: BTreeMap<(String, &'static str), Dropped>,
}

/// What was dropped of one sender for one reason.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) messages: u64,
    pub(crate) last: Instant,
    /// What the log said last.
    pub(crate) text: String,
}

impl Drops {
    /// Counts `messages` and says so, unless that was said of this peer a moment ago. `text` is made only then. `topic` is
    /// that of the messages, if they have one that can be told.
    pub(crate) fn note<T: Display>(
        &self,
        reason: &'static str,
        messages: usize,
        peer: &str,
        topic: Option<&str>,
        text: impl FnOnce() -> T,
    ) {
        let now = Instant::now();
        let host = host_of(peer);
        let text = self.log.permit((host.to_owned(), reason), now).map(|suppressed| {
            let text = text().to_string();
            warn!(peer, topic, reason, messages, suppressed, "dropped: {text}");
            text
        });
        self.lock().add(reason, messages as u64, host, text, now);
    }

    /// Says what concerns a peer, unless that was said a moment ago.
    pub(crate) fn tell(&self, reason: &'static str, peer: &str, topic: &str, text: impl FnOnce() -> String) {
        if let Some(suppressed) = self.log.permit((host_of(peer).to_owned(), reason), Instant::now()) {
            warn!(peer, topic, reason, suppressed, "{}", text());
        }
    }

    /// The counters so far, by reason.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().by_reason.clone()
    }

    /// What was dropped of each sender, for each reason.
    pub(crate) fn by_sender(&self) -> Vec<((String, &'static str), Dropped)> {
        self.lock().by_sender.iter().map(|(key, dropped)| (key.clone(), dropped.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, reason: &'static str, messages: u64, host: &str, text: Option<String>, now: Instant) {
        *self.by_reason.entry(reason).or_default() += messages;
        let key = (host.to_owned(), reason);
        let key = if self.by_sender.len() < SENDERS || self.by_sender.contains_key(&key) {
            key
        } else {
            (OTHERS.to_owned(), reason)
        };
        let dropped = self.by_sender.entry(key).or_insert(Dropped { messages: 0, last: now, text: String::new() });
        dropped.messages += messages;
        dropped.last = now;
        if let Some(text) = text {
            dropped.text = text.chars().take(TEXT).collect();
        }
    }
}

/// A peer's address without its port, which changes with each connection.
pub(crate) fn host_of(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

/// Senders and reasons that are told apart; as many as an operator would read.
const SENDERS: usize = 256;

/// Stands for senders beyond these.
const OTHERS: &str = "(others)";

/// Characters of a text that are kept: it may quote a peer.
const TEXT: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_told_apart_up_to_a_number() {
        let drops = Drops::default();
        for host in 0..2 * SENDERS {
            drops.note("no-topic", 2, &format!("10.0.{}.{}:5", host / 256, host % 256), None, || "x".repeat(1000));
        }
        drops.note("no-topic", 1, "10.0.0.0:6", None, || "again");
        let all = drops.by_sender();
        assert_eq!(all.len(), SENDERS + 1);
        let of = |host: &str| all.iter().find(|((known, _), _)| known == host).map(|(_, dropped)| dropped.messages);
        assert_eq!((of("10.0.0.0"), of("10.0.0.1"), of(OTHERS)), (Some(3), Some(2), Some(2 * SENDERS as u64)));
        assert!(all.iter().all(|(_, dropped)| dropped.text.len() <= TEXT));
        assert_eq!(drops.counts(), [("no-topic", 4 * SENDERS as u64 + 1)].into());
    }
}
