//! How long messages took on their way through, from having been read to having been written to a consumer: a histogram.
//!
//! Of each queue one message at a time is followed, the last one of what came together, and for [`PAUSE`] after it none: so
//! a queue with little to do has each of its messages in the histogram, and a busy one pays for one in thousands. What
//! waits for a consumer is on its way for as long as it waits. Fanouts and replies are not followed: they have as many ends
//! as there are subscribers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// The messages of all queues that were followed to their end.
#[derive(Debug, Default)]
pub(crate) struct Transits {
    /// How many took as long as the bound of the same place, and longer than the one before; at the end those that took
    /// longer than any.
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// What a histogram holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Histogram {
    /// How many took at most so many seconds; those of smaller bounds are among them.
    pub(crate) within: [(f64, u64); BOUNDS.len()],
    /// How many there are.
    pub(crate) count: u64,
    /// Seconds that all took together.
    pub(crate) sum: f64,
}

impl Transits {
    fn add(&self, micros: u64) {
        let at = BOUNDS.partition_point(|bound| *bound < micros);
        self.counts[at].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// What there is now.
    pub(crate) fn histogram(&self) -> Histogram {
        let mut count = 0;
        let mut up_to = |at: usize| {
            count += self.counts[at].load(Relaxed);
            count
        };
        let within = std::array::from_fn(|at| (seconds(BOUNDS[at]), up_to(at)));
        Histogram { within, count: up_to(BOUNDS.len()), sum: seconds(self.micros.load(Relaxed)) }
    }
}

/// The message of one queue that is followed. Times are those of the receiver's clock.
pub(crate) struct Transit {
    transits: Arc<Transits>,
    /// None is followed before; [`u64::MAX`] while one is.
    due: AtomicU64,
    /// It is the so-manieth of its queue; 0: none is followed.
    place: AtomicU64,
    read: AtomicU64,
    /// How many messages have left the queue.
    gone: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
}

impl Transit {
    pub(crate) fn new(transits: &Arc<Transits>) -> Arc<Self> {
        let (due, place, read) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { transits: transits.clone(), due, place, read, gone: OnceLock::new() })
    }

    /// From now on `gone` tells how many messages have left the queue.
    pub(crate) fn observe(&self, gone: impl Fn() -> u64 + Send + Sync + 'static) {
        // Done once, by who makes the queue.
        let _ = self.gone.set(Box::new(gone));
    }

    /// Whether one of the messages that were read at `now` is to be followed.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.due.load(Relaxed)
    }

    /// Follows the last of `accepted` messages, which was read at `now`.
    pub(crate) fn follow(&self, accepted: u64, now: u64) {
        self.due.store(u64::MAX, Relaxed);
        self.read.store(now, Relaxed);
        self.place.store(accepted, Relaxed);
    }

    /// Whether a message is followed.
    #[inline]
    pub(crate) fn is_under_way(&self) -> bool {
        self.place.load(Relaxed) > 0
    }

    /// A consumer was written all that it had taken, by `now`.
    pub(crate) fn note_written(&self, now: u64) {
        let place = self.place.load(Relaxed);
        if place == 0 || self.gone.get().is_none_or(|gone| gone() < place) {
            return;
        }
        self.transits.add(now.saturating_sub(self.read.load(Relaxed)));
        self.place.store(0, Relaxed);
        self.due.store(now + PAUSE, Relaxed);
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transit").field("due", &self.due).field("place", &self.place).finish_non_exhaustive()
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Microseconds. A message takes some tens of them through an idle receiver; callers wait for a minute.
const BOUNDS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// Microseconds from the end of one message to the next that is followed: ten a second of a queue are enough for a histogram
/// of minutes. Following one costs as much as forwarding one; with a hundred a second, eight queues showed in what a message
/// costs where the clock runs ahead of the work, as it does under callgrind.
const PAUSE: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_followed_until_it_has_left_and_then_nobody_for_a_while() {
        let transits = Arc::new(Transits::default());
        let transit = Transit::new(&transits);
        let gone = Arc::new(AtomicU64::new(6));
        let seen = gone.clone();
        transit.observe(move || seen.load(Relaxed));
        assert!(transit.is_due(0) && !transit.is_under_way());
        transit.follow(7, 1000);
        assert!(!transit.is_due(2000) && transit.is_under_way());
        transit.note_written(2000);
        assert!(transit.is_under_way(), "others were written");
        gone.store(8, Relaxed);
        transit.note_written(3500);
        assert!(!transit.is_under_way() && !transit.is_due(3500 + PAUSE - 1) && transit.is_due(3500 + PAUSE));
        transit.note_written(9000);
        let histogram = transits.histogram();
        assert_eq!((histogram.count, histogram.sum), (1, 0.0025));
        assert_eq!(&histogram.within[4..6], [(0.001, 0), (0.0025, 1)]);
    }

    #[test]
    fn each_bound_counts_all_that_took_no_longer() {
        let transits = Transits::default();
        for micros in [0, 50, 51, 31_000_000] {
            transits.add(micros);
        }
        let Histogram { within, count, sum } = transits.histogram();
        assert_eq!((within[0], within[1], within[15], count), ((0.000_05, 2), (0.0001, 3), (30.0, 3), 4));
        assert!((sum - 31.000_101).abs() < 1e-9);
    }
}
