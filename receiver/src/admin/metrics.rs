//! All figures in the text format of Prometheus (version 0.0.4).
//!
//! Names are stable. Topics are told apart up to a number, so that a flood of names does not become one of time series:
//! the topics of replies are one, `zmq_replies`, and those beyond the number are one, `__other__`, of which there are only
//! gauges, since a sum over topics that come and go is no counter.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use super::desk::Desk;
use crate::transit::Histogram;
use crate::view::{Overview, TopicKind, TopicView};

/// All of them now; `None` when the receiver is no more.
pub(super) fn metrics(desk: &Desk) -> Option<String> {
    let overview = desk.overview()?;
    let mut text = Text(String::with_capacity(TYPICAL));
    whole(&mut text, &overview, desk.readiness().ready);
    text.family("messages_total", COUNTER, "Messages of topics, by kind of topic and by what became of them.");
    for (kind, sums) in desk.observer.sums()? {
        let results = [
            ("accepted", sums.accepted),
            ("written", sums.written),
            ("returned", sums.returned),
            ("late", sums.late),
            ("dropped", sums.dropped()),
        ];
        for (result, n) in results {
            text.sample("messages_total", &[("style", kind.as_str()), ("result", result)], n);
        }
    }
    forwarding(&mut text, &desk.observer.transits()?);
    let rows = folded(desk.observer.topics()?.topics, desk.metrics_max_topics);
    topics(&mut text, &rows);
    let consumers: usize = rows.iter().map(|row| row.consumers).sum();
    text.family("connections", GAUGE, "Peers connected: senders over TCP, consumers at local sockets.");
    text.sample("connections", &[("side", "sender")], overview.connections);
    text.sample("connections", &[("side", "consumer")], consumers);
    process(&mut text, &overview);
    Some(text.0)
}

fn whole(text: &mut Text, all: &Overview, ready: bool) {
    text.family("build_info", GAUGE, "Always 1; the version that runs.");
    text.sample("build_info", &[("version", &all.version)], 1);
    text.lone("ready", GAUGE, "Whether it is ready for work.", u8::from(ready));
    text.lone("received_messages_total", COUNTER, "Messages that came in over TCP.", all.received);
    text.lone("bytes_total", COUNTER, "Octets of messages that came in over TCP.", all.received_octets);
    text.lone("topics", GAUGE, "Topics with a socket.", all.topics);
    text.lone("connections_total", COUNTER, "TCP streams accepted.", all.connections_total);
    text.lone("memory_bytes", GAUGE, "Octets queued for all topics.", all.queued_octets);
    text.lone("memory_limit_bytes", GAUGE, "Octets that may be queued for all topics.", all.memory_limit);
    let mut dropped: BTreeMap<String, u64> = USUAL.iter().map(|reason| ((*reason).to_owned(), 0)).collect();
    dropped.extend(all.dropped.clone());
    text.counters("dropped_total", "Messages dropped.", &dropped);
    let help = "Failed handshakes, and connections cut for a fault of the peer.";
    text.counters("handshake_failures_total", help, &all.faults);
    text.family("config_reloads_total", COUNTER, "Configurations read anew.");
    text.sample("config_reloads_total", &[("result", "taken")], all.reloads);
    text.sample("config_reloads_total", &[("result", "refused")], all.reload_failures);
    text.lone("waits_total", COUNTER, "Times that a sender waited for room.", all.waits);
    if let Some(spool) = &all.spool {
        text.lone("spool_bytes", GAUGE, "Octets in the spool.", spool.octets);
        text.family("spool_messages_total", COUNTER, "Messages that met the spool.");
        let results = [("restored", spool.restored), ("stored", spool.stored), ("unprotected", spool.unprotected)];
        for (result, n) in results {
            text.sample("spool_messages_total", &[("result", result)], n);
        }
        let help = "Octets of the spool that could not be read at the start.";
        text.lone("spool_damaged_bytes", GAUGE, help, spool.damaged_octets);
        text.lone("spool_failures_total", COUNTER, "Failures of the spool's disk.", spool.failures);
    }
}

fn forwarding(text: &mut Text, transits: &Histogram) {
    let help = "From having been read to having been written to a consumer; of queues, some of their messages.";
    text.family("forward_seconds", "histogram", help);
    for (bound, n) in transits.within {
        text.sample("forward_seconds_bucket", &[("le", &bound.to_string())], n);
    }
    text.sample("forward_seconds_bucket", &[("le", "+Inf")], transits.count);
    text.sample("forward_seconds_sum", &[], transits.sum);
    text.sample("forward_seconds_count", &[], transits.count);
}

fn process(text: &mut Text, all: &Overview) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let figures = [
        ("process_start_time_seconds", GAUGE, "When it started.", Some(now - all.uptime_seconds)),
        ("process_cpu_seconds_total", COUNTER, "Processor time used.", all.process.cpu_seconds),
        ("process_resident_memory_bytes", GAUGE, "Memory in use.", all.process.resident_octets.map(|n| n as f64)),
        ("process_open_fds", GAUGE, "File descriptors open.", all.process.open_descriptors.map(|n| n as f64)),
        ("process_max_fds", GAUGE, "File descriptors that may be open.", all.process.max_descriptors.map(|n| n as f64)),
    ];
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            text.head(name, kind, help);
            text.line(name, &[], value);
        }
    }
}

/// One line of topics: a topic, or several as one.
#[derive(Debug, Default)]
struct Row {
    name: String,
    queued: usize,
    octets: usize,
    oldest: f64,
    consumers: usize,
    /// Accepted, written, dropped; none for a sum over topics that come and go.
    counters: Option<[u64; 3]>,
}

fn folded(topics: Vec<TopicView>, most: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let (mut replies, mut others) = (Row::default(), Row::default());
    for topic in topics {
        let counters = [topic.accepted, topic.written, topic.dropped.values().sum()];
        let row = if topic.kind == TopicKind::Reply {
            REPLIES.clone_into(&mut replies.name);
            &mut replies
        } else if rows.len() < most {
            rows.push(Row { name: topic.topic.clone(), counters: Some(counters), ..Row::default() });
            let Some(row) = rows.last_mut() else { continue };
            row
        } else {
            OTHERS.clone_into(&mut others.name);
            &mut others
        };
        row.queued += topic.queued;
        row.octets += topic.queued_octets;
        row.oldest = row.oldest.max(topic.oldest_seconds.unwrap_or_default());
        row.consumers += topic.consumers;
    }
    rows.extend([replies, others].into_iter().filter(|row| !row.name.is_empty()));
    rows
}

fn topics(text: &mut Text, rows: &[Row]) {
    let mut gauge = |name, help, value: fn(&Row) -> f64| {
        text.family(name, GAUGE, help);
        for row in rows {
            text.sample(name, &[("topic", &row.name)], value(row));
        }
    };
    gauge("queue_messages", "Messages waiting.", |row| row.queued as f64);
    gauge("queue_bytes", "Octets waiting.", |row| row.octets as f64);
    gauge("queue_oldest_seconds", "How long the first message that waits has waited, at most.", |row| row.oldest);
    gauge("consumers", "Consumers connected.", |row| row.consumers as f64);
    text.family("topic_messages_total", COUNTER, "Messages of a topic, by what became of them.");
    for row in rows {
        let Some(counters) = row.counters else { continue };
        for (result, n) in ["accepted", "written", "dropped"].into_iter().zip(counters) {
            text.sample("topic_messages_total", &[("topic", &row.name), ("result", result)], n);
        }
    }
}

/// Lines in the making.
struct Text(String);

impl Text {
    /// The head of a family of ours.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.head(&format!("{PREFIX}{name}"), kind, help);
    }

    /// A sample of a family of ours.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line(&format!("{PREFIX}{name}"), labels, value);
    }

    /// A family of ours with one sample.
    fn lone(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family of ours by reason.
    fn counters(&mut self, name: &str, help: &str, counters: &BTreeMap<String, u64>) {
        self.family(name, COUNTER, help);
        for (reason, n) in counters {
            self.sample(name, &[("reason", reason)], n);
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail; this holds for all of these.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, content)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let content = content.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{open}{label}=\"{content}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

const PREFIX: &str = "zmq_receiver_";
const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// Reasons that are told at zero: a counter that appears with its first message seems not to have grown.
const USUAL: &[&str] = &[
    "topic-backlog",
    "topic-octets",
    "memory-limit",
    "topic-limit",
    "bind-failed",
    "no-topic",
    "consumer-full",
    "consumer-gone",
    "no-subscriber",
];

/// The name of all topics of replies.
const REPLIES: &str = "zmq_replies";
/// The name of topics beyond the number.
const OTHERS: &str = "__other__";

/// Octets for some tens of topics.
const TYPICAL: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, kind: TopicKind, queued: usize) -> TopicView {
        TopicView {
            topic: name.to_owned(),
            kind,
            queued,
            accepted: 7,
            oldest_seconds: Some(1.5),
            ..TopicView::default()
        }
    }

    #[test]
    fn topics_beyond_the_number_are_one_and_so_are_replies() {
        let all = vec![
            topic("a", TopicKind::Queue, 1),
            topic("b", TopicKind::Fanout, 2),
            topic("c", TopicKind::Queue, 3),
            topic("d", TopicKind::Queue, 4),
            topic("zmq_replies.h1", TopicKind::Reply, 5),
            topic("zmq_replies.h2", TopicKind::Reply, 6),
        ];
        let mut text = Text(String::new());
        topics(&mut text, &folded(all, 2));
        let text = text.0;
        for line in [
            "zmq_receiver_queue_messages{topic=\"a\"} 1",
            "zmq_receiver_queue_messages{topic=\"b\"} 2",
            "zmq_receiver_queue_messages{topic=\"zmq_replies\"} 11",
            "zmq_receiver_queue_messages{topic=\"__other__\"} 7",
            "zmq_receiver_queue_oldest_seconds{topic=\"__other__\"} 1.5",
            "zmq_receiver_topic_messages_total{topic=\"a\",result=\"accepted\"} 7",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in:\n{text}");
        }
        assert!(!text.contains("topic_messages_total{topic=\"__other__\""), "{text}");
    }

    #[test]
    fn a_label_can_hold_anything() {
        let mut text = Text(String::new());
        text.sample("x", &[("topic", "a\"b\\c\nd")], 1);
        assert_eq!(text.0, "zmq_receiver_x{topic=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
