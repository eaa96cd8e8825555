//! Patterns of topics, and values for them.

use std::fmt;
use std::time::Duration;

use oslo_config::{Malformed, OptType};
use zmtp::Overflow;

use super::types::{Octets, Wait};
use crate::pattern::matches;

/// A text in which `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// `None`: it is empty, or has blanks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let strange = |c: char| c.is_whitespace() || c.is_control();
        (!text.is_empty() && !text.contains(strange)).then(|| Self(text.to_owned()))
    }

    /// Whether it is a pattern of `topic`.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.0, topic)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Patterns, separated by commas.
#[derive(Debug, PartialEq)]
pub(super) struct Patterns(pub(super) Vec<Pattern>);

impl OptType for Patterns {
    const EXPECTED: &'static str = "topics separated by commas, such as compute.*, fanout~compute";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let patterns: Option<Vec<_>> = items(text).map(Pattern::parse).collect();
        let patterns = patterns.ok_or(Malformed)?;
        Ok((!patterns.is_empty()).then_some(Self(patterns)))
    }
}

/// Values by pattern: `PATTERN:VALUE`, separated by commas.
#[derive(Debug, PartialEq)]
pub(super) struct PerTopic<T>(pub(super) Vec<(Pattern, T)>);

/// A value of which each topic may have its own.
pub(super) trait TopicValue: Sized {
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;
}

impl<T: TopicValue> OptType for PerTopic<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let rule = |item: &str| {
            // Topics may have colons, values have none.
            let (pattern, value) = item.rsplit_once(':')?;
            Some((Pattern::parse(pattern.trim_end())?, T::parse(value.trim_start())?))
        };
        let rules: Option<Vec<_>> = items(text).map(rule).collect();
        let rules = rules.ok_or(Malformed)?;
        Ok((!rules.is_empty()).then_some(Self(rules)))
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl TopicValue for Overflow {
    const EXPECTED: &'static str =
        "PATTERN:POLICY separated by commas, with drop-new, drop-old or block, such as notifications.*:drop-old";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "drop-new" => Some(Self::Refuse),
            "drop-old" => Some(Self::Displace),
            "block" => Some(Self::Exceed),
            _ => None,
        }
    }
}

impl TopicValue for Duration {
    const EXPECTED: &'static str = "PATTERN:SECONDS separated by commas, up to 3600, such as notifications.*:60";

    fn parse(text: &str) -> Option<Self> {
        Wait::from_text(text).ok()?.map(|wait| wait.0)
    }
}

impl TopicValue for usize {
    const EXPECTED: &'static str = "PATTERN:OCTETS separated by commas, such as notifications.*:16 MiB";

    fn parse(text: &str) -> Option<Self> {
        Octets::from_text(text).ok()?.map(|octets| octets.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["a", "a:", ":block", "a:blocks", "a b:block", "a:block,b"] {
            assert_eq!(PerTopic::<Overflow>::from_text(text), Err(Malformed), "{text}");
        }
        assert_eq!(PerTopic::<Overflow>::from_text(" , "), Ok(None));
        assert_eq!(Patterns::from_text("a b"), Err(Malformed));
    }
}
