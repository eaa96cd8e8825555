//! `top`: the busiest topics, again and again.

use std::collections::BTreeMap;
use std::fmt;

use super::table::Table;
use crate::figure::{duration_or_none, octets};
use crate::view::{Overview, TopicView, Topics};

/// One look at a receiver.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) overview: Overview,
    pub(super) topics: Topics,
}

/// A look, and what happened since the one before.
pub(super) struct Since<'a> {
    pub(super) now: &'a Look,
    pub(super) before: Option<&'a Look>,
}

impl Since<'_> {
    /// Of the receiver itself between the looks, by its own clock. A receiver that was started anew began at nothing.
    fn seconds(&self) -> f64 {
        let now = self.now.overview.uptime_seconds;
        match self.before() {
            Some(before) => now - before.overview.uptime_seconds,
            None => now,
        }
        .max(0.001)
    }

    fn before(&self) -> Option<&Look> {
        let same = |look: &&Look| look.overview.pid == self.now.overview.pid;
        self.before.filter(same)
    }
}

impl fmt::Display for Since<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, seconds) = (&self.now.overview, self.seconds());
        let before = self.before();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let sum = |counters: &BTreeMap<String, u64>| counters.values().sum::<u64>();
        let whole = |count: fn(&Overview) -> u64| rate(count(all), before.map_or(0, |look| count(&look.overview)));
        writeln!(
            f,
            "{} pid {}: {}; {:.0} messages/s in, {:.0} out, {}/s in; {:.1} dropped/s",
            all.host,
            all.pid,
            all.phase.as_str(),
            whole(|all| all.received),
            whole(|all| all.written),
            octets(whole(|all| all.received_octets) as u64),
            rate(sum(&all.dropped), before.map_or(0, |look| sum(&look.overview.dropped))),
        )?;
        let memory = all.process.resident_octets.map_or_else(|| "?".to_owned(), octets);
        let queued = octets(all.queued_octets as u64);
        writeln!(
            f,
            "{} senders, {} topics; {} queued, {queued}; {memory} resident",
            all.connections, all.topics, all.queued
        )?;
        let earlier: BTreeMap<&str, &TopicView> =
            before.iter().flat_map(|look| &look.topics.topics).map(|topic| (topic.topic.as_str(), topic)).collect();
        let mut rows: Vec<(f64, f64, &TopicView)> = self
            .now
            .topics
            .topics
            .iter()
            .map(|topic| {
                let known = earlier.get(topic.topic.as_str());
                let accepted = rate(topic.accepted, known.map_or(0, |known| known.accepted));
                (accepted, rate(topic.written, known.map_or(0, |known| known.written)), topic)
            })
            .collect();
        rows.sort_by(|(a, _, x), (b, _, y)| {
            b.total_cmp(a).then_with(|| y.queued.cmp(&x.queued)).then_with(|| x.topic.cmp(&y.topic))
        });
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
        for (accepted, written, topic) in rows.into_iter().take(ROWS) {
            table.row([
                topic.topic.clone(),
                topic.kind.as_str().to_owned(),
                format!("{accepted:.0}"),
                format!("{written:.0}"),
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
        let told = Since { now: &now, before: Some(&before) }.to_string();
        assert!(told.contains("; 100 messages/s in, 0 out, "), "{told}");
        let first: Vec<_> = told.lines().nth(4).into_iter().flat_map(str::split_whitespace).take(3).collect();
        assert_eq!(first, ["b", "queue", "100"], "{told}");
        // After a restart everything is new.
        let restarted = look(2, 2.0, 10, 4);
        let told = Since { now: &restarted, before: Some(&now) }.to_string();
        assert!(told.contains("; 5 messages/s in"), "{told}");
    }
}
