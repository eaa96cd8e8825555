//! A multipart of the driver, between frames and JSON (oslo-zmq, sections 2, 2.1 to 2.4).
//!
//! ```text
//! frame  cast            impl_zmq_v2
//!   0    message id      message id           `0` but in replies
//!   1    topic           topic
//!   2    cast            impl_zmq_v2          the style
//!   3    JSON text       JSON text            [context as a string, message] | context
//!   4    (ignored)       key, value, key …    oslo.message: JSON text, oslo.version: 2.0
//! ```
//!
//! A third style, `msgpack`, is for peers of this crate that agree on it: frame 3 is the context, frame 4
//! the message as in `impl_zmq_v2` but for its arguments or its result, and frame 5 these in MessagePack.
//!
//! What always holds: an [`Envelope`] borrows every octet, decoding allocates nothing and looks at
//! no more than [`MAX_FRAMES`] frames, and decoding what was encoded gives the same envelope. Where
//! the originals' consumer dies (oslo-bugs B23, B24) there is an [`EnvelopeError`] to drop, count and
//! log by; it never shows a body, nor does `Debug` (oslo-bugs B8).
//!
//! Not done here: JSON, whether valid or not, and so also an envelope inside the message of a `cast`.

use std::fmt;

use thiserror::Error;

use crate::excerpt::Excerpt;
use crate::topic::{Topic, TopicError};

/// One message, its parts borrowed from the frames.
///
/// ```
/// use oslo_rpc::envelope::{Body, Envelope, NO_ID};
/// use oslo_rpc::topic::Topic;
///
/// let sent = Envelope {
///     id: NO_ID,
///     topic: Topic::parse(b"scheduler.host1")?,
///     body: Body::Cast { json: br#"["{}", {"method": "do", "args": {}, "version": "1.0"}]"# },
/// };
/// let frames: Vec<&[u8]> = sent.encode().collect();
/// assert_eq!(frames[2], b"cast");
/// assert_eq!(Envelope::decode(frames)?, sent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Frame 0: in a reply the id its caller chose, else [`NO_ID`], or nothing from a Python 3 peer.
    pub id: &'a [u8],
    /// Frame 1.
    pub topic: Topic<'a>,
    /// The style of frame 2 with what it carries.
    pub body: Body<'a>,
}

/// The JSON texts of an envelope, not yet known to be JSON nor UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Style `cast`: context and message in one text.
    Cast {
        /// An array of two: a string that holds the context's own JSON text, and the message.
        json: &'a [u8],
    },
    /// Style `impl_zmq_v2`, with a version this crate understands.
    V2 {
        /// The context, an object.
        context: &'a [u8],
        /// The value of `oslo.message`: the message, an object.
        message: &'a [u8],
    },
    /// Style `msgpack`, which no original knows.
    MessagePack {
        /// The context, an object.
        context: &'a [u8],
        /// The message, an object, with no arguments or a result of null.
        message: &'a [u8],
        /// The arguments or the result, in MessagePack.
        payload: &'a [u8],
    },
}

/// The layout of a multipart from frame 2 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// `cast`: all RPC of the originals, and notifications of version 1.
    Cast,
    /// `impl_zmq_v2`: notifications of version 2.
    V2,
    /// `msgpack`: requests and replies between peers of this crate.
    MessagePack,
}

impl<'a> Envelope<'a> {
    /// Takes frames apart, as tolerantly as the original services do.
    ///
    /// Of a `cast` four frames are read and the rest is not looked at. In `impl_zmq_v2` the pairs may
    /// come in any order, unknown keys and an odd last frame are ignored, and of a repeated key the
    /// last value counts. (An original caller reads the last frame of a `cast` in place of the fourth;
    /// of a reply as anyone sends it they are the same.)
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] names the first fault found; such a message is to be dropped and counted.
    pub fn decode(frames: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, EnvelopeError> {
        let mut frames = frames.into_iter();
        let mut head = [&[][..]; HEAD];
        for (found, frame) in head.iter_mut().enumerate() {
            *frame = frames.next().ok_or(EnvelopeError::TooFewFrames { found })?;
        }
        let [id, topic, style, first] = head;
        let topic = Topic::parse(topic)?;
        let body = match Style::parse(style) {
            Some(Style::Cast) => Body::Cast { json: first },
            Some(Style::V2) => Body::V2 { context: first, message: message_of(frames)? },
            Some(Style::MessagePack) => {
                let mut next = |found| frames.next().ok_or(EnvelopeError::TooFewFrames { found });
                Body::MessagePack { context: first, message: next(HEAD)?, payload: next(HEAD + 1)? }
            }
            None => {
                return Err(EnvelopeError::UnknownStyle { style: Excerpt::of(style) });
            }
        };
        Ok(Self { id, topic, body })
    }

    /// The frames in the order of the wire: four for `cast`, eight for `impl_zmq_v2`, six for `msgpack`.
    pub fn encode(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (first, rest, count) = match self.body {
            Body::Cast { json } => (json, [&[][..]; 4], 0),
            Body::V2 { context, message } => (context, [MESSAGE_KEY, message, VERSION_KEY, VERSION], 4),
            Body::MessagePack { context, message, payload } => (context, [message, payload, &[], &[]], 2),
        };
        let style = self.body.style().as_str().as_bytes();
        let head = [self.id, self.topic.as_str().as_bytes(), style, first];
        head.into_iter().chain(rest.into_iter().take(count))
    }
}

impl Body<'_> {
    /// What frame 2 says for it.
    pub fn style(&self) -> Style {
        match self {
            Self::Cast { .. } => Style::Cast,
            Self::V2 { .. } => Style::V2,
            Self::MessagePack { .. } => Style::MessagePack,
        }
    }
}

impl Style {
    /// The style that frame 2 names, exactly.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        [Self::Cast, Self::V2, Self::MessagePack].into_iter().find(|style| style.as_str().as_bytes() == frame)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::V2 => "impl_zmq_v2",
            Self::MessagePack => "msgpack",
        }
    }
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("id", &Excerpt::of(self.id))
            .field("topic", &self.topic.as_str())
            .field("body", &self.body)
            .finish()
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = match self {
            Self::Cast { json } => json.len(),
            Self::V2 { context, message } => context.len() + message.len(),
            Self::MessagePack { context, message, payload } => context.len() + message.len() + payload.len(),
        };
        write!(f, "{:?}({octets} octets)", self.style())
    }
}

/// Why a multipart is no envelope. The peer is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// Fewer than four frames.
    #[error("{found} frames instead of at least {HEAD}: the sender does not speak this protocol")]
    TooFewFrames {
        /// Frames in the multipart.
        found: usize,
    },
    /// More than [`MAX_FRAMES`] frames in an `impl_zmq_v2` envelope.
    #[error("more than {MAX_FRAMES} frames: the sender must leave out the keys it invented")]
    TooManyFrames,
    /// Frame 1 is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Frame 2 is neither `cast` nor `impl_zmq_v2`.
    #[error("unknown style \"{style}\": the sender must use cast or impl_zmq_v2")]
    UnknownStyle {
        /// The beginning of frame 2.
        style: Excerpt,
    },
    /// An `impl_zmq_v2` envelope without one of its two keys. The originals pass it on as a message
    /// without a method, which serves nobody.
    #[error("no `{key}` in the envelope: the sender must add it")]
    MissingKey {
        /// `oslo.message` or `oslo.version`.
        key: &'static str,
    },
    /// An `impl_zmq_v2` envelope of a version other than 2.0.
    #[error("unsupported envelope version \"{version}\": the sender must use 2.0")]
    UnsupportedVersion {
        /// The beginning of the value of `oslo.version`.
        version: Excerpt,
    },
}

impl EnvelopeError {
    /// A stable label for a counter, none of it from the peer.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooFewFrames { .. } => "envelope-too-few-frames",
            Self::TooManyFrames => "envelope-too-many-frames",
            Self::Topic(error) => error.reason(),
            Self::UnknownStyle { .. } => "envelope-unknown-style",
            Self::MissingKey { .. } => "envelope-missing-key",
            Self::UnsupportedVersion { .. } => "envelope-unsupported-version",
        }
    }
}

/// The message in the flattened envelope that begins at frame 4.
fn message_of<'a>(mut frames: impl Iterator<Item = &'a [u8]>) -> Result<&'a [u8], EnvelopeError> {
    let (mut message, mut version) = (None, None);
    let mut pairs = frames.by_ref().take(MAX_FRAMES - HEAD);
    while let Some(key) = pairs.next()
        && let Some(value) = pairs.next()
    {
        match key {
            MESSAGE_KEY => message = Some(value),
            VERSION_KEY => version = Some(value),
            _ => {}
        }
    }
    if frames.next().is_some() {
        return Err(EnvelopeError::TooManyFrames);
    }
    let message = message.ok_or(EnvelopeError::MissingKey { key: "oslo.message" })?;
    let version = version.ok_or(EnvelopeError::MissingKey { key: "oslo.version" })?;
    if understood(version) {
        Ok(message)
    } else {
        Err(EnvelopeError::UnsupportedVersion { version: Excerpt::of(version) })
    }
}

/// The originals' rule: major 2, then a minor and perhaps a revision of at most 0; no look beyond.
fn understood(version: &[u8]) -> bool {
    let Ok(version) = std::str::from_utf8(version) else {
        return false;
    };
    let mut parts = version.split('.').map(str::parse::<i32>);
    matches!(parts.next(), Some(Ok(2)))
        && matches!(parts.next(), Some(Ok(..=0)))
        && matches!(parts.next(), None | Some(Ok(..=0)))
}

/// Frame 0 of all but replies, as every original sends it under Python 2. No receiver looks at it.
pub const NO_ID: &[u8] = b"0";

/// Most frames of an `impl_zmq_v2` envelope. No original sends more than 8; the rest is room for
/// keys of peers to come, and bounds the work that one message can ask for.
pub const MAX_FRAMES: usize = 64;

/// Frames before the pairs, and the fewest that make a message.
const HEAD: usize = 4;

const MESSAGE_KEY: &[u8] = b"oslo.message";
const VERSION_KEY: &[u8] = b"oslo.version";

/// The version every release sends.
const VERSION: &[u8] = b"2.0";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes an `impl_zmq_v2` envelope with these frames from index 4 on, to its message.
    fn message<'a>(pairs: &[&'a str]) -> Result<&'a [u8], EnvelopeError> {
        let head = ["0", "c.host1", "impl_zmq_v2", "{}"];
        let frames = head.iter().chain(pairs).map(|frame| frame.as_bytes());
        Envelope::decode(frames).map(|envelope| match envelope.body {
            Body::V2 { message, .. } => message,
            _ => unreachable!("the style is impl_zmq_v2"),
        })
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts() {
        let pairs = ["oslo.version", "3.0", "oslo.message", "a", "oslo.message", "b", "oslo.version", "2.0"];
        assert_eq!(message(&pairs), Ok(&b"b"[..]));
    }

    #[test]
    fn a_key_without_a_value_is_no_pair() {
        let key = "oslo.version";
        assert_eq!(message(&["oslo.message", "a", "oslo.version"]), Err(EnvelopeError::MissingKey { key }));
        let key = "oslo.message";
        assert_eq!(message(&["oslo.version", "2.0"]), Err(EnvelopeError::MissingKey { key }));
    }

    #[test]
    fn versions_are_compatible_by_the_originals_rule() {
        for (version, expected) in [
            ("2.0", true),
            ("2.0.0", true),
            ("2.-1", true),
            ("2.0.0.1", true),
            ("2.1", false),
            ("2.0.1", false),
            ("3.0", false),
            ("1.0", false),
            ("2", false),
            ("2.", false),
            ("2.x", false),
            ("2.0.", false),
            ("", false),
            ("99999999999.0", false),
        ] {
            let result = message(&["oslo.message", "a", "oslo.version", version]);
            assert_eq!(result.is_ok(), expected, "{version}");
        }
        assert!(!understood(b"2.\xff"));
    }

    #[test]
    fn frames_are_bounded() {
        let mut pairs = vec!["oslo.message", "a", "oslo.version", "2.0"];
        pairs.resize(MAX_FRAMES - HEAD, "x");
        assert_eq!(message(&pairs), Ok(&b"a"[..]));
        pairs.push("x");
        assert_eq!(message(&pairs), Err(EnvelopeError::TooManyFrames));

        let endless = std::iter::repeat(&b"impl_zmq_v2"[..]);
        assert_eq!(Envelope::decode(endless), Err(EnvelopeError::TooManyFrames));
        let endless = std::iter::repeat(&b"cast"[..]);
        assert!(Envelope::decode(endless).is_ok());
    }

    #[test]
    fn too_few_frames_are_counted() {
        for found in 0..HEAD {
            let frames = [&b"cast"[..]; HEAD];
            assert_eq!(Envelope::decode(frames.into_iter().take(found)), Err(EnvelopeError::TooFewFrames { found }));
        }
    }

    #[test]
    fn a_style_is_matched_exactly() {
        for style in ["", "Cast", "cast ", "casting", "impl_zmq_v", "impl_zmq_v3"] {
            let frames = ["0", "c.host1", style, "[]"].map(str::as_bytes);
            assert_eq!(
                Envelope::decode(frames),
                Err(EnvelopeError::UnknownStyle { style: Excerpt::of(style.as_bytes()) })
            );
        }
    }

    #[test]
    fn a_bad_topic_keeps_its_own_reason() {
        let frames = ["0", "../c", "cast", "[]"].map(str::as_bytes);
        assert_eq!(Envelope::decode(frames).unwrap_err().reason(), "topic-separator");
    }

    #[test]
    fn no_body_is_printed() {
        let body = r#"["{\"auth_token\": \"s3cret\"}", {}]"#;
        let frames = ["0abc", "c.host1", "cast", body].map(str::as_bytes);
        assert_eq!(
            format!("{:?}", Envelope::decode(frames).unwrap()),
            r#"Envelope { id: "0abc", topic: "c.host1", body: Cast(36 octets) }"#
        );
        // One frame short, so that the body stands where the style should.
        let frames = ["c.host1", "cast", body, ""].map(str::as_bytes);
        assert!(!Envelope::decode(frames).unwrap_err().to_string().contains("s3cret"));
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..20)
    }

    /// A frame that gets past the checks more often than noise does.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let known = vec!["cast", "impl_zmq_v2", "oslo.message", "oslo.version", "2.0"];
        prop_oneof![prop::sample::select(known).prop_map(Vec::from), octets()]
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(id in octets(), topic in "[a-z~.]{3,40}", a in octets(), b in octets()) {
            let topic = Topic::parse(topic.as_bytes())?;
            let packed = Body::MessagePack { context: &a, message: &b, payload: &id };
            for body in [Body::Cast { json: &a }, Body::V2 { context: &a, message: &b }, packed] {
                let envelope = Envelope { id: &id, topic, body };
                prop_assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
            }
        }

        #[test]
        fn decode_takes_any_frames(frames in prop::collection::vec(frame(), 0..80)) {
            if let Ok(envelope) = Envelope::decode(frames.iter().map(Vec::as_slice)) {
                prop_assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
            }
        }
    }
}
