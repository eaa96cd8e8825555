//! The commands that ask a running receiver, and how they show what it says: tables for people, one JSON object for
//! programs. Nothing is computed here that the receiver does not tell, so both show the same.

mod table;
mod shown;

use std::path::PathBuf;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::shown::{ConnectionsShown, DropsShown, StatusShown, TopicsShown};
use crate::admin::{AskError, ask};
use crate::cli::{Ask, Cli, Command, Sort};
use crate::view::{Connections, Dropped, Overview, Readiness, TopicView, Topics};

pub use self::shown::Who;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// Whether the answer is yes, where that is the question.
    pub yes: bool,
}

/// A command has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The receiver gave none.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It is of another version, perhaps.
    #[error("what the receiver says is not understood: {0}; use the program of the version that runs")]
    Strange(#[from] serde_json::Error),
    /// It has no such topic.
    #[error("this receiver has no topic {topic:?} ({topics} topics{}): it makes one on its first message", nearest.as_ref().map(|name| format!("; nearest: {name}")).unwrap_or_default())]
    NoTopic {
        /// What was asked for.
        topic: String,
        /// How many there are.
        topics: usize,
        /// The one that looks most like it.
        nearest: Option<String>,
    },
}

/// Carries out a command that asks the receiver at the first of `places` that answers.
///
/// Cancel-safe.
///
/// # Errors
/// [`ObserveError`].
pub async fn observe(cli: &Cli, places: &[PathBuf]) -> Result<Answer, ObserveError> {
    let Ask { subject, ready, sort, .. } = &cli.ask;
    let text = match cli.command {
        Command::Health => return health(places, *ready, cli.json).await,
        Command::Topics => {
            let mut topics: Topics = get(places, "/topicz").await?;
            if let Some(pattern) = subject {
                topics.topics.retain(|topic| matches(pattern, &topic.topic));
            }
            arrange(&mut topics.topics, sort.unwrap_or_default());
            told(cli.json, &topics, |topics| TopicsShown(topics).to_string())
        }
        Command::Connections => {
            let connections: Connections = get(places, "/connz").await?;
            told(cli.json, &connections, |all| ConnectionsShown(all).to_string())
        }
        Command::Drops => {
            let dropped: Dropped = get(places, "/dropz").await?;
            told(cli.json, &dropped, |dropped| DropsShown(dropped).to_string())
        }
        Command::Who => {
            let topics: Topics = get(places, "/topicz").await?;
            let connections: Connections = get(places, "/connz").await?;
            let who = who(subject.as_deref().unwrap_or_default(), topics.topics, connections)?;
            told(cli.json, &who, ToString::to_string)
        }
        _ => {
            let overview: Overview = get(places, "/varz").await?;
            told(cli.json, &overview, |overview| StatusShown(overview).to_string())
        }
    }?;
    Ok(Answer { text, yes: true })
}

async fn health(places: &[PathBuf], ready: bool, json: bool) -> Result<Answer, ObserveError> {
    let path = if ready { "/readyz" } else { "/livez" };
    let readiness = match ask(places, Method::GET, path, "").await {
        Ok(_) => Readiness { ready: true, reasons: Vec::new() },
        // Not ready, and why; the body is no refusal then.
        Err(AskError::Refused { status: 503, error }) if ready => serde_json::from_str(&error)?,
        Err(error) => return Err(error.into()),
    };
    let said = if ready { "ready" } else { "alive" };
    let text = told(json, &readiness, |readiness| {
        if readiness.ready { format!("{said}\n") } else { format!("not ready: {}\n", readiness.reasons.join("; ")) }
    })?;
    Ok(Answer { text, yes: readiness.ready })
}

async fn get<T: DeserializeOwned>(places: &[PathBuf], path: &str) -> Result<T, ObserveError> {
    Ok(serde_json::from_slice(&ask(places, Method::GET, path, "").await?)?)
}

fn told<T: Serialize>(json: bool, value: &T, shown: impl Fn(&T) -> String) -> Result<String, serde_json::Error> {
    if json { serde_json::to_string(value).map(|text| text + "\n") } else { Ok(shown(value)) }
}

fn who(name: &str, topics: Vec<TopicView>, connections: Connections) -> Result<Who, ObserveError> {
    let count = topics.len();
    let likeness = |topic: &TopicView| strsim::jaro_winkler(&topic.topic, name);
    let nearest = topics.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).map(|topic| topic.topic.clone());
    let Some(topic) = topics.into_iter().find(|topic| topic.topic == name) else {
        return Err(ObserveError::NoTopic { topic: name.to_owned(), topics: count, nearest });
    };
    let consumers = connections.consumers.into_iter().filter(|consumer| consumer.topic == name).collect();
    Ok(Who { topic, consumers })
}

fn arrange(topics: &mut [TopicView], sort: Sort) {
    let largest_first = |value: fn(&TopicView) -> f64| {
        move |a: &TopicView, b: &TopicView| value(b).total_cmp(&value(a)).then_with(|| a.topic.cmp(&b.topic))
    };
    match sort {
        Sort::Name => topics.sort_by(|a, b| a.topic.cmp(&b.topic)),
        Sort::Depth => topics.sort_by(largest_first(|topic| topic.queued as f64)),
        Sort::Octets => topics.sort_by(largest_first(|topic| topic.queued_octets as f64)),
        Sort::Age => topics.sort_by(largest_first(|topic| topic.oldest_seconds.unwrap_or(-1.0))),
        Sort::Accepted => topics.sort_by(largest_first(|topic| topic.accepted as f64)),
        Sort::Dropped => topics.sort_by(largest_first(|topic| topic.dropped.values().sum::<u64>() as f64)),
    }
}

/// Whether a name is one of a pattern, in which `*` stands for any text and `?` for any character.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            // The last star takes one more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in [("*", ""), ("a*c", "abc"), ("a?c", "abc"), ("*.host1", "compute.host1"), ("a", "a")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("a", ""), ("a?", "a"), ("a*b", "abc"), ("*.host1", "compute.host2")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        // No pattern takes long.
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }

    #[test]
    fn topics_are_arranged_by_what_counts() {
        let topic = |name: &str, queued, oldest_seconds| TopicView {
            topic: name.to_owned(),
            queued,
            oldest_seconds,
            ..TopicView::default()
        };
        let mut topics = [topic("b", 1, None), topic("a", 1, Some(2.0)), topic("c", 9, Some(1.0))];
        let mut names = |sort| {
            arrange(&mut topics, sort);
            topics.iter().map(|topic| topic.topic.as_str()).collect::<String>()
        };
        assert_eq!([names(Sort::Name), names(Sort::Depth), names(Sort::Age)], ["abc", "cab", "acb"]);
    }

    #[test]
    fn a_topic_that_is_not_there_is_told_with_its_nearest() {
        let topics = vec![TopicView { topic: "compute.host1".to_owned(), ..TopicView::default() }];
        let told = who("compute.hots1", topics, Connections::default()).unwrap_err().to_string();
        assert!(told.contains("no topic \"compute.hots1\" (1 topics; nearest: compute.host1)"), "{told}");
    }
}
