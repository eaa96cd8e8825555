//! Answers as text: tables for people, JSON for programs.

use std::path::Path;

use matchmaker::{Destination, Finding, Member, Topic};
use serde_json::{Value, json};

/// What one run has to say.
pub(crate) enum Report<'a> {
    Destinations(&'a [Destination]),
    Topics(&'a [(Topic, usize)]),
    Hosts(&'a [Member]),
    Findings(&'a Path, &'a [Finding]),
}

impl Report<'_> {
    /// Lines, each with its end.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Destinations(all) => {
                let row = |to: &Destination| [to.topic.to_string(), to.host.to_string()];
                table(["TOPIC", "HOST"], all.iter().map(row).collect())
            }
            Self::Topics(all) => {
                let row = |(topic, hosts): &(Topic, usize)| [topic.to_string(), hosts.to_string()];
                table(["TOPIC", "HOSTS"], all.iter().map(row).collect())
            }
            Self::Hosts(all) => {
                let row = |host: &Member| [host.name.to_string(), host.address.to_string()];
                table(["HOST", "ADDRESS"], all.iter().map(row).collect())
            }
            Self::Findings(file, []) => format!("{}: no findings\n", file.display()),
            Self::Findings(file, all) => {
                let line = |finding: &Finding| format!("{}:{finding}\n", file.display());
                all.iter().map(line).collect()
            }
        }
    }

    /// One line: an array of objects, or for findings an object that holds one.
    pub(crate) fn json(&self) -> String {
        let value = match self {
            Self::Destinations(all) => {
                all.iter().map(|to| json!({ "topic": to.topic.as_str(), "host": to.host.as_str() })).collect()
            }
            Self::Topics(all) => {
                all.iter().map(|(topic, hosts)| json!({ "topic": topic.as_str(), "hosts": hosts })).collect()
            }
            Self::Hosts(all) => {
                all.iter().map(|host| json!({ "host": host.name.as_str(), "address": host.address.as_str() })).collect()
            }
            Self::Findings(file, all) => {
                let findings: Vec<Value> = all.iter().map(finding).collect();
                json!({ "file": file.display().to_string(), "findings": findings })
            }
        };
        format!("{value}\n")
    }
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

/// Two columns, the first as wide as its widest cell.
fn table(head: [&str; 2], rows: Vec<[String; 2]>) -> String {
    let rows: Vec<_> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = rows.iter().map(|[first, _]| first.chars().count()).max();
    let width = width.unwrap_or_default();
    let line = |[first, second]: &[String; 2]| format!("{first:width$}  {second}\n");
    rows.iter().map(line).collect()
}
