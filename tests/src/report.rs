//! What a receiver reports of itself when it ends: the lines `stopped …` and, with `debug`, `topic closed …` of its log.

use std::collections::BTreeMap;

/// The counters of one run, in messages unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// That came in over TCP.
    pub received: u64,
    /// Written whole to consumers.
    pub written: u64,
    /// Of these, since the stop began.
    pub delivered: u64,
    /// That nobody took in time.
    pub left: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Connections refused or cut, by reason.
    pub faults: BTreeMap<String, u64>,
    /// Each topic's own counters by name, by key.
    topics: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A log without a report, or with one that lacks something.
#[derive(Debug, thiserror::Error)]
#[error("no {missing} in the log:\n{log}")]
pub struct NoReport {
    missing: &'static str,
    log: String,
}

impl Report {
    /// The report of the last run in a log.
    pub fn last_in(log: &str) -> Result<Self, NoReport> {
        Self::read(log).map_err(|missing| NoReport { missing, log: log.to_owned() })
    }

    /// A counter of a topic; zero where the receiver knows neither.
    pub fn of_topic(&self, key: &str, counter: &str) -> u64 {
        self.topics.get(key).and_then(|counters| counters.get(counter)).copied().unwrap_or_default()
    }

    /// The keys of all topics that had a socket.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    fn read(log: &str) -> Result<Self, &'static str> {
        let run = &log[log.rfind(LISTENING).ok_or(LISTENING)?..];
        let stopped = run.lines().find(|line| line.contains(STOPPED)).ok_or(STOPPED)?;
        let number = |name| value(stopped, name).and_then(|text| text.parse().ok()).ok_or(name);
        let numbers = |name| value(stopped, name).and_then(|text| serde_json::from_str(text).ok()).ok_or(name);
        let mut topics = BTreeMap::new();
        for line in run.lines().filter(|line| line.contains(TOPIC_CLOSED)) {
            let key: Option<String> = value(line, "topic").and_then(|text| serde_json::from_str(text).ok());
            let fields = line.split(' ').filter_map(|part| part.split_once('='));
            let counters = fields.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
            topics.insert(key.ok_or("topic")?, counters.collect());
        }
        Ok(Self {
            received: number("received")?,
            written: number("written")?,
            delivered: number("delivered")?,
            left: number("left")?,
            dropped: numbers("dropped")?,
            faults: numbers("faults")?,
            topics,
        })
    }
}

/// The value of `name=value` in a line: up to the closing brace of a map, the closing quote of a text, or a blank.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = line.split_once(&format!(" {name}="))?;
    let end = match value.as_bytes().first()? {
        b'{' => value.find('}')? + 1,
        b'"' => value[1..].find('"')? + 2,
        _ => value.find(' ').unwrap_or(value.len()),
    };
    value.get(..end)
}

/// What a receiver logs when its port is open.
pub const LISTENING: &str = "[-] listening on ";

const STOPPED: &str = "[-] stopped received=";
const TOPIC_CLOSED: &str = "[-] topic closed ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_that_of_the_last_run() {
        let log = "t 1 INFO r [-] listening on x\n\
                   t 1 INFO r [-] stopped received=9 written=9 delivered=0 left=0 dropped={} faults={}\n\
                   t 1 INFO r [-] listening on x\n\
                   t 1 DEBUG r [-] topic closed topic=\"a b.host1\" accepted=3 written=2 left=1\n\
                   t 1 INFO r [-] stopped received=3 written=2 delivered=1 left=1 dropped={} faults={\"not-zmtp\": 2}\n";
        let report = Report::last_in(log).unwrap();
        assert_eq!((report.received, report.written, report.delivered, report.left), (3, 2, 1, 1));
        assert_eq!(report.faults["not-zmtp"], 2);
        assert_eq!((report.of_topic("a b.host1", "accepted"), report.of_topic("x", "left")), (3, 0));
        assert_eq!(report.topics().collect::<Vec<_>>(), ["a b.host1"]);
    }

    #[test]
    fn a_run_that_was_killed_has_none() {
        let error = Report::last_in("t 1 INFO r [-] listening on x\n").unwrap_err().to_string();
        assert!(error.starts_with("no [-] stopped received= in the log:\nt 1 INFO"), "{error}");
    }
}
