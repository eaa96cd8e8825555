//! What can be set on a socket. Every limit is finite unless the program says otherwise.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use super::security::Security;
use crate::{
    pattern::{Budget, LateJoiners, Mark, Overflow, SubscriptionLimits},
    proto::Limits,
    transport::{Registry, Transport},
};

/// Options of a socket, set before it is made.
///
/// ```
/// use std::time::Duration;
/// use zmtp::{Mark, Options};
///
/// let options = Options::new().send_mark(Mark::messages(100)).linger(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) send_mark: Mark,
    pub(crate) recv_mark: Mark,
    pub(crate) limits: Limits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) reconnect_min: Duration,
    pub(crate) reconnect_max: Duration,
    pub(crate) max_connections: usize,
    pub(crate) immediate: bool,
    pub(crate) linger: Duration,
    pub(crate) backlog: Option<Mark>,
    pub(crate) overflow: Overflow,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) opening: Option<Duration>,
    pub(crate) settler: Option<Settler>,
    pub(crate) late_joiners: Option<LateJoiners>,
    pub(crate) subscription_limits: SubscriptionLimits,
    pub(crate) budget: Option<Budget>,
    pub(crate) security: Security,
    pub(crate) transports: Registry,
}

impl Options {
    /// The defaults, each named at its method.
    pub fn new() -> Self {
        Self::default()
    }

    /// What one peer's queue holds before PUSH passes it over and PUB drops for it (libzmq: `ZMQ_SNDHWM`). Default:
    /// 1,000 messages and 64 MiB. In addition one write of at most 256 KiB or one message may be under way.
    pub fn send_mark(mut self, mark: Mark) -> Self {
        self.send_mark = mark;
        self
    }

    /// What one peer may have waiting to be received before its connection is no longer read (`ZMQ_RCVHWM`). Default:
    /// 1,000 messages and 64 MiB.
    pub fn recv_mark(mut self, mark: Mark) -> Self {
        self.recv_mark = mark;
        self
    }

    /// What a peer may send (`ZMQ_MAXMSGSIZE` among them). Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// One deadline from an open stream to the peer's READY (`ZMQ_HANDSHAKE_IVL`). Default: 30 s.
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// How long one attempt to open a stream may take (`ZMQ_CONNECT_TIMEOUT`). Default: 30 s.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long to wait between attempts to connect: about `min` at first, doubling to `max` while they fail, each
    /// wait drawn at random from its upper half (`ZMQ_RECONNECT_IVL`, `ZMQ_RECONNECT_IVL_MAX`). A connection counts
    /// as success when the peer's READY has come. Default: 50 ms to 5 s; for `ipc` never over 100 ms.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Self {
        (self.reconnect_min, self.reconnect_max) = (min, max.max(min));
        self
    }

    /// Connections that one bound endpoint keeps at a time; beyond it peers wait in the listen backlog. Default: 4,096.
    pub fn max_connections(mut self, n: usize) -> Self {
        self.max_connections = n.max(1);
        self
    }

    /// PUSH: queue messages only for peers that are connected (`ZMQ_IMMEDIATE`). Default: off.
    pub fn immediate(mut self, on: bool) -> Self {
        self.immediate = on;
        self
    }

    /// How long a *dropped* socket goes on sending what it has queued (`ZMQ_LINGER`). Default: 30 s, not for ever as in
    /// libzmq. [`close`](crate::Push::close) takes its own.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// PUSH: messages that find no peer with room wait in the socket up to `mark`, and what a vanished peer left
    /// unsent goes back there and to the next peer, in order. Default: none; [`send`](crate::Push::send) waits, and a
    /// vanished peer's queue is discarded, as in libzmq.
    pub fn backlog(mut self, mark: Mark) -> Self {
        self.backlog = Some(mark);
        self
    }

    /// PUSH: what a full [backlog](Self::backlog) does. Default: it refuses.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// PUSH: how long a message may wait in the [backlog](Self::backlog). What a peer has queued is the peer's. Default:
    /// for ever.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// PUSH: when the first peer finds more than a few messages in the [backlog](Self::backlog), it gets a part of them at
    /// once, and so does each other that comes within `time`; then the rest is dealt out. For a socket that is bound when there
    /// is something to send, and peers that come one after the other. Default: the first gets what it has room for.
    pub fn opening(mut self, time: Duration) -> Self {
        self.opening = Some(time);
        self
    }

    /// PUSH with a [backlog](Self::backlog): `settle` is told the numbers of messages that the socket has done with,
    /// because they were written whole, displaced or expired: for a program that keeps its own copies until then. Messages
    /// have numbers in the order of sending, or those of [`try_send_numbered`](crate::Push::try_send_numbered).
    ///
    /// It is called by the tasks of connections and must not wait.
    pub fn settler(mut self, settle: impl Fn(Range<u64>) + Send + Sync + 'static) -> Self {
        self.settler = Some(Settler(Arc::new(settle)));
        self
    }

    /// PUB: hold messages for subscribers that come a moment late. Default: none, as in libzmq.
    pub fn late_joiners(mut self, rules: LateJoiners) -> Self {
        self.late_joiners = Some(rules);
        self
    }

    /// PUB: what one peer may subscribe to. Default: [`SubscriptionLimits::default`].
    pub fn subscription_limits(mut self, limits: SubscriptionLimits) -> Self {
        self.subscription_limits = limits;
        self
    }

    /// A ceiling on octets that this socket shares with others: what is queued, and large messages that are coming in.
    /// Default: none.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The security mechanism, of all connections (`ZMQ_MECHANISM`). Default: none.
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Adds a transport for a scheme, in place of a built-in one of that name.
    pub fn transport(mut self, scheme: &str, transport: Arc<dyn Transport>) -> Self {
        self.transports.add(scheme, transport);
        self
    }
}

/// Who is told that messages are done with.
#[derive(Clone)]
pub(crate) struct Settler(Arc<dyn Fn(Range<u64>) + Send + Sync>);

impl Settler {
    pub(crate) fn settle(&self, numbers: Range<u64>) {
        (self.0)(numbers);
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settler")
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_mark: Mark::default(),
            recv_mark: Mark::default(),
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(5),
            max_connections: 4096,
            immediate: false,
            linger: Duration::from_secs(30),
            backlog: None,
            overflow: Overflow::Refuse,
            time_to_live: None,
            opening: None,
            settler: None,
            late_joiners: None,
            subscription_limits: SubscriptionLimits::default(),
            budget: None,
            security: Security::Null,
            transports: Registry::default(),
        }
    }
}
