//! What tells two listings apart.

use std::collections::BTreeSet;
use std::fmt;

use crate::backend::Listing;
use crate::name::{Host, Topic};

/// One difference, as a step from an old listing to a new one. Printed as `+ topic host`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The topic it is about.
    pub topic: Topic,
    /// Whether something comes, or goes.
    pub added: bool,
    /// The host that does; none if it is the topic itself, with an empty list.
    pub host: Option<Host>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, added, host } = self;
        let sign = if *added { '+' } else { '-' };
        match host {
            Some(host) => write!(f, "{sign} {topic} {host}"),
            None => write!(f, "{sign} {topic} (no hosts)"),
        }
    }
}

/// All steps from `old` to `new`, sorted; none if both name the same hosts, in whatever order.
///
/// ```
/// use matchmaker::{Ring, differences};
///
/// let old = Ring::parse(r#"{"compute": ["host1", "host2"]}"#)?;
/// let new = Ring::parse(r#"{"compute": ["host3", "host2"]}"#)?;
/// let steps: Vec<_> = differences(old.listing(), new.listing()).iter().map(ToString::to_string).collect();
/// assert_eq!(steps, ["- compute host1", "+ compute host3"]);
/// # Ok::<(), matchmaker::ParseError>(())
/// ```
pub fn differences(old: &Listing, new: &Listing) -> Vec<Change> {
    let (old, new) = (entries(old), entries(new));
    let steps = |from: &BTreeSet<(Topic, Option<Host>)>, to: &BTreeSet<(Topic, Option<Host>)>, added| {
        let missing = to.difference(from).cloned();
        missing.map(|(topic, host)| Change { topic, added, host }).collect::<Vec<_>>()
    };
    let mut changes = [steps(&new, &old, false), steps(&old, &new, true)].concat();
    changes.sort();
    changes
}

fn entries(listing: &Listing) -> BTreeSet<(Topic, Option<Host>)> {
    let mut entries = BTreeSet::new();
    for (topic, members) in listing {
        if members.is_empty() {
            entries.insert((topic.clone(), None));
        }
        entries.extend(members.iter().map(|member| (topic.clone(), Some(member.name.clone()))));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Ring;

    fn steps(old: &str, new: &str) -> Vec<String> {
        let listing = |text: &str| Ring::parse(text).unwrap().listing().clone();
        differences(&listing(old), &listing(new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn order_and_repetition_are_no_difference() {
        assert_eq!(steps(r#"{"a": ["h1", "h2"]}"#, r#"{"a": ["h2", "h1", "h2"]}"#), [""; 0]);
    }

    #[test]
    fn topics_and_hosts_come_and_go() {
        assert_eq!(
            steps(r#"{"a": ["h1"], "b": [], "c": ["h"]}"#, r#"{"a": [], "b": ["h2"], "d": ["h"]}"#),
            ["- a h1", "+ a (no hosts)", "- b (no hosts)", "+ b h2", "- c h", "+ d h"]
        );
    }
}
