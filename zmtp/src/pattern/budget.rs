//! Ceilings on octets that queues share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Octets that a group of queues may hold together. Cheap to clone; clones share the count.
///
/// A queue asks before it takes messages and gives back when they leave, so a program with thousands of sockets has one
/// figure that bounds its memory, and with a [part](Self::part) of it per socket also one for each.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # fn main() {
/// use zmtp::{Budget, Options};
///
/// let all = Budget::new(256 << 20);
/// let options = Options::new().budget(all.part(64 << 20));
/// assert_eq!((all.used(), all.left()), (0, 256 << 20));
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
    whole: Option<Budget>,
}

impl Budget {
    /// A budget of `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicUsize::new(0), whole: None }))
    }

    /// A budget of `limit` octets of this one: what it holds, this one holds too.
    #[must_use]
    pub fn part(&self, limit: usize) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicUsize::new(0), whole: Some(self.clone()) }))
    }

    /// Octets held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Octets that are left, here and in the whole. Another queue may take them at once, so it is advice.
    pub fn left(&self) -> usize {
        let here = self.0.limit.saturating_sub(self.used());
        self.0.whole.as_ref().map_or(here, |whole| here.min(whole.left()))
    }

    /// Counts octets in. Queues ask [`left`](Self::left) first; two that ask at the same moment may together pass the
    /// limit by what each takes in one call.
    pub(crate) fn take(&self, octets: usize) {
        self.0.used.fetch_add(octets, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.take(octets);
        }
    }

    pub(crate) fn give_back(&self, octets: usize) {
        self.0.used.fetch_sub(octets, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_in_the_whole() {
        let whole = Budget::new(100);
        let (a, b) = (whole.part(60), whole.part(60));
        a.take(50);
        assert_eq!((a.left(), b.left(), whole.left()), (10, 50, 50));
        b.take(50);
        assert_eq!((a.left(), b.left(), whole.left()), (0, 0, 0));
        a.give_back(50);
        assert_eq!((a.used(), whole.used()), (0, 50));
    }
}
