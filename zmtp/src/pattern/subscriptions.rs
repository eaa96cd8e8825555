//! Who subscribed to what, and who wants a message: prefix matching (RFC 29).
//!
//! One ordered map from prefix to subscribers. All prefixes of a topic that are in it are found from the longest
//! down: the greatest key not above the topic is either a prefix of it, or shares a shorter start with it, beyond
//! which no prefix can lie. Each step shortens the search by at least one octet, so a look-up takes at most as many
//! steps as the topic has octets and usually one or two, whatever was subscribed. Nothing recurses.

use std::{
    collections::BTreeMap,
    ops::Bound::{self, Excluded, Included, Unbounded},
};

use bytes::Bytes;

/// What one peer may subscribe to at most.
#[derive(Debug, Clone, Copy)]
pub struct SubscriptionLimits {
    /// Distinct prefixes.
    pub prefixes: usize,
    /// Octets of all its prefixes.
    pub octets: usize,
}

impl Default for SubscriptionLimits {
    /// 10,000 prefixes and 1 MiB: far above any caller of RPC, and a flood costs little memory.
    fn default() -> Self {
        Self { prefixes: 10_000, octets: 1 << 20 }
    }
}

/// A set of (prefix, subscriber).
///
/// A *set*: subscribing twice is the same as once, as in libzmq; the counting rule of the RFC would leave a libzmq
/// SUB subscribed for ever, since it counts on its own side and sends the last CANCEL only.
#[derive(Debug)]
pub struct Subscriptions<K> {
    /// Who subscribed to the empty prefix: the usual case, and no search.
    everything: Vec<K>,
    prefixes: BTreeMap<Bytes, Vec<K>>,
}

impl<K: Copy + Ord> Subscriptions<K> {
    /// The empty set.
    pub fn new() -> Self {
        Self { everything: Vec::new(), prefixes: BTreeMap::new() }
    }

    /// Adds; `false` when it was there.
    pub fn insert(&mut self, prefix: Bytes, subscriber: K) -> bool {
        let subscribers =
            if prefix.is_empty() { &mut self.everything } else { self.prefixes.entry(prefix).or_default() };
        match subscribers.binary_search(&subscriber) {
            Ok(_) => false,
            Err(at) => {
                subscribers.insert(at, subscriber);
                true
            }
        }
    }

    /// Removes; `false` when it was not there.
    pub fn remove(&mut self, prefix: &[u8], subscriber: K) -> bool {
        let found = if prefix.is_empty() { Some(&mut self.everything) } else { self.prefixes.get_mut(prefix) };
        let Some(subscribers) = found else { return false };
        let Ok(at) = subscribers.binary_search(&subscriber) else { return false };
        subscribers.remove(at);
        if subscribers.is_empty() && !prefix.is_empty() {
            self.prefixes.remove(prefix);
        }
        true
    }

    /// Removes all that a subscriber has, in one pass.
    pub fn remove_all(&mut self, subscriber: K) {
        self.everything.retain(|known| *known != subscriber);
        self.prefixes.retain(|_, subscribers| {
            if let Ok(at) = subscribers.binary_search(&subscriber) {
                subscribers.remove(at);
            }
            !subscribers.is_empty()
        });
    }

    /// Calls `found` with the subscribers of each prefix of `topic`, longest first. Who subscribed to two prefixes of
    /// it comes twice.
    #[inline]
    pub fn for_each_match(&self, topic: &[u8], mut found: impl FnMut(&[K])) {
        if !self.prefixes.is_empty() {
            self.search(topic, &mut found);
        }
        if !self.everything.is_empty() {
            found(&self.everything);
        }
    }

    fn search(&self, topic: &[u8], found: &mut impl FnMut(&[K])) {
        let mut limit: Bound<&[u8]> = Included(topic);
        while let Some((prefix, subscribers)) = self.prefixes.range::<[u8], _>((Unbounded, limit)).next_back() {
            let shared = topic.iter().zip(prefix).take_while(|(a, b)| a == b).count();
            if shared < prefix.len() {
                limit = Included(&topic[..shared]);
                continue;
            }
            found(subscribers);
            if shared == 0 {
                return;
            }
            limit = Excluded(&topic[..shared]);
        }
    }

    /// Whether anyone wants `topic`.
    pub fn matches(&self, topic: &[u8]) -> bool {
        if self.matches_all() {
            return true;
        }
        let mut any = false;
        self.for_each_match(topic, |_| any = true);
        any
    }

    /// Whether every topic has somebody who wants it.
    pub fn matches_all(&self) -> bool {
        !self.everything.is_empty()
    }

    /// Distinct prefixes.
    pub fn len(&self) -> usize {
        self.prefixes.len() + usize::from(self.matches_all())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Copy + Ord> Default for Subscriptions<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An interpreter takes a thousand times as long.
    const CASES: u32 = if cfg!(miri) { 8 } else { 256 };

    fn matched(set: &Subscriptions<u8>, topic: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        set.for_each_match(topic, |s| all.extend_from_slice(s));
        all
    }

    #[test]
    fn prefixes_longest_first() {
        let mut set = Subscriptions::new();
        for (n, prefix) in ["", "a", "ab", "abd", "b", "abc\u{7f}"].into_iter().enumerate() {
            assert!(set.insert(prefix.into(), n as u8));
        }
        assert_eq!(matched(&set, b"abcz"), [2, 1, 0]);
        assert_eq!(matched(&set, b"abd"), [3, 2, 1, 0]);
        assert_eq!(matched(&set, b""), [0]);
        assert_eq!(matched(&set, b"zzz"), [0]);
        set.remove_all(0);
        assert!(!set.matches(b"zzz"));
    }

    #[test]
    fn it_is_a_set() {
        let mut set = Subscriptions::new();
        assert!(set.insert("A".into(), 1));
        assert!(!set.insert("A".into(), 1));
        assert!(set.remove(b"A", 1));
        assert!(!set.remove(b"A", 1));
        assert!(set.is_empty());
    }

    #[test]
    fn a_long_topic_takes_no_stack() {
        let mut set = Subscriptions::new();
        let topic = Bytes::from(vec![b't'; if cfg!(miri) { 1 << 10 } else { 1 << 20 }]);
        set.insert(topic.clone(), 1);
        assert_eq!(matched(&set, &topic), [1]);
        assert!(set.remove(&topic, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

        #[test]
        fn it_equals_a_naive_set(
            entries in proptest::collection::vec((proptest::collection::vec(0u8..3, 0..6), 0u8..4), 0..40),
            removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
            topic in proptest::collection::vec(0u8..3, 0..8),
        ) {
            let mut set = Subscriptions::new();
            let mut naive = std::collections::BTreeSet::new();
            for (prefix, who) in &entries {
                prop_assert_eq!(set.insert(prefix.clone().into(), *who), naive.insert((prefix.clone(), *who)));
            }
            for index in removed.iter().filter(|_| !entries.is_empty()) {
                let (prefix, who) = index.get(&entries);
                prop_assert_eq!(set.remove(prefix, *who), naive.remove(&(prefix.clone(), *who)));
            }
            let mut got = matched(&set, &topic);
            got.sort_unstable();
            let mut wanted: Vec<u8> =
                naive.iter().filter(|(p, _)| topic.starts_with(p)).map(|(_, who)| *who).collect();
            wanted.sort_unstable();
            prop_assert_eq!(got, wanted);
        }
    }
}
