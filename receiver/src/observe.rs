//! The commands that ask a running receiver, and how they show what it says: tables for people, one JSON object for
//! programs. Nothing is computed here that the receiver does not tell, so both show the same.

mod table;
mod shown;
mod passing;
mod top;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::passing::{Sighting, Whereabouts};
use self::shown::{ConnectionsShown, DropsShown, ReloadShown, StatusShown, TopicsShown};
use self::top::{Look, Rates};
use crate::admin::{AskError, ask, follow};
use crate::cli::{Ask, Cli, Command, Order, Sort};
use crate::pattern::matches;
use crate::view::{Connections, Dropped, Overview, Readiness, Reloaded, TopicView, Topics, Trace};

pub use self::shown::Who;

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
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
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

/// Carries out a command that asks the receiver at the first of `places` that answers. `print` takes the answer, or its
/// parts as they come. Returns whether the answer is yes, where that is the question.
///
/// Cancel-safe.
///
/// # Errors
/// [`ObserveError`].
pub async fn observe(
    cli: &Cli,
    places: &[PathBuf],
    mut print: impl FnMut(&str) -> io::Result<()>,
) -> Result<bool, ObserveError> {
    let Ask { subject, ready, sort, .. } = &cli.ask;
    let (text, yes) = match cli.command {
        Command::Watch => return watch(cli, places, print).await,
        Command::Top => return top(cli, places, print).await,
        Command::Health => {
            let readiness = readiness(places, *ready).await?;
            let shown = |readiness: &Readiness| match readiness.ready {
                true if *ready => "ready\n".to_owned(),
                true => "alive\n".to_owned(),
                false => format!("not ready: {}\n", readiness.reasons.join("; ")),
            };
            (told(cli.json, &readiness, shown)?, readiness.ready)
        }
        Command::Topics => {
            let mut topics: Topics = get(places, "/topicz").await?;
            if let Some(pattern) = subject {
                topics.topics.retain(|topic| matches(pattern, &topic.topic));
            }
            arrange(&mut topics.topics, sort.unwrap_or_default());
            (told(cli.json, &topics, |topics| TopicsShown(topics).to_string())?, true)
        }
        Command::Connections => {
            let connections: Connections = get(places, "/connz").await?;
            (told(cli.json, &connections, |all| ConnectionsShown(all).to_string())?, true)
        }
        Command::Drops => {
            let dropped: Dropped = get(places, "/dropz").await?;
            (told(cli.json, &dropped, |dropped| DropsShown(dropped).to_string())?, true)
        }
        Command::Who => {
            let topics: Topics = get(places, "/topicz").await?;
            let connections: Connections = get(places, "/connz").await?;
            let who = who(subject.as_deref().unwrap_or_default(), topics.topics, connections)?;
            (told(cli.json, &who, ToString::to_string)?, true)
        }
        Command::Where => {
            let id = subject.as_deref().unwrap_or_default();
            let trace: Trace = get(places, &query("/tracez", &[("id", id)])).await?;
            let shown = |trace: &Trace| Whereabouts { id, trace }.to_string();
            (told(cli.json, &trace, shown)?, !trace.records.is_empty())
        }
        Command::Signal => (signal(cli, places).await?, true),
        _ => {
            let overview: Overview = get(places, "/varz").await?;
            (told(cli.json, &overview, |overview| StatusShown(overview).to_string())?, true)
        }
    };
    print(&text)?;
    Ok(yes)
}

async fn readiness(places: &[PathBuf], ready: bool) -> Result<Readiness, ObserveError> {
    let path = if ready { "/readyz" } else { "/livez" };
    match ask(places, Method::GET, path, "").await {
        Ok(_) => Ok(Readiness { ready: true, reasons: Vec::new() }),
        // Not ready, and why; the body is no refusal then.
        Err(AskError::Refused { status: 503, error }) if ready => Ok(serde_json::from_str(&error)?),
        Err(error) => Err(error.into()),
    }
}

/// Gives an order, and tells what came of it.
async fn signal(cli: &Cli, places: &[PathBuf]) -> Result<String, ObserveError> {
    let (path, done) = match cli.ask.subject.as_deref().and_then(Order::of) {
        Some(Order::Reload) | None => {
            let reloaded: Reloaded = serde_json::from_slice(&ask(places, Method::POST, "/reload", "").await?)?;
            return Ok(told(cli.json, &reloaded, |reloaded| ReloadShown(reloaded).to_string())?);
        }
        Some(Order::Reopen) => ("/reopen", "the log was opened anew"),
        Some(Order::LameDuck) => ("/lame-duck", "it takes no more connections, and stops after lame_duck_time"),
        Some(Order::Drain) => ("/drain", "it hands on what is queued, for at most drain_timeout, and stops"),
    };
    let answer: serde_json::Value = serde_json::from_slice(&ask(places, Method::POST, path, "").await?)?;
    Ok(told(cli.json, &answer, |_| format!("{done}\n"))?)
}

async fn watch(
    cli: &Cli,
    places: &[PathBuf],
    mut print: impl FnMut(&str) -> io::Result<()>,
) -> Result<bool, ObserveError> {
    let Ask { subject, body, method, limit, .. } = &cli.ask;
    let pattern = subject.as_deref().unwrap_or("*");
    let mut fields = vec![("topic", pattern), ("body", if *body { "1" } else { "0" })];
    fields.extend(method.as_deref().map(|method| ("method", method)));
    let path = query("/watch", &fields);
    let mut left = limit.unwrap_or(u64::MAX);
    let mut failed: Option<ObserveError> = None;
    let mut show = |line: &[u8]| -> Result<bool, ObserveError> {
        let line: serde_json::Value = serde_json::from_slice(line)?;
        if line["watching"] == true {
            return Ok(left > 0);
        }
        if cli.json {
            print(&format!("{line}\n"))?;
        } else {
            print(&Sighting(&line).to_string())?;
        }
        left -= 1;
        Ok(left > 0)
    };
    follow(places, &path, |line| {
        show(line).unwrap_or_else(|error| {
            failed = Some(error);
            false
        })
    })
    .await?;
    failed.map_or(Ok(true), Err)
}

async fn top(
    cli: &Cli,
    places: &[PathBuf],
    mut print: impl FnMut(&str) -> io::Result<()>,
) -> Result<bool, ObserveError> {
    let Ask { limit, interval, .. } = &cli.ask;
    // Where nobody looks at a screen, looks follow one another.
    let (clear, end) = if io::stdout().is_terminal() { ("\x1b[H\x1b[2J", "") } else { ("", "\n") };
    let mut before = None;
    for look in 0..limit.unwrap_or(u64::MAX) {
        if look > 0 {
            tokio::time::sleep(interval.unwrap_or(INTERVAL)).await;
        }
        let now = Look { overview: get(places, "/varz").await?, topics: get(places, "/topicz").await? };
        let rates = Rates::of(&now, before.as_ref());
        print(&told(cli.json, &rates, |rates| format!("{clear}{rates}{end}"))?)?;
        before = Some(now);
    }
    Ok(true)
}

/// A path with fields behind it.
fn query(path: &str, fields: &[(&str, &str)]) -> String {
    let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("{path}?{fields}")
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

/// From look to look of `top`: long enough to read.
const INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

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
