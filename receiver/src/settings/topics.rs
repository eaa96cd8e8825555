//! What holds for some topics only.

use std::time::Duration;

use oslo_config::ValueError;
use zmtp::Overflow;

use super::options;
use super::patterns::Pattern;
use super::reader::Reader;

/// What holds for some topics only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// Topics that are served; none: all.
    pub allowed: Vec<Pattern>,
    /// What becomes of messages that find the queue full. The first pattern that matches counts, here and below.
    pub overflow: Vec<(Pattern, Overflow)>,
    /// How long a message waits for a consumer.
    pub time_to_live: Vec<(Pattern, Duration)>,
    /// Octets queued for the topic.
    pub max_octets: Vec<(Pattern, usize)>,
}

/// What holds for one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicPolicy {
    /// What becomes of messages that find the queue full.
    pub overflow: Overflow,
    /// How long a message waits for a consumer; `None`: for ever.
    pub time_to_live: Option<Duration>,
    /// Octets queued, if not as for all topics.
    pub max_octets: Option<usize>,
}

impl TopicSettings {
    /// Reads the options.
    ///
    /// # Errors
    /// A default that cannot be meant.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ValueError> {
        Ok(Self {
            allowed: reader.get(&options::ALLOW_TOPICS)?.value.map(|patterns| patterns.0).unwrap_or_default(),
            overflow: reader.get(&options::TOPIC_POLICY)?.value.map(|per| per.0).unwrap_or_default(),
            time_to_live: reader.get(&options::TOPIC_TTL)?.value.map(|per| per.0).unwrap_or_default(),
            max_octets: reader.get(&options::TOPIC_OCTETS)?.value.map(|per| per.0).unwrap_or_default(),
        })
    }

    /// Whether messages to a topic are taken at all.
    #[must_use]
    pub fn allows(&self, topic: &str) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|pattern| pattern.matches(topic))
    }

    /// What holds for a topic, by its [key](oslo_rpc::Topic::key).
    #[must_use]
    pub fn policy(&self, topic: &str) -> TopicPolicy {
        TopicPolicy {
            overflow: first(&self.overflow, topic).unwrap_or_default(),
            time_to_live: first(&self.time_to_live, topic).filter(|time| !time.is_zero()),
            max_octets: first(&self.max_octets, topic),
        }
    }
}

fn first<T: Copy>(rules: &[(Pattern, T)], topic: &str) -> Option<T> {
    rules.iter().find(|(pattern, _)| pattern.matches(topic)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use oslo_config::OptType;

    use super::*;
    use crate::settings::patterns::{Patterns, PerTopic};

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let Ok(Some(PerTopic(overflow))) = PerTopic::from_text("a.*:drop-old, b:c:block,*:drop-new") else { panic!() };
        let settings = TopicSettings { overflow, ..TopicSettings::default() };
        let of = |topic| settings.policy(topic).overflow;
        assert_eq!([of("a.x"), of("b:c"), of("a")], [Overflow::Displace, Overflow::Exceed, Overflow::Refuse]);
        assert_eq!(settings.policy("a.x").time_to_live, None);
    }

    #[test]
    fn times_and_octets_are_read_as_elsewhere() {
        let Ok(Some(PerTopic(time_to_live))) = PerTopic::from_text("a : 1.5, z:0") else { panic!() };
        let Ok(Some(PerTopic(max_octets))) = PerTopic::from_text("a*:2 KiB") else { panic!() };
        let settings = TopicSettings { time_to_live, max_octets, ..TopicSettings::default() };
        let policy = settings.policy("a");
        assert_eq!((policy.time_to_live, policy.max_octets), (Some(Duration::from_millis(1500)), Some(2048)));
        assert_eq!(settings.policy("z").time_to_live, None);
    }

    #[test]
    fn without_a_list_all_topics_are_allowed() {
        let mut settings = TopicSettings::default();
        assert!(settings.allows("anything"));
        let Ok(Some(Patterns(allowed))) = Patterns::from_text("compute*, fanout~comput?") else { panic!() };
        settings.allowed = allowed;
        assert!(settings.allows("compute.host1") && settings.allows("fanout~compute"));
        assert!(!settings.allows("volume.compute") && !settings.allows("fanout~compute.x"));
    }
}
