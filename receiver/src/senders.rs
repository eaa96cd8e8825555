//! Who sends: the TCP peers of now, and how much came from each. Counted per read, not per message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;

/// All of them, shared by all connections.
#[derive(Debug)]
pub(crate) struct Senders {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    present: BTreeMap<u64, Arc<Sender>>,
    /// Octets from those that are gone.
    gone: u64,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) peer: String,
    /// By the receiver's clock.
    pub(crate) since: u64,
    messages: AtomicU64,
    octets: AtomicU64,
    /// When its last messages came.
    active: AtomicU64,
}

impl Senders {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default() })
    }

    /// A peer is connected, for as long as the result lives.
    pub(crate) fn enter(self: &Arc<Self>, peer: &str) -> Entry {
        let since = self.clock.now();
        let sender = Sender {
            peer: peer.to_owned(),
            since,
            messages: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            active: AtomicU64::new(since),
        };
        let sender = Arc::new(sender);
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        state.present.insert(id, sender.clone());
        Entry { senders: self.clone(), id, sender }
    }

    /// Those of now, in the order in which they came.
    pub(crate) fn present(&self) -> Vec<Arc<Sender>> {
        self.lock().present.values().cloned().collect()
    }

    /// Octets that came from all, also from those that are gone.
    pub(crate) fn octets(&self) -> u64 {
        let state = self.lock();
        state.gone + state.present.values().map(|sender| sender.octets()).sum::<u64>()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// When its last messages came, or it came itself.
    pub(crate) fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }
}

/// A connection's place among the senders, given up on drop.
#[derive(Debug)]
pub(crate) struct Entry {
    senders: Arc<Senders>,
    id: u64,
    sender: Arc<Sender>,
}

impl Entry {
    pub(crate) fn peer(&self) -> &str {
        &self.sender.peer
    }

    /// The sender.
    pub(crate) fn sender(&self) -> &Arc<Sender> {
        &self.sender
    }

    /// The receiver's clock.
    pub(crate) fn clock(&self) -> Clock {
        self.senders.clock
    }

    /// So much came at `now`.
    pub(crate) fn note(&self, messages: usize, octets: usize, now: u64) {
        self.sender.messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.sender.octets.fetch_add(octets as u64, Ordering::Relaxed);
        self.sender.active.store(now, Ordering::Relaxed);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.senders.lock();
        state.present.remove(&self.id);
        state.gone += self.sender.octets();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_who_is_gone_still_count() {
        let senders = Senders::new(Clock::new());
        let (a, b) = (senders.enter("a:1"), senders.enter("b:2"));
        let later = b.clock().now() + 2000;
        a.note(2, 100, later);
        b.note(1, 10, later);
        b.note(1, 10, later);
        assert_eq!(b.peer(), "b:2");
        drop(a);
        let present = senders.present();
        assert_eq!((present.len(), present[0].messages(), present[0].octets()), (1, 2, 20));
        assert_eq!(senders.octets(), 120);
        assert_eq!(present[0].active(), later);
        assert!(present[0].since < later);
    }
}
