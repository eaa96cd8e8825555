//! How long to wait before the next attempt to connect.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Waits that double from `min` to `max`, each drawn at random from its upper half, so that a thousand clients of a
/// restarted server do not come back in step.
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
        most / 2 + (most / 2).mul_f64(f64::from(part) / f64::from(u32::MAX))
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
            assert!((most / 2..=most).contains(&wait), "{wait:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= min);
        let waits: std::collections::HashSet<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits.len() > 10, "drawn at random");
    }
}
