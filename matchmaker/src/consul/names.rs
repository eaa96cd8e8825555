//! Which service of Consul is which topic.
//!
//! Written `SERVICE=TOPIC,SERVICE,…`: a name alone is a topic of that name. Nothing written: every
//! service is a topic, because the rule of a fresh site should need no words.

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error;

use crate::name::{NameError, Topic};

/// Services, and the topics they are. The default takes every service for a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Empty: all.
    topics: BTreeMap<String, Topic>,
}

impl Names {
    /// The topic that a service is, if it is one.
    pub(crate) fn topic(&self, service: &str) -> Option<Topic> {
        if self.topics.is_empty() {
            // Consul's servers register themselves.
            return (service != "consul").then(|| service.parse().ok())?;
        }
        self.topics.get(service).cloned()
    }

    /// The service that a topic is, if it is one. A directed topic of a mapped one goes with it.
    pub(crate) fn service(&self, topic: &Topic) -> Option<String> {
        let text = topic.as_str();
        if self.topics.is_empty() {
            return Some(text.to_owned());
        }
        let head = text.split('.').next().unwrap_or_default();
        let mapped = |wanted: &str| self.topics.iter().find(|(_, topic)| topic.as_str() == wanted);
        // The whole topic, if there is one, before its head.
        let (service, known) = mapped(text).or_else(|| mapped(head))?;
        Some(format!("{service}{}", &text[known.as_str().len()..]))
    }
}

impl FromStr for Names {
    type Err = NamesError;

    fn from_str(text: &str) -> Result<Self, NamesError> {
        let mut topics = BTreeMap::new();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let (service, topic) = entry.split_once('=').unwrap_or((entry, entry));
            let topic = topic.parse().map_err(|source| NamesError { entry: entry.to_owned(), source })?;
            topics.insert(service.to_owned(), topic);
        }
        Ok(Self { topics })
    }
}

/// A map entry that names no topic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("map entry {entry:?} is no SERVICE=TOPIC")]
pub struct NamesError {
    /// The entry.
    pub entry: String,
    /// Why not.
    pub source: NameError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_map_every_service_but_consul_is_a_topic() {
        let names = Names::default();
        assert_eq!(names.topic("compute").unwrap().as_str(), "compute");
        assert_eq!(names.topic("consul"), None);
        assert_eq!(names.topic("a/b"), None);
        assert_eq!(names.service(&"compute".parse().unwrap()).as_deref(), Some("compute"));
    }

    #[test]
    fn with_a_map_only_its_services_are() {
        let names: Names = "nova-scheduler=scheduler,cinder-volume,".parse().unwrap();
        assert_eq!(names.topic("nova-scheduler").unwrap().as_str(), "scheduler");
        assert_eq!(names.topic("cinder-volume").unwrap().as_str(), "cinder-volume");
        assert_eq!(names.topic("scheduler"), None);
        for (topic, service) in [
            ("scheduler", Some("nova-scheduler")),
            ("scheduler.host1", Some("nova-scheduler.host1")),
            ("cinder-volume", Some("cinder-volume")),
            ("schedulers", None),
            ("nova-scheduler", None),
        ] {
            assert_eq!(names.service(&topic.parse().unwrap()).as_deref(), service, "{topic}");
        }
        assert!("a=".parse::<Names>().is_err());
    }
}
