//! Who watches messages pass. While nobody does, it costs one look per read.
//!
//! A watcher has a place for a few messages and no more: what it is too slow for it loses, and is told how many.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::passing::{Copy, Outcome};
use crate::pattern::matches;

/// The watchers, shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    count: AtomicUsize,
    taps: Mutex<Vec<Tap>>,
}

#[derive(Debug)]
struct Tap {
    pattern: String,
    out: Sender<Sight>,
    lost: u64,
}

/// A message that passed.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// By the receiver's clock.
    pub(crate) at: u64,
    pub(crate) peer: String,
    pub(crate) copy: Arc<Copy>,
    pub(crate) outcome: Outcome,
    /// Messages that this watcher lost before it.
    pub(crate) lost: u64,
}

impl Taps {
    /// Whether anybody watches.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Watches topics that match a pattern, until the result is dropped; `None`: too many do.
    pub(crate) fn open(&self, pattern: &str) -> Option<Receiver<Sight>> {
        let mut taps = self.lock();
        taps.retain(|tap| !tap.out.is_closed());
        if taps.len() >= WATCHERS {
            return None;
        }
        let (out, sights) = mpsc::channel(PLACES);
        taps.push(Tap { pattern: pattern.to_owned(), out, lost: 0 });
        self.count.store(taps.len(), Ordering::Relaxed);
        Some(sights)
    }

    /// Shows a message of `topic` to whoever watches that. `sight` is made only then.
    pub(crate) fn show(&self, topic: &str, sight: impl FnOnce() -> Sight) {
        let mut taps = self.lock();
        let before = taps.len();
        taps.retain(|tap| !tap.out.is_closed());
        if taps.len() < before {
            self.count.store(taps.len(), Ordering::Relaxed);
        }
        let mut sight = Some(sight);
        let mut seen: Option<Sight> = None;
        for tap in taps.iter_mut().filter(|tap| matches(&tap.pattern, topic)) {
            let Ok(place) = tap.out.try_reserve() else {
                tap.lost += 1;
                continue;
            };
            if let Some(make) = sight.take() {
                seen = Some(make());
            }
            if let Some(seen) = &seen {
                place.send(Sight { lost: std::mem::take(&mut tap.lost), ..seen.clone() });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Tap>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At a time; each may have a few MiB of copies waiting.
const WATCHERS: usize = 4;

/// Messages that wait for one watcher: some reads' worth.
const PLACES: usize = 256;

#[cfg(test)]
mod tests {
    use zmtp::Message;

    use super::*;

    fn sight() -> Sight {
        let copy = Arc::new(Copy::of(&Message::from("x")));
        Sight { at: 0, peer: String::new(), copy, outcome: Outcome::Published, lost: 0 }
    }

    #[test]
    fn a_watcher_sees_what_it_asked_for_and_is_told_what_it_lost() {
        let taps = Taps::default();
        assert!(!taps.any());
        let mut all = taps.open("compute.*").unwrap();
        assert!(taps.any());
        for _ in 0..PLACES + 10 {
            taps.show("compute.host1", sight);
            taps.show("other.host1", || unreachable!("nobody watches it"));
        }
        for _ in 0..PLACES {
            assert_eq!(all.try_recv().unwrap().lost, 0);
        }
        assert!(all.try_recv().is_err());
        taps.show("compute.host1", sight);
        assert_eq!(all.try_recv().unwrap().lost, 10);

        drop(all);
        taps.show("compute.host1", || unreachable!("nobody watches any more"));
        assert!(!taps.any());
    }

    #[test]
    fn watchers_are_few() {
        let taps = Taps::default();
        let mut watching: Vec<_> = (0..WATCHERS).map(|_| taps.open("*").unwrap()).collect();
        assert!(taps.open("*").is_none());
        watching.pop();
        assert!(taps.open("*").is_some());
    }
}
