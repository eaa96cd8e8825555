//! What is told of a message that passes: to the flight recorder, and to whoever watches.

use std::fmt;

use memchr::memmem;
use zmtp::{Message, Run};

/// What became of messages when they were handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// In the queue of the topic; the last of them was the `last` that it took.
    Queued {
        /// Counted from 1, by topic.
        last: u64,
    },
    /// Given to the spool, which writes it down and puts it in the queue of the topic.
    Spooled,
    /// Handed out to those who subscribed, or held for a moment.
    Published,
    /// Dropped, with the reason that is counted.
    Dropped(&'static str),
}

/// What became of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    /// Of those that were taken.
    pub(crate) taken: Outcome,
    /// How many behind these were not, and why.
    pub(crate) refused: Option<(usize, &'static str)>,
}

impl Fate {
    /// The same for all.
    pub(crate) fn of(outcome: Outcome) -> Self {
        Self { taken: outcome, refused: None }
    }

    /// What became of each of `messages` messages, in order.
    pub(crate) fn each(self, messages: usize) -> impl Iterator<Item = Outcome> {
        let (refused, reason) = self.refused.unwrap_or_default();
        let taken = messages.saturating_sub(refused);
        (0..messages).map(move |at| match self.taken {
            _ if at >= taken => Outcome::Dropped(reason),
            Outcome::Queued { last } => Outcome::Queued { last: last.saturating_sub((taken - 1 - at) as u64) },
            outcome => outcome,
        })
    }
}

/// The id of a message, as far as it fits: those in use have 32 octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    octets: [u8; ID],
    len: u8,
}

impl Id {
    /// The id of the first message of a run. Of a reply it is frame 0; a request or a notification has it in its body, of
    /// which the first and the last part are looked through.
    pub(crate) fn of_first(run: &Run) -> Self {
        let mut frames = run.first();
        match frames.next().filter(|id| is_id(id)) {
            Some(id) => Self::new(id),
            None => frames.skip(BODY - 1).find_map(id_in).unwrap_or_else(|| Self::new(b"")),
        }
    }

    fn new(octets: &[u8]) -> Self {
        let kept = &octets[..octets.len().min(ID)];
        let mut id = Self { octets: [0; ID], len: kept.len() as u8 };
        id.octets[..kept.len()].copy_from_slice(kept);
        id
    }

    /// Whether it is meant by a text, which may be its beginning.
    pub(crate) fn begins_with(&self, text: &str) -> bool {
        !text.is_empty() && self.as_bytes().starts_with(&text.as_bytes()[..text.len().min(ID)])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Whether octets can be an id: so that a body which stands where an id should is not kept (oslo-bugs, B8).
fn is_id(octets: &[u8]) -> bool {
    let is_part = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b':' | b'~');
    !matches!(octets, b"" | b"0") && octets.len() <= MAX_ID && octets.iter().all(is_part)
}

/// The value of the first key of an id in a JSON text: `"msg_id": "…"`.
fn id_in(body: &[u8]) -> Option<Id> {
    let end = body.len().saturating_sub(SEARCHED).max(SEARCHED).min(body.len());
    [&body[..body.len().min(SEARCHED)], &body[end..]].into_iter().find_map(|part| {
        KEYS.iter().find_map(|key| {
            let rest = &part[memmem::find(part, key)? + key.len()..];
            let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
            let value = &value[..memchr::memchr(b'"', value)?];
            is_id(value).then(|| Id::new(value))
        })
    })
}

/// A copy of a message that is shown to somebody, without more of its body than can be read.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) frames: Vec<Vec<u8>>,
    /// Of the message, as on the wire.
    pub(crate) octets: usize,
    /// Whether the frames are all of it.
    pub(crate) is_whole: bool,
}

impl Copy {
    pub(crate) fn of(message: &Message) -> Self {
        let octets = message.octets();
        let is_whole = octets <= COPIED;
        let taken = if is_whole { usize::MAX } else { BODY };
        let frames = message.frames().take(taken).map(|frame| frame[..frame.len().min(COPIED)].to_vec()).collect();
        Self { frames, octets, is_whole }
    }
}

/// Octets of an id that are kept: as many as of an excerpt, and more than any id in use has.
const ID: usize = 40;

/// Octets beyond which nothing is an id.
const MAX_ID: usize = 255;

/// The first frame of a body.
const BODY: usize = 3;

/// The key of an id in a request or a reply, and in a notification.
const KEYS: [&[u8]; 2] = [b"\"msg_id\"", b"\"message_id\""];

/// Octets at either end of a body that are looked through for its id: Python puts keys in any order, and what is long is
/// an argument.
const SEARCHED: usize = 8 << 10;

/// Octets of a message that is copied whole. Longer ones are told of without their body.
const COPIED: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(frames: &[&str]) -> String {
        let message = Message::from_frames(frames.iter().map(|frame| frame.as_bytes().to_vec())).unwrap();
        Id::of_first(&message.into()).to_string()
    }

    #[test]
    fn of_a_run_the_first_are_taken_and_the_rest_refused() {
        let fate = Fate { taken: Outcome::Queued { last: 7 }, refused: Some((1, "topic-backlog")) };
        let each: Vec<_> = fate.each(3).collect();
        let queued = |last| Outcome::Queued { last };
        assert_eq!(each, [queued(6), queued(7), Outcome::Dropped("topic-backlog")]);
        assert_eq!(Fate::of(Outcome::Published).each(2).collect::<Vec<_>>(), [Outcome::Published; 2]);
    }

    #[test]
    fn ids_are_found_where_the_driver_puts_them() {
        let call = r#"["{}", {"method": "-reply", "args": {"topic": "zmq_replies.h", "msg_id": "3f2a", "msg": []}}]"#;
        assert_eq!(id(&["0", "compute.h", "cast", call]), "3f2a");
        assert_eq!(id(&["3f2a", "zmq_replies.h", "cast", call]), "3f2a");
        let told = r#"{"priority": "INFO", "message_id" : "77"}"#;
        assert_eq!(id(&["", "n.h", "impl_zmq_v2", "{}", "oslo.message", told]), "77");
        assert_eq!(id(&["0", "compute.h", "cast", r#"["{}", {"method": "m"}]"#]), "");
        assert_eq!(id(&["0", "t", "cast", r#"{"msg_id": 7}"#]), "");
        assert_eq!(id(&["0", "t"]), "");
        let body = r#"["{\"auth_token\": \"s3cret\"}", {}]"#;
        assert_eq!(id(&[body, "t", "cast", body]), "");
        assert_eq!(id(&["0", "t", "cast", r#"{"msg_id": "a b"}"#]), "");
    }

    #[test]
    fn of_a_long_body_both_ends_are_looked_through() {
        let filling = "x".repeat(100_000);
        for body in [format!(r#"{filling}"msg_id": "a""#), format!(r#""msg_id": "a"{filling}"#)] {
            assert_eq!(id(&["0", "t", "cast", &body]), "a");
        }
        assert_eq!(id(&["0", "t", "cast", &format!(r#"{filling}"msg_id": "a"{filling}"#)]), "");
        // Long enough for one end, too short for two.
        let filling = "x".repeat(10_000);
        assert_eq!(id(&["0", "t", "cast", &format!(r#"{filling}"msg_id": "a""#)]), "a");
    }

    #[test]
    fn an_id_is_meant_by_its_beginning() {
        let id = Id::new(b"3f2a");
        assert!(id.begins_with("3f") && id.begins_with("3f2a") && !id.begins_with("3f2a1") && !id.begins_with(""));
        let long = "a".repeat(100);
        assert!(Id::new(long.as_bytes()).begins_with(&long));
    }
}
