//! Calls that wait for their reply.
//!
//! A message id is opaque to peers, so ours has a meaning: 16 hex digits that all calls of a transport
//! share, and 16 of a counter (oslo-zmq, section 4). One subscription to the former gets the replies
//! of all calls, and none is too early for it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use zmtp::Message;

/// The calls of one transport.
#[derive(Debug)]
pub(crate) struct Pending {
    prefix: String,
    next: AtomicU64,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    by_number: HashMap<u64, oneshot::Sender<Message>>,
    closed: bool,
}

/// A call's place among those that wait. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Waiter {
    pending: Arc<Pending>,
    number: u64,
    reply: oneshot::Receiver<Message>,
}

impl Pending {
    /// No calls, and a prefix that no other transport has, in whatever process.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            prefix: format!("{:016x}", random()),
            next: AtomicU64::new(random() >> 16),
            waiters: Mutex::default(),
        })
    }

    /// What the ids of all calls begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A place for one more call. `None`: the transport is closed.
    pub(crate) fn wait(self: &Arc<Self>) -> Option<Waiter> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        let mut waiters = self.waiters();
        if waiters.closed {
            return None;
        }
        waiters.by_number.insert(number, sender);
        drop(waiters);
        Some(Waiter { pending: self.clone(), number, reply })
    }

    /// Hands a reply to its call. False: no such call waits, or no longer.
    pub(crate) fn settle(&self, reply: Message) -> bool {
        let number = reply.frame(0).and_then(|id| self.number(id));
        let waiter = number.and_then(|number| self.waiters().by_number.remove(&number));
        waiter.is_some_and(|waiter| waiter.send(reply).is_ok())
    }

    /// Ends all calls, and takes no more.
    pub(crate) fn close(&self) {
        let mut waiters = self.waiters();
        waiters.closed = true;
        waiters.by_number.clear();
    }

    fn number(&self, id: &[u8]) -> Option<u64> {
        let digits = std::str::from_utf8(id).ok()?.strip_prefix(&self.prefix)?;
        (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The id that the reply is to have.
    pub(crate) fn id(&self) -> String {
        format!("{}{:016x}", self.pending.prefix, self.number)
    }

    /// The reply. `None`: the transport was closed.
    pub(crate) async fn reply(&mut self) -> Option<Message> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.pending.waiters().by_number.remove(&self.number);
    }
}

/// A number that nobody can foresee, from the keys that the standard library hashes with.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: &str) -> Message {
        Message::builder().more(id.to_owned()).last("x")
    }

    #[tokio::test]
    async fn a_reply_finds_its_call_and_a_late_one_none() {
        let pending = Pending::new();
        let mut first = pending.wait().unwrap();
        let second = pending.wait().unwrap();
        let late = second.id();
        drop(second);
        assert_eq!(late.len(), 32);
        assert!(late.starts_with(pending.prefix()));
        assert!(!pending.settle(reply(&late)));
        assert!(!pending.settle(reply("0")));
        assert!(pending.settle(reply(&first.id())));
        assert!(first.reply().await.is_some());
        assert!(!pending.settle(reply(&first.id())));
        assert!(pending.waiters().by_number.len() <= 1);
    }

    #[tokio::test]
    async fn closing_ends_those_who_wait() {
        let pending = Pending::new();
        let mut call = pending.wait().unwrap();
        pending.close();
        assert!(call.reply().await.is_none());
        assert!(pending.wait().is_none());
    }

    #[test]
    fn two_transports_share_no_prefix() {
        assert_ne!(Pending::new().prefix(), Pending::new().prefix());
    }
}
