//! Messages that wait a short time for a subscriber that is about to come.
//!
//! A subscriber connects, then subscribes; what is published before that is lost to it. For a reply that beats its
//! caller's subscription, or the first message on a socket that was bound for it, that is a loss nobody expects. So a
//! PUB can hold messages for a bounded time:
//! - a message that nobody wanted, until somebody does;
//! - while the socket is young, also one that somebody got, for the others that are still connecting.
//!
//! Each peer gets each message at most once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{budget::Budget, mark::Mark, peers::PeerId};
use crate::proto::Run;

/// How long and how much a PUB holds for subscribers that come late.
#[derive(Debug, Clone, Copy)]
pub struct LateJoiners {
    /// How long a message waits, and for how long after its first message a socket is young.
    pub time: Duration,
    /// How much waits at most; beyond it the oldest goes.
    pub mark: Mark,
}

/// The messages that wait.
#[derive(Debug)]
pub(crate) struct Retention {
    rules: LateJoiners,
    budget: Option<Budget>,
    /// Until when the socket is young; starts at the first message.
    young_until: Option<Instant>,
    held: VecDeque<Held>,
    octets: usize,
    /// Messages that went without having reached anyone.
    unmatched: u64,
}

#[derive(Debug)]
struct Held {
    message: Run,
    until: Instant,
    reached: Vec<PeerId>,
}

impl Retention {
    pub(crate) fn new(rules: LateJoiners, budget: Option<Budget>) -> Self {
        // No sum with it leaves the range of an instant.
        let rules = LateJoiners { time: rules.time.min(LONGEST), ..rules };
        Self { rules, budget, young_until: None, held: VecDeque::new(), octets: 0, unmatched: 0 }
    }

    /// Whether a message published now has to be offered to [`hold`](Self::hold) although it reached someone.
    pub(crate) fn is_young(&mut self, now: Instant) -> bool {
        now < *self.young_until.get_or_insert(now + self.rules.time)
    }

    /// Keeps a message that reached `reached`.
    pub(crate) fn hold(&mut self, message: Run, reached: Vec<PeerId>, now: Instant) {
        // Held for long, so in memory of its own.
        let message = message.detach();
        let octets = message.octets();
        self.octets += octets;
        if let Some(budget) = &self.budget {
            budget.take(octets);
        }
        self.held.push_back(Held { message, until: now + self.rules.time, reached });
        while !self.held.is_empty() && self.is_over_mark() {
            self.drop_oldest();
        }
    }

    /// Gives `peer`, which now subscribes to `prefix`, what waits for it.
    pub(crate) fn release(&mut self, peer: PeerId, prefix: &[u8], now: Instant, mut give: impl FnMut(Run)) {
        self.expire(now);
        let young = self.young_until.is_none_or(|until| now < until);
        for held in &mut self.held {
            let wanted = held.message.first().next().is_some_and(|topic| topic.starts_with(prefix));
            if wanted && !held.reached.contains(&peer) {
                held.reached.push(peer);
                give(held.message.clone());
            }
        }
        if !young {
            let mut freed = 0;
            self.held.retain(|held| {
                let keep = held.reached.is_empty();
                freed += if keep { 0 } else { held.message.octets() };
                keep
            });
            self.free(freed);
        }
    }

    /// Drops what has waited long enough; returns when the next is due.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Instant> {
        while self.held.front().is_some_and(|held| held.until <= now) {
            self.drop_oldest();
        }
        self.held.front().map(|held| held.until)
    }

    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.held.iter().filter(|held| held.reached.is_empty()).count(), self.octets)
    }

    pub(crate) fn unmatched(&self) -> u64 {
        self.unmatched
    }

    fn is_over_mark(&self) -> bool {
        let over_budget = self.budget.as_ref().is_some_and(|budget| budget.left() == 0);
        self.held.len() > self.rules.mark.messages || self.octets > self.rules.mark.octets || over_budget
    }

    fn drop_oldest(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.free(held.message.octets());
            self.unmatched += u64::from(held.reached.is_empty());
        }
    }

    fn free(&mut self, octets: usize) {
        self.octets -= octets;
        if let Some(budget) = &self.budget {
            budget.give_back(octets);
        }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.free(self.octets);
    }
}

/// Ten years: longer than any process lives.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
