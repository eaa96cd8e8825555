//! Why a lookup has no answer, told so that the reader knows the next step.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::backend::{Backend, BackendError, Status};
use crate::name::{NameError, Topic};

/// A lookup that failed. What to do about it is the caller's to choose: the originals fail a call
/// and drop a cast (oslo-zmq, section 9).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody serves the topic.
    #[error("no host for topic {topic:?} in {backend} ({absence}){}", stale_note(stale))]
    NoHost {
        /// The topic looked up: of a fanout, what it fans out.
        topic: Topic,
        /// Where it was looked up.
        backend: String,
        /// What is there instead.
        absence: Absence,
        /// Why the answer is not the newest, if it is not.
        #[source]
        stale: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// The key, or what the exchange made of it, is no name.
    #[error("topic {key:?} cannot be routed")]
    Key {
        /// The key looked up.
        key: Topic,
        /// What is wrong with it.
        source: NameError,
    },
    /// The registry does not answer.
    #[error("{backend} does not answer: check that it runs and can be reached")]
    Backend {
        /// Which registry.
        backend: String,
        /// What it says.
        source: BackendError,
    },
}

/// What a registry has in place of a topic's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// Other topics.
    UnknownTopic {
        /// How many.
        topics: usize,
        /// The one that may have been meant.
        nearest: Option<Topic>,
    },
    /// The topic, with an empty list.
    NoHosts,
}

impl Absence {
    /// What `known` topics say about a lookup of `topic` that found no host.
    pub(crate) fn of(topic: &Topic, known: &[Topic]) -> Self {
        if known.contains(topic) {
            return Self::NoHosts;
        }
        Self::UnknownTopic { topics: known.len(), nearest: nearest(topic, known).cloned() }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHosts => f.write_str("listed there without hosts"),
            Self::UnknownTopic { topics, nearest } => {
                let plural = if *topics == 1 { "" } else { "s" };
                write!(f, "{topics} topic{plural}")?;
                match nearest {
                    Some(nearest) => write!(f, "; nearest: {nearest:?}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl LookupError {
    pub(crate) fn backend(backend: &dyn Backend, source: BackendError) -> Self {
        Self::Backend { backend: backend.to_string(), source }
    }

    /// Asks the backend what it has instead.
    pub(crate) async fn no_host(backend: &dyn Backend, topic: Topic) -> Self {
        let known = match backend.topics().await {
            Ok(known) => known,
            Err(source) => return Self::backend(backend, source),
        };
        Self::NoHost {
            absence: Absence::of(&topic, &known),
            topic,
            backend: backend.to_string(),
            stale: match backend.status() {
                Status::Current => None,
                Status::Stale { cause, .. } => Some(cause),
            },
        }
    }
}

fn stale_note(stale: &Option<Arc<dyn Error + Send + Sync>>) -> &'static str {
    match stale {
        Some(_) => "; this is its last good state",
        None => "",
    }
}

/// The topic that contains the wanted one, or is contained in it, and differs least; else the one
/// with the fewest slips of the pen, if they are few.
fn nearest<'t>(topic: &Topic, known: &'t [Topic]) -> Option<&'t Topic> {
    let wanted = topic.as_str();
    let known = known.iter().take(MOST_COMPARED);
    let within = |known: &&Topic| {
        let known = known.as_str();
        known.contains(wanted) || wanted.contains(known)
    };
    let lengths_apart = |known: &&Topic| known.as_str().len().abs_diff(wanted.len());
    let containing = known.clone().filter(within).min_by_key(lengths_apart);
    containing.or_else(|| {
        let slips = |known: &'t Topic| {
            let slips = strsim::damerau_levenshtein(wanted, known.as_str());
            (slips, known)
        };
        let few = wanted.chars().count() / SLIPS_PER_LETTERS;
        let close = known.map(slips).filter(|(slips, _)| *slips <= few);
        close.min_by_key(|(slips, _)| *slips).map(|(_, known)| known)
    })
}

/// Topics looked through for the nearest; a comparison is quadratic in their lengths, and a ring has
/// dozens of topics. Unmeasured.
const MOST_COMPARED: usize = 1000;

/// Letters per slip; at one slip in three letters the guesses still look like typing errors.
const SLIPS_PER_LETTERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest_of(wanted: &str, known: &[&str]) -> Option<String> {
        let topic = |text: &&str| text.parse::<Topic>().unwrap();
        let known: Vec<_> = known.iter().map(topic).collect();
        nearest(&wanted.parse().unwrap(), &known).map(ToString::to_string)
    }

    #[test]
    fn the_nearest_topic_is_one_that_could_be_meant() {
        let known = ["cinder-scheduler", "cinder-volume", "compute", "conductor"];
        for (wanted, expected) in [
            ("scheduler", Some("cinder-scheduler")),
            ("cinder", Some("cinder-volume")),
            ("conducter", Some("conductor")),
            ("ocmpute", Some("compute")),
            ("compute-old", Some("compute")),
            ("network", None),
        ] {
            assert_eq!(nearest_of(wanted, &known).as_deref(), expected, "{wanted}");
        }
        assert_eq!(nearest_of("compute", &[]), None);
    }
}
