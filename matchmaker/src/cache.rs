//! Answers of a server, kept: for a moment to answer from, and for longer in case it goes away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exchange::Member;
use crate::name::Topic;

/// The last answer for each topic that was asked for.
#[derive(Debug)]
pub(crate) struct Cache {
    fresh_for: Duration,
    answers: Mutex<HashMap<Topic, Cached>>,
}

#[derive(Debug)]
struct Cached {
    at: Instant,
    members: Arc<[Member]>,
}

impl Cache {
    pub(crate) fn new(fresh_for: Duration) -> Self {
        Self { fresh_for, answers: Mutex::default() }
    }

    /// The answer for `topic`, if it is young enough not to ask again.
    pub(crate) fn fresh(&self, topic: &Topic) -> Option<Arc<[Member]>> {
        let answers = self.lock();
        let cached = answers.get(topic)?;
        (cached.at.elapsed() < self.fresh_for).then(|| cached.members.clone())
    }

    /// The answer for `topic`, however old.
    pub(crate) fn last(&self, topic: &Topic) -> Option<Arc<[Member]>> {
        self.lock().get(topic).map(|cached| cached.members.clone())
    }

    /// Keeps an answer.
    pub(crate) fn put(&self, topic: &Topic, members: Arc<[Member]>) {
        let mut answers = self.lock();
        if answers.len() >= MOST_ANSWERS && !answers.contains_key(topic) {
            answers.retain(|_, cached| cached.at.elapsed() < self.fresh_for);
            if answers.len() >= MOST_ANSWERS {
                return;
            }
        }
        answers.insert(topic.clone(), Cached { at: Instant::now(), members });
    }

    /// Has `topic` asked for again: its members have just changed. The answer stays for an outage.
    pub(crate) fn age(&self, topic: &Topic) {
        if let Some(cached) = self.lock().get_mut(topic)
            && let Some(then) = cached.at.checked_sub(self.fresh_for)
        {
            cached.at = then;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Cached>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most answers kept, some 100 octets each: five times the topics of the largest deployment in mind,
/// so that directed ones have room too. At the mark, answers that are no longer fresh go.
const MOST_ANSWERS: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    #[test]
    fn an_answer_is_fresh_for_a_while_and_stays_for_longer() {
        let cache = Cache::new(Duration::from_secs(60));
        assert_eq!(cache.last(&topic("t")), None);
        cache.put(&topic("t"), Arc::default());
        assert_eq!(cache.fresh(&topic("t")), Some(Arc::default()));
        cache.age(&topic("t"));
        assert_eq!(cache.fresh(&topic("t")), None);
        assert_eq!(cache.last(&topic("t")), Some(Arc::default()));
    }

    #[test]
    fn answers_are_bounded_and_old_ones_make_room() {
        let cache = Cache::new(Duration::ZERO);
        for number in 0..=MOST_ANSWERS {
            cache.put(&topic(&format!("t{number}")), Arc::default());
        }
        assert_eq!(cache.lock().len(), 1);
        let cache = Cache::new(Duration::from_secs(60));
        for number in 0..=MOST_ANSWERS {
            cache.put(&topic(&format!("t{number}")), Arc::default());
        }
        assert_eq!(cache.lock().len(), MOST_ANSWERS);
    }
}
