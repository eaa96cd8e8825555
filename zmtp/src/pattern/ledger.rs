//! What a PUSH knows of its messages by number: which wait in its backlog, which it has done with, and when they came.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::numbers::Numbers;

/// The book of one PUSH. The numbers of what its peers have queued are with the peers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Of the next message that comes without a number.
    next: u64,
    /// Of the messages that come now, if the caller has numbered them.
    first: Option<u64>,
    /// Of the messages in the backlog, in their order.
    pub(super) backlog: Numbers,
    /// Written whole, displaced or expired, and not yet told.
    pub(super) settled: Numbers,
    time_to_live: Option<Duration>,
    /// Up to which number messages had come when; in order of numbers.
    arrivals: VecDeque<(u64, Instant)>,
}

impl Ledger {
    pub(super) fn expiring(&mut self, time_to_live: Duration) {
        self.time_to_live = Some(time_to_live);
    }

    /// The messages that come next have numbers from `first`.
    pub(super) fn begin_at(&mut self, first: u64) {
        self.first = Some(first);
    }

    /// Numbers for `n` messages that come now.
    pub(super) fn enter(&mut self, n: usize, now: impl Fn() -> Instant) -> Numbers {
        let first = self.first.take().unwrap_or(self.next);
        let numbers = first..first + n as u64;
        self.next = self.next.max(numbers.end);
        if self.time_to_live.is_some() {
            let now = now();
            match self.arrivals.back_mut() {
                // Moved here from another socket: they came before those, or about with them.
                Some((end, _)) if numbers.end <= *end => {}
                Some((end, at)) if now.saturating_duration_since(*at) < TICK => *end = numbers.end,
                _ => self.arrivals.push_back((numbers.end, now)),
            }
        }
        numbers.into()
    }

    /// Done with the first `n` messages of the backlog.
    pub(super) fn settle(&mut self, n: usize) {
        let gone = self.backlog.take(n as u64);
        self.settled.append(gone);
    }

    /// Of the first message of the backlog, when its time is over, and how many came with it at most.
    pub(super) fn expiry(&self) -> Option<(Instant, usize)> {
        let (first, time) = (self.backlog.first()?, self.time_to_live?);
        let known = self.arrivals.partition_point(|(end, _)| *end <= first);
        let (end, arrived) = self.arrivals.get(known)?;
        let together = usize::try_from(end - first).unwrap_or(usize::MAX);
        Some((*arrived + time, together.min(self.backlog.first_range())))
    }

    /// Forgets when messages below `lowest` came.
    pub(super) fn forget_arrivals(&mut self, lowest: u64) {
        while self.arrivals.front().is_some_and(|(end, _)| *end <= lowest) {
            self.arrivals.pop_front();
        }
    }

    /// The next number: all messages that are still here have smaller ones.
    pub(super) fn end(&self) -> u64 {
        self.next
    }
}

/// Messages that came within this count as having come together: times to live are seconds.
const TICK: Duration = Duration::from_millis(10);
