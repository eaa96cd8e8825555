//! The ring: topics and their hosts, read from a text (oslo-zmq, section 7.2).
//!
//! What always holds: every topic and host is a checked name; a ring with one bad name is refused
//! whole, because half a ring would silently starve a host. Hosts stay in the order they are
//! written in, which is the order of their turns. Of a repeated topic the last list counts, as in
//! every JSON reader.
//!
//! Not done here: files and their changes (the ring file's), and what is legal but unwise (lint).

use std::str::FromStr;
use std::sync::Arc;

use crate::backend::Listing;
use crate::document::{Document, Fault, ParseError, Text};
use crate::exchange::Member;
use crate::finding::{Finding, Rule};
use crate::name::{Host, NameError, Topic};

/// Which hosts serve which topic.
///
/// ```
/// use matchmaker::Ring;
///
/// let ring = Ring::parse("{'scheduler': ['host1', 'host2',],}  # not quite JSON")?;
/// assert_eq!(ring.members(&"scheduler".parse()?).len(), 2);
/// assert_eq!(ring.findings().len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ring {
    topics: Listing,
    findings: Vec<Finding>,
}

impl Ring {
    /// Reads a ring from strict JSON or its lenient form. Pure; never panics.
    ///
    /// # Errors
    ///
    /// [`ParseError`] at the first fault.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let document = Document::read(text)?;
        let findings = leniencies(&document);
        let mut topics = Listing::new();
        for entry in &document.entries {
            let topic: Topic = named(text, &entry.topic)?;
            let hosts = entry.hosts.iter();
            let members = hosts.map(|host| named(text, host).map(|host: Host| Member::from(host)));
            topics.insert(topic, members.collect::<Result<_, _>>()?);
        }
        Ok(Self { topics, findings })
    }

    /// The hosts of exactly this topic; none if the ring does not have it.
    pub fn members(&self, topic: &Topic) -> Arc<[Member]> {
        self.topics.get(topic).cloned().unwrap_or_default()
    }

    /// All topics with their hosts.
    pub fn listing(&self) -> &Listing {
        &self.topics
    }

    /// All topics, sorted.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.topics.keys()
    }

    /// What was lenient about the text: the originals would have refused or misread it.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether both would route every message alike.
    pub(crate) fn routes_as(&self, other: &Self) -> bool {
        self.topics == other.topics
    }
}

/// What strict JSON of the right shape would not have, in the order of the lines.
pub(crate) fn leniencies(document: &Document) -> Vec<Finding> {
    let departures = document.departures.iter().map(|departure| Finding {
        line: departure.line,
        rule: Rule::Lenient { leniency: departure.leniency, times: departure.times },
    });
    let bare = document.entries.iter().filter(|entry| entry.bare);
    let bare = bare.filter_map(|entry| {
        Some(Finding { line: entry.topic.line, rule: Rule::BareString { topic: entry.topic.value.parse().ok()? } })
    });
    let mut findings: Vec<_> = departures.chain(bare).collect();
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn named<N: FromStr<Err = NameError>>(text: &str, name: &Text) -> Result<N, ParseError> {
    let fault = |error| ParseError::at(text, name.offset, Fault::Name(error));
    name.value.parse().map_err(fault)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The example of the deployment guide, comments added.
    const GUIDE: &str = "# by hand
{
    'scheduler': ['host1', 'host2'], // two
    \"conductor\": ['host1'],
    'cert': 'host1',
}
";

    fn hosts(ring: &Ring, topic: &str) -> Vec<String> {
        let members = ring.members(&topic.parse().unwrap());
        members.iter().map(|member| member.name.to_string()).collect()
    }

    fn refused(text: &str) -> String {
        Ring::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn strict_json_has_no_findings() {
        let ring = Ring::parse(r#"{"b": ["h2", "h1"], "a": [], "c": ["\u0068\ud83d\ude00"]}"#);
        let ring = ring.unwrap();
        assert_eq!(ring.findings(), []);
        assert_eq!(hosts(&ring, "b"), ["h2", "h1"]);
        assert_eq!(hosts(&ring, "a"), [""; 0]);
        assert_eq!(hosts(&ring, "c"), ["h😀"]);
        assert_eq!(ring.topics().map(Topic::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn the_guides_example_is_read_and_remarked_upon() {
        let ring = Ring::parse(GUIDE).unwrap();
        assert_eq!(hosts(&ring, "scheduler"), ["host1", "host2"]);
        assert_eq!(hosts(&ring, "cert"), ["host1"]);
        let findings: Vec<_> = ring.findings().iter().map(ToString::to_string).collect();
        let json = "write strict JSON: the original matchmakers refuse this file";
        assert_eq!(
            findings,
            [
                format!("1: warn: a comment, here first of 2 times: {json}"),
                format!("3: warn: single quotes, here first of 6 times: {json}"),
                format!("5: warn: a comma after the last item: {json}"),
                r#"5: warn: topic "cert" has a host outside a list: write ["host"]: the originals take each letter for a host"#.to_owned(),
            ]
        );
    }

    #[test]
    fn a_fault_is_named_with_its_place_and_a_hint() {
        for (text, said) in [
            ("", "1:1: the file is empty: the ring of no topics is {}"),
            (" # nothing\n", "2:1: the file is empty: the ring of no topics is {}"),
            (
                "{\n  \"a\": [\"h1\",\n",
                "3:1: the file ends where a host in quotes should stand: it may be half written: \
                 write rings to another name and rename them",
            ),
            (
                "{\"é\": 5}",
                "1:7: '5' where a list of hosts should stand: \
                 a ring is an object of lists: {\"scheduler\": [\"host1\", \"host2\"]}",
            ),
            ("{\"a\": [\"h\n\"]}", "1:10: a string without its closing quote: close it on the same line"),
            ("{\"a\": [\"h\u{7}\"]}", "1:10: the control character '\\u{7}' in a string: remove it"),
            (
                r#"{"a": ["\x"]}"#,
                "1:9: an escape that JSON does not have: \
                 write the character itself, or \\u and four hexadecimal digits",
            ),
            (r#"{"a": ["\ud800"]}"#, "1:9: an escape for half a character: write the character itself"),
            (
                r#"{"a": ["h1", "h/2"]}"#,
                "1:14: host \"h/2\" has the character '/': remove it: \
                 no message could be sent to it",
            ),
        ] {
            assert_eq!(refused(text), said);
        }
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        for text in [
            "[]",
            "null",
            "\"a\"",
            "{} {}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\": [,]}",
            "{a: []}",
            "{\"a\": [[]]}",
            "{\"a\": [null]}",
            "{\"a\": {\"b\": []}}",
            "{\"a\": [\"h\" \"i\"]}",
            "{\"a\": [\"h\",,]}",
            "{\"\": []}",
            "{\"a\": [\"\"]}",
            "{\"a\": \"\"}",
            "/* */ {}",
            "{\"a\": [\"\\'\"]}",
            "{'a': ['\\u+123']}",
            "{\"a\": [\"h\\",
        ] {
            assert!(Ring::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        assert!(Ring::parse(&"[".repeat(1 << 20)).is_err());
        assert!(Ring::parse(&"{\"a\":".repeat(1 << 20)).is_err());
    }

    #[test]
    fn the_last_of_a_repeated_topic_counts() {
        let ring = Ring::parse(r#"{"a": ["h1"], "a": ["h2"]}"#).unwrap();
        assert_eq!(hosts(&ring, "a"), ["h2"]);
    }

    /// What a JSON library makes of the text, if that is of a ring's shape.
    fn judged(text: &str) -> Option<BTreeMap<String, Vec<String>>> {
        let Value::Object(object) = serde_json::from_str(text).ok()? else {
            return None;
        };
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let hosts = |value: &Value| match value {
            Value::Array(hosts) => hosts.iter().map(string).collect(),
            bare => Some(vec![string(bare)?]),
        };
        let entry = |(topic, value): (String, Value)| Some((topic, hosts(&value)?));
        object.into_iter().map(entry).collect()
    }

    /// The same of a document.
    fn contents(document: Document) -> BTreeMap<String, Vec<String>> {
        let host = |host: Text| host.value;
        let entries = document.entries.into_iter();
        entries.map(|entry| (entry.topic.value, entry.hosts.into_iter().map(host).collect())).collect()
    }

    /// Strict and lenient pieces of rings, and pieces of neither; half of them between braces.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "'",
            "\\",
            " ",
            "\t",
            "\r\n",
            "# c\n",
            "// c\n",
            "\"a\"",
            "'b'",
            "\"a\":[\"h\"]",
            "\"b\":\"h\"",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\ud83d",
            "é",
            "null",
            "1",
            "\u{feff}",
            "\u{1}",
            "\u{7f}",
        ]);
        let free = vec(piece, 0..12).prop_map(|pieces| pieces.concat());
        (free, any::<bool>()).prop_map(|(text, closed)| match closed {
            true => format!("{{{text}}}"),
            false => text,
        })
    }

    /// Rings of any texts.
    fn rings() -> impl Strategy<Value = BTreeMap<String, Vec<String>>> {
        proptest::collection::btree_map(any::<String>(), vec(any::<String>(), 0..4), 0..6)
    }

    /// The ring as the deployment guide would have printed it.
    fn lenient(ring: &BTreeMap<String, Vec<String>>) -> String {
        let quoted = |text: &String| {
            let strict = serde_json::to_string(text).unwrap();
            let inner = strict[1..strict.len() - 1].replace("\\\"", "\"");
            format!("'{}'", inner.replace('\'', "\\'"))
        };
        let mut text = "{ # ring\n".to_owned();
        for (topic, hosts) in ring {
            let hosts: String = hosts.iter().map(|host| quoted(host) + ", ").collect();
            text += &format!("{}: [{}], // ok\r\n", quoted(topic), hosts);
        }
        text + "}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn no_departure_means_strict_json_and_the_reverse(text in pieces()) {
            let read = Document::read(&text);
            let strict = read.ok().filter(|document| document.departures.is_empty());
            prop_assert_eq!(strict.map(contents), judged(&text));
        }
    }

    proptest! {
        #[test]
        fn reading_anything_never_panics(text: String) {
            let _ = Ring::parse(&text);
        }

        #[test]
        fn json_is_read_as_a_json_library_reads_it(ring in rings(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&ring).unwrap(),
                false => serde_json::to_string(&ring).unwrap(),
            };
            let document = Document::read(&text).unwrap();
            prop_assert_eq!(&document.departures, &[]);
            prop_assert_eq!(contents(document), ring);
        }

        #[test]
        fn the_lenient_form_says_the_same(ring in rings()) {
            let document = Document::read(&lenient(&ring)).unwrap();
            prop_assert!(!document.departures.is_empty());
            prop_assert_eq!(contents(document), ring);
        }

        #[test]
        fn a_text_cut_anywhere_is_no_ring(ring in rings(), at: prop::sample::Index) {
            let text = serde_json::to_string(&ring).unwrap();
            let cuts: Vec<usize> = text.char_indices().map(|(cut, _)| cut).collect();
            prop_assert!(Document::read(&text[..*at.get(&cuts)]).is_err());
        }
    }
}
