//! Messages back to back, as one slice of the wire.
//!
//! One read of a socket brings many messages; as long as nothing has to be done to each of them they travel as one
//! [`Run`]: one reference count, one queue entry, one slice in a `writev`. That is what makes forwarding cheap.

use bytes::Bytes;

use super::{
    chunks::{Chunks, Frames, frame_and_len, message_len},
    frame::Header,
    message::Message,
};

/// Zero or more whole messages, back to back as on the wire.
///
/// Invariant: a run of several pieces is exactly one message.
#[derive(Debug, Clone, Default)]
pub struct Run {
    chunks: Chunks,
    messages: usize,
}

impl Run {
    /// `messages` whole messages in one slice; the decoder has counted them.
    pub(crate) fn contiguous(octets: Bytes, messages: usize) -> Self {
        Self { chunks: octets.into(), messages }
    }

    /// Messages that were kept as octets, back to back as on the wire; `None` if they are no whole messages, or more than
    /// `max_frames` frames in one.
    pub fn parse(octets: Bytes, max_frames: usize) -> Option<Self> {
        let (mut messages, mut frames, mut at) = (0, 0, 0);
        while at < octets.len() {
            let (header, n) = Header::decode(&octets[at..]).ok()??;
            at = at.checked_add(n)?.checked_add(usize::try_from(header.size).ok()?)?;
            frames += 1;
            if at > octets.len() || header.is_command() || frames > max_frames {
                return None;
            }
            if !header.more() {
                (messages, frames) = (messages + 1, 0);
            }
        }
        (frames == 0).then(|| Self::contiguous(octets, messages))
    }

    /// How many messages.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Octets on the wire, headers included.
    pub fn octets(&self) -> usize {
        self.chunks.octets()
    }

    /// The octets in pieces.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }

    /// The frames of the first message; none when the run is empty.
    #[inline]
    pub fn first(&self) -> Frames<'_> {
        self.chunks.frames()
    }

    /// Takes the first message.
    #[inline]
    pub fn pop(&mut self) -> Option<Message> {
        if self.messages <= 1 {
            return self.pop_last();
        }
        let octets = self.chunks.contiguous()?;
        let len = message_len(octets)?;
        self.messages -= 1;
        // Each way out makes the message where it is wanted: to move one costs more than to make it.
        match Message::small(octets, len) {
            Some(message) => {
                self.chunks.advance(len);
                Some(message)
            }
            None => Some(Message::from_chunks(self.chunks.split_to(len))),
        }
    }

    /// As [`pop`](Self::pop), when there is at most one, which then does not keep the page if it is small.
    #[inline(never)]
    fn pop_last(&mut self) -> Option<Message> {
        let Self { chunks, messages } = std::mem::take(self);
        if messages == 0 {
            return None;
        }
        let small = chunks.contiguous().and_then(|octets| Message::small(octets, octets.len()));
        Some(small.unwrap_or_else(|| Message::from_chunks(chunks)))
    }

    /// Splits off the first message; empty when the run is.
    #[inline]
    pub fn split_first(&mut self) -> Self {
        self.split(1, self.first_octets())
    }

    /// The octets, if they are in one piece.
    #[inline]
    pub(super) fn contiguous_octets(&self) -> Option<&Bytes> {
        self.chunks.contiguous()
    }

    /// Octets of the first message.
    #[inline]
    pub fn first_octets(&self) -> usize {
        match self.chunks.contiguous() {
            Some(octets) if self.messages > 1 => message_len(octets).unwrap_or(octets.len()),
            _ => self.chunks.octets(),
        }
    }

    /// Splits off the longest start of which every message is the `same` as the first, by frame `n` of both, counted from
    /// 0; a message of fewer frames has none. At least one message, unless the run is empty.
    #[inline]
    pub fn split_leading(&mut self, n: usize, mut same: impl FnMut(Option<&[u8]>, Option<&[u8]>) -> bool) -> Self {
        let Some(octets) = self.chunks.contiguous().filter(|_| self.messages > 1) else {
            return std::mem::take(self);
        };
        let Some((first, mut end)) = frame_and_len(octets, n) else { return std::mem::take(self) };
        let mut messages = 1;
        while messages < self.messages
            && let Some((frame, len)) = frame_and_len(&octets[end..], n)
            && same(first, frame)
        {
            (messages, end) = (messages + 1, end + len);
        }
        self.split(messages, end)
    }

    /// Splits off the longest start of at most `messages` messages and `octets` octets; empty when not even the first
    /// message fits.
    pub fn split_fitting(&mut self, messages: usize, octets: usize) -> Self {
        let total = self.octets();
        if self.messages <= messages && total <= octets {
            return std::mem::take(self);
        }
        let Some(all) = self.chunks.contiguous() else { return Self::default() };
        let (mut taken, mut end) = (0, 0);
        while taken < messages.min(self.messages) {
            match message_len(&all[end..]) {
                Some(len) if end + len <= octets => (taken, end) = (taken + 1, end + len),
                _ => break,
            }
        }
        self.split(taken, end)
    }

    /// A copy in memory of its own, for messages that are kept for long.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { chunks: self.chunks.detach(), messages: self.messages }
    }

    #[inline]
    pub(super) fn split(&mut self, messages: usize, octets: usize) -> Self {
        if messages >= self.messages {
            return std::mem::take(self);
        }
        self.messages -= messages;
        Self { chunks: self.chunks.split_to(octets), messages }
    }
}

impl From<Message> for Run {
    fn from(message: Message) -> Self {
        Self { chunks: message.into_chunks(), messages: 1 }
    }
}

impl Iterator for Run {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.messages, Some(self.messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(messages: &[&[&'static str]]) -> Run {
        let mut octets = Vec::new();
        for frames in messages {
            let message = Message::from_frames(frames.iter().copied()).unwrap();
            message.chunks().for_each(|c| octets.extend_from_slice(c));
        }
        Run::contiguous(octets.into(), messages.len())
    }

    #[test]
    fn only_whole_messages_are_parsed() {
        let octets: Vec<u8> = run(&[&["a", "1"], &["b"]]).chunks().flatten().copied().collect();
        let parsed = Run::parse(octets.clone().into(), 2).unwrap();
        assert_eq!((parsed.messages(), parsed.octets()), (2, octets.len()));
        assert_eq!(Run::parse(Bytes::new(), 1).map(|run| run.messages()), Some(0));
        assert!(Run::parse(octets.clone().into(), 1).is_none(), "too many frames");
        for end in [1, 2, 3, 4, 5, octets.len() - 1] {
            assert!(Run::parse(octets[..end].to_vec().into(), 2).is_none(), "{end}");
        }
        for flags in [0x04, 0x08, 0xff] {
            assert!(Run::parse(vec![flags, 0].into(), 2).is_none(), "{flags}");
        }
        assert!(Run::parse([[2u8].as_slice(), &[0xff; 8]].concat().into(), 2).is_none());
    }

    #[test]
    fn messages_come_off_in_order() {
        let messages: Vec<Message> = run(&[&["a", "1"], &["b"], &["", "", "c"]]).collect();
        assert_eq!(messages[0], Message::builder().more("a").last("1"));
        assert_eq!(messages[1], Message::from("b"));
        assert_eq!(messages[2], Message::builder().more("").more("").last("c"));
    }

    #[test]
    fn a_small_message_does_not_keep_the_page() {
        let page = bytes::BytesMut::from(&b"\0\x01a\0\x01b"[..]).freeze();
        let messages: Vec<Message> = Run::contiguous(page.clone(), 2).collect();
        assert_eq!(messages, ["a", "b"].map(Message::from));
        assert!(page.is_unique());
    }

    #[test]
    fn leading_messages_of_one_topic() {
        let mut run = run(&[&["t", "1"], &["t", "2"], &["u", "3"], &["t", "4"]]);
        let mut sizes = Vec::new();
        while !run.is_empty() {
            let group = run.split_leading(0, |a, b| a == b);
            sizes.push(group.messages());
        }
        assert_eq!(sizes, [2, 1, 1]);
        assert!(run.split_leading(0, |_, _| true).is_empty());
    }

    #[test]
    fn fitting_respects_both_marks() {
        let whole = run(&[&["aaaa"], &["bbbb"], &["cccc"]]);
        assert_eq!(whole.clone().split_fitting(2, 100).messages(), 2);
        assert_eq!(whole.clone().split_fitting(10, 12).messages(), 2);
        assert_eq!(whole.clone().split_fitting(10, 11).messages(), 1);
        assert!(whole.clone().split_fitting(10, 5).is_empty());
        assert!(whole.clone().split_fitting(0, 100).is_empty());
        let mut rest = whole;
        assert_eq!(rest.split_fitting(10, 100).messages(), 3);
        assert!(rest.is_empty());
    }
}
