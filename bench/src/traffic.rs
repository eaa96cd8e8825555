//! The messages of a run: what they look like, and how each is known again at the far end.
//!
//! Frames are `0`, the topic, `cast` and then one or more frames of body, as an oslo client of the `cast` style sends
//! them (oslo.messaging 1.4.1, `impl_zmq`), but for the body: it begins with the message's number in the run, 8 octets,
//! big-endian, and goes on with a fixed pattern. A receiver must not look into it.
//!
//! Message `n` of a run goes to topic `n mod topics`: with more than one topic no two neighbours share one, the worst
//! case for a forwarder that groups them. All messages of a run are equally long.

use crate::wire::{self, MESSAGE_LIMIT};

/// What every message of a run has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    size: usize,
    parts: usize,
    topics: usize,
}

/// One topic's message, complete but for its number.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// The topic, which is frame 1.
    pub(crate) topic: String,
    wire: Vec<u8>,
    number_at: usize,
}

/// What no run can look like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShapeError {
    /// Too few frames, or more than any driver sends.
    #[error("{0} parts: a message has 4 to {MAX_PARTS} (id, topic, style and at least one of body)")]
    Parts(usize),
    /// Not room enough for the fixed frames and the number, or more than the harness reads.
    #[error("{size} octets: choose --size from {least} to {MAX_SIZE}, the octets of all frames together")]
    Size {
        /// As asked for.
        size: usize,
        /// The least possible.
        least: usize,
    },
    /// None, or more than the names have digits for.
    #[error("{0} topics: choose 1 to {MAX_TOPICS}")]
    Topics(usize),
}

impl Shape {
    /// Messages of `size` octets (all frames together, headers not counted) in `parts` frames, to `topics` topics.
    pub(crate) fn new(size: usize, parts: usize, topics: usize) -> Result<Self, ShapeError> {
        if !(4..=MAX_PARTS).contains(&parts) {
            return Err(ShapeError::Parts(parts));
        }
        if !(1..=MAX_TOPICS).contains(&topics) {
            return Err(ShapeError::Topics(topics));
        }
        // Every frame of body is as long as the first, which holds the number; the last takes what the division leaves.
        let least = fixed_octets() + (parts - 3) * NUMBER;
        if !(least..=MAX_SIZE).contains(&size) {
            return Err(ShapeError::Size { size, least });
        }
        Ok(Self { size, parts, topics })
    }

    /// One for each topic, in the order in which messages go to them.
    pub(crate) fn templates(&self) -> Vec<Template> {
        (0..self.topics).map(|topic| self.template(topic_name(topic))).collect()
    }

    fn template(&self, topic: String) -> Template {
        let body: Vec<u8> = (0..self.size - fixed_octets()).map(|at| b'a' + (at % 26) as u8).collect();
        let frames = self.parts - 3;
        let (head, last) = body.split_at(body.len() / frames * (frames - 1));
        let mut wire = Vec::new();
        wire::put_frame(&mut wire, ID, true);
        wire::put_frame(&mut wire, topic.as_bytes(), true);
        wire::put_frame(&mut wire, STYLE, true);
        let first_body = wire.len();
        for piece in head.chunks(body.len() / frames) {
            wire::put_frame(&mut wire, piece, true);
        }
        wire::put_frame(&mut wire, last, false);
        // The length of a frame's header follows from its flags (RFC 37, Framing).
        let number_at = first_body + if wire[first_body] & 0x02 == 0 { 2 } else { 9 };
        Template { topic, wire, number_at }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topics = if self.topics == 1 { "topic" } else { "topics" };
        write!(f, "{} {topics}, {} octets in {} parts", self.topics, self.size, self.parts)
    }
}

impl Template {
    /// Octets of a message on the wire.
    pub(crate) fn len(&self) -> usize {
        self.wire.len()
    }

    /// Appends message `number`.
    pub(crate) fn put(&self, number: u64, wire: &mut Vec<u8>) {
        let start = wire.len();
        wire.extend(&self.wire);
        self.renumber(number, &mut wire[start..]);
    }

    /// Makes an earlier message of the same run, at the front of `wire`, message `number`.
    pub(crate) fn renumber(&self, number: u64, wire: &mut [u8]) {
        wire[self.number_at..self.number_at + NUMBER].copy_from_slice(&number.to_be_bytes());
    }

    /// The number of a message, if it is to the octet one of this template.
    pub(crate) fn number(&self, wire: &[u8]) -> Option<u64> {
        let end = self.number_at + NUMBER;
        let intact = wire.len() == self.wire.len()
            && wire[..self.number_at] == self.wire[..self.number_at]
            && wire[end..] == self.wire[end..];
        if intact { wire[self.number_at..].first_chunk().map(|octets| u64::from_be_bytes(*octets)) } else { None }
    }
}

/// Two digits always: every topic's messages are equally long.
fn topic_name(index: usize) -> String {
    format!("compute.host{index:02}")
}

/// Octets of the frames that are not body.
fn fixed_octets() -> usize {
    ID.len() + topic_name(0).len() + STYLE.len()
}

/// Frame 0 of whatever is no reply.
const ID: &[u8] = b"0";

/// Frame 2.
const STYLE: &[u8] = b"cast";

/// Octets of a message's number.
const NUMBER: usize = 8;

/// Twice the frames of the longest message oslo's drivers send (8, in style `impl_zmq_v2`).
const MAX_PARTS: usize = 16;

/// As many as two digits tell apart.
const MAX_TOPICS: usize = 100;

/// Half of what the harness reads at once, so that frame headers and a neighbour always fit beside it.
const MAX_SIZE: usize = MESSAGE_LIMIT / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_frames_and_octets_asked_for() {
        for (size, parts) in [(256, 4), (27, 4), (300, 7), (4096, 4), (MAX_SIZE, MAX_PARTS)] {
            let template = &Shape::new(size, parts, 2).unwrap().templates()[1];
            let mut wire = Vec::new();
            template.put(0x0102, &mut wire);
            assert_eq!(wire.len(), template.len());
            let message = wire::message(&wire).unwrap().unwrap();
            assert_eq!(message.wire, wire);
            assert_eq!(message.topic, Some(&b"compute.host01"[..]));
            let (mut rest, mut bodies) = (&wire[..], Vec::new());
            while let [flags, length, ..] = *rest {
                let (header, length) = if flags & 2 == 0 {
                    (2, usize::from(length))
                } else {
                    (9, u64::from_be_bytes(rest[1..9].try_into().unwrap()) as usize)
                };
                bodies.push(&rest[header..header + length]);
                rest = &rest[header + length..];
            }
            assert_eq!(bodies.len(), parts);
            assert_eq!(bodies.iter().map(|body| body.len()).sum::<usize>(), size);
            assert_eq!((bodies[0], bodies[2]), (&b"0"[..], &b"cast"[..]));
            assert_eq!(bodies[3][..8], [0, 0, 0, 0, 0, 0, 1, 2]);
        }
    }

    #[test]
    fn a_message_is_known_again_and_any_change_is_seen() {
        let templates = Shape::new(64, 4, 2).unwrap().templates();
        let mut wire = Vec::new();
        templates[0].put(7, &mut wire);
        templates[0].renumber(9, &mut wire);
        assert_eq!(templates[0].number(&wire), Some(9));
        assert_eq!(templates[1].number(&wire), None, "the other topic's");
        assert_eq!(templates[0].number(&wire[..wire.len() - 1]), None, "cut");
        let number = templates[0].number_at..templates[0].number_at + NUMBER;
        for at in (0..wire.len()).filter(|at| !number.contains(at)) {
            wire[at] ^= 1;
            assert_eq!(templates[0].number(&wire), None, "octet {at}");
            wire[at] ^= 1;
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        assert_eq!(Shape::new(256, 3, 1), Err(ShapeError::Parts(3)));
        assert_eq!(Shape::new(256, 4, 0), Err(ShapeError::Topics(0)));
        assert_eq!(Shape::new(26, 4, 1), Err(ShapeError::Size { size: 26, least: 27 }));
        assert_eq!(Shape::new(MAX_SIZE + 1, 4, 1), Err(ShapeError::Size { size: MAX_SIZE + 1, least: 27 }));
    }
}
