//! Counts of what was dropped, by reason.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many messages met which fate. The reasons are labels of this crate, so there are few.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// Counts messages; returns how many of this reason came before.
    pub(crate) fn add(&self, reason: &'static str, messages: u64) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(reason).or_default();
        *count += messages;
        *count - messages
    }

    /// All of them.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
