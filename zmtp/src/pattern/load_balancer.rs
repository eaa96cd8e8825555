//! PUSH: each message to one peer, in turn (RFC 30).
//!
//! A peer takes part while it is connected, and a lasting one (a place that this side connects to) also while it is
//! away, unless `immediate`. A peer whose queue is at its mark is passed over. With a backlog, messages that find no
//! peer with room wait there, in order, and messages that a vanished peer left unsent go back to its front; without
//! one the caller keeps them and vanished peers' messages are discarded, as in libzmq.
//!
//! If asked to, it numbers messages and tells which it has done with, and gives up those that waited too long.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    budget::Budget,
    ledger::Ledger,
    mark::Mark,
    numbers::Numbers,
    peers::{Outflow, PeerId, Tally},
    queue::Queue,
};
use crate::proto::{Payload, ProtocolError, Run, SocketType};

mod picked;
mod waiting;

pub use waiting::Overflow;
use waiting::{Opening, SHARE};

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
    overflow: Overflow,
    opening: Opening,
    /// If messages are numbered.
    ledger: Option<Box<Ledger>>,
    awakened: Vec<PeerId>,
    tally: Tally,
}

#[derive(Debug)]
struct Peer {
    id: PeerId,
    queue: Queue,
    lasting: bool,
    connected: bool,
    /// If messages are numbered: of those in its queue, behind those that its connection has taken.
    numbers: Numbers,
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
            overflow: Overflow::default(),
            opening: Opening::Over,
            ledger: None,
            awakened: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// What a full backlog does.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// When the first peer comes and messages wait, others that come within `time` are to have some of them: until then
    /// each gets a part at once, and the rest is dealt out when [`expire`](Outflow::expire) is called.
    #[must_use]
    pub fn with_opening(mut self, time: Duration) -> Self {
        self.opening = Opening::Ahead(time);
        self
    }

    /// Numbers messages, so that [`take_settled`](Outflow::take_settled) tells which are done with.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        self.ledger.get_or_insert_default();
        self
    }

    /// Gives up messages that wait longer in the backlog, when [`expire`](Outflow::expire) is called.
    #[must_use]
    pub fn with_time_to_live(mut self, time: Duration) -> Self {
        self.ledger.get_or_insert_default().expiring(time);
        self
    }

    /// As [`push`](Outflow::push), for messages with numbers from `first`, above all that came before.
    pub fn push_numbered(&mut self, run: &mut Run, first: u64, now: impl Fn() -> Instant) {
        if let Some(ledger) = &mut self.ledger {
            ledger.begin_at(first);
        }
        self.push(run, now);
    }

    /// As [`push_numbered`](Self::push_numbered), for messages that this program had taken before: no mark stops them.
    pub fn restore(&mut self, mut run: Run, first: u64, arrived: Instant) {
        let overflow = std::mem::replace(&mut self.overflow, Overflow::Exceed);
        self.push_numbered(&mut run, first, || arrived);
        self.overflow = overflow;
    }

    /// The same, holding the latest message for each peer only.
    #[must_use]
    pub fn keeping_latest(mut self, on: bool) -> Self {
        self.latest = on;
        self
    }

    /// Deals messages to peers while there is one with room.
    fn deal(&mut self, run: &mut Run, numbers: &mut Numbers) {
        if self.peers.len() == 1 {
            // The usual case: a lone peer takes what it can in one go.
            let taken = self.give(0, |queue| queue.push(run));
            return self.number(0, taken, numbers);
        }
        while !run.is_empty()
            && let Some(at) = self.next_with_room(run.first_octets())
        {
            let taken = self.give(at, |queue| queue.push(&mut run.split_first()));
            self.number(at, taken, numbers);
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

    /// Lets the peer at `at` take messages; `take` returns how many, and so does this.
    #[inline]
    fn give(&mut self, at: usize, take: impl FnOnce(&mut Queue) -> usize) -> usize {
        let peer = &mut self.peers[at];
        let was_empty = peer.queue.is_empty();
        let taken = if peer.takes_part(self.immediate) { take(&mut peer.queue) } else { 0 };
        if taken > 0 {
            self.next = at + 1;
            if was_empty {
                self.awakened.push(peer.id);
            }
        }
        taken
    }

    /// The peer at `at` took so many messages, whose numbers are the first of `numbers`.
    #[inline]
    fn number(&mut self, at: usize, taken: usize, numbers: &mut Numbers) {
        if self.ledger.is_some() {
            self.peers[at].numbers.append(numbers.take(taken as u64));
        }
    }

    /// As [`put`](Outflow::put), with a number.
    #[cold]
    fn put_numbered<P: Payload>(&mut self, payload: P, octets: usize, now: impl Fn() -> Instant) -> Result<(), P> {
        let waits = self.backlog.as_ref().is_some_and(|backlog| !backlog.is_empty());
        let is_taken = !waits && self.next_with_room(octets).is_some()
            || self.overflow != Overflow::Refuse
            || self.backlog.as_ref().is_some_and(|backlog| backlog.has_room(octets));
        if !is_taken {
            return Err(payload);
        }
        self.push(&mut payload.into_message().into(), now);
        Ok(())
    }

    fn peer(&mut self, id: PeerId) -> Option<&mut Peer> {
        let at = self.peers.binary_search_by_key(&id, |known| known.id).ok()?;
        self.peers.get_mut(at)
    }
}

impl Outflow for LoadBalancer {
    const TYPE: SocketType = SocketType::Push;

    fn attach(&mut self, peer: PeerId, lasting: bool) {
        if let Opening::Ahead(time) = self.opening {
            let waits = self.backlog.as_ref().is_some_and(|backlog| backlog.messages() > SHARE);
            self.opening = if waits { Opening::Begun(time) } else { Opening::Over };
        }
        let queue = Queue::new(self.mark, self.budget.clone()).keeping_latest(self.latest);
        let at = self.peers.partition_point(|known| known.id < peer);
        self.peers.insert(at, Peer { id: peer, queue, lasting, connected: !lasting, numbers: Numbers::default() });
        if self.opening == Opening::Over {
            self.deal_backlog();
        } else {
            self.deal_share(peer);
        }
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
        if let Some(ledger) = &mut self.ledger {
            gone.numbers.append(std::mem::take(&mut ledger.backlog));
            ledger.backlog = gone.numbers;
        }
        self.tally.returned += left;
        self.deal_backlog();
    }

    #[inline]
    fn put<P: Payload>(&mut self, payload: P, octets: usize, now: impl Fn() -> Instant) -> Result<(), P> {
        if self.ledger.is_some() || self.overflow != Overflow::Refuse {
            return self.put_numbered(payload, octets, now);
        }
        let waits = self.backlog.as_ref().is_some_and(|backlog| !backlog.is_empty());
        let dealt = if waits { Err(payload) } else { self.deal_one(payload, octets) };
        match (dealt, &mut self.backlog) {
            (Err(payload), Some(backlog)) => backlog.put(payload, octets)?,
            (dealt, _) => dealt?,
        }
        self.tally.accepted += 1;
        Ok(())
    }

    fn push(&mut self, run: &mut Run, now: impl Fn() -> Instant) {
        let before = run.messages();
        let mut numbers = match &mut self.ledger {
            Some(ledger) => ledger.enter(before, now),
            None => Numbers::default(),
        };
        if self.backlog.as_ref().is_none_or(Queue::is_empty) {
            self.deal(run, &mut numbers);
        }
        if !run.is_empty() {
            self.keep(run, &mut numbers);
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

    fn note_written(&mut self, peer: PeerId, messages: u64) {
        if self.ledger.is_none() {
            return;
        }
        let numbers = self.peer(peer).map(|peer| peer.numbers.take(messages));
        if let Some((ledger, numbers)) = self.ledger.as_mut().zip(numbers) {
            ledger.settled.append(numbers);
        }
    }

    #[inline]
    fn take_settled(&mut self) -> Numbers {
        self.ledger.as_mut().map_or_else(Numbers::default, |ledger| std::mem::take(&mut ledger.settled))
    }

    /// What waits in the backlog for too long. What a peer has queued is its own.
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        let opened = self.go_on_opening(now);
        let due = self.expire_backlog(now);
        opened.into_iter().chain(due).min()
    }

    fn close(&mut self) {
        self.opening = Opening::Over;
        self.deal_backlog();
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

    pub(super) fn run(range: std::ops::Range<u8>) -> Run {
        let octets: Vec<u8> = range.clone().flat_map(|n| [0, 1, n]).collect();
        Run::contiguous(octets.into(), range.len())
    }

    pub(super) fn push(balancer: &mut LoadBalancer, mut run: Run) -> usize {
        balancer.push(&mut run, Instant::now);
        run.messages()
    }

    pub(super) fn taken(balancer: &mut LoadBalancer, peer: PeerId) -> Vec<u8> {
        let mut runs = VecDeque::new();
        balancer.take(peer, usize::MAX, &mut runs);
        runs.into_iter().flatten().map(|m: Message| m.frame(0).unwrap()[0]).collect()
    }

    pub(super) fn settled(balancer: &mut LoadBalancer) -> Vec<(u64, u64)> {
        balancer.take_settled().into_iter().map(|range| (range.start, range.end)).collect()
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
    fn numbers_stay_with_their_messages() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::messages(3), Some(Mark::messages(6)), false, None).numbered();
        let (a, b) = (ids.next_id(), ids.next_id());
        balancer.push_numbered(&mut run(0..4), 100, Instant::now);
        balancer.attach(a, false);
        balancer.attach(b, false);
        balancer.push_numbered(&mut run(4..6), 200, Instant::now);
        // a has 0 to 2, b has 3, 4 and 5.
        assert_eq!(taken(&mut balancer, b), [3, 4, 5]);
        balancer.note_written(b, 2);
        assert_eq!(settled(&mut balancer), [(103, 104), (200, 201)]);
        balancer.detach(a);
        assert_eq!(settled(&mut balancer), []);
        assert_eq!(taken(&mut balancer, b), [0, 1, 2]);
        balancer.note_written(b, 4);
        assert_eq!(settled(&mut balancer), [(201, 202), (100, 103)]);
    }

    #[test]
    fn what_returns_unsent_is_settled_by_the_next() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::messages(9), Some(Mark::messages(9)), false, None).numbered();
        let (a, b) = (ids.next_id(), ids.next_id());
        balancer.attach(a, false);
        balancer.push_numbered(&mut run(0..5), 0, Instant::now);
        let mut runs = VecDeque::new();
        balancer.take(a, usize::MAX, &mut runs);
        balancer.note_written(a, 2);
        let mut unsent = runs.split_off(0);
        assert_eq!(unsent[0].split_fitting(2, usize::MAX).messages(), 2);
        balancer.put_back(a, unsent);
        balancer.detach(a);
        balancer.attach(b, false);
        assert_eq!(taken(&mut balancer, b), [2, 3, 4]);
        balancer.note_written(b, 3);
        assert_eq!(settled(&mut balancer), [(0, 5)]);
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
}
