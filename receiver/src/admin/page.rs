//! The status page: one page of HTML that says all there is to see. A script makes it live and draws what changes; text
//! browsers, and those without scripts, load it anew.
//!
//! Peers choose some of what it shows, so everything is escaped by the macro that writes it, and the browser is told to
//! run nothing but our own script.

use maud::{DOCTYPE, Markup, html};

use crate::figure::duration;
use crate::view::{Connections, DropView, Dropped, Overview, Phase, SenderView, TopicView, Topics};

/// All of it.
pub(super) fn page(all: &Overview, topics: &Topics, connections: &Connections, dropped: &Dropped) -> String {
    let topics = &topics.topics;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (all.host) ": ZeroMQ receiver" }
                link rel="stylesheet" href="page.css";
                noscript { meta http-equiv="refresh" content="10"; }
                script src="page.js" defer {}
            }
            body {
                header {
                    h1 { "ZeroMQ receiver on " (all.host) }
                    p class="quiet" {
                        "version " (all.version) ", process " (all.pid) " · " (all.endpoint) " · " (all.ipc_dir) " · "
                        span id="live" {}
                    }
                }
                main data-pid=(all.pid) data-uptime=(all.uptime_seconds) {
                    (attention(all, topics, dropped))
                    (figures(all))
                    (topic_table(topics))
                    (drop_table(dropped))
                    (peers(connections))
                }
                footer class="quiet" {
                    "As JSON: "
                    @for (at, name) in ["varz", "topicz", "connz", "dropz", "tracez", "configz"].into_iter().enumerate() {
                        @if at > 0 { ", " }
                        a href=(name) { (name) }
                    }
                    "; for Prometheus: " a href="metrics" { "metrics" }
                }
            }
        }
    };
    page.into_string()
}

/// What an operator would want to know first.
fn attention(all: &Overview, topics: &[TopicView], dropped: &Dropped) -> Markup {
    let phase = match all.phase {
        Phase::Serving => "serving",
        Phase::LameDuck => "takes no more connections",
        Phase::Draining => "stopping",
    };
    let deserted: Vec<_> = topics.iter().filter(|topic| topic.queued > 0 && topic.consumers == 0).collect();
    let recent: Vec<_> = dropped.senders.iter().filter(|drop| drop.seconds_ago < RECENT).collect();
    let is_full = all.queued_octets as f64 > 0.8 * all.memory_limit as f64;
    html! {
        p {
            span class=(if all.phase == Phase::Serving { "good" } else { "bad" }) { (phase) }
            " for " (duration(all.uptime_seconds))
            @if deserted.is_empty() && recent.is_empty() && !is_full { "; nothing needs attention" }
        }
        ul {
            @if is_full {
                li { span class="bad" { "queues have " (octets(all.queued_octets)) } " of " (octets(all.memory_limit)) }
            }
            @for topic in deserted.iter().take(SHOWN) {
                li {
                    span class="bad" { (topic.queued) " messages wait" } " for " (topic.topic) " and nobody consumes them"
                    @if let Some(since) = topic.without_consumer_seconds { ", for " (duration(since)) }
                }
            }
            @for drop in recent.iter().take(SHOWN) {
                li {
                    span class="bad" { (drop.messages) " messages dropped" } " of " (drop.peer) ", " (drop.reason)
                    ", the last " (duration(drop.seconds_ago)) " ago"
                }
            }
        }
    }
}

fn figures(all: &Overview) -> Markup {
    let dropped: u64 = all.dropped.values().sum();
    let counters =
        [("Received", "received", all.received), ("Written", "written", all.written), ("Dropped", "dropped", dropped)];
    html! {
        dl class="tiles" {
            @for (name, counter, value) in counters {
                div {
                    dt { (name) }
                    dd { (value) }
                    small { "messages" }
                    svg class="chart" data-counter=(counter) data-value=(value) {}
                }
            }
            div {
                dt { "Queued" }
                dd { (all.queued) }
                small { (octets(all.queued_octets)) " of " (octets(all.memory_limit)) }
                svg class="chart" data-gauge="queued" data-value=(all.queued) {}
            }
            div {
                dt { "Senders" }
                dd { (all.connections) }
                small { (all.connections_total) " so far" }
                svg class="chart" data-gauge="senders" data-value=(all.connections) {}
            }
            div {
                dt { "Memory" }
                dd { (all.process.resident_octets.map_or_else(|| "?".to_owned(), |n| octets(n as usize))) }
                small {
                    (number(all.process.open_descriptors)) " of " (number(all.process.max_descriptors)) " descriptors"
                }
            }
        }
    }
}

fn topic_table(topics: &[TopicView]) -> Markup {
    let mut shown: Vec<_> = topics.iter().collect();
    // Those that wait first, then by name, as they come.
    shown.sort_by_key(|topic| std::cmp::Reverse(topic.queued));
    let most = shown.first().map_or(0, |topic| topic.queued).max(1);
    html! {
        h2 { "Topics" }
        table {
            thead {
                tr {
                    th { "Topic" } th { "Kind" } th class="number" { "Consumers" } th class="number" { "Queued" } th {}
                    th class="number" { "Oldest" } th class="number" { "Accepted" } th class="number" { "Written" }
                    th class="number" { "Dropped" }
                }
            }
            tbody {
                @for topic in shown.iter().take(ROWS) {
                    @let dropped: u64 = topic.dropped.values().sum();
                    @let deserted = topic.queued > 0 && topic.consumers == 0;
                    tr {
                        td { (topic.topic) }
                        td data-label="kind" { (topic.kind.as_str()) }
                        td data-label="consumers" class={ "number" (if deserted { " bad" } else { "" }) } { (topic.consumers) }
                        td data-label="queued" class="number" { (topic.queued) }
                        td data-label=" " {
                            svg class="chart" viewBox="0 0 100 20" preserveAspectRatio="none"
                                data-gauge={ "topic " (topic.topic) } data-value=(topic.queued) role="img"
                                aria-label={ (topic.queued) " queued" } {
                                rect x="0" y="4" height="12" width=(topic.queued * 100 / most) {}
                            }
                        }
                        td data-label="oldest" class="number" {
                            (topic.oldest_seconds.map_or_else(|| "-".to_owned(), duration))
                        }
                        td data-label="accepted" class="number" { (topic.accepted) }
                        td data-label="written" class="number" { (topic.written) }
                        td data-label="dropped" class={ "number" (if dropped > 0 { " bad" } else { "" }) } { (dropped) }
                    }
                }
            }
        }
        @if topics.is_empty() { p class="quiet" { "None yet: a topic is made by its first message." } }
        @if topics.len() > ROWS { p class="quiet" { "and " (topics.len() - ROWS) " more" } }
    }
}

fn drop_table(dropped: &Dropped) -> Markup {
    html! {
        h2 { "Drops" }
        @if dropped.reasons.is_empty() && dropped.faults.is_empty() { p class="quiet" { "None." } }
        p {
            @for (at, (reason, n)) in dropped.reasons.iter().enumerate() {
                @if at > 0 { ", " }
                (reason) " " (n)
            }
        }
        @if !dropped.faults.is_empty() {
            p {
                "Connections refused or cut: "
                @for (at, (reason, n)) in dropped.faults.iter().enumerate() {
                    @if at > 0 { ", " }
                    (reason) " " (n)
                }
            }
        }
        @if !dropped.senders.is_empty() {
            table {
                thead {
                    tr {
                        th { "Sender" } th { "Reason" } th class="number" { "Messages" } th class="number" { "Last" }
                        th { "Of one of them" }
                    }
                }
                tbody {
                    @for DropView { reason, peer, messages, seconds_ago, text } in dropped.senders.iter().take(SHOWN) {
                        tr {
                            td { (peer) }
                            td data-label="reason" { (reason) }
                            td data-label="messages" class="number" { (messages) }
                            td data-label="last" class="number" { (duration(*seconds_ago)) " ago" }
                            td data-label="" class="wide" { (text) }
                        }
                    }
                }
            }
        }
    }
}

fn peers(connections: &Connections) -> Markup {
    let mut senders: Vec<_> = connections.senders.iter().collect();
    senders.sort_by_key(|sender| std::cmp::Reverse(sender.messages));
    html! {
        h2 { "Consumers" }
        @if connections.consumers.is_empty() { p class="quiet" { "None." } }
        @else {
            table {
                thead {
                    tr { th { "Topic" } th class="number" { "Process" } th class="number" { "User" } th class="number" { "Connected" } }
                }
                tbody {
                    @for consumer in connections.consumers.iter().take(ROWS) {
                        tr {
                            td { (consumer.topic) }
                            td data-label="process" class="number" { (number(consumer.pid.map(u64::from))) }
                            td data-label="user" class="number" { (number(consumer.uid.map(u64::from))) }
                            td data-label="connected" class="number" { (duration(consumer.age_seconds)) }
                        }
                    }
                }
            }
        }
        h2 { "Senders" }
        @if senders.is_empty() { p class="quiet" { "None connected." } }
        @else {
            table {
                thead {
                    tr {
                        th { "Address" } th class="number" { "Messages" } th class="number" { "Octets" }
                        th class="number" { "Idle" } th class="number" { "Connected" }
                    }
                }
                tbody {
                    @for SenderView { peer, age_seconds, idle_seconds, messages, octets: size } in senders.into_iter().take(SHOWN) {
                        tr {
                            td { (peer) }
                            td data-label="messages" class="number" { (messages) }
                            td data-label="octets" class="number" { (octets(*size as usize)) }
                            td data-label="idle" class="number" { (duration(*idle_seconds)) }
                            td data-label="connected" class="number" { (duration(*age_seconds)) }
                        }
                    }
                }
            }
        }
        @if connections.senders.len() > SHOWN {
            p class="quiet" { "the busiest of " (connections.senders.len()) }
        }
    }
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn octets(octets: usize) -> String {
    crate::figure::octets(octets as u64)
}

/// What the browser may do with it: run our script, use our style, ask us again.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The script that makes it live.
pub(super) const SCRIPT: &str = include_str!("page/page.js");

/// How it looks.
pub(super) const STYLE: &str = include_str!("page/page.css");

/// Topics and consumers that are shown: a page that a phone still takes.
const ROWS: usize = 200;

/// Of what is only an example.
const SHOWN: usize = 20;

/// Seconds for which a drop needs attention.
const RECENT: f64 = 600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_peers_chose_are_text() {
        let evil = "<script>alert(1)</script>\" onload=\"x";
        let topic = TopicView { topic: evil.to_owned(), queued: 3, ..TopicView::default() };
        let drop = DropView { peer: evil.to_owned(), text: evil.to_owned(), ..DropView::default() };
        let dropped = Dropped { senders: vec![drop], ..Dropped::default() };
        let page = page(&Overview::default(), &Topics { topics: vec![topic] }, &Connections::default(), &dropped);
        assert!(!page.contains("<script>alert") && !page.contains("\" onload=\""), "{page}");
        assert!(page.contains("3 messages wait") && page.contains("nobody consumes them"));
    }

    #[test]
    fn ten_thousand_topics_are_a_page_still() {
        let topic = |n: usize| TopicView { topic: format!("t{n}"), queued: n, ..TopicView::default() };
        let topics = Topics { topics: (0..10_000).map(topic).collect() };
        let page = page(&Overview::default(), &topics, &Connections::default(), &Dropped::default());
        assert!(page.len() < 300_000 && page.contains("and 9800 more"), "{}", page.len());
        assert!(page.find("t9999").unwrap() < page.find("t9990").unwrap());
    }
}
