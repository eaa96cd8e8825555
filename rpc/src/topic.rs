//! Frame 1, the topic: what a receiver must understand of a message (oslo-zmq, section 6).
//!
//! ```text
//! compute.host1         Queue    key compute.host1
//! fanout~compute.host1  Fanout   key fanout~compute      cut at the first dot
//! zmq_replies.host1     Reply    key zmq_replies.host1
//! ```
//!
//! Whoever reaches the receiver's port chooses this frame, and the receiver names a file after it.
//! What always holds for a [`Topic`]: it is UTF-8, 1 to [`MAX_TOPIC`] octets, without a path
//! separator or a control character, so it can be part of a file name and cannot steer a terminal.
//! Parsing and every look at a parsed topic are free of allocation.
//!
//! Not done here: naming the socket (`socket`), limits on the number of topics (the receiver's),
//! resolving a bare topic to a host (the matchmaker's), and any meaning of the part after the dot.

use std::fmt;

use thiserror::Error;

use crate::excerpt::Excerpt;

/// A checked topic, borrowed from its frame.
///
/// ```
/// use oslo_rpc::topic::{Kind, Topic};
///
/// let topic = Topic::parse(b"fanout~compute.host1")?;
/// assert_eq!(topic.kind(), Kind::Fanout);
/// assert_eq!(topic.key(), "fanout~compute");
/// assert_eq!(topic.as_str(), "fanout~compute.host1");
/// # Ok::<(), oslo_rpc::topic::TopicError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic<'a> {
    text: &'a str,
    key: &'a str,
    kind: Kind,
}

/// How a receiver hands a topic's messages on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Each message to one of the consumers: a PUSH socket.
    Queue,
    /// Each message to every consumer of the topic: a PUB socket, one for all hosts.
    Fanout,
    /// Replies to the callers on one host: a PUB socket, filtered by message id.
    Reply,
}

impl<'a> Topic<'a> {
    /// Checks the octets of frame 1 and classifies them as the original receivers do.
    ///
    /// # Errors
    ///
    /// [`TopicError`] tells the first fault found; such a message is to be dropped and counted.
    pub fn parse(frame: &'a [u8]) -> Result<Self, TopicError> {
        let text = checked(frame).map_err(|fault| TopicError { topic: Excerpt::of(frame), fault })?;
        let (kind, key) = if text.starts_with(FANOUT_PREFIX) {
            (Kind::Fanout, text.split_once('.').map_or(text, |(uncut, _host)| uncut))
        } else if text.starts_with(REPLY_PREFIX) {
            (Kind::Reply, text)
        } else {
            (Kind::Queue, text)
        };
        Ok(Self { text, key, kind })
    }

    /// The whole topic, as on the wire.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// PUSH or PUB, and which of the two PUBs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The part that identifies the local socket: a fanout topic up to its first dot, any other whole.
    ///
    /// Topics of one key share their socket and their [`Kind`]: a router looks up nothing else.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// Of a queue whose server is one of several on its machine, `cinder-volume.host1@lvm`, the topic of the machine:
    /// `cinder-volume.host1`, where an original service listens whatever its server's name is (oslo-bugs B1).
    ///
    /// ```
    /// use oslo_rpc::Topic;
    ///
    /// let topic = Topic::parse(b"cinder-volume.host1@lvm")?;
    /// assert_eq!(topic.machine().map(|machine| machine.as_str()), Some("cinder-volume.host1"));
    /// assert_eq!(Topic::parse(b"cinder-volume.host1")?.machine(), None);
    /// # Ok::<(), oslo_rpc::topic::TopicError>(())
    /// ```
    pub fn machine(&self) -> Option<Self> {
        if self.kind != Kind::Queue {
            return None;
        }
        let (machine, _backend) = self.text.split_once('@')?;
        // Of `a@b.host1` the mark is part of the topic, of `a.@b` there is no machine.
        let (_, host) = machine.split_once('.')?;
        (!host.is_empty()).then_some(Self { text: machine, key: machine, kind: Kind::Queue })
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

/// Octets that are no topic, and why. The peer is at fault; its octets are shown escaped and cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("topic \"{topic}\" {fault}")]
pub struct TopicError {
    /// The beginning of the frame.
    pub topic: Excerpt,
    /// What is wrong with it.
    pub fault: Fault,
}

impl TopicError {
    /// A stable label for a counter, none of it from the peer.
    pub fn reason(&self) -> &'static str {
        match self.fault {
            Fault::Empty => "topic-empty",
            Fault::TooLong { .. } => "topic-too-long",
            Fault::Directory => "topic-directory",
            Fault::NotUtf8 { .. } => "topic-not-utf8",
            Fault::Separator { .. } => "topic-separator",
            Fault::Nul { .. } => "topic-nul",
            Fault::Control { .. } => "topic-control",
        }
    }
}

/// Each way in which octets fail to be a topic. An `offset` is the count of octets before the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are `len`, in octets, and `offset`")]
pub enum Fault {
    /// No octets at all.
    #[error("is empty: the sender must name a service")]
    Empty,
    /// More than [`MAX_TOPIC`] octets.
    #[error("has {len} octets: shorten it to {MAX_TOPIC}")]
    TooLong { len: usize },
    /// `.` or `..`, which name directories.
    #[error("names a directory: the sender must name a service")]
    Directory,
    /// Not UTF-8.
    #[error("is not UTF-8 at octet {offset}: encode it as UTF-8")]
    NotUtf8 { offset: usize },
    /// `/` or `\`, which could lead out of the socket directory.
    #[error("has a path separator at octet {offset}: remove it")]
    Separator { offset: usize },
    /// NUL, which would end a path early.
    #[error("has a NUL at octet {offset}: remove it")]
    Nul { offset: usize },
    /// Any other control character, which would garble a terminal or a log.
    #[error("has a control character at octet {offset}: remove it")]
    Control { offset: usize },
}

fn checked(frame: &[u8]) -> Result<&str, Fault> {
    match frame {
        [] => return Err(Fault::Empty),
        b"." | b".." => return Err(Fault::Directory),
        _ if frame.len() > MAX_TOPIC => return Err(Fault::TooLong { len: frame.len() }),
        _ => {}
    }
    let text = std::str::from_utf8(frame).map_err(|error| {
        let offset = error.valid_up_to();
        Fault::NotUtf8 { offset }
    })?;
    // Without a branch per octet the compiler compares many at once: a quarter of the time for 43.
    let suspect = frame.iter().fold(false, |found, &octet| found | is_suspect(octet));
    match suspect.then(|| forbidden(text)).flatten() {
        Some(fault) => Err(fault),
        None => Ok(text),
    }
}

/// Whether an octet is, or may begin, a forbidden character. C2 begins the controls beyond ASCII,
/// U+0080 to U+009F, and as many innocent characters.
fn is_suspect(octet: u8) -> bool {
    matches!(octet, 0x00..=0x1f | 0x7f | b'/' | b'\\' | 0xc2)
}

/// The first forbidden character.
fn forbidden(text: &str) -> Option<Fault> {
    text.char_indices().find_map(|(offset, character)| match character {
        '/' | '\\' => Some(Fault::Separator { offset }),
        '\0' => Some(Fault::Nul { offset }),
        _ if character.is_control() => Some(Fault::Control { offset }),
        _ => None,
    })
}

/// Most octets in a topic: the longest file name of the common file systems. The originals set no
/// limit, but could bind no topic that long.
pub const MAX_TOPIC: usize = 255;

/// Topics that begin so are fanouts.
pub const FANOUT_PREFIX: &str = "fanout~";

/// Topics that begin so carry replies; the originals look for no dot behind it, so neither do we.
pub const REPLY_PREFIX: &str = "zmq_replies";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(frame: &[u8]) -> Fault {
        Topic::parse(frame).unwrap_err().fault
    }

    #[test]
    fn classification_is_that_of_the_original_receiver() {
        for (text, kind, key) in [
            ("compute.host1", Kind::Queue, "compute.host1"),
            ("a.host1.example.com", Kind::Queue, "a.host1.example.com"),
            ("volume:c1.c1@lvm", Kind::Queue, "volume:c1.c1@lvm"),
            ("fanout~compute.host1", Kind::Fanout, "fanout~compute"),
            ("fanout~a.host1.example.com", Kind::Fanout, "fanout~a"),
            ("fanout~compute", Kind::Fanout, "fanout~compute"),
            ("fanout~", Kind::Fanout, "fanout~"),
            ("fanout~zmq_replies.host1", Kind::Fanout, "fanout~zmq_replies"),
            ("zmq_replies.host1", Kind::Reply, "zmq_replies.host1"),
            ("zmq_replies", Kind::Reply, "zmq_replies"),
            ("zmq_repliesque", Kind::Reply, "zmq_repliesque"),
            ("fanout.host1", Kind::Queue, "fanout.host1"),
            ("Fanout~compute.host1", Kind::Queue, "Fanout~compute.host1"),
            ("...", Kind::Queue, "..."),
            ("vérité.漢字", Kind::Queue, "vérité.漢字"),
        ] {
            let topic = Topic::parse(text.as_bytes()).unwrap();
            assert_eq!((topic.as_str(), topic.kind(), topic.key()), (text, kind, key));
        }
    }

    #[test]
    fn the_machine_of_a_backend_is_what_stands_before_the_mark() {
        for (text, expected) in [
            ("cinder-volume.host1@lvm", Some("cinder-volume.host1")),
            ("cinder-volume.host1.example.com@lvm@2", Some("cinder-volume.host1.example.com")),
            ("volume:c1.c1@lvm", Some("volume:c1.c1")),
            ("cinder-volume.host1", None),
            ("cinder@volume.host1", None),
            ("cinder-volume.@lvm", None),
            ("@", None),
            ("fanout~cinder-volume.host1@lvm", None),
            ("zmq_replies.host1@lvm", None),
        ] {
            let machine = Topic::parse(text.as_bytes()).unwrap().machine();
            assert_eq!(machine.map(|topic| topic.key()), expected, "{text}");
            assert!(machine.is_none_or(|topic| Topic::parse(topic.as_str().as_bytes()) == Ok(topic)), "{text}");
        }
    }

    #[test]
    fn every_octet_is_judged() {
        let offset = 1;
        for octet in 0..=255u8 {
            let frame = [b'a', octet, b'b'];
            let expected = match octet {
                b'/' | b'\\' => Some(Fault::Separator { offset }),
                0x00 => Some(Fault::Nul { offset }),
                0x01..=0x1f | 0x7f => Some(Fault::Control { offset }),
                0x80.. => Some(Fault::NotUtf8 { offset }),
                _ => None,
            };
            let fault = Topic::parse(&frame).err().map(|error| error.fault);
            assert_eq!(fault, expected, "{octet:#04x}");
        }
    }

    #[test]
    fn controls_beyond_ascii_are_refused_and_their_neighbours_are_not() {
        for control in '\u{80}'..='\u{9f}' {
            let frame = format!("a{control}b");
            assert_eq!(fault(frame.as_bytes()), Fault::Control { offset: 1 });
        }
        for text in ["\u{a0}", "\u{c2}\u{c0}", "\u{480}"] {
            assert!(Topic::parse(text.as_bytes()).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn length_and_dots() {
        assert!(Topic::parse(&[b'x'; MAX_TOPIC]).is_ok());
        assert_eq!(fault(&[b'x'; MAX_TOPIC + 1]), Fault::TooLong { len: 256 });
        assert_eq!(fault(b""), Fault::Empty);
        assert_eq!(fault(b"."), Fault::Directory);
        assert_eq!(fault(b".."), Fault::Directory);
    }

    #[test]
    fn an_error_tells_the_place_and_escapes_the_rest() {
        let error = Topic::parse(b"a\x1b[2J").unwrap_err();
        assert_eq!(error.reason(), "topic-control");
        assert_eq!(error.to_string(), r#"topic "a\x1b…" has a control character at octet 1: remove it"#);
    }

    proptest! {
        #[test]
        fn parse_takes_any_octets(frame in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(topic) = Topic::parse(&frame) {
                prop_assert_eq!(topic.as_str().as_bytes(), &frame);
                prop_assert!(topic.as_str().starts_with(topic.key()));
                prop_assert!(!topic.as_str().contains(char::is_control));
            }
        }

        #[test]
        fn parse_takes_any_text(text in "(fanout~|zmq_replies|)\\PC{0,40}") {
            let bad = text.is_empty() || text.contains(['/', '\\']) || [".", ".."].contains(&&*text);
            prop_assert_eq!(Topic::parse(text.as_bytes()).is_err(), bad);
        }
    }
}
