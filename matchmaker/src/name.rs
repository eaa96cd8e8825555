//! The two names a lookup deals in: the topic a message is for and the host it goes to
//! (oslo-zmq, section 6).
//!
//! What always holds: a name has 1 to [`MAX_NAME`] octets, no control character and no path
//! separator, and is neither `.` nor `..`. So it can be printed, and the receiver can make a file
//! name of it. A host has no blank either, and something before its first `@`.
//!
//! Not done here: whether a host exists, and what the part after a dot means.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A topic: what a caller looks up, a key of the ring, or frame 1 of a message. Cheap to clone.
///
/// | form | example | who answers |
/// |---|---|---|
/// | bare | `compute` | one of its hosts |
/// | directed | `compute.host1` | the named host |
/// | fanout | `fanout~compute` | every host |
///
/// ```
/// use matchmaker::Topic;
///
/// let topic: Topic = "compute.host1.example.com".parse()?;
/// assert!(topic.is_directed());
/// assert_eq!(topic.server(), Some("host1.example.com"));
/// # Ok::<(), matchmaker::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// What the name of a fanout begins with.
    pub const FANOUT: &'static str = "fanout~";

    /// Cinder's volume services. Its multi-backend calls go to `cinder-volume:HOST`, a topic per host.
    pub const VOLUME: &'static str = "cinder-volume";

    /// The text, as on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every host is to get a copy.
    pub fn is_fanout(&self) -> bool {
        self.0.starts_with(Self::FANOUT)
    }

    /// Whether the topic itself names its server. A fanout never does.
    pub fn is_directed(&self) -> bool {
        !self.is_fanout() && self.0.contains('.')
    }

    /// Everything after the first dot.
    pub fn server(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, server)| server)
    }

    /// The topic for every host of this one: `fanout~` before it.
    ///
    /// # Errors
    ///
    /// [`NameError::TooLong`].
    pub fn fanout(&self) -> Result<Self, NameError> {
        format!("{}{self}", Self::FANOUT).parse()
    }

    /// The topic on one host: a dot and the host after it.
    ///
    /// # Errors
    ///
    /// [`NameError::TooLong`].
    pub fn at(&self, host: &Host) -> Result<Self, NameError> {
        format!("{self}.{host}").parse()
    }

    /// What a fanout fans out: everything after `fanout~`; the topic itself if it is no fanout.
    pub(crate) fn fanned(&self) -> Result<Self, NameError> {
        match self.0.strip_prefix(Self::FANOUT) {
            Some(fanned) => fanned.parse(),
            None => Ok(self.clone()),
        }
    }

    /// Everything before the first dot.
    pub(crate) fn head(&self) -> Result<Self, NameError> {
        match self.0.split_once('.') {
            Some((head, _)) => head.parse(),
            None => Ok(self.clone()),
        }
    }
}

impl FromStr for Topic {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(Named::Topic, text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A host: a machine's name or an IP address, as a ring lists it. Cheap to clone.
///
/// ```
/// use matchmaker::Host;
///
/// let host: Host = "::1".parse()?;
/// assert_eq!(host.with_port(9501), "[::1]:9501");
/// # Ok::<(), matchmaker::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The name every machine has for itself.
    pub fn localhost() -> Self {
        Self(LOCALHOST.into())
    }

    /// The text, as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The machine to connect to: `host1` for the multi-backend name `host1@lvm`, which no resolver
    /// knows (oslo-bugs B1, LP 1381972); any other name whole.
    pub fn machine(&self) -> Self {
        match self.0.split_once('@') {
            Some((machine, _)) => Self(machine.into()),
            None => self.clone(),
        }
    }

    /// The host and a port as an address has them: an IPv6 literal in brackets (oslo-bugs B36).
    pub fn with_port(&self, port: u16) -> String {
        // Only an IPv6 literal has two colons; a zone (`fe80::1%eth0`) rules out a stricter parser.
        let literal = self.0.matches(':').count() > 1 && !self.0.starts_with('[');
        if literal { format!("[{self}]:{port}") } else { format!("{self}:{port}") }
    }
}

impl FromStr for Host {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(Named::Host, text)?;
        if text.starts_with('@') {
            return Err(NameError::NoMachine { name: text.into() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Why a text is not a name. Texts are shown escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// No octets at all.
    #[error("the {named} is empty: give it a name")]
    Empty {
        /// What the text should have named.
        named: Named,
    },
    /// More than [`MAX_NAME`] octets.
    #[error("{named} {start:?}… has {octets} octets: shorten it to {MAX_NAME}")]
    TooLong {
        /// What the text should have named.
        named: Named,
        /// Octets in the text.
        octets: usize,
        /// Its beginning.
        start: String,
    },
    /// `.` or `..`, which name directories.
    #[error("{named} {name:?} names a directory: choose a name that is not only dots")]
    Directory {
        /// What the text should have named.
        named: Named,
        /// The one or the other.
        name: String,
    },
    /// A control character, a path separator or, in a host, a blank.
    #[error("{named} {name:?} has the character {character:?}: remove it")]
    Character {
        /// What the text should have named.
        named: Named,
        /// The whole text.
        name: String,
        /// The first that is not allowed.
        character: char,
    },
    /// A host that begins with `@`.
    #[error("host {name:?} has no machine before its '@': write machine@backend, or the machine")]
    NoMachine {
        /// The whole text.
        name: String,
    },
}

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A [`Topic`].
    Topic,
    /// A [`Host`].
    Host,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Host => "host",
        })
    }
}

fn check(named: Named, text: &str) -> Result<(), NameError> {
    let name = || text.to_owned();
    if text.is_empty() {
        return Err(NameError::Empty { named });
    }
    if text.len() > MAX_NAME {
        let start = text.chars().take(SHOWN_CHARACTERS).collect();
        return Err(NameError::TooLong { named, octets: text.len(), start });
    }
    if text == "." || text == ".." {
        return Err(NameError::Directory { named, name: name() });
    }
    let refused = |c: char| match named {
        _ if c.is_control() || c == '/' || c == '\\' => true,
        Named::Host => c.is_whitespace(),
        Named::Topic => false,
    };
    match text.chars().find(|&c| refused(c)) {
        Some(character) => Err(NameError::Character { named, name: name(), character }),
        None => Ok(()),
    }
}

/// Most octets in a topic or a host: the longest file name of the common file systems, because a
/// receiver makes a file name of the topic; no DNS name is longer.
pub const MAX_NAME: usize = 255;

const LOCALHOST: &str = "localhost";

/// How much of a name that is too long an error shows: enough to find it in a file.
const SHOWN_CHARACTERS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    #[test]
    fn the_three_forms_of_a_topic() {
        for (text, fanout, directed, server) in [
            ("compute", false, false, None),
            ("cinder-volume:cinder1", false, false, None),
            ("compute.host1", false, true, Some("host1")),
            ("compute.10.0.0.1", false, true, Some("10.0.0.1")),
            ("fanout~compute", true, false, None),
            ("fanout~compute.host1", true, false, Some("host1")),
            (".b", false, true, Some("b")),
        ] {
            let topic = topic(text);
            assert_eq!(topic.is_fanout(), fanout, "{text}");
            assert_eq!(topic.is_directed(), directed, "{text}");
            assert_eq!(topic.server(), server, "{text}");
        }
    }

    #[test]
    fn topics_are_built_from_topics() {
        let host: Host = "host1".parse().unwrap();
        assert_eq!(topic("compute").fanout().unwrap(), topic("fanout~compute"));
        assert_eq!(topic("compute").at(&host).unwrap(), topic("compute.host1"));
        assert_eq!(topic("fanout~a.b").fanned().unwrap(), topic("a.b"));
        assert_eq!(topic("a.b.c").head().unwrap(), topic("a"));
        assert!(topic("fanout~").fanned().is_err());
        assert!(topic(".b").head().is_err());
    }

    #[test]
    fn a_built_topic_is_as_bounded_as_a_parsed_one() {
        let host: Host = "h".parse().unwrap();
        assert!(topic(&"x".repeat(MAX_NAME - 2)).at(&host).is_ok());
        assert!(matches!(topic(&"x".repeat(MAX_NAME - 1)).at(&host), Err(NameError::TooLong { octets: 256, .. })));
        assert!(topic(&"x".repeat(MAX_NAME)).fanout().is_err());
    }

    #[test]
    fn refused_names_say_what_to_do() {
        for (text, said) in [
            ("", "the topic is empty: give it a name"),
            ("..", r#"topic ".." names a directory: choose a name that is not only dots"#),
            ("a/b", r#"topic "a/b" has the character '/': remove it"#),
            ("a\u{1b}[2J", r#"topic "a\u{1b}[2J" has the character '\u{1b}': remove it"#),
            ("a\0", r#"topic "a\0" has the character '\0': remove it"#),
        ] {
            assert_eq!(text.parse::<Topic>().unwrap_err().to_string(), said);
        }
        let long = "é".repeat(200).parse::<Topic>().unwrap_err().to_string();
        assert!(long.ends_with("… has 400 octets: shorten it to 255"), "{long}");
        assert!(long.len() < 150, "{long}");

        assert!("a b".parse::<Topic>().is_ok());
        for host in ["", "a b", "host1\n", "a\\b", ".", "@lvm"] {
            assert!(host.parse::<Host>().is_err(), "{host:?}");
        }
    }

    #[test]
    fn a_backend_is_no_part_of_the_machine() {
        for (host, machine) in [("host1@lvm", "host1"), ("host1@a@b", "host1"), ("h", "h")] {
            assert_eq!(host.parse::<Host>().unwrap().machine().as_str(), machine);
        }
    }

    #[test]
    fn ipv6_literals_are_bracketed_once() {
        for (host, address) in [
            ("host1", "host1:9501"),
            ("10.0.0.1", "10.0.0.1:9501"),
            ("::1", "[::1]:9501"),
            ("[::1]", "[::1]:9501"),
            ("fe80::1%eth0", "[fe80::1%eth0]:9501"),
        ] {
            assert_eq!(host.parse::<Host>().unwrap().with_port(9501), address);
        }
    }
}
