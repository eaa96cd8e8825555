//! What is legal in a ring file, and unwise (oslo-zmq, section 7.2).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use crate::document::{Document, Text};
use crate::finding::{Finding, Rule};
use crate::name::{Host, NameError, Topic};
use crate::ring::leniencies;
use crate::ring_file::{RingError, read};

/// Every finding about the text of a ring, by line. Pure; never panics.
///
/// A ring is refused exactly if one of them is an error.
///
/// ```
/// let findings = matchmaker::lint(r#"{"scheduler": ["host1", "host1"]}"#);
/// assert_eq!(
///     findings[0].to_string(),
///     "1: warn: topic \"scheduler\" has host \"host1\" twice: \
///      it gets a double share of the calls: list it once"
/// );
/// ```
pub fn lint(text: &str) -> Vec<Finding> {
    let mut findings = Findings::default();
    match Document::read(text) {
        Ok(document) => document_rules(&document, &mut findings),
        Err(error) => findings.note(error.line, Rule::Syntax(error.fault)),
    }
    findings.0.sort_by_key(|finding| finding.line);
    findings.0
}

/// [`lint`] for a file.
///
/// # Errors
///
/// [`RingError`] if there is no text to look at.
pub fn lint_file(path: &Path) -> Result<Vec<Finding>, RingError> {
    read(path).map(|text| lint(&text))
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn note(&mut self, line: u32, rule: Rule) {
        self.0.push(Finding { line, rule });
    }
}

/// A topic and its hosts, each with its line.
struct Entry {
    topic: Topic,
    line: u32,
    hosts: Vec<(Host, u32)>,
}

fn document_rules(document: &Document, findings: &mut Findings) {
    findings.0 = leniencies(document);
    let entries = named(document, findings);
    if document.entries.is_empty() {
        findings.note(1, Rule::NoTopics);
    }
    topic_rules(&entries, findings);
    host_rules(&entries, findings);
    volume_rules(&entries, findings);
    machine_rules(&entries, findings);
}

/// The entries that consist of names; those that do not are noted and left out.
fn named(document: &Document, findings: &mut Findings) -> Vec<Entry> {
    fn name<N: FromStr<Err = NameError>>(text: &Text, findings: &mut Findings) -> Option<N> {
        let refuse = |error| findings.note(text.line, Rule::Name(error));
        text.value.parse().map_err(refuse).ok()
    }
    let mut entries = Vec::with_capacity(document.entries.len());
    for entry in &document.entries {
        let topic = name(&entry.topic, findings);
        let hosts = entry.hosts.iter();
        // Collected before any is dropped, so that each bad host is noted.
        let hosts: Vec<_> = hosts.map(|host| Some((name(host, findings)?, host.line))).collect();
        if let (Some(topic), Some(hosts)) = (topic, hosts.into_iter().collect()) {
            let line = entry.topic.line;
            entries.push(Entry { topic, line, hosts });
        }
    }
    entries
}

fn topic_rules(entries: &[Entry], findings: &mut Findings) {
    let mut lines = HashMap::new();
    for Entry { topic, line, hosts } in entries {
        if let Some(earlier) = lines.insert(topic, *line) {
            let topic = topic.clone();
            findings.note(*line, Rule::RepeatedTopic { topic, earlier });
        }
        if hosts.is_empty() {
            let topic = topic.clone();
            findings.note(*line, Rule::NoHosts { topic });
        }
        if topic.as_str().contains('.') {
            let topic = topic.clone();
            findings.note(*line, Rule::DottedTopic { topic });
        }
    }
}

fn host_rules(entries: &[Entry], findings: &mut Findings) {
    for Entry { topic, hosts, .. } in entries {
        let mut seen = HashSet::new();
        for (host, line) in hosts {
            let repeated = !seen.insert(host);
            let host = host.clone();
            if repeated {
                let topic = topic.clone();
                findings.note(*line, Rule::RepeatedHost { topic, host });
            } else if host.as_str().contains('@') {
                findings.note(*line, Rule::BackendHost { host });
            } else if has_port(&host) {
                findings.note(*line, Rule::HostWithPort { host });
            }
        }
    }
}

/// Multi-backend calls go to `cinder-volume:HOST`. The deployments' own tools write that topic for
/// each host of `cinder-volume`; people forget it.
fn volume_rules(entries: &[Entry], findings: &mut Findings) {
    let topics: HashSet<&str> = entries.iter().map(|entry| entry.topic.as_str()).collect();
    for entry in entries.iter().filter(|entry| entry.topic.as_str() == Topic::VOLUME) {
        let machines = entry.hosts.iter().map(|(host, line)| (host.machine(), *line));
        // Backwards, so that of a machine named twice the first line stays.
        let machines: BTreeMap<Host, u32> = machines.rev().collect();
        let hosts = machines.len();
        for (host, line) in machines {
            if hosts > 1 && !topics.contains(format!("{}:{host}", Topic::VOLUME).as_str()) {
                findings.note(line, Rule::NoVolumeTopic { host, hosts });
            }
        }
    }
}

/// Short and full names in one ring: noted for each machine that seems to have both, and if there is
/// none, once.
fn machine_rules(entries: &[Entry], findings: &mut Findings) {
    let (mut short, mut full) = (BTreeMap::new(), BTreeMap::new());
    for (host, line) in entries.iter().flat_map(|entry| &entry.hosts) {
        let host = host.machine();
        if is_address(&host) {
            continue;
        }
        let dotted = host.as_str().contains('.');
        let names = if dotted { &mut full } else { &mut short };
        names.entry(host).or_insert(*line);
    }
    let mut twins = 0;
    for (name, line) in &full {
        let Some((start, _)) = name.as_str().split_once('.') else {
            continue;
        };
        let twin = start.parse().ok().and_then(|start| short.get_key_value::<Host>(&start));
        if let Some((twin, other)) = twin {
            twins += 1;
            let (short, full) = (twin.clone(), name.clone());
            findings.note(*line.max(other), Rule::TwoNames { short, full });
        }
    }
    if let (0, Some((short, one)), Some((full, other))) = (twins, short.first_key_value(), full.first_key_value()) {
        let (short, full) = (short.clone(), full.clone());
        findings.note(*one.max(other), Rule::MixedNames { short, full });
    }
}

/// One colon and digits after it; an IPv6 literal has more colons.
fn has_port(host: &Host) -> bool {
    let (name, port) = host.as_str().rsplit_once(':').unwrap_or_default();
    let bare = !name.contains(':') || name.ends_with(']');
    bare && !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit())
}

fn is_address(host: &Host) -> bool {
    let bare = host.as_str().trim_start_matches('[').trim_end_matches(']');
    let (address, _zone) = bare.split_once('%').unwrap_or((bare, ""));
    address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::Level;
    use crate::ring::Ring;

    /// `line code`, for each finding; a bar in the text begins a line.
    fn codes(text: &str) -> Vec<String> {
        let code = |finding: &Finding| format!("{} {}", finding.line, finding.rule.code());
        lint(&text.replace('|', "\n")).iter().map(code).collect()
    }

    #[test]
    fn a_ring_as_it_should_be() {
        let ring = r#"{
            "scheduler": ["host1", "host2"],
            "compute": ["10.0.0.1", "::1", "fe80::1%eth0"],
            "cinder-volume": ["cinder1", "cinder2"],
            "cinder-volume:cinder1": ["cinder1"],
            "cinder-volume:cinder2": ["cinder2"]
        }"#;
        assert_eq!(lint(ring), []);
    }

    #[test]
    fn each_rule_and_its_line() {
        for (text, found) in [
            (r#"{}"#, vec!["1 no-topics"]),
            (r#"{|'a': ['h']}"#, vec!["2 lenient"]),
            (r#"{|"a": [|"h",|]}"#, vec!["3 lenient"]),
            (r#"{|"a": "h"}"#, vec!["2 bare-string"]),
            (r#"{|"a": []}"#, vec!["2 no-hosts"]),
            (r#"{"a": ["h"],|"a": ["h"]}"#, vec!["2 repeated-topic"]),
            (r#"{"a": ["h",|"h"]}"#, vec!["2 repeated-host"]),
            (r#"{|"l3_agent.n": ["n"]}"#, vec!["2 dotted-topic"]),
            (r#"{"a": [|"h@lvm"]}"#, vec!["2 backend-host"]),
            (r#"{"a": [|"h:1"]}"#, vec!["2 host-with-port"]),
            (r#"{"a": ["[::1]:1"]}"#, vec!["1 host-with-port"]),
            (r#"{"cinder-volume": [|"c1",|"c2"],|"cinder-volume:c1": ["c1"]}"#, vec!["3 no-volume-topic"]),
            (r#"{"cinder-volume": ["c1@a", "c1@b"]}"#, vec!["1 backend-host", "1 backend-host"]),
            (r#"{"a": ["h1"],|"b": ["h1.x.org"],|"c": ["h2.x.org"]}"#, vec!["2 two-names"]),
            (r#"{"a": ["h1",|"h2.x.org"]}"#, vec!["2 mixed-names"]),
            (r#"{"a/b": ["h"],|"c": ["h\u0000",|""]}"#, vec!["1 name", "2 name", "3 name"]),
            (r#"{|"a" ["h"]}"#, vec!["2 syntax"]),
        ] {
            assert_eq!(codes(text), found, "{text}");
        }
    }

    #[test]
    fn a_finding_says_what_and_what_to_do() {
        for (text, said) in [
            (
                r#"{"cinder-volume": ["c1", "c2"], "cinder-volume:c1": ["c1"]}"#,
                "1: warn: topic \"cinder-volume\" has 2 hosts but there is no \
                 \"cinder-volume:c2\": multi-backend calls to it fail: add that topic with this \
                 host alone",
            ),
            (
                r#"{"a": ["h/1"]}"#,
                "1: error: host \"h/1\" has the character '/': remove it: the whole ring is \
                 refused because of it",
            ),
            (
                r#"{"a": ["h1", "h1.example.com"]}"#,
                "1: warn: hosts \"h1\" and \"h1.example.com\" may be one machine: if so, list it \
                 under its rpc_zmq_host alone",
            ),
            (
                r#"{"a": ["h1""#,
                "1: error: the file ends where a comma or the closing ] should stand: it may be \
                 half written: write rings to another name and rename them",
            ),
        ] {
            let findings = lint(text);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].to_string(), said);
        }
    }

    /// Texts of which about half are rings, and of those about half have good names only.
    fn texts() -> impl Strategy<Value = String> {
        let rings = r#"\{("[a-c./@]{0,3}": \["[a-c./@]{0,3}"\],?){0,4}\}"#;
        let others = r#"[{}\[\]:,"'a-c./@ \n#\\]{0,40}"#;
        prop_oneof![rings, others]
    }

    proptest! {
        #[test]
        fn an_error_means_that_the_ring_is_refused(text in texts()) {
            let findings = lint(&text);
            let refused = findings.iter().any(|finding| finding.rule.level() == Level::Error);
            prop_assert_eq!(refused, Ring::parse(&text).is_err());
        }
    }
}
