//! Exchanges: from a key and the members of a topic to destinations (oslo-zmq, section 7).
//!
//! | key | exchange | over a registry | on localhost |
//! |---|---|---|---|
//! | `fanout~t` | fanout | (`fanout~t.h`, h) for each host h | (`fanout~t.node`, `localhost`) |
//! | `t.h` | direct | (key, the host registered for it, else h) | the same |
//! | `t` | round robin | (`t.h`, h), the hosts in turn | (`t.node`, `localhost`) |
//!
//! What always holds: an exchange does no I/O and never waits; each of its answers is exactly one
//! destination, except a fanout's, which has one per host and no host twice; an address is never a
//! `host@backend` name (oslo-bugs B1).
//!
//! Not done here: finding the members (the backends), and telling why there are none (the lookup).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::name::{Host, NameError, Topic};

/// Where one copy of a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Frame 1 of that copy.
    pub topic: Topic,
    /// The host to connect to.
    pub host: Host,
}

/// One host that serves a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// The name its services listen under (their `rpc_zmq_host`), which ends frame 1.
    pub name: Host,
    /// The host to connect to.
    pub address: Host,
}

impl From<Host> for Member {
    /// A host that is reached under its own name, less a `@backend`.
    fn from(name: Host) -> Self {
        let address = name.machine();
        Self { name, address }
    }
}

/// Which keys an exchange answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Keys that begin with `fanout~`.
    Fanout,
    /// Keys with a dot that are no fanout.
    Directed,
    /// All keys.
    Any,
}

impl Binding {
    /// Whether `key` is of this form.
    pub fn matches(self, key: &Topic) -> bool {
        match self {
            Self::Fanout => key.is_fanout(),
            Self::Directed => key.is_directed(),
            Self::Any => true,
        }
    }
}

/// How the keys of one binding are answered.
#[derive(Debug)]
#[non_exhaustive]
pub enum Exchange {
    /// The host registered for the whole key, and without one the host that the key names.
    ///
    /// The registry comes first because a server's name need not be a host (oslo-bugs B37).
    Direct,
    /// One member, the next.
    RoundRobin(RoundRobin),
    /// Every member.
    Fanout,
    /// This machine, whose services listen under the given name (oslo-bugs B30).
    Localhost(Host),
    /// Nobody, whatever the key.
    Nobody,
}

impl Exchange {
    /// The topic whose members [`Exchange::route`] wants to see; `None` if the key says all.
    pub(crate) fn asks_for(&self, key: &Topic) -> Result<Option<Topic>, NameError> {
        match self {
            Self::Direct | Self::RoundRobin(_) => Ok(Some(key.clone())),
            Self::Fanout => key.fanned().map(Some),
            Self::Localhost(_) | Self::Nobody => Ok(None),
        }
    }

    /// The destinations of one message, given the members of the topic asked for.
    pub(crate) fn route(&self, key: &Topic, members: &[Member]) -> Result<Vec<Destination>, NameError> {
        match self {
            Self::Direct => direct(key, members).map(|one| vec![one]),
            Self::RoundRobin(rotation) => match rotation.turn(key, members.len()) {
                Some(turn) => destination(key, &members[turn]).map(|one| vec![one]),
                None => Ok(Vec::new()),
            },
            Self::Fanout => fanout(key, members),
            Self::Localhost(node) => Ok(vec![Destination { topic: key.head()?.at(node)?, host: Host::localhost() }]),
            Self::Nobody => Ok(Vec::new()),
        }
    }
}

/// Whose turn it is, topic by topic.
///
/// A cursor belongs to a topic, not to its list of hosts: a reload of the ring moves none of them.
#[derive(Debug, Default)]
pub struct RoundRobin {
    start: Start,
    /// Where each topic of two hosts or more goes on.
    cursors: Mutex<HashMap<Topic, usize>>,
}

impl RoundRobin {
    /// No topic has had a turn.
    pub fn new(start: Start) -> Self {
        Self { start, cursors: Mutex::default() }
    }

    /// The index of the next of `count` members, `None` of none.
    pub fn turn(&self, topic: &Topic, count: usize) -> Option<usize> {
        if count <= 1 {
            return count.checked_sub(1);
        }
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if cursors.len() >= MAX_CURSORS && !cursors.contains_key(topic) {
            cursors.clear();
        }
        let cursor = cursors.entry(topic.clone()).or_insert_with(|| self.start.of(topic));
        let turn = *cursor % count;
        *cursor = turn + 1;
        Some(turn)
    }
}

/// Which host of a topic has the first turn in a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// The first of the list, as in the originals.
    #[default]
    First,
    /// Any: so that short-lived processes do not all go to the first one (oslo-bugs B34).
    Random,
}

impl Start {
    fn of(self, topic: &Topic) -> usize {
        match self {
            Self::First => 0,
            // Where usize is narrower the high bits go, and the low ones are as random.
            Self::Random => RandomState::new().hash_one(topic) as usize,
        }
    }
}

fn direct(key: &Topic, members: &[Member]) -> Result<Destination, NameError> {
    let host = match members.first() {
        Some(member) => member.address.clone(),
        None => key.server().unwrap_or_default().parse::<Host>()?.machine(),
    };
    Ok(Destination { topic: key.clone(), host })
}

fn fanout(key: &Topic, members: &[Member]) -> Result<Vec<Destination>, NameError> {
    let mut seen = HashSet::new();
    members.iter().filter(|member| seen.insert(&member.name)).map(|member| destination(key, member)).collect()
}

fn destination(key: &Topic, member: &Member) -> Result<Destination, NameError> {
    Ok(Destination { topic: key.at(&member.name)?, host: member.address.clone() })
}

/// Most cursors kept, some 40 octets each; at one more all rotations start anew. The mark only keeps a
/// process that makes up topics from growing: it is above the ten thousand topics of the largest
/// deployment in mind.
const MAX_CURSORS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    fn members(names: &[&str]) -> Vec<Member> {
        let host = |name: &&str| Member::from(name.parse::<Host>().unwrap());
        names.iter().map(host).collect()
    }

    fn routed(exchange: &Exchange, key: &str, names: &[&str]) -> Vec<(String, String)> {
        let destinations = exchange.route(&topic(key), &members(names)).unwrap();
        let pair = |to: &Destination| (to.topic.to_string(), to.host.to_string());
        destinations.iter().map(pair).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(t, h)| (t.to_string(), h.to_string())).collect()
    }

    #[test]
    fn a_rotation_takes_turns_and_wraps() {
        let rotation = RoundRobin::default();
        let turns: Vec<_> = (0..5).map(|_| rotation.turn(&topic("t"), 3)).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(2), Some(0), Some(1)]);
        assert_eq!(rotation.turn(&topic("other"), 3), Some(0));
        assert_eq!(rotation.turn(&topic("nobody"), 0), None);
    }

    #[test]
    fn a_rotation_survives_a_list_that_grows_or_shrinks() {
        let rotation = RoundRobin::default();
        assert_eq!(rotation.turn(&topic("t"), 2), Some(0));
        assert_eq!(rotation.turn(&topic("t"), 2), Some(1));
        assert_eq!(rotation.turn(&topic("t"), 3), Some(2));
        assert_eq!(rotation.turn(&topic("t"), 2), Some(1));
    }

    #[test]
    fn cursors_are_bounded() {
        let rotation = RoundRobin::default();
        for number in 0..=MAX_CURSORS {
            rotation.turn(&topic(&format!("t{number}")), 2);
        }
        assert_eq!(rotation.cursors.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_random_start_is_not_always_the_first() {
        let first = |_| RoundRobin::new(Start::Random).turn(&topic("t"), 8);
        let starts: HashSet<_> = (0..64).map(first).collect();
        assert!(starts.len() > 1, "{starts:?}");
    }

    #[test]
    fn a_fanout_reaches_each_host_once() {
        assert_eq!(
            routed(&Exchange::Fanout, "fanout~t", &["a", "b", "a"]),
            pairs(&[("fanout~t.a", "a"), ("fanout~t.b", "b")])
        );
    }

    #[test]
    fn a_registered_server_need_not_be_a_host() {
        assert_eq!(routed(&Exchange::Direct, "engine.0f3c-uuid", &["host1"]), pairs(&[("engine.0f3c-uuid", "host1")]));
        assert_eq!(routed(&Exchange::Direct, "engine.host2", &[]), pairs(&[("engine.host2", "host2")]));
    }

    #[test]
    fn a_backend_name_never_reaches_the_resolver() {
        assert_eq!(
            routed(&Exchange::Direct, "cinder-volume.host1@lvm", &[]),
            pairs(&[("cinder-volume.host1@lvm", "host1")])
        );
        assert_eq!(
            routed(&Exchange::Fanout, "fanout~cinder-volume", &["host1@lvm"]),
            pairs(&[("fanout~cinder-volume.host1@lvm", "host1")])
        );
    }

    #[test]
    fn a_key_without_a_server_has_no_host() {
        assert_eq!(
            Exchange::Direct.route(&topic("a."), &[]).unwrap_err(),
            NameError::Empty { named: crate::name::Named::Host }
        );
    }
}
