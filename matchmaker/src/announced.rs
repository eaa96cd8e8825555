//! What this process has announced to a registry, and how often (oslo-bugs B17).
//!
//! Two listeners of one process may serve one topic on one host. The registry has room for one
//! announcement of it, so they are counted here, and only the last one to go takes it back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::name::{Host, Topic};

/// Announcements that stand, each with the number of those who made it.
#[derive(Debug, Default)]
pub(crate) struct Announced(Mutex<BTreeMap<(Topic, Host), usize>>);

impl Announced {
    /// One more announces it.
    pub(crate) fn add(&self, topic: &Topic, host: &Host) {
        *self.lock().entry((topic.clone(), host.clone())).or_default() += 1;
    }

    /// One fewer. Whether that was the last, or nobody in this process had: then the registry is to
    /// forget it. A tool takes back what another process announced.
    pub(crate) fn remove(&self, topic: &Topic, host: &Host) -> bool {
        let mut all = self.lock();
        let pair = (topic.clone(), host.clone());
        match all.get_mut(&pair) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => {
                all.remove(&pair);
                true
            }
            None => true,
        }
    }

    /// All that stand, sorted.
    #[cfg(any(test, feature = "consul", feature = "redis"))]
    pub(crate) fn all(&self) -> Vec<(Topic, Host)> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Topic, Host), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_go_takes_it_back() {
        let announced = Announced::default();
        let (topic, host): (Topic, Host) = ("compute".parse().unwrap(), "host1".parse().unwrap());
        announced.add(&topic, &host);
        announced.add(&topic, &host);
        assert!(!announced.remove(&topic, &host));
        assert_eq!(announced.all(), [(topic.clone(), host.clone())]);
        assert!(announced.remove(&topic, &host));
        assert_eq!(announced.all(), []);
        assert!(announced.remove(&topic, &host));
    }
}
