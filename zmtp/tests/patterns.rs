//! The patterns against short models: whatever is done, in whatever order, every message is accounted for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use zmtp::{
    Limits, Mark, Message, Run, SubscriptionLimits,
    pattern::{Distributor, FairQueue, LoadBalancer, Outflow, PeerId, PeerIds, Queue, Turns},
    proto::{Decoder, Item},
};

/// An interpreter takes a thousand times as long.
const CASES: u32 = if cfg!(miri) { 4 } else { 256 };

fn config() -> ProptestConfig {
    // Files of failures are of no use to an interpreter that has no files.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

/// A message that is its number, of a size that decides whether it is copied, shared or kept apart.
fn numbered(n: u32) -> Message {
    let size = if cfg!(miri) { 0 } else { [0, 0, 0, 300, 4500][n as usize % 5] };
    Message::builder().more(n.to_string()).last(vec![b'x'; size])
}

fn number(message: &Message) -> u32 {
    std::str::from_utf8(message.frame(0).unwrap()).unwrap().parse().unwrap()
}

/// Messages back to back, as they come in one read.
fn run(numbers: impl Iterator<Item = u32>) -> Run {
    let messages: Vec<Message> = numbers.map(numbered).collect();
    let octets: Vec<u8> =
        messages.iter().flat_map(|m| m.chunks().flat_map(|c| c.to_vec()).collect::<Vec<u8>>()).collect();
    let mut decoder = Decoder::new(Limits::default());
    decoder.read_buffer().put_slice(&octets);
    decoder.handle_read();
    let Some(Item::Run(run)) = decoder.decode().unwrap() else { return Run::default() };
    assert_eq!(run.messages(), messages.len());
    run
}

fn numbers(runs: impl IntoIterator<Item = Run>) -> Vec<u32> {
    runs.into_iter().flatten().map(|message| number(&message)).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Attach {
        lasting: bool,
    },
    Connect {
        peer: prop::sample::Index,
        connected: bool,
    },
    Detach {
        peer: prop::sample::Index,
    },
    Put,
    Push {
        messages: u32,
    },
    Take {
        peer: prop::sample::Index,
        octets: usize,
    },
    /// Takes all, writes some, and gives the rest back.
    Break {
        peer: prop::sample::Index,
        written: prop::sample::Index,
    },
    Subscribe {
        peer: prop::sample::Index,
        prefix: String,
        subscribe: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use prop::sample::Index;

    let peer = any::<Index>;
    let step = prop_oneof![
        2 => any::<bool>().prop_map(|lasting| Step::Attach { lasting }),
        2 => (peer(), any::<bool>()).prop_map(|(peer, connected)| Step::Connect { peer, connected }),
        1 => peer().prop_map(|peer| Step::Detach { peer }),
        8 => Just(Step::Put),
        4 => (0u32..12).prop_map(|messages| Step::Push { messages }),
        4 => (peer(), 0usize..4000).prop_map(|(peer, octets)| Step::Take { peer, octets }),
        2 => (peer(), peer()).prop_map(|(peer, written)| Step::Break { peer, written }),
        4 => (peer(), "[0-3]{0,2}", any::<bool>())
            .prop_map(|(peer, prefix, subscribe)| Step::Subscribe { peer, prefix, subscribe }),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 40 } else { 120 })
}

fn queued<P: Outflow>(pattern: &P) -> usize {
    pattern.queued().0
}

proptest! {
    #![proptest_config(config())]

    /// Each message that was taken is with one peer, in the backlog, written, or counted as discarded; once.
    #[test]
    fn a_push_loses_and_repeats_nothing(
        steps in steps(),
        mark in 1usize..8,
        backlog in prop::option::of(0usize..10),
        immediate in any::<bool>(),
    ) {
        let mut pattern = LoadBalancer::new(Mark::messages(mark), backlog.map(Mark::messages), immediate, None);
        let (mut ids, mut peers, mut next) = (PeerIds::default(), Vec::<PeerId>::new(), 0u32);
        let (mut written, mut accepted) = (Vec::new(), BTreeSet::new());
        for step in steps {
            let one = |peer: prop::sample::Index, peers: &[PeerId]| (!peers.is_empty()).then(|| *peer.get(peers));
            match step {
                Step::Attach { lasting } => {
                    let id = ids.next_id();
                    pattern.attach(id, lasting);
                    peers.push(id);
                }
                Step::Connect { peer, connected } => {
                    if let Some(peer) = one(peer, &peers) { pattern.set_connected(peer, connected) }
                }
                Step::Detach { peer } => {
                    if let Some(peer) = one(peer, &peers) {
                        pattern.detach(peer);
                        peers.retain(|other| *other != peer);
                    }
                }
                Step::Put => {
                    let message = numbered(next);
                    let octets = message.octets();
                    if pattern.put(message, octets, Instant::now).is_ok() { accepted.insert(next); }
                    next += 1;
                }
                Step::Push { messages } => {
                    let mut run = run(next..next + messages);
                    pattern.push(&mut run, Instant::now);
                    let left = numbers([run]);
                    prop_assert!(left.is_empty() || left == Vec::from_iter(next + messages - left.len() as u32..next + messages));
                    accepted.extend(next..next + messages - left.len() as u32);
                    next += messages;
                }
                Step::Take { peer, octets } => if let Some(peer) = one(peer, &peers) {
                    let mut taken = VecDeque::new();
                    pattern.take(peer, octets, &mut taken);
                    written.extend(numbers(taken));
                }
                Step::Break { peer, written: part } => if let Some(peer) = one(peer, &peers) {
                    let mut taken = VecDeque::new();
                    pattern.take(peer, usize::MAX, &mut taken);
                    let taken = numbers(taken);
                    let (done, unsent) = taken.split_at(part.index(taken.len() + 1));
                    written.extend_from_slice(done);
                    pattern.put_back(peer, VecDeque::from([run(unsent.iter().copied())]));
                    pattern.set_connected(peer, false);
                }
                Step::Subscribe { .. } => {}
            }
            let discarded = pattern.tally().discarded as usize;
            prop_assert_eq!(queued(&pattern) + written.len() + discarded, accepted.len());
            prop_assert_eq!(pattern.tally().accepted, accepted.len() as u64);
            while pattern.take_awakened().is_some() {}
        }
        for peer in peers {
            pattern.set_connected(peer, true);
            let mut taken = VecDeque::new();
            while { pattern.take(peer, usize::MAX, &mut taken); pattern.set_connected(peer, true); !pattern.is_drained(peer) } {}
            written.extend(numbers(taken));
        }
        let all = written.len();
        let written: BTreeSet<u32> = written.into_iter().collect();
        prop_assert_eq!(written.len(), all, "none twice");
        prop_assert!(written.is_subset(&accepted));
    }

    /// Each peer gets what it subscribed to when it was published, in order, up to the mark, and nothing else.
    #[test]
    fn a_pub_gives_each_peer_what_it_wants(steps in steps(), mark in 1usize..8) {
        let mut pattern = Distributor::new(Mark::messages(mark), SubscriptionLimits::default(), None, None);
        let (mut ids, mut peers, mut next) = (PeerIds::default(), Vec::<PeerId>::new(), 0u32);
        let mut model: BTreeMap<PeerId, (BTreeSet<String>, VecDeque<u32>)> = BTreeMap::new();
        let (mut over, mut unmatched) = (0, 0);
        let mut publish = |model: &mut BTreeMap<PeerId, (BTreeSet<String>, VecDeque<u32>)>, n: u32| {
            let mut wanted = false;
            for (prefixes, queue) in model.values_mut() {
                if prefixes.iter().any(|prefix| n.to_string().starts_with(prefix)) {
                    wanted = true;
                    if queue.len() < mark { queue.push_back(n) } else { over += 1 }
                }
            }
            unmatched += u64::from(!wanted);
            (over, unmatched)
        };
        for step in steps {
            let one = |peer: prop::sample::Index, peers: &[PeerId]| (!peers.is_empty()).then(|| *peer.get(peers));
            match step {
                Step::Attach { .. } => {
                    let id = ids.next_id();
                    pattern.attach(id, false);
                    peers.push(id);
                    model.insert(id, Default::default());
                }
                Step::Detach { peer } => if let Some(peer) = one(peer, &peers) {
                    pattern.detach(peer);
                    peers.retain(|other| *other != peer);
                    model.remove(&peer);
                }
                Step::Put => {
                    let message = numbered(next);
                    let octets = message.octets();
                    prop_assert!(pattern.put(message, octets, Instant::now).is_ok());
                    let (over, unmatched) = publish(&mut model, next);
                    prop_assert_eq!((pattern.tally().over_mark, pattern.tally().unmatched), (over, unmatched));
                    next += 1;
                }
                Step::Push { messages } => {
                    let mut run = run(next..next + messages);
                    pattern.push(&mut run, Instant::now);
                    for n in next..next + messages {
                        publish(&mut model, n);
                    }
                    next += messages;
                }
                Step::Take { peer, .. } | Step::Break { peer, .. } => if let Some(peer) = one(peer, &peers) {
                    let mut taken = VecDeque::new();
                    pattern.take(peer, usize::MAX, &mut taken);
                    let expected = std::mem::take(&mut model.get_mut(&peer).unwrap().1);
                    prop_assert_eq!(numbers(taken), Vec::from(expected));
                }
                Step::Subscribe { peer, prefix, subscribe } => if let Some(peer) = one(peer, &peers) {
                    let prefixes = &mut model.get_mut(&peer).unwrap().0;
                    if subscribe { prefixes.insert(prefix.clone()); } else { prefixes.remove(&prefix); }
                    pattern.subscribe(peer, Bytes::from(prefix), subscribe, Instant::now()).unwrap();
                }
                Step::Connect { .. } => {}
            }
            prop_assert_eq!(queued(&pattern), model.values().map(|(_, queue)| queue.len()).sum::<usize>());
            while pattern.take_awakened().is_some() {}
        }
    }

    /// Each peer's messages come out in order, none is lost, and no peer has more waiting than the mark.
    #[test]
    fn a_pull_takes_turns_and_loses_nothing(
        steps in prop::collection::vec((0usize..4, 0u32..6, 0usize..6), 0..60),
        mark in 1usize..10,
    ) {
        let mut ids = PeerIds::default();
        let peers = [(); 4].map(|()| ids.next_id());
        let mut queue = FairQueue::new(Mark::messages(mark), None);
        peers.iter().for_each(|peer| queue.attach(*peer));
        let mut turns = Turns::default();
        let mut waiting: [VecDeque<u32>; 4] = Default::default();
        let mut next = 0;
        for (at, messages, pops) in steps {
            let mut coming = run(next..next + messages);
            queue.push(peers[at], &mut coming);
            let refused = coming.messages() as u32;
            waiting[at].extend(next..next + messages - refused);
            next += messages;
            prop_assert!(waiting[at].len() <= mark);
            for _ in 0..pops {
                let message = turns.pop().or_else(|| { queue.swap(&mut turns); turns.pop() });
                let Some(message) = message else {
                    prop_assert!(waiting.iter().all(VecDeque::is_empty), "some wait");
                    break;
                };
                let n = number(&message);
                let from = waiting.iter_mut().find(|waiting| waiting.front() == Some(&n));
                prop_assert!(from.is_some(), "{n} is no peer's next");
                from.unwrap().pop_front();
            }
        }
        peers.iter().for_each(|peer| queue.detach(*peer));
        let mut rest = 0;
        while turns.pop().or_else(|| { queue.swap(&mut turns); turns.pop() }).is_some() { rest += 1; }
        prop_assert_eq!(rest, waiting.iter().map(VecDeque::len).sum::<usize>(), "those of peers that are gone too");
        prop_assert_eq!(queue.connected(), 0);
    }

    /// In order, whatever is taken and put back, and the counts are of what is there.
    #[test]
    fn a_queue_is_a_queue(
        steps in prop::collection::vec(prop_oneof![
            (1u32..5).prop_map(Ok),
            (0usize..9000, any::<prop::sample::Index>()).prop_map(Err),
        ], 0..60),
        mark in 1usize..12,
    ) {
        let mut queue = Queue::new(Mark::messages(mark), None);
        let (mut model, mut next) = (VecDeque::new(), 0);
        for step in steps {
            match step {
                Ok(messages) => {
                    let mut coming = run(next..next + messages);
                    let taken = queue.push(&mut coming);
                    prop_assert_eq!(taken, (messages as usize).min(mark.saturating_sub(model.len())));
                    model.extend(next..next + taken as u32);
                    next += messages;
                }
                Err((octets, back)) => {
                    let mut runs = VecDeque::new();
                    queue.take(octets, &mut runs);
                    let taken = numbers(runs);
                    prop_assert!(model.iter().take(taken.len()).eq(taken.iter()));
                    let (gone, back) = taken.split_at(back.index(taken.len() + 1));
                    model.drain(..gone.len());
                    queue.put_back(VecDeque::from([run(back.iter().copied())]));
                }
            }
            prop_assert_eq!((queue.messages(), queue.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(queue.octets(), model.iter().map(|n| numbered(*n).octets()).sum::<usize>());
        }
    }
}
