//! How long to wait before the next attempt to connect.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Waits of at most `min` at first, doubling to `max`, each drawn at random from nothing to that: full jitter, by which
/// a thousand clients of a restarted server come back evenly spread.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    random: RandomState,
    draws: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min, random: RandomState::new(), draws: 0 }
    }

    /// The next wait.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let most = self.next.min(self.max);
        self.next = most.saturating_mul(2);
        self.draws += 1;
        // The standard library's only source of randomness, good enough to spread load.
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.draws);
        let part = (hasher.finish() >> 32) as u32;
        most.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    /// After a success: only when the peer's READY has come, or a server that accepts and drops would be hammered.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_within_bounds_and_reset() {
        let (min, max) = (Duration::from_millis(50), Duration::from_millis(400));
        let mut backoff = Backoff::new(min, max);
        for most in [50, 100, 200, 400, 400, 400].map(Duration::from_millis) {
            let wait = backoff.next_wait();
            assert!(wait <= most, "{wait:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= min);
        let waits: std::collections::HashSet<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits.len() > 10, "drawn at random");
        let many: Duration = (0..1000).map(|_| backoff.next_wait()).sum();
        assert!((max * 400..max * 600).contains(&many), "evenly: {many:?} of 1,000 times {max:?}");
    }
}
