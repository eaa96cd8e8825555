//! Octets of messages in one or more pieces.
//!
//! Invariant: the pieces joined are exactly the frames on the wire, and neither a header nor a body straddles two
//! pieces. A received message is one piece, a slice of the read buffer; a large body is a piece of its own, so that
//! it is never copied.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::frame::Header;

/// One piece nearly always; more only with a large body or a command between two frames.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunks {
    head: Bytes,
    // Boxed so that the usual single piece costs 8 octets for it, not 24.
    #[expect(clippy::box_collection, reason = "a thin pointer keeps Message at 40 octets")]
    tail: Option<Box<Vec<Bytes>>>,
}

impl Chunks {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.head.is_empty() && self.tail.is_none() {
            self.head = chunk;
        } else if !chunk.is_empty() {
            self.tail.get_or_insert_default().push(chunk);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head).chain(self.tail())
    }

    pub(crate) fn octets(&self) -> usize {
        self.head.len() + self.tail().iter().map(Bytes::len).sum::<usize>()
    }

    /// The only piece, or `None` when there are several.
    #[inline]
    pub(crate) fn contiguous(&self) -> Option<&Bytes> {
        self.tail.is_none().then_some(&self.head)
    }

    /// Takes `octets` off the front of the only piece.
    #[inline]
    pub(crate) fn split_to(&mut self, octets: usize) -> Self {
        debug_assert!(self.tail.is_none());
        Self { head: self.head.split_to(octets.min(self.head.len())), tail: None }
    }

    /// Drops `octets` off the front of the only piece.
    #[inline]
    pub(crate) fn advance(&mut self, octets: usize) {
        debug_assert!(self.tail.is_none());
        self.head.advance(octets.min(self.head.len()));
    }

    /// A copy in one piece of its own.
    pub(crate) fn detach(&self) -> Self {
        let mut octets = BytesMut::with_capacity(self.octets());
        self.iter().for_each(|chunk| octets.put_slice(chunk));
        octets.freeze().into()
    }

    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames { piece: &self.head, rest: self.tail().iter() }
    }

    pub(crate) fn into_frames(self) -> IntoFrames {
        IntoFrames { piece: self.head, rest: self.tail.map(|t| *t).unwrap_or_default().into_iter() }
    }

    fn tail(&self) -> &[Bytes] {
        self.tail.as_ref().map_or(&[], |t| t.as_slice())
    }
}

impl From<Bytes> for Chunks {
    fn from(head: Bytes) -> Self {
        Self { head, tail: None }
    }
}

/// The bodies of a message's frames, in order; reads the headers as it goes.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    piece: &'a [u8],
    rest: std::slice::Iter<'a, Bytes>,
}

impl<'a> Frames<'a> {
    /// The frames of one message that lies at the start of `octets`.
    pub(crate) fn contiguous(octets: &'a [u8]) -> Self {
        Self { piece: octets, rest: [].iter() }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.piece.is_empty() {
            self.piece = self.rest.next()?;
        }
        let (header, n) = Header::decode(self.piece).ok()??;
        let size = usize::try_from(header.size).ok()?;
        let mut body = self.piece.get(n..)?;
        if body.is_empty() && size > 0 {
            body = self.rest.next()?;
        }
        let (frame, piece) = body.split_at_checked(size)?;
        self.piece = piece;
        if !header.more() {
            // What follows in this piece is the next message.
            self.piece = &[];
            self.rest = [].iter();
        }
        Some(frame)
    }
}

/// The bodies of a message's frames as `Bytes` that share the message's memory.
#[derive(Debug)]
pub struct IntoFrames {
    piece: Bytes,
    rest: std::vec::IntoIter<Bytes>,
}

impl Iterator for IntoFrames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            self.piece = self.rest.next()?;
        }
        let (header, n) = Header::decode(&self.piece).ok()??;
        let size = usize::try_from(header.size).ok()?;
        self.piece.advance(n);
        if self.piece.is_empty() && size > 0 {
            self.piece = self.rest.next()?;
        }
        (size <= self.piece.len()).then(|| self.piece.split_to(size))
    }
}

/// Frame `n` of the message at the start of `octets`, if it has so many, and the octets of the message, headers included;
/// `None` while its last frame is not all there.
#[inline]
pub(crate) fn frame_and_len(octets: &[u8], n: usize) -> Option<(Option<&[u8]>, usize)> {
    let (mut frame, mut at) = (None, 0);
    for number in 0.. {
        let (header, len) = Header::decode(octets.get(at..)?).ok()??;
        let body = at + len;
        at = body.checked_add(usize::try_from(header.size).ok()?)?;
        if number == n {
            frame = Some(octets.get(body..at)?);
        }
        if !header.more() {
            break;
        }
    }
    (at <= octets.len()).then_some((frame, at))
}

/// Octets of the message at the start of `octets`, headers included; `None` while its last frame is not all there.
#[inline]
pub(crate) fn message_len(octets: &[u8]) -> Option<usize> {
    // The usual message is one short frame.
    if let [0, size, ..] = octets {
        let len = Header::SHORT + usize::from(*size);
        return (len <= octets.len()).then_some(len);
    }
    let mut at = 0;
    loop {
        let (header, n) = Header::decode(octets.get(at..)?).ok()??;
        at = at.checked_add(n)?.checked_add(usize::try_from(header.size).ok()?)?;
        if at > octets.len() {
            return None;
        }
        if !header.more() {
            return Some(at);
        }
    }
}
