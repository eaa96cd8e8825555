//! A message is its wire bytes.
//!
//! [`Message`] holds the frames of one message as they are on the wire, headers included. What was received is a
//! slice of the read buffer whatever the number of frames, and what is forwarded is written as it is: nothing is
//! taken apart, nothing encoded again. Reading a frame parses its header again, 2 or 9 octets. A message of up to 72
//! octets is not a slice but a copy within the [`Message`] itself, which costs less than counting a reference.
//!
//! Octet counts of messages in this crate include the headers.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    chunks::{Chunks, Frames, IntoFrames},
    frame::Header,
};

/// One message of one or more frames.
///
/// Cloning shares the memory. A small message that is kept for long keeps the read buffer alive that it came in;
/// [`detach`](Self::detach) copies it out.
#[derive(Clone)]
pub struct Message(Repr);

#[derive(Clone)]
enum Repr {
    /// The first octets are the message.
    Small {
        len: usize,
        octets: Octets,
    },
    Shared(Chunks),
}

/// Aligned as [`Chunks`] are, as is the length before it, so that a message is moved in the words in which it was written: a
/// load that spans two stores just made waits for both, which cost a receiver of 256 octets a tenth of its time.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Octets([u8; SMALL]);

impl Message {
    /// Starts a message of several frames.
    ///
    /// ```
    /// let message = zmtp::Message::builder().more("topic").more("").last("body");
    /// assert_eq!(message.frames().collect::<Vec<_>>(), [&b"topic"[..], b"", b"body"]);
    /// ```
    pub fn builder() -> MessageBuilder {
        MessageBuilder::default()
    }

    /// A message of the frames of an iterator; `None` when it yields none, since a message has at least one frame.
    pub fn from_frames<F: Into<Bytes>>(frames: impl IntoIterator<Item = F>) -> Option<Self> {
        let mut frames = frames.into_iter();
        let mut builder = MessageBuilder::default();
        let mut frame = frames.next()?;
        for next in frames {
            builder = builder.more(frame);
            frame = next;
        }
        Some(builder.last(frame))
    }

    pub(crate) fn from_chunks(chunks: Chunks) -> Self {
        Self(Repr::Shared(chunks))
    }

    /// A copy of the message that is the first `len` octets of `octets`; `None` when it is not small.
    #[inline]
    pub(crate) fn small(octets: &[u8], len: usize) -> Option<Self> {
        if len > SMALL {
            return None;
        }
        // A copy of constant length is a few instructions, so what follows the message comes along if it can.
        let copy = match octets.first_chunk() {
            Some(octets) => Octets(*octets),
            None => {
                let mut copy = [0; SMALL];
                copy[..len].copy_from_slice(octets.get(..len)?);
                Octets(copy)
            }
        };
        Some(Self(Repr::Small { len, octets: copy }))
    }

    /// The bodies of the frames, in order.
    #[inline]
    pub fn frames(&self) -> Frames<'_> {
        match &self.0 {
            Repr::Small { len, octets } => Frames::contiguous(&octets.0[..*len]),
            Repr::Shared(chunks) => chunks.frames(),
        }
    }

    /// The body of frame `n`, counted from 0.
    pub fn frame(&self, n: usize) -> Option<&[u8]> {
        self.frames().nth(n)
    }

    /// The bodies of the frames as [`Bytes`] that share this message's memory.
    pub fn into_frames(self) -> IntoFrames {
        self.into_chunks().into_frames()
    }

    /// Octets on the wire, headers included.
    #[inline]
    pub fn octets(&self) -> usize {
        match &self.0 {
            Repr::Small { len, .. } => *len,
            Repr::Shared(chunks) => chunks.octets(),
        }
    }

    /// The octets on the wire, in pieces that joined are exactly the frames.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let (small, shared) = match &self.0 {
            Repr::Small { len, octets } => (Some(&octets.0[..*len]), None),
            Repr::Shared(chunks) => (None, Some(chunks)),
        };
        small.into_iter().chain(shared.into_iter().flat_map(Chunks::iter).map(|chunk| &chunk[..]))
    }

    /// A copy in memory of its own, for a small message that is kept for long.
    #[must_use]
    pub fn detach(&self) -> Self {
        match &self.0 {
            Repr::Small { .. } => self.clone(),
            Repr::Shared(chunks) => Self::from_chunks(chunks.detach()),
        }
    }

    pub(crate) fn into_chunks(self) -> Chunks {
        match self.0 {
            Repr::Small { len, octets } => Bytes::copy_from_slice(&octets.0[..len]).into(),
            Repr::Shared(chunks) => chunks,
        }
    }
}

impl PartialEq for Message {
    /// Same frames; where the pieces are cut does not count.
    fn eq(&self, other: &Self) -> bool {
        self.frames().eq(other.frames())
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    /// Sizes of the frames, never their content: messages carry passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message")?;
        f.debug_list().entries(self.frames().map(<[u8]>::len)).finish()
    }
}

macro_rules! one_frame_from {
    ($($type:ty),*) => {$(
        impl From<$type> for Message {
            /// A message of one frame.
            fn from(body: $type) -> Self {
                MessageBuilder::default().last(body)
            }
        }
    )*};
}

one_frame_from!(Bytes, BytesMut, Vec<u8>, String, &'static str, &'static [u8]);

/// Builds a message frame by frame: [`more`](Self::more) for all but the last, which makes the message.
#[derive(Debug, Default)]
pub struct MessageBuilder {
    chunks: Chunks,
    /// Headers and small bodies since the last large one.
    buffer: BytesMut,
}

impl MessageBuilder {
    /// Adds a frame that is not the last. A body of 4 KiB or more is kept as it is, a smaller one copied.
    #[must_use]
    pub fn more(mut self, body: impl Into<Bytes>) -> Self {
        self.push(body.into(), true);
        self
    }

    /// Adds the last frame.
    pub fn last(mut self, body: impl Into<Bytes>) -> Message {
        self.push(body.into(), false);
        self.chunks.push(self.buffer.freeze());
        Message::from_chunks(self.chunks)
    }

    fn push(&mut self, body: Bytes, more: bool) {
        let (header, n) = Header::message(body.len(), more).encode();
        if body.len() < COPIED {
            self.buffer.reserve(n + body.len());
            self.buffer.put_slice(&header[..n]);
            self.buffer.put_slice(&body);
        } else {
            self.buffer.put_slice(&header[..n]);
            self.chunks.push(self.buffer.split().freeze());
            self.chunks.push(body);
        }
    }
}

/// Octets of a message that is held within the [`Message`]: a body of 64 octets and its header, and what then is left
/// of nine words.
const SMALL: usize = 72;
/// A copy of less than this costs less than one more slice in a `writev`. Unmeasured; h2 and async-nats draw the line
/// between 256 octets and 4 KiB.
const COPIED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(message: &Message) -> Vec<u8> {
        message.chunks().flat_map(|c| c.to_vec()).collect()
    }

    #[test]
    fn wire_form_of_small_frames() {
        assert_eq!(wire(&Message::from("hello")), b"\x00\x05hello");
        assert_eq!(wire(&Message::from("")), b"\x00\x00");
        assert_eq!(wire(&Message::builder().more("a").more("").last("c")), b"\x01\x01a\x01\x00\x00\x01c");
    }

    #[test]
    fn a_large_body_is_kept_not_copied() {
        let body = Bytes::from(vec![7; 10_000]);
        let message = Message::builder().more("topic").more(body.clone()).last("end");
        assert!(message.chunks().any(|c| c.as_ptr() == body.as_ptr()));
        assert_eq!(message.frames().map(<[u8]>::len).collect::<Vec<_>>(), [5, 10_000, 3]);
        let frames: Vec<Bytes> = message.clone().into_frames().collect();
        assert_eq!(frames[1].as_ptr(), body.as_ptr());
        assert_eq!(message.detach(), message);
        assert_eq!(message.detach().chunks().count(), 1);
        assert_eq!(message.octets(), wire(&message).len());
    }

    #[test]
    fn from_frames_needs_one() {
        assert!(Message::from_frames(Vec::<Bytes>::new()).is_none());
        let message = Message::from_frames(["a", "b"]).unwrap();
        assert_eq!(message.frame(1), Some(&b"b"[..]));
        assert_eq!(message.frame(2), None);
    }

    #[test]
    fn debug_shows_sizes_only() {
        assert_eq!(format!("{:?}", Message::builder().more("secret").last("x")), "Message[6, 1]");
    }

    #[test]
    fn it_stays_small() {
        assert_eq!(size_of::<Message>(), 88);
    }
}
