//! The routes that one connection used lately, by the octets of their topics.
//!
//! Senders repeat themselves: a hit costs one comparison of octets, where the way through the shared table costs checking
//! the topic, a hash, a lock and a reference count. A topic's octets have been checked before they get here.

use std::sync::Arc;

use crate::route::Route;

/// A cache with one place per slot: a topic that lands in another's place takes it.
#[derive(Debug, Default)]
pub(crate) struct RecentRoutes {
    places: Vec<Option<Recent>>,
}

#[derive(Debug)]
struct Recent {
    topic: Box<[u8]>,
    route: Arc<Route>,
}

impl RecentRoutes {
    /// The place of a topic, if it was used lately: below [`PLACES`].
    #[inline]
    pub(crate) fn find(&self, topic: &[u8]) -> Option<usize> {
        let slot = slot(topic);
        let recent = self.places.get(slot)?.as_ref()?;
        (*recent.topic == *topic).then_some(slot)
    }

    /// The route at a place. It stays there until the place is taken or all is forgotten.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> Option<&Arc<Route>> {
        Some(&self.places.get(place)?.as_ref()?.route)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }

    /// Remembers the route of a topic.
    pub(crate) fn insert(&mut self, topic: &[u8], route: Arc<Route>) {
        // An idle connection has no table.
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        self.places[slot(topic)] = Some(Recent { topic: topic.into(), route });
    }
}

/// Where a topic goes. All of its octets count, eight at a time: with full host names, topics of one sender are alike at
/// both ends. A peer that makes them collide slows only itself.
#[inline]
fn slot(topic: &[u8]) -> usize {
    let mix = |sum: u64, octets: u64| (sum.rotate_left(5) ^ octets).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (whole, rest) = topic.as_chunks();
    let sum = whole.iter().fold(topic.len() as u64, |sum, octets| mix(sum, u64::from_le_bytes(*octets)));
    let sum = mix(sum, rest.iter().fold(0, |octets, octet| octets << 8 | u64::from(*octet)));
    (sum >> (u64::BITS - PLACES.ilog2())) as usize
}

/// More than the topics that a service sends to at one time; a power of two.
const PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_topics_have_slots_of_their_own() {
        let hosts = (0..16).map(|n| slot(format!("compute.host{n}").as_bytes()));
        let services = ["conductor", "scheduler", "network", "cert", "q", ""].into_iter().map(|s| slot(s.as_bytes()));
        let full_names = (0..16).map(|n| slot(format!("compute.node{n:02}.example.org").as_bytes()));
        let all: Vec<usize> = hosts.chain(services).chain(full_names).collect();
        assert!(all.iter().all(|slot| *slot < PLACES));
        let distinct: std::collections::HashSet<usize> = all.iter().copied().collect();
        assert!(distinct.len() > all.len() / 2, "{distinct:?}");
    }
}
