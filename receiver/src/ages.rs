//! How long the first message of a queue has waited, without a time for each message.
//!
//! A mark says how many messages had been taken at a time. Messages leave in the order in which they came, so the first
//! that waits was taken after the last mark that counts no more than have left: that mark's time is its age, at most one
//! distance of marks too much.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The marks of one queue. Times are those of the receiver's clock.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    /// When the next mark is due.
    due: AtomicU64,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    /// How many had been taken, and when; both grow.
    marks: VecDeque<(u64, u64)>,
    distance: u64,
}

impl Ages {
    /// Whether a mark is due before what comes at `now` is taken.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.due.load(Ordering::Relaxed)
    }

    /// Makes a mark: `accepted` were taken so far, of which `queued` wait.
    pub(crate) fn mark(&self, accepted: u64, queued: u64, now: u64) {
        let mut state = self.lock();
        state.forget(accepted.saturating_sub(queued));
        if state.marks.is_empty() {
            state.distance = DISTANCE;
        }
        if state.marks.len() == MARKS {
            // A queue that has waited for long is known to the second, and later to the minute.
            let mut keep = false;
            state.marks.retain(|_| {
                keep = !keep;
                keep
            });
            state.distance *= 2;
        }
        state.marks.push_back((accepted, now));
        self.due.store(now + state.distance, Ordering::Relaxed);
    }

    /// For how many microseconds the first message that waits has waited, at most.
    pub(crate) fn oldest(&self, accepted: u64, queued: u64, now: u64) -> Option<u64> {
        let gone = accepted.saturating_sub(queued);
        let state = self.lock();
        let (_, taken) = state.marks.iter().take_while(|(count, _)| *count <= gone).last()?;
        (queued > 0).then(|| now.saturating_sub(*taken))
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    /// Forgets marks before the last that counts at most `gone`.
    fn forget(&mut self, gone: u64) {
        while self.marks.get(1).is_some_and(|(count, _)| *count <= gone) {
            self.marks.pop_front();
        }
    }
}

/// Microseconds: finer than anybody looks, and four looks at a queue in a second.
const DISTANCE: u64 = 250_000;

/// So the age of a queue that nobody reads is known to about a thirtieth of it.
const MARKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn the_age_is_that_of_the_first_message_that_waits() {
        let ages = Ages::default();
        assert_eq!(ages.oldest(0, 0, 5), None);
        for second in 0..20 {
            let now = second * SECOND;
            assert!(ages.is_due(now));
            // Ten a second come, nobody reads.
            ages.mark(second * 10, second * 10, now);
            assert!(!ages.is_due(now));
        }
        assert_eq!(ages.oldest(200, 200, 20 * SECOND), Some(20 * SECOND));
        assert_eq!(ages.oldest(200, 105, 20 * SECOND), Some(11 * SECOND));
        assert_eq!(ages.oldest(200, 1, 20 * SECOND), Some(SECOND));
        assert_eq!(ages.oldest(200, 0, 20 * SECOND), None);
        // What left is forgotten.
        ages.mark(200, 5, 20 * SECOND);
        assert_eq!(ages.lock().marks.len(), 2);
    }

    #[test]
    fn a_queue_that_waits_for_days_has_few_marks() {
        let ages = Ages::default();
        let (mut now, mut accepted) = (0, 0);
        while now < 24 * 3600 * SECOND {
            if ages.is_due(now) {
                ages.mark(accepted, accepted, now);
            }
            accepted += 1;
            now += SECOND / 4;
        }
        assert!(ages.lock().marks.len() <= MARKS);
        let half = ages.oldest(accepted, accepted / 2, now).unwrap();
        assert!((42_000..46_500).contains(&(half / SECOND)), "{half}");
    }
}
