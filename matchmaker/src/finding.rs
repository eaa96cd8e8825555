//! What can be said about a ring file, by its reader and by `matchmaker lint`.

use std::fmt;

use crate::document::{Fault, Leniency};
use crate::name::{Host, NameError, Topic};

/// One remark about one line of a ring file. Printed as `line: level: text: hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Counted from 1.
    pub line: u32,
    /// What was found.
    pub rule: Rule,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, rule } = self;
        write!(f, "{line}: {}: {rule}: {}", rule.level(), rule.hint())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The ring works, though perhaps not as meant.
    Warn,
    /// The ring is refused.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// What a finding is about. `Display` says what was found, [`Rule::hint`] what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// No ring at all.
    Syntax(Fault),
    /// A topic or host that cannot be one.
    Name(NameError),
    /// Not strict JSON.
    Lenient {
        /// In which way.
        leniency: Leniency,
        /// How often in the whole file.
        times: u32,
    },
    /// A host outside a list.
    BareString {
        /// Whose host it is.
        topic: Topic,
    },
    /// A ring without topics.
    NoTopics,
    /// A topic without hosts.
    NoHosts {
        /// That topic.
        topic: Topic,
    },
    /// A topic that an earlier line has too.
    RepeatedTopic {
        /// That topic.
        topic: Topic,
        /// The earlier line.
        earlier: u32,
    },
    /// A host twice in one list.
    RepeatedHost {
        /// The topic of the list.
        topic: Topic,
        /// That host.
        host: Host,
    },
    /// A topic that looks like a directed one.
    DottedTopic {
        /// That topic.
        topic: Topic,
    },
    /// A host `machine@backend` (oslo-bugs B1).
    BackendHost {
        /// That host.
        host: Host,
    },
    /// A host `machine:port`.
    HostWithPort {
        /// That host.
        host: Host,
    },
    /// A host of several under `cinder-volume` that has no `cinder-volume:HOST` topic.
    NoVolumeTopic {
        /// The host without.
        host: Host,
        /// Hosts under `cinder-volume`.
        hosts: usize,
    },
    /// A short name and a full name that begins with it.
    TwoNames {
        /// `host1`
        short: Host,
        /// `host1.example.com`
        full: Host,
    },
    /// Both short and full names in one ring.
    MixedNames {
        /// The first short one.
        short: Host,
        /// The first full one.
        full: Host,
    },
}

impl Rule {
    /// How bad it is.
    pub fn level(&self) -> Level {
        match self {
            Self::Syntax(_) | Self::Name(_) => Level::Error,
            _ => Level::Warn,
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "syntax",
            Self::Name(_) => "name",
            Self::Lenient { .. } => "lenient",
            Self::BareString { .. } => "bare-string",
            Self::NoTopics => "no-topics",
            Self::NoHosts { .. } => "no-hosts",
            Self::RepeatedTopic { .. } => "repeated-topic",
            Self::RepeatedHost { .. } => "repeated-host",
            Self::DottedTopic { .. } => "dotted-topic",
            Self::BackendHost { .. } => "backend-host",
            Self::HostWithPort { .. } => "host-with-port",
            Self::NoVolumeTopic { .. } => "no-volume-topic",
            Self::TwoNames { .. } => "two-names",
            Self::MixedNames { .. } => "mixed-names",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Syntax(fault) => fault.hint(),
            Self::Name(_) => "the whole ring is refused because of it",
            Self::Lenient { .. } => "write strict JSON: the original matchmakers refuse this file",
            Self::BareString { .. } => r#"write ["host"]: the originals take each letter for a host"#,
            Self::NoTopics => "every lookup fails: list topics with their hosts",
            Self::NoHosts { .. } => "calls to it fail: list its hosts, or remove it",
            Self::RepeatedTopic { .. } => "only the later list counts: join the two",
            Self::RepeatedHost { .. } => "it gets a double share of the calls: list it once",
            Self::DottedTopic { .. } => {
                "the originals answer such a key by the part after its dot and never look it up"
            }
            Self::BackendHost { .. } => "the part from '@' on is not dialled: list the machine by its rpc_zmq_host",
            Self::HostWithPort { .. } => "every host is dialled at rpc_zmq_port: list it without a port",
            Self::NoVolumeTopic { .. } => "multi-backend calls to it fail: add that topic with this host alone",
            Self::TwoNames { .. } => "if so, list it under its rpc_zmq_host alone",
            Self::MixedNames { .. } => "a host is listed under its rpc_zmq_host, by custom the short name",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(fault) => fault.fmt(f),
            Self::Name(error) => error.fmt(f),
            Self::Lenient { leniency, times: 1 } => write!(f, "{leniency}"),
            Self::Lenient { leniency, times } => {
                write!(f, "{leniency}, here first of {times} times")
            }
            Self::BareString { topic } => write!(f, "topic {topic:?} has a host outside a list"),
            Self::NoTopics => f.write_str("the ring has no topics"),
            Self::NoHosts { topic } => write!(f, "topic {topic:?} has no hosts"),
            Self::RepeatedTopic { topic, earlier } => {
                write!(f, "topic {topic:?} stands on line {earlier} too")
            }
            Self::RepeatedHost { topic, host } => {
                write!(f, "topic {topic:?} has host {host:?} twice")
            }
            Self::DottedTopic { topic } => write!(f, "topic {topic:?} has a dot"),
            Self::BackendHost { host } => write!(f, "host {host:?} has a backend's name"),
            Self::HostWithPort { host } => write!(f, "host {host:?} has a port"),
            Self::NoVolumeTopic { host, hosts } => {
                write!(f, "topic \"cinder-volume\" has {hosts} hosts but there is no \"cinder-volume:{host}\"")
            }
            Self::TwoNames { short, full } => {
                write!(f, "hosts {short:?} and {full:?} may be one machine")
            }
            Self::MixedNames { short, full } => {
                write!(f, "short names such as {short:?} and full names such as {full:?} are mixed")
            }
        }
    }
}
