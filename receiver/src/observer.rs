//! The state of a running receiver, read from what it keeps for itself. Reading takes each topic's lock for a moment;
//! nothing is kept or done while nobody reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use oslo_rpc::topic::Kind;
use rustix::fs::Access;
use tokio::sync::mpsc::Receiver;
use zmtp::Stats;

use crate::clock::{Clock, seconds};
use crate::front::Front;
use crate::passing::Outcome;
use crate::route::Route;
use crate::routes::{KINDS, Routes, Sums};
use crate::senders::Senders;
use crate::spool::Spool;
use crate::taps::Sight;
use crate::transit::Histogram;
use crate::view::{
    Connections, ConsumerView, DropView, Dropped, RecordView, SenderView, SpoolTotals, TopicKind, TopicView, Topics,
    Trace,
};

/// What a receiver is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) plain: Front,
    /// For peers that encrypt.
    pub(crate) curve: Option<Front>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) senders: Arc<Senders>,
    pub(crate) dir: PathBuf,
    pub(crate) clock: Clock,
}

/// Reads a receiver while it runs; it keeps none alive. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Observer(pub(crate) Weak<Parts>);

/// The counters of a receiver. Messages unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// TCP peers now.
    pub connections: usize,
    /// TCP streams accepted.
    pub connections_total: u64,
    /// That came in over TCP.
    pub received: u64,
    /// Octets of these.
    pub received_octets: u64,
    /// Written whole to a consumer's socket; a fanout counts once for each consumer.
    pub written: u64,
    /// Waiting now.
    pub queued: u64,
    /// Octets waiting now, those of large messages that are coming in included.
    pub queued_octets: usize,
    /// How often a sender had to wait for room.
    pub waits: u64,
    /// Of the spool, if there is one.
    pub spool: Option<SpoolTotals>,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// TCP connections refused or cut for a fault of the peer, by reason.
    pub faults: BTreeMap<&'static str, u64>,
    /// Each topic's own counters, by [key](oslo_rpc::Topic::key).
    pub topics: Vec<(String, Stats)>,
}

impl Observer {
    /// The counters now; `None` when the receiver is no more, as with all of these.
    #[must_use]
    pub fn totals(&self) -> Option<Totals> {
        self.0.upgrade().map(|parts| parts.totals())
    }

    /// The topics now, by name.
    #[must_use]
    pub fn topics(&self) -> Option<Topics> {
        let parts = self.0.upgrade()?;
        let topics = parts.routes.all().iter().map(|route| parts.topic(route)).collect();
        Some(Topics { topics })
    }

    /// Counters by kind, of all topics there ever were.
    pub(crate) fn sums(&self) -> Option<[(TopicKind, Sums); KINDS.len()]> {
        let sums = self.0.upgrade()?.routes.sums();
        Some(std::array::from_fn(|at| (shown(KINDS[at]), sums[at])))
    }

    /// How long messages of queues took on their way.
    pub(crate) fn transits(&self) -> Option<Histogram> {
        Some(self.0.upgrade()?.routes.transits())
    }

    /// Who is connected now.
    #[must_use]
    pub fn connections(&self) -> Option<Connections> {
        let parts = self.0.upgrade()?;
        let clock = parts.clock;
        let senders = parts.senders.present().into_iter().map(|sender| SenderView {
            peer: sender.peer.clone(),
            age_seconds: clock.seconds_since(sender.since),
            idle_seconds: clock.seconds_since(sender.active()),
            messages: sender.messages(),
            octets: sender.octets(),
        });
        let mut consumers = Vec::new();
        for route in parts.routes.all() {
            consumers.extend(route.consumers().present().into_iter().map(|consumer| ConsumerView {
                topic: route.key().to_owned(),
                pid: consumer.pid,
                uid: consumer.uid,
                age_seconds: clock.seconds_since(consumer.since),
            }));
        }
        Some(Connections { senders: senders.collect(), consumers })
    }

    /// What was dropped, and whose it was.
    #[must_use]
    pub fn drops(&self) -> Option<Dropped> {
        let parts = self.0.upgrade()?;
        let mut by_sender = parts.routes.drops.by_sender();
        by_sender.sort_by_key(|(_, dropped)| std::cmp::Reverse(dropped.last));
        let senders = by_sender.into_iter().map(|((peer, reason), dropped)| DropView {
            reason: reason.to_owned(),
            peer,
            messages: dropped.messages,
            seconds_ago: dropped.last.elapsed().as_secs_f64(),
            text: dropped.text,
        });
        let totals = parts.totals();
        let (reasons, faults) = (owned(totals.dropped), owned(totals.faults));
        Some(Dropped { reasons, senders: senders.collect(), faults })
    }

    /// The last messages that are `wanted` by the beginning of their id, or all, at most `most`, the last one first.
    #[must_use]
    pub fn trace(&self, wanted: Option<&str>, most: usize) -> Option<Trace> {
        let parts = self.0.upgrade()?;
        let (recorder, clock) = (&parts.routes.recorder, parts.clock);
        let records = recorder.last(most, |record| wanted.is_none_or(|text| record.id.begins_with(text)));
        let records = records.into_iter().map(|record| {
            let (mut outcome, reason) = outcome_of(record.outcome);
            if let Outcome::Queued { last } = record.outcome {
                outcome = if parts.waits(&record.topic, last) { "waiting" } else { "handed-on" };
            }
            RecordView {
                time: rfc3339(clock.wall(record.at)),
                seconds_ago: clock.seconds_since(record.at),
                peer: record.sender.peer.clone(),
                topic: record.topic.to_string(),
                style: record.style.map(|style| style.as_str().to_owned()),
                id: (!record.id.is_empty()).then(|| record.id.to_string()),
                messages: record.messages,
                octets: record.octets,
                outcome: outcome.to_owned(),
                reason: reason.map(str::to_owned),
            }
        });
        let (kept, since) = recorder.extent();
        Some(Trace {
            records: records.collect(),
            kept,
            since_seconds: since.map(|since| clock.seconds_since(since)),
            without_id: recorder.unrecorded(),
        })
    }

    /// Messages of topics that match a pattern, as they pass; `None`: too many watch already.
    pub(crate) fn watch(&self, pattern: &str) -> Option<(Receiver<Sight>, Clock)> {
        let parts = self.0.upgrade()?;
        Some((parts.routes.taps.open(pattern)?, parts.clock))
    }

    /// What is in the way of serving, of what can go wrong while a receiver runs.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let Some(parts) = self.0.upgrade() else { return vec!["the receiver has stopped".to_owned()] };
        match rustix::fs::access(&parts.dir, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => Vec::new(),
            Err(error) => vec![format!("cannot make sockets in {}: {error}", parts.dir.display())],
        }
    }

    /// Where senders connect, where those that encrypt do, and the directory where consumers do.
    #[must_use]
    pub fn places(&self) -> Option<(String, Option<String>, PathBuf)> {
        let parts = self.0.upgrade()?;
        let curve = parts.curve.as_ref().map(|front| front.endpoint.to_string());
        Some((parts.plain.endpoint.to_string(), curve, parts.dir.clone()))
    }
}

impl Parts {
    pub(crate) fn fronts(&self) -> impl Iterator<Item = &Front> {
        std::iter::once(&self.plain).chain(&self.curve)
    }

    /// The counters now.
    pub(crate) fn totals(&self) -> Totals {
        let fronts: Vec<_> = self.fronts().map(|front| front.intake.stats()).collect();
        let mut faults = BTreeMap::new();
        for (front, stats) in self.fronts().zip(&fronts) {
            for (reason, n) in front.faults(stats) {
                *faults.entry(reason).or_default() += n;
            }
        }
        let topics = self.routes.stats();
        let mut dropped = self.routes.drops.counts();
        let sums = self.routes.sums();
        let sum = |count: fn(&Sums) -> u64| sums.iter().map(count).sum();
        dropped.extend([
            ("consumer-full", sum(|sums| sums.over_mark)),
            ("no-subscriber", sum(|sums| sums.unmatched)),
            ("consumer-gone", sum(|sums| sums.discarded)),
            ("oldest-displaced", sum(|sums| sums.displaced)),
            ("expired", sum(|sums| sums.expired)),
        ]);
        dropped.retain(|_, n| *n > 0);
        Totals {
            connections: fronts.iter().map(|stats| stats.peers).sum(),
            connections_total: fronts.iter().map(|stats| stats.connections).sum(),
            received: fronts.iter().map(|stats| stats.received).sum(),
            received_octets: self.senders.octets(),
            written: sum(|sums| sums.written),
            queued: topics.iter().map(|(_, stats)| stats.queued as u64).sum(),
            queued_octets: self.routes.memory().used(),
            dropped,
            waits: self.routes.waits(),
            spool: self.routes.spool.as_ref().map(Spool::totals),
            faults,
            topics,
        }
    }

    /// Whether the message of a queue that was its `last` one then is in it still. Messages leave in order, but for those of
    /// several consumers, of whom one may be slower.
    fn waits(&self, topic: &str, last: u64) -> bool {
        let Some(route) = self.routes.with_key(topic) else { return false };
        let stats = route.stats();
        // A topic that was given up and made again counts anew.
        (stats.tally.accepted.saturating_sub(stats.queued as u64)..stats.tally.accepted)
            .contains(&last.saturating_sub(1))
    }

    fn topic(&self, route: &Route) -> TopicView {
        let stats = route.stats();
        let absent = route.consumers().absent_since();
        let dropped = [
            ("no-room", route.refused()),
            ("consumer-full", stats.tally.over_mark),
            ("no-subscriber", stats.tally.unmatched),
            ("consumer-gone", stats.tally.discarded),
            ("oldest-displaced", stats.tally.displaced),
            ("expired", stats.tally.expired),
        ];
        let dropped = dropped.into_iter().filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.to_owned(), n));
        TopicView {
            topic: route.key().to_owned(),
            kind: shown(route.kind()),
            consumers: stats.peers,
            without_consumer_seconds: absent.map(|since| self.clock.seconds_since(since)),
            queued: stats.queued,
            queued_octets: stats.queued_octets,
            oldest_seconds: route.oldest(&stats, self.clock.now()).map(seconds),
            accepted: stats.tally.accepted,
            written: stats.written,
            returned: stats.tally.returned,
            late: stats.tally.late,
            dropped: dropped.collect(),
        }
    }
}

fn shown(kind: Kind) -> TopicKind {
    match kind {
        Kind::Queue => TopicKind::Queue,
        Kind::Fanout => TopicKind::Fanout,
        Kind::Reply => TopicKind::Reply,
    }
}

/// An outcome in a word, and the reason if it was dropped.
pub(crate) fn outcome_of(outcome: Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Queued { .. } => ("queued", None),
        Outcome::Spooled => ("spooled", None),
        Outcome::Published => ("published", None),
        Outcome::Dropped(reason) => ("dropped", Some(reason)),
    }
}

/// A time of the system's clock, to the millisecond.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// Counters with names of their own, as in JSON.
pub(crate) fn owned(counters: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counters.into_iter().map(|(name, n)| (name.to_owned(), n)).collect()
}
