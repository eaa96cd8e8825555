//! What waits for a peer: messages that found none with room, and those that a vanished one left.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::LoadBalancer;
use crate::{
    pattern::{numbers::Numbers, peers::PeerId},
    proto::Run,
};

/// What becomes of messages that a full backlog meets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The caller keeps them.
    #[default]
    Refuse,
    /// They are taken, and the oldest of the backlog dropped for them.
    Displace,
    /// They are taken beyond the mark, for a caller that then waits until there is room.
    Exceed,
}

/// Whether peers that come have only a share of what waits, because others may be about to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// For so long from the first peer on.
    Ahead(Duration),
    /// The first peer has come.
    Begun(Duration),
    Until(Instant),
    Over,
}

impl LoadBalancer {
    /// Whether the backlog is below its mark.
    pub fn has_room(&self) -> bool {
        self.backlog.as_ref().is_none_or(|backlog| backlog.is_empty() || backlog.has_room(1))
    }

    /// Takes back, in order, what no peer has had room for. It stays counted as accepted. With each run the number of its first message, if messages are
    /// numbered.
    pub fn take_backlog(&mut self) -> Vec<(Run, u64)> {
        let mut runs = VecDeque::new();
        if let Some(backlog) = &mut self.backlog {
            backlog.take(usize::MAX, &mut runs);
        }
        let Some(ledger) = &mut self.ledger else { return runs.into_iter().map(|run| (run, 0)).collect() };
        let mut numbers = std::mem::take(&mut ledger.backlog);
        let mut numbered = Vec::new();
        for mut run in runs {
            while let Some(first) = numbers.first().filter(|_| !run.is_empty()) {
                let part = run.split_fitting(numbers.first_range(), usize::MAX);
                let _ = numbers.take(part.messages() as u64);
                numbered.push((part, first));
            }
        }
        numbered
    }

    /// Keeps messages that found no peer with room.
    pub(super) fn keep(&mut self, run: &mut Run, numbers: &mut Numbers) {
        let Some(backlog) = &mut self.backlog else { return };
        loop {
            let mut taken = backlog.push(run);
            if self.overflow == Overflow::Exceed {
                taken += run.messages();
                backlog.exceed(std::mem::take(run));
            }
            if let Some(ledger) = &mut self.ledger {
                ledger.backlog.append(numbers.take(taken as u64));
            }
            if run.is_empty() || self.overflow == Overflow::Refuse {
                return;
            }
            let displaced = backlog.discard(run.messages(), run.octets());
            self.tally.displaced += displaced as u64;
            if let Some(ledger) = &mut self.ledger {
                ledger.settle(displaced);
            }
            if displaced == 0 {
                return;
            }
        }
    }

    /// Lets the opening end in time. Returns when that is.
    pub(super) fn go_on_opening(&mut self, now: Instant) -> Option<Instant> {
        match self.opening {
            Opening::Begun(time) => self.opening = Opening::Until(now + time),
            Opening::Until(end) if end <= now => {
                self.opening = Opening::Over;
                self.deal_backlog();
            }
            _ => {}
        }
        match self.opening {
            Opening::Until(end) => Some(end),
            _ => None,
        }
    }

    /// Drops what waits in the backlog for too long. Returns when the next is due.
    pub(super) fn expire_backlog(&mut self, now: Instant) -> Option<Instant> {
        let (ledger, backlog) = (self.ledger.as_mut()?, self.backlog.as_mut()?);
        let due = loop {
            match ledger.expiry() {
                Some((at, messages)) if at <= now => {
                    let gone = backlog.discard(messages, usize::MAX);
                    ledger.settle(gone);
                    self.tally.expired += gone as u64;
                }
                due => break due.map(|(at, _)| at),
            }
        };
        let firsts = self.peers.iter().map(|peer| &peer.numbers).chain([&ledger.backlog]).filter_map(Numbers::first);
        ledger.forget_arrivals(firsts.min().unwrap_or_else(|| ledger.end()));
        due
    }

    /// Gives a peer that has come its part of what waits.
    pub(super) fn deal_share(&mut self, id: PeerId) {
        let Ok(at) = self.peers.binary_search_by_key(&id, |known| known.id) else { return };
        let Some(mut backlog) = self.backlog.take() else { return };
        let mut share = SHARE + backlog.messages() / SHARE;
        let mut numbers = self.take_numbers();
        while share > 0
            && let Some(mut rest) = backlog.pop_run()
        {
            let mut part = rest.split_fitting(share, usize::MAX);
            let taken = self.give(at, |queue| queue.push(&mut part));
            self.number(at, taken, &mut numbers);
            share = if taken == 0 { 0 } else { share - taken };
            backlog.put_back(VecDeque::from([part, rest]));
        }
        self.backlog = Some(backlog);
        self.put_back_numbers(numbers);
    }

    pub(super) fn take_numbers(&mut self) -> Numbers {
        self.ledger.as_mut().map_or_else(Numbers::default, |ledger| std::mem::take(&mut ledger.backlog))
    }

    pub(super) fn put_back_numbers(&mut self, numbers: Numbers) {
        if let Some(ledger) = &mut self.ledger {
            ledger.backlog = numbers;
        }
    }

    /// Deals from the backlog what peers have room for.
    pub(super) fn deal_backlog(&mut self) {
        if matches!(self.opening, Opening::Begun(_) | Opening::Until(_)) {
            return;
        }
        let Some(mut backlog) = self.backlog.take() else { return };
        let mut numbers = self.take_numbers();
        while let Some(mut run) = backlog.pop_run() {
            self.deal(&mut run, &mut numbers);
            if !run.is_empty() {
                backlog.put_back(VecDeque::from([run]));
                break;
            }
        }
        self.backlog = Some(backlog);
        self.put_back_numbers(numbers);
    }
}

/// What a peer gets at once while others may be about to come: so many messages, and this part of the others. Few enough that
/// several peers end up with about the same, and all of what usually waits for one.
pub(super) const SHARE: usize = 8;

#[cfg(test)]
mod tests {
    use super::{
        super::{
            super::{Mark, Outflow, PeerIds},
            tests::{push, run, settled, taken},
        },
        *,
    };
    use crate::proto::Message;

    #[test]
    fn the_oldest_makes_room() {
        let backlog = Some(Mark::messages(3));
        let balancer = LoadBalancer::new(Mark::default(), backlog, false, None).numbered();
        let mut balancer = balancer.with_overflow(Overflow::Displace);
        assert_eq!(push(&mut balancer, run(0..2)), 0);
        assert_eq!(push(&mut balancer, run(2..5)), 0);
        assert_eq!((balancer.tally().displaced, settled(&mut balancer)), (2, vec![(0, 2)]));
        let peer = PeerIds::default().next_id();
        balancer.attach(peer, false);
        assert_eq!(taken(&mut balancer, peer), [2, 3, 4]);
    }

    #[test]
    fn a_patient_caller_exceeds_the_mark_once() {
        let balancer = LoadBalancer::new(Mark::default(), Some(Mark::messages(2)), false, None);
        let mut balancer = balancer.with_overflow(Overflow::Exceed);
        assert!(balancer.has_room());
        assert_eq!(push(&mut balancer, run(0..5)), 0);
        assert!(!balancer.has_room());
        assert_eq!(balancer.queued().0, 5);
    }

    #[test]
    fn what_waits_too_long_expires_and_what_a_peer_has_does_not() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let balancer = LoadBalancer::new(Mark::messages(1), Some(Mark::messages(9)), false, None);
        let mut balancer = balancer.with_time_to_live(Duration::from_secs(5));
        let peer = PeerIds::default().next_id();
        balancer.attach(peer, false);
        balancer.push(&mut run(0..3), || begun);
        balancer.push(&mut run(3..5), || at(2));
        assert_eq!(balancer.expire(at(4)), Some(at(5)));
        assert_eq!(balancer.expire(at(5)), Some(at(7)));
        assert_eq!((balancer.tally().expired, settled(&mut balancer)), (2, vec![(1, 3)]));
        assert_eq!(balancer.expire(at(7)), None);
        assert_eq!((balancer.tally().expired, balancer.queued().0), (4, 1));
        assert_eq!(taken(&mut balancer, peer), [0]);
    }

    #[test]
    fn peers_that_come_one_after_the_other_share_what_waits_for_the_first() {
        let begun = Instant::now();
        let mut ids = PeerIds::default();
        let mut balancer =
            LoadBalancer::new(Mark::default(), Some(Mark::default()), false, None).with_opening(Duration::from_secs(1));
        assert_eq!(push(&mut balancer, run(0..240)), 0);
        let peers = [(); 3].map(|()| ids.next_id());
        let mut dealt = [0; 3];
        for (peer, dealt) in peers.iter().zip(&mut dealt) {
            balancer.attach(*peer, false);
            *dealt += taken(&mut balancer, *peer).len();
            assert!(taken(&mut balancer, *peer).is_empty(), "no more before the others had time to come");
        }
        assert_eq!(dealt, [38, 33, 29]);
        assert_eq!(balancer.expire(begun), Some(begun + Duration::from_secs(1)));
        assert_eq!(balancer.expire(begun + Duration::from_secs(1)), None);
        for (peer, dealt) in peers.iter().zip(&mut dealt) {
            *dealt += taken(&mut balancer, *peer).len();
        }
        assert!(dealt.iter().sum::<usize>() == 240 && dealt.iter().all(|n| (70..90).contains(n)), "{dealt:?}");
    }

    #[test]
    fn a_few_messages_do_not_wait_for_others_and_none_does_at_the_end() {
        let mut balancer = LoadBalancer::new(Mark::default(), Some(Mark::default()), false, None);
        balancer = balancer.with_opening(Duration::from_secs(1));
        push(&mut balancer, run(0..8));
        let peer = PeerIds::default().next_id();
        balancer.attach(peer, false);
        assert_eq!(taken(&mut balancer, peer).len(), 8);

        let mut balancer = LoadBalancer::new(Mark::default(), Some(Mark::default()), false, None);
        balancer = balancer.with_opening(Duration::from_secs(1)).numbered();
        push(&mut balancer, run(0..100));
        balancer.attach(peer, false);
        balancer.close();
        assert_eq!(taken(&mut balancer, peer), (0..100).collect::<Vec<u8>>());
        balancer.note_written(peer, 100);
        assert_eq!(settled(&mut balancer), [(0, 100)]);
    }

    #[test]
    fn what_is_restored_meets_no_mark_and_keeps_its_age() {
        let begun = Instant::now();
        let balancer = LoadBalancer::new(Mark::default(), Some(Mark::messages(1)), false, None);
        let mut balancer = balancer.with_time_to_live(Duration::from_secs(5));
        balancer.restore(run(0..3), 7, begun);
        assert_eq!(balancer.queued().0, 3);
        assert_eq!(push(&mut balancer, run(3..4)), 1, "the mark holds for others");
        assert_eq!(balancer.expire(begun + Duration::from_secs(5)), None);
        assert_eq!(settled(&mut balancer), [(7, 10)]);
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
        let back: Vec<_> = balancer
            .take_backlog()
            .into_iter()
            .flat_map(|(run, _)| run)
            .map(|m: Message| m.frame(0).unwrap()[0])
            .collect();
        assert_eq!((back, taken(&mut balancer, peer)), (vec![2, 3, 4], vec![0, 1]));
        assert_eq!((balancer.tally().accepted, balancer.queued()), (5, (0, 0)));
        assert!(LoadBalancer::new(Mark::default(), None, false, None).take_backlog().is_empty());
    }
}
