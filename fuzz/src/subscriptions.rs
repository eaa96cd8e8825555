//! Who subscribed to what, against a plain set.

use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use zmtp::pattern::Subscriptions;

/// After any subscriptions and cancellations a topic is for those whose prefix it starts with, and for nobody else.
pub fn subscriptions(input: &[u8]) {
    let Ok(steps) = Vec::<Step<'_>>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let mut subscriptions = Subscriptions::new();
    let mut model = BTreeSet::new();
    for step in steps {
        match step {
            Step::Insert(prefix, who) => {
                let is_new = subscriptions.insert(Bytes::copy_from_slice(prefix), who);
                assert_eq!(is_new, model.insert((prefix, who)));
            }
            Step::Remove(prefix, who) => assert_eq!(subscriptions.remove(prefix, who), model.remove(&(prefix, who))),
            Step::RemoveAll(who) => {
                subscriptions.remove_all(who);
                model.retain(|(_, other)| *other != who);
            }
            Step::Match(topic) => {
                let mut found = Vec::new();
                subscriptions.for_each_match(topic, |some| found.extend_from_slice(some));
                let mut expected: Vec<u8> =
                    model.iter().filter(|(prefix, _)| topic.starts_with(prefix)).map(|(_, who)| *who).collect();
                assert_eq!(subscriptions.matches(topic), !expected.is_empty());
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected);
            }
        }
        let prefixes: BTreeSet<&[u8]> = model.iter().map(|(prefix, _)| *prefix).collect();
        assert_eq!((subscriptions.len(), subscriptions.is_empty()), (prefixes.len(), prefixes.is_empty()));
    }
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Insert(&'a [u8], u8),
    Remove(&'a [u8], u8),
    RemoveAll(u8),
    Match(&'a [u8]),
}
