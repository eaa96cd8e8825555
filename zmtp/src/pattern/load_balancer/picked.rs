//! What was picked out of a run for one PUSH, taken at once.

use std::time::Instant;

use super::LoadBalancer;
use crate::proto::Picked;

impl LoadBalancer {
    /// As [`push`](crate::pattern::Outflow::push), for all or nothing: false where a look at each message is needed, since it is not that
    /// one peer has room for all.
    pub fn push_picked(&mut self, picked: Picked<'_>, now: impl Fn() -> Instant) -> bool {
        if self.peers.len() != 1 || self.backlog.as_ref().is_some_and(|backlog| !backlog.is_empty()) {
            return false;
        }
        let messages = picked.messages();
        let taken = self.give(0, |queue| if queue.push_picked(picked) { messages } else { 0 });
        if taken > 0 {
            if let Some(ledger) = &mut self.ledger {
                self.peers[0].numbers.append(ledger.enter(taken, now));
            }
            self.tally.accepted += taken as u64;
        }
        taken > 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::{
        pattern::{
            Mark, Outflow, PeerIds,
            load_balancer::tests::{push, run, settled, taken},
        },
        proto::{Run, Sorted},
    };

    /// Whether `balancer` takes these messages, picked out of a run with one of another way between any two.
    fn push_picked(balancer: &mut LoadBalancer, range: std::ops::Range<u8>) -> bool {
        let octets: Vec<u8> = range.clone().flat_map(|n| [0, 1, n, 0, 0]).collect();
        let (mut run, mut sorted) = (Run::contiguous(octets.into(), 2 * range.len()), Sorted::default());
        sorted.sort(&mut run, 0, |frame| Some(frame.len()));
        while let Some((way, picked)) = sorted.next_way() {
            if way == 1 {
                return balancer.push_picked(picked, Instant::now);
            }
        }
        unreachable!("there is such a way");
    }

    #[test]
    fn picked_messages_go_to_one_peer_with_room_for_all_or_nowhere() {
        let mut ids = PeerIds::default();
        let mut balancer = LoadBalancer::new(Mark::messages(5), Some(Mark::messages(9)), false, None).numbered();
        assert!(!push_picked(&mut balancer, 0..1), "no peer");
        let (a, b) = (ids.next_id(), ids.next_id());
        balancer.attach(a, false);
        assert!(push_picked(&mut balancer, 0..3));
        assert!(!push_picked(&mut balancer, 3..6), "no room for all");
        assert!(push_picked(&mut balancer, 3..5));
        assert_eq!(balancer.take_awakened(), Some(a));
        assert_eq!((taken(&mut balancer, a), balancer.tally().accepted), ((0..5).collect(), 5));
        balancer.note_written(a, 4);
        assert_eq!(settled(&mut balancer), [(0, 4)]);
        // Others wait before them.
        push(&mut balancer, run(5..11));
        assert_eq!(taken(&mut balancer, a).len(), 5);
        balancer.take_backlog();
        assert!(push_picked(&mut balancer, 11..12));
        balancer.attach(b, false);
        assert!(!push_picked(&mut balancer, 12..13), "two peers take turns");
    }

    #[test]
    fn picked_messages_do_not_pass_those_that_wait() {
        let mut balancer = LoadBalancer::new(Mark::messages(2), Some(Mark::messages(9)), false, None);
        let a = PeerIds::default().next_id();
        balancer.attach(a, false);
        push(&mut balancer, run(0..5));
        assert_eq!(balancer.peers[0].queue.messages(), 2);
        balancer.peers[0].queue.take(usize::MAX, &mut VecDeque::new());
        assert!(!push_picked(&mut balancer, 5..6));
    }
}
