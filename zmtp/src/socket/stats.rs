//! Counters of a socket.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::pattern::Tally;

/// A socket's counters since it was made, and its queues now. Messages unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Peers that are connected now.
    pub peers: usize,
    /// Queued now.
    pub queued: usize,
    /// Octets queued now.
    pub queued_octets: usize,
    /// Streams accepted or opened.
    pub connections: u64,
    /// Messages written whole to a peer's stream.
    pub written: u64,
    /// Messages that came from peers.
    pub received: u64,
    /// What became of sent messages.
    pub tally: Tally,
    /// Failed handshakes and connections cut for a fault of the peer, by [reason](crate::Disconnect::reason).
    pub faults: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    faults: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(crate) fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fault(&self, reason: &'static str) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    pub(crate) fn add_to(&self, stats: &mut Stats) {
        stats.connections = self.connections.load(Ordering::Relaxed);
        stats.faults.clone_from(&self.faults.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
