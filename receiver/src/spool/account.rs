//! What connections, topics and the writing thread share: numbers, what is settled, counters.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Numbers given out, numbers settled, and counters.
#[derive(Debug, Default)]
pub(super) struct Account {
    next: AtomicU64,
    settled: Mutex<Vec<Range<u64>>>,
    /// The thread has been told that something is settled.
    told: AtomicBool,
    /// Messages written down.
    pub(super) stored: AtomicU64,
    /// Messages that went on without having been written down.
    pub(super) unprotected: AtomicU64,
    /// Failures of the disk.
    pub(super) failures: AtomicU64,
    /// Octets kept now.
    pub(super) octets: AtomicU64,
}

impl Account {
    pub(super) fn beginning_at(next: u64) -> Self {
        Self { next: AtomicU64::new(next), ..Self::default() }
    }

    /// Numbers for `n` messages; returns the first.
    pub(super) fn number(&self, n: usize) -> u64 {
        self.next.fetch_add(n as u64, Relaxed)
    }

    /// Notes what is settled. True if the thread has to be told.
    pub(super) fn settle(&self, numbers: Range<u64>) -> bool {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        match settled.last_mut() {
            _ if numbers.is_empty() => return false,
            Some(last) if last.end == numbers.start => last.end = numbers.end,
            _ => settled.push(numbers),
        }
        drop(settled);
        !self.told.swap(true, Relaxed)
    }

    /// Takes what is settled. The thread is to be told of more.
    pub(super) fn take_settled(&self) -> Vec<Range<u64>> {
        self.told.store(false, Relaxed);
        mem::take(&mut *self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
