//! One line per key and interval: for complaints that a peer could cause without end.
//!
//! The first complaint about a key may be logged; further ones are counted until the interval
//! has passed, and the next line after that tells how many there were. Time is an argument.
//!
//! The number of keys is bounded: when all places are taken by keys whose interval is still
//! running, the rest share one place, and so one line per interval.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Decides which complaints are logged: those for which [`permit`](Self::permit) has an answer.
/// Share it by reference; no call waits for long.
#[derive(Debug)]
pub struct OncePer<K> {
    interval: Duration,
    capacity: usize,
    places: Mutex<Places<K>>,
}

impl<K: Eq + Hash> OncePer<K> {
    /// One line per `interval` for each of at most `capacity` keys.
    #[must_use]
    pub fn new(interval: Duration, capacity: usize) -> Self {
        let places = Places { own: HashMap::new(), shared: Place::default() };
        Self { interval, capacity, places: Mutex::new(places) }
    }

    /// Whether a complaint about `key` is to be logged at `now`; if so, how many like it were
    /// not since the last one that was.
    pub fn permit(&self, key: K, now: Instant) -> Option<u64> {
        // Whoever panicked in here left at worst a wrong count.
        let mut guard = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = &mut *guard;

        let is_full = places.own.len() >= self.capacity && !places.own.contains_key(&key);
        // While the shared place runs it is no use to look for others to clear, at every call.
        if is_full && !places.shared.runs(self.interval, now) {
            places.own.retain(|_, place| place.runs(self.interval, now));
        }
        let place = if is_full && places.own.len() >= self.capacity {
            &mut places.shared
        } else {
            places.own.entry(key).or_default()
        };
        place.permit(self.interval, now)
    }
}

#[derive(Debug)]
struct Places<K> {
    own: HashMap<K, Place>,
    /// For all keys that find no place of their own.
    shared: Place,
}

#[derive(Debug, Default)]
struct Place {
    logged: Option<Instant>,
    suppressed: u64,
}

impl Place {
    fn runs(&self, interval: Duration, now: Instant) -> bool {
        self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < interval)
    }

    fn permit(&mut self, interval: Duration, now: Instant) -> Option<u64> {
        if self.runs(interval, now) {
            self.suppressed += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Ten seconds and a thousand keys.
impl<K: Eq + Hash> Default for OncePer<K> {
    fn default() -> Self {
        Self::new(INTERVAL, CAPACITY)
    }
}

/// Often enough to see that trouble lasts, seldom enough to read the rest of the log.
const INTERVAL: Duration = Duration::from_secs(10);

/// More peers than complain at once on a healthy site; some tens of KiB when full.
const CAPACITY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_line_per_interval_tells_of_the_others() {
        let complaints = OncePer::new(10 * SECOND, 8);
        let start = Instant::now();
        assert_eq!(complaints.permit("a", start), Some(0));
        assert_eq!(complaints.permit("a", start + SECOND), None);
        assert_eq!(complaints.permit("a", start + 9 * SECOND), None);
        assert_eq!(complaints.permit("b", start + 9 * SECOND), Some(0));
        assert_eq!(complaints.permit("a", start + 10 * SECOND), Some(2));
        assert_eq!(complaints.permit("a", start + 21 * SECOND), Some(0));
    }

    #[test]
    fn keys_beyond_the_capacity_share_one_line() {
        let complaints = OncePer::new(10 * SECOND, 2);
        let start = Instant::now();
        let lines = (0..100).filter_map(|key| complaints.permit(key, start)).count();
        assert_eq!(lines, 3);
        assert_eq!(complaints.places.lock().unwrap().own.len(), 2);

        // Later the old keys make room, and what is still too much tells of what was before.
        let later = start + 10 * SECOND;
        let lines = (200..300).filter_map(|key| complaints.permit(key, later));
        assert_eq!(lines.collect::<Vec<_>>(), [0, 0, 97]);
        assert_eq!(complaints.places.lock().unwrap().own.len(), 2);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_permits_nothing_new() {
        let complaints = OncePer::new(SECOND, 2);
        let now = Instant::now() + SECOND;
        assert_eq!(complaints.permit('a', now), Some(0));
        assert_eq!(complaints.permit('a', now - SECOND), None);
    }
}
