//! How long to wait before the next attempt.
//!
//! Every delay is spread at random, so that those who lost a server together do not come back to it
//! together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Delays that double from [`FIRST`] to [`LONGEST`].
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay after one more failure: between half of the nominal one and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let nominal = FIRST.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        nominal.mul_f64(1.0 - 0.5 * random_fraction())
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `period`, less up to a tenth of it.
pub(crate) fn jittered(period: Duration) -> Duration {
    period.mul_f64(1.0 - 0.1 * random_fraction())
}

/// From 0 to 1, by the keys that the standard library draws for its hash maps.
fn random_fraction() -> f64 {
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

/// A server that restarts is back within it, often.
const FIRST: Duration = Duration::from_millis(100);

/// What a server that comes back waits at most to be noticed.
const LONGEST: Duration = Duration::from_secs(5);

/// From [`FIRST`] past [`LONGEST`].
const MOST_DOUBLINGS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_start_over() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..12).map(|_| backoff.next()).collect();
        assert!(delays[0] >= FIRST / 2 && delays[0] <= FIRST, "{delays:?}");
        assert!(delays[8..].iter().all(|delay| *delay >= LONGEST / 2 && *delay <= LONGEST), "{delays:?}");
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn spreading_takes_a_tenth_at_most_and_differs() {
        let all: Vec<_> = (0..50).map(|_| jittered(Duration::from_secs(100))).collect();
        assert!(all.iter().all(|one| (90..=100).contains(&one.as_secs())), "{all:?}");
        assert!(all.iter().any(|one| *one != all[0]));
    }
}
