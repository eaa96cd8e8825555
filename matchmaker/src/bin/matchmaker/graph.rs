//! Topics and hosts as a picture: text for Graphviz and Mermaid, JSON, or a drawing.

use std::collections::BTreeSet;
use std::fmt::Write;

use matchmaker::{Host, Listing, Topic};
use serde_json::json;

use crate::options::Format;

/// The picture, as text.
pub(crate) fn picture(listing: &Listing, format: Format) -> String {
    let graph = Graph::of(listing);
    match format {
        Format::Dot => graph.dot(),
        Format::Mermaid => graph.mermaid(),
        Format::Json => graph.json(),
        Format::Svg => graph.svg(),
    }
}

/// Two columns and the lines between them, each a pair of places in the columns.
struct Graph {
    topics: Vec<Topic>,
    hosts: Vec<Host>,
    edges: Vec<(usize, usize)>,
}

impl Graph {
    fn of(listing: &Listing) -> Self {
        let topics: Vec<_> = listing.keys().cloned().collect();
        let hosts: BTreeSet<_> = listing.values().flat_map(|members| members.iter().map(|host| &host.name)).collect();
        let hosts: Vec<_> = hosts.into_iter().cloned().collect();
        let edges = listing.values().enumerate().flat_map(|(topic, members)| {
            let places = members.iter().filter_map(|member| hosts.binary_search(&member.name).ok());
            places.map(move |host| (topic, host)).collect::<Vec<_>>()
        });
        let edges = edges.collect();
        Self { topics, hosts, edges }
    }

    fn dot(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\\\""));
        let mut text = "digraph matchmaker {\n  rankdir = LR;\n  node [shape = box];\n".to_owned();
        for (place, topic) in self.topics.iter().enumerate() {
            let _ = writeln!(text, "  t{place} [label = {}, style = rounded];", quoted(topic.as_str()));
        }
        for (place, host) in self.hosts.iter().enumerate() {
            let _ = writeln!(text, "  h{place} [label = {}];", quoted(host.as_str()));
        }
        for (topic, host) in &self.edges {
            let _ = writeln!(text, "  t{topic} -> h{host};");
        }
        text + "}\n"
    }

    fn mermaid(&self) -> String {
        // Mermaid has entities for what it would take for itself.
        let quoted = |name: &str| format!("\"{}\"", name.replace('#', "#35;").replace('"', "#quot;"));
        let mut text = "flowchart LR\n".to_owned();
        for (place, topic) in self.topics.iter().enumerate() {
            let _ = writeln!(text, "  t{place}({})", quoted(topic.as_str()));
        }
        for (place, host) in self.hosts.iter().enumerate() {
            let _ = writeln!(text, "  h{place}[{}]", quoted(host.as_str()));
        }
        for (topic, host) in &self.edges {
            let _ = writeln!(text, "  t{topic} --> h{host}");
        }
        text
    }

    fn json(&self) -> String {
        let topics: Vec<_> = self.topics.iter().map(Topic::as_str).collect();
        let hosts: Vec<_> = self.hosts.iter().map(Host::as_str).collect();
        let edges = self.edges.iter().map(|&(topic, host)| json!({ "topic": topics[topic], "host": hosts[host] }));
        let edges: Vec<_> = edges.collect();
        format!("{}\n", json!({ "topics": topics, "hosts": hosts, "edges": edges }))
    }

    /// Topics on the left, hosts on the right, each column as high as the longer one.
    fn svg(&self) -> String {
        let longest = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| name.chars().count()).max().unwrap_or_default() * LETTER + 2 * MARGIN
        };
        let left = longest(&mut self.topics.iter().map(Topic::as_str));
        let right = longest(&mut self.hosts.iter().map(Host::as_str));
        let rows = self.topics.len().max(self.hosts.len());
        let (width, height) = (MARGIN + left + GAP + right + MARGIN, rows * ROW + 2 * MARGIN);
        let row = |place: usize, count: usize| MARGIN + (2 * place + 1 + rows - count) * ROW / 2;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"monospace\" font-size=\"13\">\n<title>Topics and their hosts</title>\n\
             <g stroke=\"#999\" fill=\"none\">\n"
        );
        let (from, to) = (MARGIN + left, MARGIN + left + GAP);
        let middle = from + GAP / 2;
        for &(topic, host) in &self.edges {
            let (start, end) = (row(topic, self.topics.len()), row(host, self.hosts.len()));
            let _ = writeln!(text, "<path d=\"M{from} {start}C{middle} {start} {middle} {end} {to} {end}\"/>");
        }
        text += "</g>\n";
        let mut boxed = |name: &str, x: usize, y: usize, width: usize, round: usize, colour: &str| {
            let (top, high, base) = (y - BOX / 2, BOX, y + BASELINE);
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{high}\" rx=\"{round}\" fill=\"{colour}\" \
                 stroke=\"#444\"/><text x=\"{}\" y=\"{base}\">{}</text>",
                x + MARGIN,
                escaped(name)
            );
        };
        for (place, topic) in self.topics.iter().enumerate() {
            boxed(topic.as_str(), MARGIN, row(place, self.topics.len()), left, BOX / 2, "#e8f0fe");
        }
        for (place, host) in self.hosts.iter().enumerate() {
            boxed(host.as_str(), to, row(place, self.hosts.len()), right, 2, "#f3f3f3");
        }
        text + "</svg>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Pixels of a letter of the font, at the most.
const LETTER: usize = 8;
const MARGIN: usize = 12;
/// Between the columns: enough for lines to be told apart.
const GAP: usize = 220;
const ROW: usize = 32;
const BOX: usize = 24;
/// From the middle of a box to the feet of its letters.
const BASELINE: usize = 5;

#[cfg(test)]
mod tests {
    use matchmaker::Ring;

    use super::*;

    fn drawn(format: Format) -> String {
        let ring = Ring::parse(r##"{"a<&\"#": ["h2", "h1"], "b": [], "c": ["h2"]}"##).unwrap();
        picture(ring.listing(), format)
    }

    #[test]
    fn texts_have_each_topic_host_and_line_once() {
        assert_eq!(
            drawn(Format::Dot),
            "digraph matchmaker {\n  rankdir = LR;\n  node [shape = box];\n  \
             t0 [label = \"a<&\\\"#\", style = rounded];\n  t1 [label = \"b\", style = rounded];\n  \
             t2 [label = \"c\", style = rounded];\n  h0 [label = \"h1\"];\n  h1 [label = \"h2\"];\n  \
             t0 -> h1;\n  t0 -> h0;\n  t2 -> h1;\n}\n"
        );
        assert_eq!(
            drawn(Format::Mermaid),
            "flowchart LR\n  t0(\"a<&#quot;#35;\")\n  t1(\"b\")\n  t2(\"c\")\n  h0[\"h1\"]\n  h1[\"h2\"]\n  \
             t0 --> h1\n  t0 --> h0\n  t2 --> h1\n"
        );
        assert!(drawn(Format::Json).contains(r#"{"host":"h2","topic":"c"}"#));
    }

    #[test]
    fn a_drawing_is_well_formed_and_has_all_of_it() {
        let svg = drawn(Format::Svg);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains(">a&lt;&amp;\"#</text>"), "{svg}");
        let count = |tag: &str| svg.matches(tag).count();
        assert_eq!((count("<rect"), count("<text"), count("<path")), (5, 5, 3));
        picture(&Listing::new(), Format::Svg);
    }
}
