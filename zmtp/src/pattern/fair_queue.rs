//! PULL and SUB: one message of each peer in turn (RFC 30).
//!
//! Two halves, so that a reader takes no lock per message: [`FairQueue`] is filled by the connections, [`Turns`] is
//! the reader's own, and one swap moves everything from the first to the second.

use std::collections::{BTreeMap, VecDeque};

use super::{budget::Budget, mark::Mark, peers::PeerId, queue::Queue};
use crate::proto::{Message, Run};

/// Queues per peer, filled by connections.
#[derive(Debug)]
pub struct FairQueue {
    mark: Mark,
    budget: Option<Budget>,
    latest: bool,
    peers: BTreeMap<PeerId, Inflow>,
    /// Who has something waiting, in the order in which they came to have it.
    filled: Vec<PeerId>,
    /// Whose messages the reader holds.
    held: Vec<PeerId>,
    messages: usize,
}

#[derive(Debug)]
struct Inflow {
    queue: Queue,
    gone: bool,
}

impl FairQueue {
    /// No peers yet. `mark` is what one peer may have waiting in both halves together.
    pub fn new(mark: Mark, budget: Option<Budget>) -> Self {
        Self { mark, budget, latest: false, peers: BTreeMap::new(), filled: Vec::new(), held: Vec::new(), messages: 0 }
    }

    /// The same, holding the latest message of each peer only, beside what the reader has.
    #[must_use]
    pub fn keeping_latest(mut self, on: bool) -> Self {
        self.latest = on;
        self
    }

    /// Adds a peer.
    pub fn attach(&mut self, peer: PeerId) {
        let queue = Queue::new(self.mark, self.budget.clone()).keeping_latest(self.latest);
        self.peers.insert(peer, Inflow { queue, gone: false });
    }

    /// A peer is gone; what it sent stays.
    pub fn detach(&mut self, peer: PeerId) {
        if let Some(inflow) = self.peers.get_mut(&peer) {
            inflow.gone = true;
            if inflow.queue.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    /// Takes messages of a peer; what stays in `run` found no room.
    pub fn push(&mut self, peer: PeerId, run: &mut Run) {
        let Some(inflow) = self.peers.get_mut(&peer) else { return };
        let before = inflow.queue.messages();
        let taken = inflow.queue.push(run);
        if before == 0 && taken > 0 {
            self.filled.push(peer);
        }
        self.messages = self.messages + inflow.queue.messages() - before;
    }

    /// Messages waiting.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Messages of peers that are here that a later one took the place of.
    pub fn replaced(&self) -> u64 {
        self.peers.values().map(|p| p.queue.replaced()).sum()
    }

    /// Peers that are here.
    pub fn connected(&self) -> usize {
        self.peers.values().filter(|p| !p.gone).count()
    }

    /// Moves all that waits to the reader's half, which is empty: what it held counts towards the mark no more.
    pub fn swap(&mut self, turns: &mut Turns) {
        for id in self.held.drain(..) {
            if let Some(inflow) = self.peers.get_mut(&id) {
                inflow.queue.set_mark(self.mark);
            }
        }
        for id in self.filled.drain(..) {
            let Some(inflow) = self.peers.get_mut(&id) else { continue };
            let queue = &mut inflow.queue;
            queue.set_mark(self.mark.less(queue.messages(), queue.octets()));
            turns.add(|runs| queue.take(usize::MAX, runs));
            if inflow.gone {
                self.peers.remove(&id);
            } else {
                self.held.push(id);
            }
        }
        self.messages = 0;
    }
}

/// The reader's half: what came at the last swap, by peer.
#[derive(Debug, Default)]
pub struct Turns {
    /// None of them is empty.
    turns: Vec<Turn>,
    /// Whose turn it is.
    at: usize,
    /// Emptied queues, for the next swap.
    spare: Vec<VecDeque<Run>>,
}

/// What one peer has left.
#[derive(Debug)]
struct Turn {
    run: Run,
    runs: VecDeque<Run>,
}

impl Turns {
    /// The next message: one of each peer in turn.
    #[inline]
    pub fn pop(&mut self) -> Option<Message> {
        let peers = self.turns.len();
        let turn = self.turns.get_mut(self.at)?;
        if turn.run.messages() == 1 {
            return self.pop_last();
        }
        self.at = if self.at + 1 < peers { self.at + 1 } else { 0 };
        // Last, so that the message is made where the caller wants it: moving one costs more than making it.
        turn.run.pop()
    }

    /// As [`pop`](Self::pop), for the last message of a run.
    #[inline(never)]
    fn pop_last(&mut self) -> Option<Message> {
        let message = self.turns.get_mut(self.at)?.run.pop();
        self.at += 1;
        self.go_on();
        if self.at >= self.turns.len() {
            self.at = 0;
        }
        message
    }

    /// Adds a peer with what `fill` gives it.
    fn add(&mut self, fill: impl FnOnce(&mut VecDeque<Run>)) {
        let mut runs = self.spare.pop().unwrap_or_default();
        fill(&mut runs);
        if let Some(run) = runs.pop_front() {
            self.turns.push(Turn { run, runs });
        }
    }

    /// The peer whose turn it was goes on with its next run, or leaves.
    fn go_on(&mut self) {
        let at = self.at - 1;
        match self.turns[at].runs.pop_front() {
            Some(run) => self.turns[at].run = run,
            None => {
                let left = self.turns.remove(at);
                self.spare.push(left.runs);
                self.at = at;
            }
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::PeerIds;

    fn run(range: std::ops::Range<u8>) -> Run {
        let octets: Vec<u8> = range.clone().flat_map(|n| [0, 1, n]).collect();
        Run::contiguous(octets.into(), range.len())
    }

    #[test]
    fn one_of_each_in_turn_and_each_in_order() {
        let mut ids = PeerIds::default();
        let mut queue = FairQueue::new(Mark::default(), None);
        let (a, b) = (ids.next_id(), ids.next_id());
        queue.attach(a);
        queue.attach(b);
        queue.push(a, &mut run(0..3));
        queue.push(a, &mut Run::from(Message::from(vec![3u8; 5000])));
        queue.push(b, &mut run(10..12));
        queue.detach(b);
        assert_eq!(queue.messages(), 6);
        let mut turns = Turns::default();
        queue.swap(&mut turns);
        let got: Vec<u8> = std::iter::from_fn(|| turns.pop()).map(|m| m.frame(0).unwrap()[0]).collect();
        assert_eq!(got, [0, 10, 1, 11, 2, 3]);
        assert_eq!((queue.connected(), queue.messages(), turns.is_empty()), (1, 0, true));
    }

    #[test]
    fn the_mark_is_for_both_halves() {
        let mut ids = PeerIds::default();
        let mut queue = FairQueue::new(Mark::messages(4), None);
        let a = ids.next_id();
        queue.attach(a);
        let mut ten = run(0..10);
        queue.push(a, &mut ten);
        assert_eq!(ten.messages(), 6);
        let mut turns = Turns::default();
        queue.swap(&mut turns);
        queue.push(a, &mut ten);
        assert_eq!(ten.messages(), 6, "the reader holds four");
        while turns.pop().is_some() {}
        queue.swap(&mut turns);
        queue.push(a, &mut ten);
        assert_eq!((ten.messages(), turns.is_empty()), (2, true));
    }
}
