//! `top`: the busiest topics, again and again.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::table::Table;
use crate::figure::{duration_or_none, octets};
use crate::view::{Overview, TopicView, Topics};

/// One look at a receiver.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) overview: Overview,
    pub(super) topics: Topics,
}

/// A look, and how much happened in each second since the one before. `Display` is for a screen, JSON has all topics.
#[derive(Debug, Serialize)]
pub(super) struct Rates<'a> {
    received_per_second: f64,
    received_octets_per_second: f64,
    written_per_second: f64,
    dropped_per_second: f64,
    receiver: &'a Overview,
    /// The busiest first.
    topics: Vec<TopicRates<'a>>,
}

/// The same of one topic.
#[derive(Debug, Serialize)]
struct TopicRates<'a> {
    #[serde(flatten)]
    topic: &'a TopicView,
    accepted_per_second: f64,
    written_per_second: f64,
}

impl<'a> Rates<'a> {
    /// Between two looks, by the receiver's own clock. A receiver that was started anew began at nothing.
    pub(super) fn of(now: &'a Look, before: Option<&Look>) -> Self {
        let all = &now.overview;
        let before = before.filter(|look| look.overview.pid == all.pid);
        let seconds = all.uptime_seconds - before.map_or(0.0, |look| look.overview.uptime_seconds);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds.max(0.001);
        let whole = |count: fn(&Overview) -> u64| rate(count(all), before.map_or(0, |look| count(&look.overview)));
        let earlier: BTreeMap<&str, &TopicView> =
            before.iter().flat_map(|look| &look.topics.topics).map(|topic| (topic.topic.as_str(), topic)).collect();
        let of_topic = |topic: &'a TopicView| {
            let known = earlier.get(topic.topic.as_str());
            TopicRates {
                topic,
                accepted_per_second: rate(topic.accepted, known.map_or(0, |known| known.accepted)),
                written_per_second: rate(topic.written, known.map_or(0, |known| known.written)),
            }
        };
        let mut topics: Vec<_> = now.topics.topics.iter().map(of_topic).collect();
        topics.sort_by(|a, b| {
            let busiest = b.accepted_per_second.total_cmp(&a.accepted_per_second);
            busiest.then_with(|| b.topic.queued.cmp(&a.topic.queued)).then_with(|| a.topic.topic.cmp(&b.topic.topic))
        });
        Self {
            received_per_second: whole(|all| all.received),
            received_octets_per_second: whole(|all| all.received_octets),
            written_per_second: whole(|all| all.written),
            dropped_per_second: whole(|all| all.dropped.values().sum()),
            receiver: all,
            topics,
        }
    }
}

impl fmt::Display for Rates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.receiver;
        writeln!(
            f,
            "{} pid {}: {}; {:.0} messages/s in, {:.0} out, {}/s in; {:.1} dropped/s",
            all.host,
            all.pid,
            all.phase.as_str(),
            self.received_per_second,
            self.written_per_second,
            octets(self.received_octets_per_second as u64),
            self.dropped_per_second,
        )?;
        let memory = all.process.resident_octets.map_or_else(|| "?".to_owned(), octets);
        let queued = octets(all.queued_octets as u64);
        writeln!(
            f,
            "{} senders, {} topics; {} queued, {queued}; {memory} resident",
            all.connections, all.topics, all.queued
        )?;
        let mut table = Table::new(&[
            "TOPIC",
            "KIND",
            "#IN/s",
            "#OUT/s",
            "#QUEUED",
            "#OCTETS",
            "#OLDEST",
            "#CONSUMERS",
            "#DROPPED",
        ]);
        for TopicRates { topic, accepted_per_second, written_per_second } in self.topics.iter().take(ROWS) {
            table.row([
                topic.topic.clone(),
                topic.kind.as_str().to_owned(),
                format!("{accepted_per_second:.0}"),
                format!("{written_per_second:.0}"),
                topic.queued.to_string(),
                octets(topic.queued_octets as u64),
                duration_or_none(topic.oldest_seconds),
                topic.consumers.to_string(),
                topic.dropped.values().sum::<u64>().to_string(),
            ]);
        }
        write!(f, "\n{table}")
    }
}

/// What a terminal of usual height has room for.
const ROWS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pid: u32, uptime_seconds: f64, received: u64, accepted: u64) -> Look {
        let topic = |name: &str, accepted| TopicView { topic: name.to_owned(), accepted, ..TopicView::default() };
        Look {
            overview: Overview { pid, uptime_seconds, received, ..Overview::default() },
            topics: Topics { topics: vec![topic("a", 5), topic("b", accepted)] },
        }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let (before, now) = (look(1, 10.0, 100, 10), look(1, 12.0, 300, 210));
        let told = Rates::of(&now, Some(&before)).to_string();
        assert!(told.contains("; 100 messages/s in, 0 out, "), "{told}");
        let first: Vec<_> = told.lines().nth(4).into_iter().flat_map(str::split_whitespace).take(3).collect();
        assert_eq!(first, ["b", "queue", "100"], "{told}");
        let json = serde_json::to_value(Rates::of(&now, Some(&before))).unwrap();
        let busiest = (&json["topics"][0]["topic"], &json["topics"][0]["accepted_per_second"]);
        assert_eq!((busiest, &json["receiver"]["pid"]), ((&"b".into(), &100.0.into()), &1.into()));
        // After a restart everything is new.
        let restarted = look(2, 2.0, 10, 4);
        let told = Rates::of(&restarted, Some(&now)).to_string();
        assert!(told.contains("; 5 messages/s in"), "{told}");
    }
}
