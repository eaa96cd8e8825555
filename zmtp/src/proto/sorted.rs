//! The messages of a run by where they go, without an octet moved.
//!
//! Where neighbours go different ways, a run taken apart is as many slices as messages, each with a reference count, a
//! lock and a look at the marks of its own. Sorted, it is one [`Picked`] for each way:
//!
//! ```text
//!  octets  [ a1 | b1 | b2 | a2 | a3 | c1 ]        ways   a: first part 0, last 2
//!  parts     0    1         2         3                  b: 1, 1
//!            a1 -> a2 a3                                 c: 3, 3
//! ```
//! Each part knows the next of its way; neighbours are one part.

use std::ops::Range;

use bytes::Bytes;

use super::{chunks::frame_and_len, run::Run};

/// The start of a run, sorted. To be used again, since it keeps its memory: 32 octets for each part and for each way.
#[derive(Debug, Default)]
pub struct Sorted {
    octets: Bytes,
    parts: Vec<Part>,
    ways: Vec<Way>,
    /// The way that comes next.
    next: usize,
}

/// Neighbours of one way.
#[derive(Debug)]
struct Part {
    at: Range<usize>,
    messages: usize,
    /// The next part of its way; 0, which comes after no other: it is the last.
    next: usize,
}

/// What goes one way: nothing, while it has no messages.
#[derive(Debug, Clone, Default)]
struct Way {
    first: usize,
    last: usize,
    messages: usize,
    octets: usize,
}

impl Sorted {
    /// Takes the longest start of `run` of which `way` knows where each message goes, by its frame `n`, counted from 0; what
    /// was here is forgotten. It takes nothing where the first message lacks the frame, goes nowhere, or is in several
    /// pieces.
    ///
    /// A way is a number. The largest is to be small: all below it take memory and time, too.
    #[inline]
    pub fn sort(&mut self, run: &mut Run, n: usize, mut way: impl FnMut(&[u8]) -> Option<usize>) {
        self.clear();
        let Some(octets) = run.contiguous_octets() else { return };
        let (mut messages, mut end) = (0, 0);
        while messages < run.messages()
            && let Some((Some(frame), len)) = frame_and_len(&octets[end..], n)
            && let Some(way) = way(frame)
        {
            self.add(way, end..end + len);
            (messages, end) = (messages + 1, end + len);
        }
        if messages > 0 {
            self.octets = octets.clone();
            run.split(messages, end);
        }
    }

    /// The next way that has messages, and these. Each comes once; after the last, their octets are no longer held.
    pub fn next_way(&mut self) -> Option<(usize, Picked<'_>)> {
        let left = self.ways.get(self.next..).unwrap_or_default();
        let Some(way) = left.iter().position(|way| way.messages > 0).map(|at| self.next + at) else {
            self.clear();
            return None;
        };
        self.next = way + 1;
        Some((way, Picked { sorted: self, way: &self.ways[way] }))
    }

    fn clear(&mut self) {
        self.octets = Bytes::new();
        self.parts.clear();
        self.ways.clear();
        self.next = 0;
    }

    /// Has the message at `at`, which is behind all others, go some way.
    #[inline]
    fn add(&mut self, way: usize, at: Range<usize>) {
        if way >= self.ways.len() {
            self.ways.resize(way + 1, Way::default());
        }
        let way = &mut self.ways[way];
        let is_first = way.messages == 0;
        way.messages += 1;
        way.octets += at.len();
        let next = self.parts.len();
        if !is_first {
            let last = &mut self.parts[way.last];
            if last.at.end == at.start {
                (last.at.end, last.messages) = (at.end, last.messages + 1);
                return;
            }
            last.next = next;
        } else {
            way.first = next;
        }
        way.last = next;
        self.parts.push(Part { at, messages: 1, next: 0 });
    }
}

/// Messages of a [`Sorted`] run that go one way, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Picked<'a> {
    sorted: &'a Sorted,
    way: &'a Way,
}

impl<'a> Picked<'a> {
    /// How many messages.
    pub fn messages(&self) -> usize {
        self.way.messages
    }

    /// Octets on the wire, headers included.
    pub fn octets(&self) -> usize {
        self.way.octets
    }

    /// As runs, each as long as there are neighbours.
    pub fn runs(self) -> impl Iterator<Item = Run> + use<'a> {
        self.parts().map(move |(at, messages)| Run::contiguous(self.slice(at), messages))
    }

    /// Where they lie, and how many messages in each place.
    #[inline]
    pub(crate) fn parts(self) -> impl Iterator<Item = (Range<usize>, usize)> + use<'a> {
        let mut next = Some(self.way.first);
        std::iter::from_fn(move || {
            let part = self.sorted.parts.get(next?)?;
            next = (part.next > 0).then_some(part.next);
            Some((part.at.clone(), part.messages))
        })
    }

    /// The octets in which the parts lie.
    #[inline]
    pub(crate) fn as_octets(&self) -> &'a [u8] {
        &self.sorted.octets
    }

    /// The octets of a part, which share memory.
    pub(crate) fn slice(&self, at: Range<usize>) -> Bytes {
        self.sorted.octets.slice(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message;

    /// Messages of two frames: a letter that is a way, and a number, counted up.
    fn run(ways: &str) -> Run {
        let message = |(n, way): (usize, char)| {
            let message = Message::from_frames([way.to_string(), n.to_string()]).unwrap();
            message.chunks().flat_map(|chunk| chunk.to_vec()).collect::<Vec<u8>>()
        };
        let octets: Vec<u8> = ways.chars().enumerate().flat_map(message).collect();
        Run::contiguous(octets.into(), ways.len())
    }

    fn way(frame: &[u8]) -> Option<usize> {
        frame.first().filter(|letter| letter.is_ascii_lowercase()).map(|letter| usize::from(letter - b'a'))
    }

    fn numbers(runs: impl Iterator<Item = Run>) -> Vec<usize> {
        let number = |message: Message| String::from_utf8_lossy(message.frame(1).unwrap()).parse().unwrap();
        runs.flatten().map(number).collect()
    }

    #[test]
    fn each_way_has_its_messages_in_their_order() {
        let mut run = run("abbaaczz");
        let mut sorted = Sorted::default();
        sorted.sort(&mut run, 0, way);
        assert!(run.is_empty());
        let mut found = Vec::new();
        while let Some((way, picked)) = sorted.next_way() {
            let octets: usize = picked.runs().map(|run| run.octets()).sum();
            assert_eq!((picked.runs().map(|run| run.messages()).sum(), octets), (picked.messages(), picked.octets()));
            found.push((way, picked.runs().count(), numbers(picked.runs())));
        }
        assert_eq!(found, [(0, 2, vec![0, 3, 4]), (1, 1, vec![1, 2]), (2, 1, vec![5]), (25, 1, vec![6, 7])]);
    }

    #[test]
    fn it_ends_before_the_first_message_without_a_way() {
        let mut run = run("abAab");
        let mut sorted = Sorted::default();
        sorted.sort(&mut run, 0, way);
        assert_eq!(run.messages(), 3);
        // Nothing is left of what was there.
        sorted.sort(&mut run, 0, way);
        assert!(sorted.next_way().is_none());
        assert_eq!(numbers(std::iter::once(run)), [2, 3, 4]);
        // Nor has a message a way that lacks the frame.
        let mut short = Run::from(Message::from("a"));
        sorted.sort(&mut short, 1, way);
        assert_eq!((short.messages(), sorted.next_way().is_none()), (1, true));
    }
}
