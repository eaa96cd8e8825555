//! What waits to be written: frames of the protocol's own and runs of messages, verbatim.
//!
//! Nothing is encoded here: a message is its wire bytes, so the queue holds slices and shows them to the writer. It
//! remembers how much of the first entry is written, and so can tell at the end which messages left whole.

use std::{collections::VecDeque, io::IoSlice};

use bytes::Bytes;

use super::{message::Message, run::Run};

/// The octets to be written next, in order.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    queue: VecDeque<Entry>,
    /// Octets of the first entry that are written.
    offset: usize,
    messages_written: u64,
}

#[derive(Debug)]
enum Entry {
    /// Greeting, READY, ERROR, SUBSCRIBE, CANCEL.
    Own(Bytes),
    Pong(Bytes),
    Ping(Bytes),
    Run(Run),
    /// A message as it goes over the wire, and as it was given.
    Sealed(Bytes, Message),
}

impl Encoder {
    pub(crate) fn push(&mut self, octets: impl Into<Bytes>) {
        self.queue.push_back(Entry::Own(octets.into()));
    }

    pub(crate) fn push_run(&mut self, run: Run) {
        if !run.is_empty() {
            self.queue.push_back(Entry::Run(run));
        }
    }

    /// Queues a message in its sealed form. What is sealed keeps its order.
    pub(crate) fn push_sealed(&mut self, octets: Bytes, message: Message) {
        self.queue.push_back(Entry::Sealed(octets, message));
    }

    /// Whether an answer to a PING waits. Only what is sealed has to ask: its answers can't be put in place of another.
    pub(crate) fn has_pong(&self) -> bool {
        self.queue.iter().any(|entry| matches!(entry, Entry::Pong(_)))
    }

    /// Queues a sealed answer to a PING, behind all that was sealed before.
    pub(crate) fn push_sealed_pong(&mut self, octets: Bytes) {
        self.queue.push_back(Entry::Pong(octets));
    }

    /// Queues the answer to a PING ahead of messages that are not begun, behind greeting and READY. At most one waits: a
    /// peer that sends PINGs and reads nothing makes this side hold one answer, not a queue of them.
    pub(crate) fn push_pong(&mut self, octets: Bytes) {
        let begun = usize::from(self.offset > 0);
        let own = self.queue.iter().skip(begun).take_while(|entry| matches!(entry, Entry::Own(_))).count();
        let at = begun + own;
        match self.queue.get_mut(at) {
            Some(entry @ Entry::Pong(_)) => *entry = Entry::Pong(octets),
            _ => self.queue.insert(at, Entry::Pong(octets)),
        }
    }

    /// Whether a PING of ours waits.
    pub(crate) fn has_ping(&self) -> bool {
        self.queue.iter().any(|entry| matches!(entry, Entry::Ping(_)))
    }

    /// Queues a PING as [`push_pong`](Self::push_pong) an answer; a sealed one keeps its place behind what was sealed.
    pub(crate) fn push_ping(&mut self, octets: Bytes, sealed: bool) {
        let begun = usize::from(self.offset > 0);
        let is_own = |entry: &&Entry| matches!(entry, Entry::Own(_) | Entry::Pong(_));
        let own = self.queue.iter().skip(begun).take_while(is_own).count();
        let at = if sealed { self.queue.len() } else { begun + own };
        self.queue.insert(at, Entry::Ping(octets));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Messages that were written whole.
    pub(crate) fn messages_written(&self) -> u64 {
        self.messages_written
    }

    /// Fills `slices` from the front of the queue; returns how many.
    pub(crate) fn poll_transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut offset = self.offset;
        let mut n = 0;
        for chunk in self.queue.iter().flat_map(Entry::chunks) {
            if n == slices.len() {
                break;
            }
            if offset >= chunk.len() {
                offset -= chunk.len();
                continue;
            }
            slices[n] = IoSlice::new(&chunk[offset..]);
            offset = 0;
            n += 1;
        }
        n
    }

    /// Takes note that `octets` of what `poll_transmit` showed are written.
    pub(crate) fn handle_written(&mut self, octets: usize) {
        self.offset += octets;
        while let Some(front) = self.queue.front() {
            let len = front.octets();
            if self.offset < len {
                return;
            }
            self.messages_written += match front {
                Entry::Run(run) => run.messages() as u64,
                Entry::Sealed(..) => 1,
                Entry::Own(_) | Entry::Pong(_) | Entry::Ping(_) => 0,
            };
            self.offset -= len;
            self.queue.pop_front();
        }
        debug_assert_eq!(self.offset, 0, "more written than was shown");
        self.offset = 0;
    }

    /// Ends the queue and gives back the messages that were not written whole, in order.
    ///
    /// The peer discards a message whose last octets never come (RFC 37, Traffic: all or nothing), so a message
    /// written in part is one that was not delivered.
    pub(crate) fn take_unsent(&mut self) -> VecDeque<Run> {
        let mut written = std::mem::take(&mut self.offset);
        let mut unsent = VecDeque::new();
        for entry in self.queue.drain(..) {
            match entry {
                Entry::Run(mut run) => {
                    self.messages_written += run.split_fitting(usize::MAX, written).messages() as u64;
                    unsent.push_back(run);
                }
                Entry::Sealed(_, message) => unsent.push_back(message.into()),
                Entry::Own(_) | Entry::Pong(_) | Entry::Ping(_) => {}
            }
            written = 0;
        }
        unsent
    }
}

impl Entry {
    fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        let (own, run) = match self {
            Self::Own(octets) | Self::Pong(octets) | Self::Ping(octets) | Self::Sealed(octets, _) => {
                (Some(octets), None)
            }
            Self::Run(run) => (None, Some(run)),
        };
        own.into_iter().chain(run.into_iter().flat_map(Run::chunks))
    }

    fn octets(&self) -> usize {
        match self {
            Self::Own(octets) | Self::Pong(octets) | Self::Ping(octets) | Self::Sealed(octets, _) => octets.len(),
            Self::Run(run) => run.octets(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message;

    fn shown(encoder: &Encoder) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let n = encoder.poll_transmit(&mut slices);
        slices[..n].iter().map(|slice| &**slice).collect::<Vec<_>>().concat()
    }

    fn run(texts: &[&'static str]) -> Run {
        let octets: Vec<u8> = texts.iter().flat_map(|t| [&[0, t.len() as u8], t.as_bytes()].concat()).collect();
        Run::contiguous(octets.into(), texts.len())
    }

    #[test]
    fn any_partial_write_goes_on_where_it_stopped() {
        let large = Message::builder().more("t").last(vec![b'x'; 5000]);
        let steps: &[usize] = if cfg!(miri) { &[99, 4999] } else { &[1, 2, 5, 4999, 10_000] };
        for &step in steps {
            let mut encoder = Encoder::default();
            encoder.push(&b"own"[..]);
            encoder.push_run(run(&["a", "bc"]));
            encoder.push_run(large.clone().into());
            let whole = shown(&encoder);
            let mut got = Vec::new();
            while !encoder.is_empty() {
                let mut next = shown(&encoder);
                next.truncate(step);
                encoder.handle_written(next.len());
                got.extend(next);
            }
            assert_eq!(got, whole);
            assert_eq!(encoder.messages_written(), 3);
        }
    }

    #[test]
    fn unsent_starts_with_the_message_that_was_cut() {
        let mut encoder = Encoder::default();
        encoder.push(&b"own"[..]);
        encoder.push_run(run(&["a", "b", "c"]));
        encoder.push_run(run(&["d"]));
        encoder.handle_written(3 + 3 + 1);
        let unsent: Vec<Message> = encoder.take_unsent().into_iter().flatten().collect();
        assert_eq!(unsent, ["b", "c", "d"].map(Message::from));
        assert_eq!(encoder.messages_written(), 1);
        assert!(encoder.is_empty());
    }

    #[test]
    fn a_pong_goes_first_but_cuts_nothing_and_is_one() {
        let mut encoder = Encoder::default();
        encoder.push_run(run(&["aa"]));
        encoder.push_run(run(&["bb"]));
        encoder.handle_written(1);
        encoder.push_pong(Bytes::from_static(b"P1"));
        encoder.push_pong(Bytes::from_static(b"P2"));
        assert_eq!(shown(&encoder), b"\x02aaP2\x00\x02bb");
    }
}
