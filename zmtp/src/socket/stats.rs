//! Counters of a socket.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::lock::Lock;
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

/// One figure of [`Stats`], as exporters want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// As in Prometheus: `zmtp_messages_written_total`.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Whether it only grows. Others are as things stand now.
    pub is_counter: bool,
    /// The value of a label `reason`, where there are several figures of a name.
    pub reason: Option<&'static str>,
    /// The figure.
    pub value: u64,
}

impl Stats {
    /// All figures, by name, in a fixed order: for `metrics`, Prometheus or a log, on which this crate does not depend.
    ///
    /// ```
    /// # let counter = |_name: &str, _reason: &str| ();
    /// for metric in zmtp::Stats::default().metrics() {
    ///     // With crate `metrics`: counter!(metric.name, "reason" => reason).absolute(metric.value), or gauge!(…).set(…)
    ///     counter(metric.name, metric.reason.unwrap_or_default());
    /// }
    /// ```
    pub fn metrics(&self) -> impl Iterator<Item = Metric> {
        let metric = |name, help, is_counter, value| Metric { name, help, is_counter, reason: None, value };
        let dropped = |reason, value| Metric {
            name: "zmtp_messages_dropped_total",
            help: "Messages that reached no peer, by reason.",
            is_counter: true,
            reason: Some(reason),
            value,
        };
        let tally = &self.tally;
        let figures = [
            metric("zmtp_peers", "Peers that are connected.", false, self.peers as u64),
            metric("zmtp_queued_messages", "Messages queued.", false, self.queued as u64),
            metric("zmtp_queued_octets", "Octets queued.", false, self.queued_octets as u64),
            metric("zmtp_connections_total", "Streams accepted or opened.", true, self.connections),
            metric("zmtp_messages_accepted_total", "Messages taken from the program.", true, tally.accepted),
            metric("zmtp_messages_written_total", "Messages written whole to a peer.", true, self.written),
            metric("zmtp_messages_received_total", "Messages that came from peers.", true, self.received),
            metric("zmtp_messages_returned_total", "Messages of lost peers, kept for others.", true, tally.returned),
            metric("zmtp_messages_late_total", "Messages held for late subscribers.", true, tally.late),
            dropped("over-mark", tally.over_mark),
            dropped("unmatched", tally.unmatched),
            dropped("peer-gone", tally.discarded),
            dropped("conflated", tally.conflated),
        ];
        let faults = self.faults.iter().map(|(reason, value)| Metric {
            name: "zmtp_faults_total",
            help: "Connections refused or cut, and limits hit, by reason.",
            is_counter: true,
            reason: Some(reason),
            value: *value,
        });
        figures.into_iter().chain(faults)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    faults: Lock<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(crate) fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fault(&self, reason: &'static str) {
        *self.faults.lock().entry(reason).or_default() += 1;
    }

    pub(crate) fn add_to(&self, stats: &mut Stats) {
        stats.connections = self.connections.load(Ordering::Relaxed);
        stats.faults.clone_from(&self.faults.lock());
    }
}
