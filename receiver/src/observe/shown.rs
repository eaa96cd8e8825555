//! What a receiver says, as text.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::figure::{duration, duration_or_none, octets};
use crate::view::{Connections, ConsumerView, Dropped, Overview, Reloaded, TopicView, Topics};

/// `status`
pub(super) struct StatusShown<'a>(pub(super) &'a Overview);

/// `topics`
pub(super) struct TopicsShown<'a>(pub(super) &'a Topics);

/// `connections`
pub(super) struct ConnectionsShown<'a>(pub(super) &'a Connections);

/// `drops`
pub(super) struct DropsShown<'a>(pub(super) &'a Dropped);

/// `signal reload`
pub(super) struct ReloadShown<'a>(pub(super) &'a Reloaded);

/// `who`: one topic, and who consumes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Who {
    /// The topic.
    pub topic: TopicView,
    /// Processes that are connected to its socket.
    pub consumers: Vec<ConsumerView>,
}

impl fmt::Display for StatusShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0;
        let unknown = || "?".to_owned();
        let up = duration(all.uptime_seconds);
        writeln!(f, "version {} on {}, pid {}: {} for {up}", all.version, all.host, all.pid, all.phase.as_str())?;
        let curve = all.curve_endpoint.as_ref().map(|curve| format!(" and, with CURVE, {curve}")).unwrap_or_default();
        writeln!(f, "listening  {}{curve}, sockets in {}", all.endpoint, all.ipc_dir)?;
        writeln!(f, "senders    {} connected, {} so far", all.connections, all.connections_total)?;
        writeln!(f, "received   {} messages, {}", all.received, octets(all.received_octets))?;
        writeln!(f, "written    {} messages", all.written)?;
        let (held, limit) = (octets(all.queued_octets as u64), octets(all.memory_limit as u64));
        writeln!(f, "queued     {} messages, {held} of {limit}, {} topics", all.queued, all.topics)?;
        if all.waits > 0 {
            writeln!(f, "waits      {} times a sender waited for room (topic_policy)", all.waits)?;
        }
        writeln!(f, "dropped    {}", counters(&all.dropped))?;
        writeln!(f, "refused    {} (connections)", counters(&all.faults))?;
        writeln!(f, "reloads    {}, {} failed; log level {}", all.reloads, all.reload_failures, all.log_level)?;
        if !all.needs_restart.is_empty() {
            writeln!(f, "pending    needs restart: {}", all.needs_restart.join("; "))?;
        }
        if let Some(spool) = &all.spool {
            writeln!(
                f,
                "spool      {}, {} messages stored, {} restored, {} unprotected, {} failures",
                octets(spool.octets),
                spool.stored,
                spool.restored,
                spool.unprotected,
                spool.failures
            )?;
        }
        let process = &all.process;
        let resident = process.resident_octets.map_or_else(unknown, octets);
        let open = process.open_descriptors.map_or_else(unknown, |n| n.to_string());
        let most = process.max_descriptors.map_or_else(unknown, |n| n.to_string());
        let cpu = process.cpu_seconds.map_or_else(unknown, duration);
        writeln!(f, "process    {resident} resident, {open} of {most} descriptors, {cpu} of processor time")
    }
}

impl fmt::Display for TopicsShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            "TOPIC",
            "KIND",
            "#CONSUMERS",
            "#QUEUED",
            "#OCTETS",
            "#OLDEST",
            "#ACCEPTED",
            "#WRITTEN",
            "#DROPPED",
        ]);
        for topic in &self.0.topics {
            table.row([
                topic.topic.clone(),
                topic.kind.as_str().to_owned(),
                topic.consumers.to_string(),
                topic.queued.to_string(),
                octets(topic.queued_octets as u64),
                duration_or_none(topic.oldest_seconds),
                topic.accepted.to_string(),
                topic.written.to_string(),
                topic.dropped.values().sum::<u64>().to_string(),
            ]);
        }
        table.fmt(f)
    }
}

impl fmt::Display for ConnectionsShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut senders = Table::new(&["SENDER", "#CONNECTED", "#IDLE", "#MESSAGES", "#OCTETS"]);
        for sender in &self.0.senders {
            senders.row([
                sender.peer.clone(),
                duration(sender.age_seconds),
                duration(sender.idle_seconds),
                sender.messages.to_string(),
                octets(sender.octets),
            ]);
        }
        let mut consumers = Table::new(&["CONSUMER OF", "#PID", "PROCESS", "#UID", "#CONNECTED"]);
        for consumer in &self.0.consumers {
            consumers.row([
                consumer.topic.clone(),
                number(consumer.pid),
                process_name(consumer.pid).unwrap_or_default(),
                number(consumer.uid),
                duration(consumer.age_seconds),
            ]);
        }
        write!(f, "{senders}\n{consumers}")
    }
}

impl fmt::Display for DropsShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = self.0;
        writeln!(f, "messages     {}", counters(&dropped.reasons))?;
        writeln!(f, "connections  {}", counters(&dropped.faults))?;
        if !dropped.reasons.is_empty() {
            writeln!(f, "(by topic: topics --sort dropped)")?;
        }
        if dropped.senders.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["REASON", "SENDER", "#MESSAGES", "#LAST", "OF ONE OF THEM"]);
        for drop in &dropped.senders {
            table.row([
                drop.reason.clone(),
                drop.peer.clone(),
                drop.messages.to_string(),
                duration(drop.seconds_ago) + " ago",
                drop.text.clone(),
            ]);
        }
        write!(f, "\n{table}")
    }
}

impl fmt::Display for ReloadShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reloaded { applied, pending, warnings } = self.0;
        writeln!(f, "changed: {}", if applied.is_empty() { "none".to_owned() } else { applied.join(", ") })?;
        pending.iter().try_for_each(|option| writeln!(f, "needs restart: {option}"))?;
        warnings.iter().try_for_each(|warning| writeln!(f, "warning: {}", warning.escape_debug()))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, consumers } = self;
        let TopicView { topic: name, kind, queued, .. } = topic;
        let since = topic.without_consumer_seconds.map(duration);
        let present = match since {
            Some(since) => format!("no consumer for {since}"),
            None => format!("{} consumers", consumers.len()),
        };
        let oldest = topic.oldest_seconds.map(|age| format!(", the oldest for {}", duration(age))).unwrap_or_default();
        writeln!(f, "{} ({}): {present}, {queued} queued{oldest}", name.escape_debug(), kind.as_str())?;
        for consumer in consumers {
            let process = process_name(consumer.pid).map(|name| format!(" ({})", name.escape_debug()));
            let process = process.unwrap_or_default();
            let (pid, uid) = (number(consumer.pid), number(consumer.uid));
            writeln!(f, "  pid {pid}{process} uid {uid}, connected for {}", duration(consumer.age_seconds))?;
        }
        Ok(())
    }
}

/// `18 (topic-backlog 15, no-topic 3)`
fn counters(counters: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> = counters.iter().map(|(name, n)| format!("{} {n}", name.escape_debug())).collect();
    let sum: u64 = counters.values().sum();
    if each.is_empty() { sum.to_string() } else { format!("{sum} ({})", each.join(", ")) }
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

/// What runs as a process of this machine, if that is told to us (proc(5), `comm`).
fn process_name(pid: Option<u32>) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{}/comm", pid?)).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::DropView;

    #[test]
    fn a_topic_without_a_consumer_is_told_with_its_time() {
        let topic = TopicView {
            topic: "compute.host1".to_owned(),
            queued: 212,
            without_consumer_seconds: Some(840.0),
            oldest_seconds: Some(800.0),
            ..TopicView::default()
        };
        let told = Who { topic, consumers: Vec::new() }.to_string();
        assert_eq!(told, "compute.host1 (queue): no consumer for 14 min, 212 queued, the oldest for 13 min\n");
    }

    #[test]
    fn a_process_is_told_by_name() {
        let consumer = ConsumerView { pid: Some(std::process::id()), uid: Some(0), ..ConsumerView::default() };
        let told = Who { topic: TopicView::default(), consumers: vec![consumer] }.to_string();
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let expected = format!("  pid {} ({}) uid 0, connected for 0.0 s\n", std::process::id(), name.trim());
        assert!(told.starts_with(" (queue): 1 consumers, 0 queued\n") && told.ends_with(&expected), "{told}");
    }

    #[test]
    fn drops_are_told_by_sum_reason_and_sender() {
        let drop = DropView {
            reason: "topic-backlog".to_owned(),
            peer: "10.0.0.7".to_owned(),
            messages: 18,
            seconds_ago: 3.0,
            text: "topic x: queue is full".to_owned(),
        };
        let reasons = [("no-topic".to_owned(), 1), ("topic-backlog".to_owned(), 18)].into();
        let told = DropsShown(&Dropped { reasons, senders: vec![drop], faults: BTreeMap::new() }).to_string();
        let begin = "messages     19 (no-topic 1, topic-backlog 18)\nconnections  0\n\
                     (by topic: topics --sort dropped)\n\nREASON";
        assert!(told.starts_with(begin), "{told}");
        assert!(told.ends_with("topic-backlog  10.0.0.7        18  3.0 s ago  topic x: queue is full\n"), "{told}");
    }
}
