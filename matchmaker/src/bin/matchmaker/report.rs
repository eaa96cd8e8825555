//! Answers as text: tables for people, JSON for programs.

use std::path::Path;

use matchmaker::{Change, Destination, Finding, Host, Listing, Member, Topic};
use serde_json::{Value, json};

/// What one run has to say.
pub(crate) enum Report<'a> {
    Destinations(&'a [Destination]),
    /// All that is listed, and what of it has expired, which the listing does not have.
    Topics(&'a Listing, &'a [(Topic, Host)]),
    Hosts(&'a [Member]),
    Expired(&'a [(Topic, Host)]),
    Findings(&'a Path, &'a [Finding]),
    Changes(&'a [Change]),
}

impl Report<'_> {
    /// Lines, each with its end.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Destinations(all) => {
                table(["TOPIC", "HOST"], all.iter().map(|to| [to.topic.to_string(), to.host.to_string()]))
            }
            Self::Topics(all, []) => {
                table(["TOPIC", "HOSTS"], all.iter().map(|(topic, hosts)| [topic.to_string(), hosts.len().to_string()]))
            }
            Self::Topics(all, expired) => {
                let row = |(topic, hosts): (&Topic, &std::sync::Arc<[Member]>)| {
                    [topic.to_string(), hosts.len().to_string(), gone(expired, topic).to_string()]
                };
                table(["TOPIC", "HOSTS", "EXPIRED"], all.iter().map(row))
            }
            Self::Hosts(all) => {
                table(["HOST", "ADDRESS"], all.iter().map(|host| [host.name.to_string(), host.address.to_string()]))
            }
            Self::Expired(all) => {
                table(["TOPIC", "HOST"], all.iter().map(|(topic, host)| [topic.to_string(), host.to_string()]))
            }
            Self::Findings(file, []) => format!("{}: no findings\n", file.display()),
            Self::Findings(file, all) => all.iter().map(|finding| format!("{}:{finding}\n", file.display())).collect(),
            Self::Changes(all) => all.iter().map(|change| format!("{change}\n")).collect(),
        }
    }

    /// One line: an array of objects, or for findings an object that holds one.
    pub(crate) fn json(&self) -> String {
        let value: Value = match self {
            Self::Destinations(all) => {
                all.iter().map(|to| json!({ "topic": to.topic.as_str(), "host": to.host.as_str() })).collect()
            }
            Self::Topics(all, expired) => all
                .iter()
                .map(|(topic, hosts)| {
                    json!({ "topic": topic.as_str(), "hosts": hosts.len(), "expired": gone(expired, topic) })
                })
                .collect(),
            Self::Hosts(all) => {
                all.iter().map(|host| json!({ "host": host.name.as_str(), "address": host.address.as_str() })).collect()
            }
            Self::Expired(all) => {
                all.iter().map(|(topic, host)| json!({ "topic": topic.as_str(), "host": host.as_str() })).collect()
            }
            Self::Findings(file, all) => {
                let findings: Vec<Value> = all.iter().map(finding).collect();
                json!({ "file": file.display().to_string(), "findings": findings })
            }
            Self::Changes(all) => all.iter().map(change).collect(),
        };
        format!("{value}\n")
    }
}

/// How many hosts of a topic have expired.
fn gone(expired: &[(Topic, Host)], topic: &Topic) -> usize {
    expired.iter().filter(|(of, _)| of == topic).count()
}

fn finding(finding: &Finding) -> Value {
    let Finding { line, rule } = finding;
    json!({
        "line": line,
        "level": rule.level().to_string(),
        "rule": rule.code(),
        "text": rule.to_string(),
        "hint": rule.hint(),
    })
}

pub(crate) fn change(change: &Change) -> Value {
    let Change { topic, added, host } = change;
    let host = host.as_ref().map(Host::as_str);
    json!({ "change": if *added { "added" } else { "removed" }, "topic": topic.as_str(), "host": host })
}

/// Columns as wide as their widest cell, the last as it is.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if column + 1 == N {
                text += &format!("{cell}\n");
            } else {
                text += &format!("{cell:width$}  ");
            }
        }
    }
    text
}
