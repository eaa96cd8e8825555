//! PUB: each message to every peer that subscribed to a start of its first frame (RFC 29).
//!
//! It never waits: a peer whose queue is at its mark misses the message, which is counted. The octets are shared by
//! all peers that get them: messages are written into one page, of which each queue notes the parts it takes. When a
//! connection comes for its own, the page is cut, for all at once.

use std::{collections::VecDeque, time::Instant};

use bytes::{Bytes, BytesMut};

use super::{
    budget::Budget,
    mark::Mark,
    peers::{Outflow, PeerId, Tally},
    queue::{Queue, SEGMENT, gathers},
    retention::{LateJoiners, Retention},
    subscriptions::{SubscriptionLimits, Subscriptions},
};
use crate::proto::{Payload, ProtocolError, Run, SocketType, page};

/// The policy of a PUB socket.
#[derive(Debug)]
pub struct Distributor {
    mark: Mark,
    limits: SubscriptionLimits,
    budget: Option<Budget>,
    latest: bool,
    drops_none: bool,
    /// By id.
    peers: Vec<Subscriber>,
    subscriptions: Subscriptions<PeerId>,
    retention: Option<Retention>,
    /// Messages that were published last, once for all who want them.
    page: BytesMut,
    /// Whose queues have taken something of it.
    sharing: Vec<PeerId>,
    awakened: Vec<PeerId>,
    tally: Tally,
    /// Who wants the message at hand; kept to save an allocation per message.
    wanted: Vec<PeerId>,
}

#[derive(Debug)]
struct Subscriber {
    id: PeerId,
    queue: Queue,
    connected: bool,
    prefixes: usize,
    octets: usize,
}

impl Distributor {
    /// No peers yet. `mark` is per peer.
    pub fn new(mark: Mark, limits: SubscriptionLimits, late: Option<LateJoiners>, budget: Option<Budget>) -> Self {
        let retention = late.map(|rules| Retention::new(rules, budget.clone()));
        Self {
            mark,
            limits,
            budget,
            latest: false,
            drops_none: false,
            peers: Vec::new(),
            subscriptions: Subscriptions::new(),
            retention,
            page: BytesMut::new(),
            sharing: Vec::new(),
            awakened: Vec::new(),
            tally: Tally::default(),
            wanted: Vec::new(),
        }
    }

    /// The same, holding the latest message for each peer only.
    #[must_use]
    pub fn keeping_latest(mut self, on: bool) -> Self {
        self.latest = on;
        self
    }

    /// The same, giving a message back that one of those who want it has no room for.
    #[must_use]
    pub fn dropping_none(mut self, on: bool) -> Self {
        self.drops_none = on;
        self
    }

    /// `now` when this socket holds messages.
    #[inline]
    fn publish<P: Payload>(&mut self, payload: P, octets: usize, now: Option<Instant>) -> Result<(), P> {
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.clear();
        self.subscriptions.for_each_match(payload.topic(), |peers| {
            let first = wanted.is_empty();
            wanted.extend_from_slice(peers);
            if !first {
                wanted.sort_unstable();
                wanted.dedup();
            }
        });
        if self.drops_none && !self.all_have_room(&wanted, octets) {
            self.wanted = wanted;
            return Err(payload);
        }
        self.tally.accepted += 1;
        match self.retention.as_mut().zip(now) {
            Some((retention, now)) => {
                let message = payload.into_message();
                if retention.is_young(now) || wanted.is_empty() {
                    retention.hold(message.clone().into(), wanted.clone(), now);
                }
                self.distribute(message, octets, &wanted);
            }
            None if wanted.is_empty() => self.tally.unmatched += 1,
            None => self.distribute(payload, octets, &wanted),
        }
        self.wanted = wanted;
        Ok(())
    }

    #[cold]
    fn all_have_room(&mut self, wanted: &[PeerId], octets: usize) -> bool {
        wanted.iter().all(|id| self.peer(*id).is_none_or(|peer| peer.queue.has_room(octets)))
    }

    #[inline]
    fn distribute<P: Payload>(&mut self, payload: P, octets: usize, wanted: &[PeerId]) {
        if wanted.is_empty() {
            return;
        }
        if gathers::<P>(octets) {
            if self.page.capacity() - self.page.len() < octets || self.page.len() + octets > SEGMENT {
                self.turn_page_to(page::take(octets));
            }
            let start = self.page.len();
            payload.encode(&mut self.page);
            let at = start..self.page.len();
            wanted.iter().for_each(|peer| self.offer(*peer, |queue| queue.share(at.clone())));
        } else {
            self.settle();
            let message = payload.into_message();
            wanted.iter().for_each(|peer| self.offer(*peer, |queue| queue.put(message.clone(), octets).is_ok()));
        }
    }

    #[inline]
    fn offer(&mut self, id: PeerId, take: impl FnOnce(&mut Queue) -> bool) {
        let Some(peer) = self.peer(id) else { return };
        let (was_empty, shared) = (peer.queue.is_empty(), peer.queue.shares());
        if !take(&mut peer.queue) {
            self.tally.over_mark += 1;
            return;
        }
        let shares = !shared && peer.queue.shares();
        if was_empty {
            self.awakened.push(id);
        }
        if shares {
            self.sharing.push(id);
        }
    }

    /// Gives all what they took of the page.
    fn settle(&mut self) {
        if self.sharing.is_empty() {
            return;
        }
        let settled = self.page.split().freeze();
        let mut sharing = std::mem::take(&mut self.sharing);
        for id in sharing.drain(..) {
            if let Some(peer) = self.peer(id) {
                peer.queue.settle(&settled);
            }
        }
        // Empty again, and kept for its memory.
        self.sharing = sharing;
    }

    fn turn_page_to(&mut self, next: BytesMut) {
        self.settle();
        let last = std::mem::replace(&mut self.page, next);
        if last.capacity() > 0 {
            page::give_back(last);
        }
    }

    #[inline]
    fn peer(&mut self, id: PeerId) -> Option<&mut Subscriber> {
        let at = self.peers.binary_search_by_key(&id, |known| known.id).ok()?;
        self.peers.get_mut(at)
    }
}

impl Outflow for Distributor {
    const TYPE: SocketType = SocketType::Pub;

    fn attach(&mut self, peer: PeerId, lasting: bool) {
        let queue = Queue::new(self.mark, self.budget.clone()).keeping_latest(self.latest);
        let at = self.peers.partition_point(|known| known.id < peer);
        self.peers.insert(at, Subscriber { id: peer, queue, connected: !lasting, prefixes: 0, octets: 0 });
    }

    /// A peer that goes takes its subscriptions along; it sends them again when it is back.
    fn set_connected(&mut self, peer: PeerId, connected: bool) {
        let Some(subscriber) = self.peer(peer) else { return };
        subscriber.connected = connected;
        if !connected {
            (subscriber.prefixes, subscriber.octets) = (0, 0);
            self.subscriptions.remove_all(peer);
        }
    }

    fn detach(&mut self, peer: PeerId) {
        if let Ok(at) = self.peers.binary_search_by_key(&peer, |known| known.id) {
            let gone = self.peers.remove(at);
            self.tally.discarded += gone.queue.messages() as u64;
            self.tally.conflated += gone.queue.replaced();
            self.subscriptions.remove_all(peer);
        }
    }

    #[inline]
    fn put<P: Payload>(&mut self, payload: P, octets: usize, now: impl Fn() -> Instant) -> Result<(), P> {
        let now = self.retention.is_some().then(now);
        self.publish(payload, octets, now)
    }

    fn push(&mut self, run: &mut Run, now: impl Fn() -> Instant) {
        let now = self.retention.is_some().then(now);
        loop {
            let before = self.drops_none.then(|| run.clone());
            let Some(message) = run.pop() else { return };
            let octets = message.octets();
            if self.publish(message, octets, now).is_err() {
                *run = before.unwrap_or_default();
                return;
            }
        }
    }

    fn take(&mut self, peer: PeerId, octets: usize, to: &mut VecDeque<Run>) {
        if self.peer(peer).is_some_and(|peer| peer.queue.shares()) {
            self.turn_page_to(BytesMut::new());
        }
        if let Some(peer) = self.peer(peer) {
            peer.queue.take(octets, to);
        }
    }

    /// Discarded: who reconnects subscribes anew, from then on (RFC 29).
    fn put_back(&mut self, _: PeerId, unsent: VecDeque<Run>) {
        self.tally.discarded += unsent.iter().map(|run| run.messages() as u64).sum::<u64>();
    }

    fn subscribe(&mut self, peer: PeerId, prefix: Bytes, subscribe: bool, now: Instant) -> Result<(), ProtocolError> {
        let Ok(at) = self.peers.binary_search_by_key(&peer, |known| known.id) else { return Ok(()) };
        let subscriber = &mut self.peers[at];
        let len = prefix.len();
        if !subscribe {
            if self.subscriptions.remove(&prefix, peer) {
                subscriber.prefixes -= 1;
                subscriber.octets -= len;
            }
            return Ok(());
        }
        // Copied, so that it does not keep the read buffer alive that it came in.
        if !self.subscriptions.insert(Bytes::copy_from_slice(&prefix), peer) {
            return Ok(());
        }
        subscriber.prefixes += 1;
        subscriber.octets += len;
        if subscriber.prefixes > self.limits.prefixes {
            return Err(ProtocolError::TooManySubscriptions { what: "number of prefixes" });
        }
        if subscriber.octets > self.limits.octets {
            return Err(ProtocolError::TooManySubscriptions { what: "octets of all prefixes" });
        }
        let mut late = Vec::new();
        if let Some(retention) = &mut self.retention {
            retention.release(peer, &prefix, now, |message| late.push(message));
        }
        self.tally.late += late.len() as u64;
        self.settle();
        late.into_iter().for_each(|mut message| self.offer(peer, |queue| queue.push(&mut message) > 0));
        Ok(())
    }

    fn expire(&mut self, now: Instant) -> Option<Instant> {
        self.retention.as_mut().and_then(|retention| retention.expire(now))
    }

    fn is_drained(&self, peer: PeerId) -> bool {
        !self.peers.iter().any(|known| known.id == peer && !known.queue.is_empty())
    }

    #[inline]
    fn take_awakened(&mut self) -> Option<PeerId> {
        self.awakened.pop()
    }

    fn queued(&self) -> (usize, usize) {
        let held = self.retention.as_ref().map_or((0, 0), Retention::queued);
        let queues = self.peers.iter().map(|p| &p.queue);
        queues.fold(held, |(messages, octets), q| (messages + q.messages(), octets + q.octets()))
    }

    fn connected(&self) -> usize {
        self.peers.iter().filter(|p| p.connected).count()
    }

    fn tally(&self) -> Tally {
        let held = self.retention.as_ref().map_or(0, Retention::unmatched);
        let replaced: u64 = self.peers.iter().map(|p| p.queue.replaced()).sum();
        let conflated = self.tally.conflated + replaced;
        Tally { unmatched: self.tally.unmatched + held, conflated, ..self.tally }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{pattern::PeerIds, proto::Message};

    struct Table {
        distributor: Distributor,
        ids: PeerIds,
        now: Instant,
    }

    impl Table {
        fn new(late: Option<LateJoiners>) -> Self {
            let distributor = Distributor::new(Mark::messages(3), SubscriptionLimits::default(), late, None);
            Self { distributor, ids: PeerIds::default(), now: Instant::now() }
        }

        fn join(&mut self, prefixes: &[&'static str]) -> PeerId {
            let peer = self.ids.next_id();
            self.distributor.attach(peer, false);
            for prefix in prefixes {
                self.distributor.subscribe(peer, Bytes::from(*prefix), true, self.now).unwrap();
            }
            peer
        }

        fn publish(&mut self, text: &'static str) {
            let now = self.now;
            self.distributor.push(&mut Run::from(Message::from(text)), || now);
        }

        fn got(&mut self, peer: PeerId) -> Vec<String> {
            let mut runs = VecDeque::new();
            self.distributor.take(peer, usize::MAX, &mut runs);
            let messages = runs.into_iter().flatten();
            messages.map(|m| String::from_utf8(m.frame(0).unwrap().to_vec()).unwrap()).collect()
        }
    }

    const HOLD: LateJoiners = LateJoiners { time: Duration::from_secs(2), mark: Mark { messages: 3, octets: 1000 } };

    #[test]
    fn each_subscriber_gets_one_copy_of_what_it_wants() {
        let mut table = Table::new(None);
        let (a, b) = (table.join(&["a", "ab", ""]), table.join(&["ab"]));
        table.publish("abc");
        table.publish("x");
        assert_eq!((table.got(a), table.got(b)), (vec!["abc".into(), "x".into()], vec!["abc".into()]));
        table.distributor.detach(a);
        table.publish("x");
        assert_eq!(table.distributor.tally().unmatched, 1);
    }

    #[test]
    fn a_full_subscriber_misses_messages_and_others_do_not() {
        let mut table = Table::new(None);
        let (slow, fast) = (table.join(&[""]), table.join(&[""]));
        for text in ["1", "2", "3", "4"] {
            table.publish(text);
            assert_eq!(table.got(fast), [text]);
        }
        assert_eq!(table.got(slow), ["1", "2", "3"]);
        assert_eq!(table.distributor.tally().over_mark, 1);
    }

    #[test]
    fn with_nothing_dropped_a_full_subscriber_stops_all() {
        let mut table = Table::new(None);
        table.distributor =
            Distributor::new(Mark::messages(3), SubscriptionLimits::default(), None, None).dropping_none(true);
        let (slow, fast) = (table.join(&["a"]), table.join(&[""]));
        let now = table.now;
        let mut run = Run::contiguous(b"\x00\x01a\x00\x01b".repeat(3).into(), 6);
        table.distributor.push(&mut run, || now);
        assert_eq!(run.messages(), 3, "the fast one is full");
        assert_eq!(table.got(fast), ["a", "b", "a"]);
        table.distributor.push(&mut run, || now);
        assert_eq!((run.messages(), table.got(slow)), (0, vec!["a".into(); 3]));
        assert_eq!(table.got(fast), ["b", "a", "b"]);
        assert!(
            (0..4).all(|_| table.distributor.put(Message::from("x"), 3, || now).is_ok()) || table.got(fast).len() == 3
        );
        let tally = table.distributor.tally();
        assert_eq!((tally.over_mark, tally.accepted), (0, 9));
    }

    #[test]
    fn the_first_message_waits_for_all_that_are_connecting() {
        let mut table = Table::new(Some(HOLD));
        table.publish("first");
        let a = table.join(&["f"]);
        table.now += Duration::from_secs(1);
        let b = table.join(&[""]);
        assert_eq!((table.got(a), table.got(b)), (vec!["first".into()], vec!["first".into()]));
        table.now += Duration::from_secs(2);
        let c = table.join(&[""]);
        assert_eq!(table.got(c), Vec::<String>::new());
        assert_eq!(table.distributor.tally(), Tally { accepted: 1, late: 2, ..Tally::default() });
    }

    #[test]
    fn a_reply_waits_for_its_caller_also_later() {
        let mut table = Table::new(Some(HOLD));
        table.publish("old");
        table.now += Duration::from_secs(10);
        table.publish("id1 reply");
        let other = table.join(&["id2"]);
        let caller = table.join(&["id1", "id1 r"]);
        let late = table.join(&["id1"]);
        assert_eq!(table.got(caller), ["id1 reply"]);
        assert_eq!((table.got(other), table.got(late)), (vec![], vec![]));
        assert_eq!(table.distributor.tally().unmatched, 1, "the old one");
    }

    #[test]
    fn what_is_held_is_bounded_and_expires() {
        let mut table = Table::new(Some(HOLD));
        for _ in 0..5 {
            table.publish("x");
        }
        assert_eq!(table.distributor.queued().0, 3);
        assert_eq!(table.distributor.expire(table.now), Some(table.now + HOLD.time));
        assert_eq!(table.distributor.expire(table.now + HOLD.time), None);
        assert_eq!(table.distributor.tally().unmatched, 5);
        assert_eq!(table.distributor.queued(), (0, 0));
    }

    #[test]
    fn a_flood_of_subscriptions_is_an_error() {
        let mut table = Table::new(None);
        let limits = SubscriptionLimits { prefixes: if cfg!(miri) { 100 } else { 10_000 }, ..Default::default() };
        table.distributor = Distributor::new(Mark::messages(3), limits, None, None);
        let peer = table.join(&[]);
        let mut flood = (0..2 * limits.prefixes).map(|n| Bytes::from(format!("{n}")));
        let result = flood.try_for_each(|p| table.distributor.subscribe(peer, p, true, table.now));
        assert_eq!(result.unwrap_err().reason(), "too-many-subscriptions");
        table.distributor.detach(peer);
        assert!(table.distributor.subscriptions.is_empty());
    }
}
