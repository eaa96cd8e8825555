//! PUSH: each message to one peer, in turn (RFC 30).
//!
//! A peer takes part while it is connected, and a lasting one (a place that this side connects to) also while it is
//! away, unless `immediate`. A peer whose queue is at its mark is passed over. With a backlog, messages that find no
//! peer with room wait there, in order, and messages that a vanished peer left unsent go back to its front; without
//! one the caller keeps them and vanished peers' messages are discarded, as in libzmq.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use super::{
    budget::Budget,
    mark::Mark,
    peers::{Outflow, PeerId, Tally},
    queue::Queue,
};
use crate::proto::{Payload, ProtocolError, Run, SocketType};

/// The policy of a PUSH socket.
#[derive(Debug)]
pub struct LoadBalancer {
    mark: Mark,
    budget: Option<Budget>,
    immediate: bool,
    latest: bool,
    /// By id, which is the order in which they came.
    peers: Vec<Peer>,
    /// Whose turn it is; may be one past the end, for a peer that is still to come.
    next: usize,
    backlog: Option<Queue>,
    awakened: Vec<PeerId>,
    tally: Tally,
}

#[derive(Debug)]
struct Peer {
    id: PeerId,
    queue: Queue,
    lasting: bool,
    connected: bool,
}

impl Peer {
    #[inline]
    fn takes_part(&self, immediate: bool) -> bool {
        self.connected || self.lasting && !immediate
    }

    #[inline]
    fn takes(&self, octets: usize, immediate: bool) -> bool {
        self.takes_part(immediate) && self.queue.has_room(octets)
    }
}

impl LoadBalancer {
    /// No peers yet. `mark` is per peer.
    pub fn new(mark: Mark, backlog: Option<Mark>, immediate: bool, budget: Option<Budget>) -> Self {
        Self {
            mark,
            immediate,
            latest: false,
            peers: Vec::new(),
            next: 0,
            backlog: backlog.map(|mark| Queue::for_waiting(mark, budget.clone())),
            budget,
            awakened: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The same, holding the latest message for each peer only.
    #[must_use]
    pub fn keeping_latest(mut self, on: bool) -> Self {
        self.latest = on;
        self
    }

    /// Takes back, in order, what no peer has had room for. It stays counted as accepted.
    pub fn take_backlog(&mut self) -> VecDeque<Run> {
        let mut runs = VecDeque::new();
        if let Some(backlog) = &mut self.backlog {
            backlog.take(usize::MAX, &mut runs);
        }
        runs
    }

    /// Deals messages to peers while there is one with room.
    fn deal(&mut self, run: &mut Run) {
        if self.peers.len() == 1 {
            // The usual case: a lone peer takes what it can in one go.
            return self.give(0, |queue| queue.push(run));
        }
        while !run.is_empty()
            && let Some(at) = self.next_with_room(run.first_octets())
        {
            self.give(at, |queue| queue.push(&mut run.split_first()));
        }
    }

    /// As [`deal`](Self::deal), for one message.
    #[inline]
    fn deal_one<P: Payload>(&mut self, payload: P, octets: usize) -> Result<(), P> {
        let Some(at) = self.next_with_room(octets) else { return Err(payload) };
        let mut result = Ok(());
        self.give(at, |queue| {
            result = queue.put(payload, octets);
            usize::from(result.is_ok())
        });
        result
    }

    /// The next in turn that would take a message of `octets` octets.
    #[inline]
    fn next_with_room(&self, octets: usize) -> Option<usize> {
        let fits = |at: &usize| self.peers[*at].takes(octets, self.immediate);
        let next = self.next.min(self.peers.len());
        (next..self.peers.len()).chain(0..next).find(fits)
    }

    /// Lets the peer at `at` take messages; `take` returns how many.
    #[inline]
    fn give(&mut self, at: usize, take: impl FnOnce(&mut Queue) -> usize) {
        let peer = &mut self.peers[at];
        let was_empty = peer.queue.is_empty();
        if peer.takes_part(self.immediate) && take(&mut peer.queue) > 0 {
            self.next = at + 1;
            if was_empty {
                self.awakened.push(peer.id);
            }
        }
    }

    /// Deals from the backlog what peers have room for.
    fn deal_backlog(&mut self) {
        let Some(mut backlog) = self.backlog.take() else { return };
        while let Some(mut run) = backlog.pop_run() {
            self.deal(&mut run);
            if !run.is_empty() {
                backlog.put_back(VecDeque::from([run]));
                break;
            }
        }
        self.backlog = Some(backlog);
    }

    fn peer(&mut self, id: PeerId) -> Option<&mut Peer> {
        let at = self.peers.binary_search_by_key(&id, |known| known.id).ok()?;
        self.peers.get_mut(at)
    }
}

impl Outflow for LoadBalancer {
    const TYPE: SocketType = SocketType::Push;

    fn attach(&mut self, peer: PeerId, lasting: bool) {
        let queue = Queue::new(self.mark, self.budget.clone()).keeping_latest(self.latest);
        let at = self.peers.partition_point(|known| known.id < peer);
        self.peers.insert(at, Peer { id: peer, queue, lasting, connected: !lasting });
        self.deal_backlog();
    }

    fn set_connected(&mut self, peer: PeerId, connected: bool) {
        if let Some(peer) = self.peer(peer) {
            peer.connected = connected;
        }
        self.deal_backlog();
    }

    fn detach(&mut self, peer: PeerId) {
        let Ok(at) = self.peers.binary_search_by_key(&peer, |known| known.id) else { return };
        let mut gone = self.peers.remove(at);
        self.next -= usize::from(at < self.next);
        self.tally.conflated += gone.queue.replaced();
        let left = gone.queue.messages() as u64;
        let Some(backlog) = &mut self.backlog else {
            self.tally.discarded += left;
            return;
        };
        let mut runs = VecDeque::new();
        gone.queue.take(usize::MAX, &mut runs);
        backlog.put_back(runs);
        self.tally.returned += left;
        self.deal_backlog();
    }

    #[inline]
    fn put<P: Payload>(&mut self, payload: P, octets: usize, _now: impl Fn() -> Instant) -> Result<(), P> {
        let waits = self.backlog.as_ref().is_some_and(|backlog| !backlog.is_empty());
        let dealt = if waits { Err(payload) } else { self.deal_one(payload, octets) };
        match (dealt, &mut self.backlog) {
            (Err(payload), Some(backlog)) => backlog.put(payload, octets)?,
            (dealt, _) => dealt?,
        }
        self.tally.accepted += 1;
        Ok(())
    }

    fn push(&mut self, run: &mut Run, _now: impl Fn() -> Instant) {
        let before = run.messages();
        if self.backlog.as_ref().is_none_or(Queue::is_empty) {
            self.deal(run);
        }
        if let Some(backlog) = self.backlog.as_mut().filter(|_| !run.is_empty()) {
            backlog.push(run);
        }
        self.tally.accepted += (before - run.messages()) as u64;
    }

    fn take(&mut self, peer: PeerId, octets: usize, to: &mut VecDeque<Run>) {
        let Some(peer) = self.peer(peer) else { return };
        peer.queue.take(octets, to);
        if self.backlog.as_ref().is_some_and(|b| !b.is_empty()) {
            self.deal_backlog();
        }
    }

    fn put_back(&mut self, peer: PeerId, unsent: VecDeque<Run>) {
        if let Some(peer) = self.peer(peer) {
            peer.queue.put_back(unsent);
        }
    }

    fn subscribe(&mut self, _: PeerId, _: Bytes, _: bool, _: Instant) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn expire(&mut self, _now: Instant) -> Option<Instant> {
        None
    }

    fn is_drained(&self, peer: PeerId) -> bool {
        !self.peers.iter().any(|known| known.id == peer && !known.queue.is_empty())
    }

    #[inline]
    fn take_awakened(&mut self) -> Option<PeerId> {
        self.awakened.pop()
    }

    fn queued(&self) -> (usize, usize) {
        let queues = self.peers.iter().map(|p| &p.queue).chain(&self.backlog);
        queues.fold((0, 0), |(messages, octets), q| (messages + q.messages(), octets + q.octets()))
    }

    fn connected(&self) -> usize {
        self.peers.iter().filter(|p| p.connected).count()
    }

    fn tally(&self) -> Tally {
        let replaced: u64 = self.peers.iter().map(|p| p.queue.replaced()).sum();
        Tally { conflated: self.tally.conflated + replaced, ..self.tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pattern::PeerIds, proto::Message};

    fn run(range: std::ops::Range<u8>) -> Run {
        let octets: Vec<u8> = range.clone().flat_map(|n| [0, 1, n]).collect();
        Run::contiguous(octets.into(), range.len())
    }

    fn push(balancer: &mut LoadBalancer, mut run: Run) -> usize {
        balancer.push(&mut run, Instant::now);
        run.messages()
    }

    fn taken(balancer: &mut LoadBalancer, peer: PeerId) -> Vec<u8> {
        let mut runs = VecDeque::new();
        balancer.take(peer, usize::MAX, &mut runs);
        runs.into_iter().flatten().map(|m: Message| m.frame(0).unwrap()[0]).collect()
    }

    #[test]
    fn messages_go_round() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::default(), None, false, None);
        assert_eq!(push(&mut balancer, run(0..1)), 1, "no peer takes nothing");
        let peers = [(); 3].map(|()| ids.next_id());
        peers.iter().for_each(|p| balancer.attach(*p, false));
        assert_eq!(push(&mut balancer, run(0..7)), 0);
        assert_eq!(peers.map(|p| taken(&mut balancer, p)), [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
        push(&mut balancer, run(7..8));
        assert_eq!(taken(&mut balancer, peers[1]), [7]);
    }

    #[test]
    fn a_full_peer_is_passed_over() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::messages(2), None, false, None);
        let (a, b) = (ids.next_id(), ids.next_id());
        balancer.attach(a, false);
        balancer.attach(b, false);
        assert_eq!(push(&mut balancer, run(0..3)), 0);
        assert_eq!(taken(&mut balancer, b), [1]);
        assert_eq!(push(&mut balancer, run(3..9)), 4);
        assert_eq!(taken(&mut balancer, a), [0, 2]);
        assert_eq!(taken(&mut balancer, b), [3, 4]);
    }

    #[test]
    fn a_lasting_peer_queues_while_away_unless_immediate() {
        for (immediate, left) in [(false, 0), (true, 2)] {
            let mut balancer = LoadBalancer::new(Mark::default(), None, immediate, None);
            balancer.attach(PeerIds::default().next_id(), true);
            assert_eq!(push(&mut balancer, run(0..2)), left);
        }
    }

    #[test]
    fn without_a_backlog_a_vanished_peer_takes_its_messages_along() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::default(), None, false, None);
        let a = ids.next_id();
        balancer.attach(a, false);
        push(&mut balancer, run(0..5));
        balancer.detach(a);
        assert_eq!(balancer.tally(), Tally { accepted: 5, discarded: 5, ..Tally::default() });
        assert_eq!(push(&mut balancer, run(0..1)), 1);
    }

    #[test]
    fn with_a_backlog_everything_unsent_reaches_the_next_peer_in_order() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::messages(3), Some(Mark::messages(6)), false, None);
        let (a, b) = (ids.next_id(), ids.next_id());
        assert_eq!(push(&mut balancer, run(0..4)), 0);
        balancer.attach(a, false);
        assert_eq!(push(&mut balancer, run(4..20)), 11, "3 at the peer, 6 in the backlog");
        let mut runs = VecDeque::new();
        balancer.take(a, 1, &mut runs);
        let mut unsent = runs.split_off(0);
        assert_eq!(unsent[0].split_first().messages(), 1, "one was written");
        balancer.put_back(a, unsent);
        balancer.detach(a);
        balancer.attach(b, false);
        let mut got = Vec::new();
        while !balancer.is_drained(b) {
            got.extend(taken(&mut balancer, b));
        }
        assert_eq!(got, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(balancer.queued(), (0, 0));
    }

    #[test]
    fn the_backlog_can_be_taken_back() {
        let mut balancer = LoadBalancer::new(Mark::messages(2), Some(Mark::UNLIMITED), false, None);
        let peer = PeerIds::default().next_id();
        balancer.attach(peer, false);
        assert_eq!(push(&mut balancer, run(0..5)), 0);
        let back: Vec<_> =
            balancer.take_backlog().into_iter().flatten().map(|m: Message| m.frame(0).unwrap()[0]).collect();
        assert_eq!((back, taken(&mut balancer, peer)), (vec![2, 3, 4], vec![0, 1]));
        assert_eq!((balancer.tally().accepted, balancer.queued()), (5, (0, 0)));
        assert!(LoadBalancer::new(Mark::default(), None, false, None).take_backlog().is_empty());
    }
}
