//! From what a registry lists to what a ring file should hold.
//!
//! Pure. What always holds: a catalogue that is empty or has lost half of what it had is refused,
//! because it is more often a fault of the catalogue than of the hosts; hand-made topics stay; of a
//! host's names the short one counts, unless told otherwise; topics with a dot are left out, since no
//! ring is ever asked for one.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::backend::Listing;
use crate::exchange::Member;
use crate::name::{Host, Topic};

/// How a ring is made of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether `host1.example.com` is listed as that, and not as `host1`.
    pub full_names: bool,
    /// The least number of hosts that a catalogue has to list.
    pub min_hosts: usize,
    /// From which share of the topics, or of the hosts, their loss is refused, in per cent. One host
    /// alone may always go; at 100 only an empty catalogue is refused.
    pub max_remove: u8,
}

impl Default for Rules {
    /// Short names, at least one host, and less than half lost.
    fn default() -> Self {
        Self { full_names: false, min_hosts: 1, max_remove: 50 }
    }
}

/// What a ring is to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What follows from the catalogue.
    pub managed: Listing,
    /// What people have written, left as it is.
    pub kept: Listing,
}

impl Wanted {
    /// Both together.
    pub fn ring(&self) -> Listing {
        let mut ring = self.kept.clone();
        ring.extend(self.managed.clone());
        ring
    }
}

/// What a ring is to hold, given the catalogue, the ring as it is, and what was wanted of it last.
///
/// A topic of the ring that no catalogue ever had is hand-made. If the ring holds nothing, or cannot
/// be read, the hand-made topics of the last time count.
///
/// # Errors
///
/// [`Refusal`]: the ring is to stay as it is.
pub fn reconcile(catalogue: &Listing, ring: &Listing, last: Option<&Wanted>, rules: &Rules) -> Result<Wanted, Refusal> {
    let managed = managed(catalogue, rules);
    let hosts = hosts(&managed).len();
    let topics = managed.values().filter(|members| !members.is_empty()).count();
    if hosts < rules.min_hosts || topics == 0 {
        let had = last.map_or(ring, |last| &last.managed).len();
        return Err(Refusal::TooFew { topics, hosts, least: rules.min_hosts.max(1), had });
    }
    let before = match last {
        Some(last) => last.managed.clone(),
        // Nothing says who made the others.
        None => ring.iter().filter(|(topic, _)| managed.contains_key(*topic)).map(owned).collect(),
    };
    refuse_losses(&before, &managed, rules)?;
    let hand_made = match last {
        Some(last) if ring.is_empty() => last.kept.clone(),
        last => {
            let ours = |topic: &Topic| last.is_some_and(|last| last.managed.contains_key(topic));
            ring.iter().filter(|(topic, _)| !ours(topic)).map(owned).collect()
        }
    };
    let kept = hand_made.into_iter().filter(|(topic, _)| !managed.contains_key(topic)).collect();
    Ok(Wanted { managed, kept })
}

/// Why a catalogue is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is empty, or nearly.
    #[error(
        "the catalogue lists {topics} topics on {hosts} hosts, and at least {least} hosts are required (the ring had \
         {had} topics): if this is right, lower --min-hosts, or remove the file"
    )]
    TooFew {
        /// Topics that have a host.
        topics: usize,
        /// Different hosts.
        hosts: usize,
        /// The number required.
        least: usize,
        /// Topics that the ring had.
        had: usize,
    },
    /// It has lost too much at once.
    #[error(
        "the catalogue has lost {lost} of {had} {what}, and {limit} % is too much at once: if this is right, raise \
         --max-remove"
    )]
    TooManyGone {
        /// Topics or hosts.
        what: &'static str,
        /// How many are gone.
        lost: usize,
        /// Of how many.
        had: usize,
        /// The share from which that is refused.
        limit: u8,
    },
}

fn managed(catalogue: &Listing, rules: &Rules) -> Listing {
    let named = |member: &Member| {
        let name = member.name.as_str();
        // An address has dots too, and a backend's name is part of neither.
        let address = member.name.machine().as_str().parse::<std::net::IpAddr>().is_ok();
        let short = name.split('.').next().filter(|_| !rules.full_names && !address);
        short.and_then(|short| short.parse().ok()).unwrap_or_else(|| member.name.clone())
    };
    let listed = catalogue.iter().filter(|(topic, _)| !topic.is_directed());
    let mut topics: BTreeMap<Topic, BTreeSet<Host>> =
        listed.map(|(topic, members)| (topic.clone(), members.iter().map(named).collect())).collect();
    // Multi-backend calls of cinder go to the host's own topic.
    let volumes: Vec<_> = topics
        .iter()
        .filter(|(topic, _)| topic.as_str() == Topic::VOLUME)
        .flat_map(|(_, hosts)| hosts)
        .cloned()
        .collect();
    for host in volumes {
        let machine = host.machine();
        if let Ok(topic) = format!("{}:{machine}", Topic::VOLUME).parse() {
            topics.entry(topic).or_default().insert(machine);
        }
    }
    topics.into_iter().map(|(topic, hosts)| (topic, hosts.into_iter().map(Member::from).collect())).collect()
}

fn refuse_losses(before: &Listing, after: &Listing, rules: &Rules) -> Result<(), Refusal> {
    // A topic per host goes with its host and would count that twice.
    let shared = |listing: &Listing| -> BTreeSet<Topic> {
        let own = |topic: &Topic| topic.as_str().strip_prefix(Topic::VOLUME).is_some_and(|rest| rest.starts_with(':'));
        let served = listing.iter().filter(|(topic, members)| !members.is_empty() && !own(topic));
        served.map(|(topic, _)| topic.clone()).collect()
    };
    let (topics, topics_after) = (shared(before), shared(after));
    let (hosts_before, hosts_after) = (hosts(before), hosts(after));
    let lost_topics = topics.difference(&topics_after).count();
    let lost_hosts = hosts_before.difference(&hosts_after).count();
    let too_many = |lost: usize, had: usize| lost > 0 && lost * 100 >= had * usize::from(rules.max_remove);
    let limit = rules.max_remove;
    if rules.max_remove < 100 && too_many(lost_topics, topics.len()) {
        return Err(Refusal::TooManyGone { what: "topics", lost: lost_topics, had: topics.len(), limit });
    }
    if rules.max_remove < 100 && lost_hosts > 1 && too_many(lost_hosts, hosts_before.len()) {
        return Err(Refusal::TooManyGone { what: "hosts", lost: lost_hosts, had: hosts_before.len(), limit });
    }
    Ok(())
}

fn hosts(listing: &Listing) -> BTreeSet<Host> {
    listing.values().flat_map(|members| members.iter().map(|member| member.name.clone())).collect()
}

fn owned<V: Clone>((topic, members): (&Topic, &V)) -> (Topic, V) {
    (topic.clone(), members.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Ring;
    use crate::ring_writer::ring_text;

    fn listing(text: &str) -> Listing {
        Ring::parse(text).unwrap().listing().clone()
    }

    fn flat(listing: &Listing) -> String {
        ring_text(listing).replace(['\n', ' '], "")
    }

    fn first(catalogue: &str, ring: &str) -> Result<Wanted, Refusal> {
        reconcile(&listing(catalogue), &listing(ring), None, &Rules::default())
    }

    #[test]
    fn names_are_short_sorted_and_single_and_cinder_has_its_topics() {
        let wanted = first(
            r#"{"compute": ["h2.x.org", "h1", "h2", "10.0.0.1"], "compute.h1": ["h1"],
                "cinder-volume": ["c2@lvm", "c1"]}"#,
            "{}",
        );
        assert_eq!(
            flat(&wanted.unwrap().ring()),
            r#"{"cinder-volume":["c1","c2@lvm"],"cinder-volume:c1":["c1"],"cinder-volume:c2":["c2"],"compute":["10.0.0.1","h1","h2"]}"#
        );
        let full = Rules { full_names: true, ..Rules::default() };
        let wanted = reconcile(&listing(r#"{"a": ["h.x.org"]}"#), &Listing::new(), None, &full);
        assert_eq!(flat(&wanted.unwrap().ring()), r#"{"a":["h.x.org"]}"#);
    }

    #[test]
    fn hand_made_topics_stay_and_those_of_the_catalogue_go_with_it() {
        let one = first(r#"{"a": ["h1"], "b": ["h1"], "c": ["h1"]}"#, r#"{"mine": ["h9"], "a": ["h0"]}"#).unwrap();
        assert_eq!(flat(&one.kept), r#"{"mine":["h9"]}"#);
        let next = listing(r#"{"a": ["h1"], "b": ["h1"]}"#);
        let two = reconcile(&next, &one.ring(), Some(&one), &Rules::default()).unwrap();
        assert_eq!(flat(&two.ring()), r#"{"a":["h1"],"b":["h1"],"mine":["h9"]}"#);

        // Removed by hand: gone. The whole ring lost: back.
        let without = listing(r#"{"a": ["h1"]}"#);
        assert_eq!(reconcile(&next, &without, Some(&one), &Rules::default()).unwrap().kept, Listing::new());
        assert_eq!(reconcile(&next, &Listing::new(), Some(&one), &Rules::default()).unwrap(), two);
    }

    #[test]
    fn an_empty_catalogue_is_refused() {
        for catalogue in ["{}", r#"{"a": []}"#, r#"{"a.h1": ["h1"]}"#] {
            let refusal = first(catalogue, r#"{"a": ["h1"]}"#).unwrap_err();
            assert!(matches!(refusal, Refusal::TooFew { topics: 0, had: 1, .. }), "{refusal}");
        }
        let strict = Rules { min_hosts: 3, ..Rules::default() };
        assert!(reconcile(&listing(r#"{"a": ["h1", "h2"]}"#), &Listing::new(), None, &strict).is_err());
    }

    #[test]
    fn a_halved_catalogue_is_refused_and_one_host_may_go() {
        let refused = |before: &str, after: &str, max_remove| {
            let last = Wanted { managed: listing(before), kept: Listing::new() };
            let rules = Rules { max_remove, ..Rules::default() };
            reconcile(&listing(after), &last.ring(), Some(&last), &rules).is_err()
        };
        let four = r#"{"a": ["h1", "h2", "h3", "h4"]}"#;
        assert!(!refused(four, r#"{"a": ["h1", "h2", "h3"]}"#, 50));
        assert!(refused(four, r#"{"a": ["h1", "h2"]}"#, 50));
        assert!(!refused(four, r#"{"a": ["h1"]}"#, 100));
        assert!(refused(four, r#"{"a": ["h1", "h2"]}"#, 10));
        assert!(!refused(r#"{"a": ["h1", "h2"]}"#, r#"{"a": ["h1"]}"#, 50));
        assert!(refused(r#"{"a": ["h"], "b": ["h"]}"#, r#"{"a": ["h"]}"#, 50));
        assert!(!refused(r#"{"a": ["h"], "b": ["h"], "c": ["h"]}"#, r#"{"a": ["h"], "b": ["h"]}"#, 50));
    }

    #[test]
    fn the_ring_of_a_first_run_counts_only_where_the_catalogue_has_a_say() {
        assert!(first(r#"{"a": ["h1"]}"#, r#"{"b": ["h1"], "c": ["h2"], "d": ["h3"]}"#).is_ok());
        assert!(first(r#"{"a": ["h1"]}"#, r#"{"a": ["h1", "h2", "h3"]}"#).is_err());
    }
}
