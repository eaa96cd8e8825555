//! A ceiling on octets that many queues share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Octets that a group of queues may hold together. Cheap to clone; clones share the count.
///
/// A queue asks before it takes messages and gives back when they leave, so a program with thousands of sockets has
/// one figure that bounds its memory.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicUsize::new(0) }))
    }

    /// Octets held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Octets that are left. Another queue may take them at once, so it is advice.
    pub fn left(&self) -> usize {
        self.0.limit.saturating_sub(self.used())
    }

    /// Counts octets in. Queues ask [`left`](Self::left) first; two that ask at the same moment may together pass the
    /// limit by what each takes in one call.
    pub(crate) fn take(&self, octets: usize) {
        self.0.used.fetch_add(octets, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, octets: usize) {
        self.0.used.fetch_sub(octets, Ordering::Relaxed);
    }
}
