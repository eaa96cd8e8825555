//! PULL and SUB: one message of each peer in turn (RFC 30).
//!
//! Two halves, so that a reader takes no lock per message: [`FairQueue`] is filled by the connections, [`Turns`] is
//! the reader's own, and one swap moves everything from the first to the second.

use std::collections::{BTreeMap, VecDeque};

use super::{
    budget::Budget,
    peers::PeerId,
    queue::{Mark, Queue},
};
use crate::proto::{Message, Run};

/// Queues per peer, filled by connections.
#[derive(Debug)]
pub struct FairQueue {
    mark: Mark,
    budget: Option<Budget>,
    peers: BTreeMap<PeerId, Inflow>,
    messages: usize,
}

#[derive(Debug)]
struct Inflow {
    queue: Queue,
    gone: bool,
}

impl FairQueue {
    /// No peers yet. `mark` is what one peer may have waiting in both halves together, so each half gets half.
    pub fn new(mark: Mark, budget: Option<Budget>) -> Self {
        let mark = Mark { messages: mark.messages.div_ceil(2), octets: mark.octets.div_ceil(2) };
        Self { mark, budget, peers: BTreeMap::new(), messages: 0 }
    }

    /// Adds a peer.
    pub fn attach(&mut self, peer: PeerId) {
        let queue = Queue::new(self.mark, self.budget.clone());
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
        if let Some(inflow) = self.peers.get_mut(&peer) {
            self.messages += inflow.queue.push(run);
        }
    }

    /// Messages waiting.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Peers that are here.
    pub fn connected(&self) -> usize {
        self.peers.values().filter(|p| !p.gone).count()
    }

    /// Moves all that waits to the reader's half.
    pub fn swap(&mut self, turns: &mut Turns) {
        self.peers.retain(|_, inflow| {
            if !inflow.queue.is_empty() {
                let mut runs = turns.spare.pop().unwrap_or_default();
                inflow.queue.take(usize::MAX, &mut runs);
                turns.ring.push_back(runs);
            }
            !inflow.gone
        });
        self.messages = 0;
    }
}

/// The reader's half: what came at the last swap, by peer.
#[derive(Debug, Default)]
pub struct Turns {
    ring: VecDeque<VecDeque<Run>>,
    /// Emptied queues, for the next swap.
    spare: Vec<VecDeque<Run>>,
}

impl Turns {
    /// The next message: one of each peer in turn.
    #[inline]
    pub fn pop(&mut self) -> Option<Message> {
        let runs = self.ring.front_mut()?;
        let run = runs.front_mut()?;
        let message = run.pop()?;
        if run.is_empty() {
            runs.pop_front();
        }
        if runs.is_empty() {
            self.spare.extend(self.ring.pop_front());
        } else if self.ring.len() > 1 {
            self.ring.rotate_left(1);
        }
        Some(message)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
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
        let mut six = run(0..6);
        queue.push(a, &mut six);
        assert_eq!(six.messages(), 4);
        queue.swap(&mut Turns::default());
        queue.push(a, &mut six);
        assert_eq!(six.messages(), 2);
    }
}
