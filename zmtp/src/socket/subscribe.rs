//! SUB (RFC 29).

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use super::{
    core::Core,
    inbound::{InPort, Inbound},
    lifecycle::lifecycle,
    lock::{Lock, LockGuard},
    monitor::Monitor,
    options::Options,
    outcome::{BindError, CloseReport, ConnectError},
    shared::Socket,
    stats::Stats,
};
use crate::{
    pattern::{FairQueue, PeerId, Subscriptions, Turns},
    proto::{Connection, Message, PeerInfo, ProtocolError, Run, SocketType},
    session::{Feed, Port},
    transport::{Endpoint, Link, OpenListener, Stream},
};

/// Receives the messages of PUB peers whose first frame starts with a prefix that was subscribed to.
///
/// Subscriptions are sent to every peer when it is ready, and again after each reconnect. What a peer sends without
/// being asked is dropped here too. Otherwise as [`Pull`](crate::Pull).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use zmtp::{Message, Options, Pub, Sub};
///
/// let publisher = Pub::new(Options::new());
/// publisher.bind("memory://sub-example").await?;
/// let mut sub = Sub::new(Options::new());
/// sub.subscribe("weather");
/// sub.connect("memory://sub-example")?;
/// // It takes a moment until the publisher knows what is wanted.
/// let news = loop {
///     publisher.send("sports 3:2")?;
///     publisher.send(Message::builder().more("weather").last("sunny"))?;
///     if let Some(news) = sub.recv_timeout(Duration::from_millis(10)).await {
///         break news;
///     }
/// };
/// assert_eq!(news.frame(1), Some(&b"sunny"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sub {
    turns: Turns,
    shared: Arc<SubSocket>,
    core: Core<SubSocket>,
}

impl Sub {
    /// A socket without endpoints and without subscriptions: it receives nothing.
    pub fn new(options: Options) -> Self {
        let inbound =
            Inbound::new(FairQueue::new(options.recv_mark, options.budget.clone()).keeping_latest(options.conflate));
        let shared = Arc::new(SubSocket { inbound, filter: Lock::default() });
        Self { turns: Turns::default(), core: Core::new(shared.clone(), options), shared }
    }

    /// Subscribes to messages whose first frame starts with `prefix`; the empty prefix is every message. Twice the
    /// same prefix needs [`unsubscribe`](Self::unsubscribe) twice.
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) {
        self.shared.filter().add(Bytes::copy_from_slice(prefix.as_ref()));
        self.shared.inbound.wake_all();
    }

    /// Takes back one [`subscribe`](Self::subscribe). Acts at once on what comes from now on. False when there was none.
    pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> bool {
        let was = self.shared.filter().remove(prefix.as_ref());
        self.shared.inbound.wake_all();
        was
    }

    lifecycle!(connects);

    /// The next message. Waits while there is none.
    ///
    /// Cancel-safe: a message is taken only when it is returned.
    pub async fn recv(&mut self) -> Message {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next message, or `None` when there was none for so long (`ZMQ_RCVTIMEO`).
    ///
    /// Cancel-safe: a message is taken only when it is returned.
    pub async fn recv_timeout(&mut self, time: Duration) -> Option<Message> {
        tokio::time::timeout(time, self.recv()).await.ok()
    }

    /// The next message if one is there.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.shared.inbound.try_recv(&mut self.turns)
    }

    /// As [`recv`](Self::recv), for hand-written futures.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        self.shared.inbound.poll_recv(cx, &mut self.turns)
    }

    /// Stops listening and ends all connections, for at most `linger`. Messages that were not received are dropped.
    pub async fn close(&self, linger: Duration) -> CloseReport {
        self.core.close(linger).await
    }
}

/// Never ends by itself; [`close`](Sub::close) it when enough has come.
impl futures_core::Stream for Sub {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx).map(Some)
    }
}

#[derive(Debug)]
struct SubSocket {
    inbound: Arc<Inbound>,
    filter: Lock<Filter>,
}

impl SubSocket {
    fn filter(&self) -> LockGuard<'_, Filter> {
        self.filter.lock()
    }
}

impl Socket for SubSocket {
    const TYPE: SocketType = SocketType::Sub;
    type Port = SubPort;

    fn port(self: &Arc<Self>, _peer: &str, _lasting: bool) -> SubPort {
        SubPort { port: self.inbound.new_port(), shared: self.clone(), admitted: Run::default() }
    }

    fn close(&self) {
        self.inbound.close();
    }

    fn add_to(&self, stats: &mut Stats) {
        self.inbound.add_to(stats);
    }
}

/// What this socket subscribed to, and what its peers are still to be told.
#[derive(Debug, Default)]
struct Filter {
    /// How often each prefix was subscribed to.
    counts: BTreeMap<Bytes, usize>,
    prefixes: Subscriptions<()>,
    /// Per peer the latest word on each prefix that it has not been told.
    untold: BTreeMap<PeerId, BTreeMap<Bytes, bool>>,
}

impl Filter {
    fn add(&mut self, prefix: Bytes) {
        let count = self.counts.entry(prefix.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.prefixes.insert(prefix.clone(), ());
            self.tell(&prefix, true);
        }
    }

    /// Only the last of several ends it: a libzmq PUB keeps a set, not a count.
    fn remove(&mut self, prefix: &[u8]) -> bool {
        let Some((prefix, count)) = self.counts.remove_entry(prefix) else { return false };
        if count > 1 {
            self.counts.insert(prefix, count - 1);
        } else {
            self.prefixes.remove(&prefix, ());
            self.tell(&prefix, false);
        }
        true
    }

    fn tell(&mut self, prefix: &Bytes, subscribe: bool) {
        for untold in self.untold.values_mut() {
            untold.insert(prefix.clone(), subscribe);
        }
    }

    fn wants(&self, topic: Option<&[u8]>) -> bool {
        topic.is_some_and(|topic| self.prefixes.matches(topic))
    }
}

/// A peer's place in a SUB.
struct SubPort {
    port: InPort,
    shared: Arc<SubSocket>,
    /// Messages that passed the filter and wait for room.
    admitted: Run,
}

impl Port for SubPort {
    fn attach(&mut self, peer: &PeerInfo) {
        self.port.attach(peer);
        let mut filter = self.shared.filter();
        let all = filter.counts.keys().map(|prefix| (prefix.clone(), true)).collect();
        filter.untold.insert(self.port.id(), all);
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        loop {
            if !self.admitted.is_empty() && self.port.poll_deliver(cx, &mut self.admitted).is_pending() {
                return Poll::Pending;
            }
            if run.is_empty() {
                return Poll::Ready(());
            }
            let filter = self.shared.filter();
            if filter.prefixes.matches_all() {
                self.admitted = std::mem::take(run);
                continue;
            }
            let wanted = filter.wants(run.first().next());
            let group = run.split_leading(0, |_, next| filter.wants(next) == wanted);
            drop(filter);
            if wanted {
                self.admitted = group;
            }
        }
    }

    fn handle_subscription(&mut self, _: Bytes, _: bool) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Feed> {
        // Registered first: a change after the look below wakes the task.
        let feed = self.port.poll_feed(cx, connection);
        if feed.is_pending() {
            let mut filter = self.shared.filter();
            let untold = filter.untold.get_mut(&self.port.id()).map(std::mem::take).unwrap_or_default();
            drop(filter);
            if !untold.is_empty() {
                for (prefix, subscribe) in untold {
                    if subscribe { connection.subscribe(&prefix) } else { connection.cancel(&prefix) }
                }
                return Poll::Ready(Feed::Fed);
            }
        }
        feed
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.port.poll_done(cx)
    }

    fn detach(&mut self, unsent: VecDeque<Run>, written: u64) {
        self.shared.filter().untold.remove(&self.port.id());
        self.admitted = Run::default();
        self.port.detach(unsent, written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_count_and_the_last_cancels() {
        let mut filter = Filter::default();
        filter.add("A".into());
        filter.add("A".into());
        assert!(filter.remove(b"A"));
        assert!(filter.wants(Some(b"Abc")));
        assert!(filter.remove(b"A"));
        assert!(!filter.wants(Some(b"Abc")));
        assert!(!filter.remove(b"A"));
    }
}
