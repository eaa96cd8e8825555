//! What can be set on a socket. Every limit is finite unless the program says otherwise.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;

use super::security::Security;
use crate::{
    pattern::{Budget, LateJoiners, Mark, Overflow, SubscriptionLimits},
    proto::{Heartbeats, Limits, MAX_PROPERTIES},
    transport::{Ipc, Registry, Tcp, Transport},
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
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Option<Duration>,
    pub(crate) heartbeat_ttl: Duration,
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
    pub(crate) admits_2_0: bool,
    /// What the peer is told beside the socket type.
    pub(crate) properties: Vec<(Bytes, Bytes)>,
    pub(crate) give_up: GiveUp,
    pub(crate) conflate: bool,
    pub(crate) drops_none: bool,
    pub(crate) busy_poll: Duration,
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

    /// How much time a connection may spend, on average for each batch that comes, with looking whether more does, before it
    /// sleeps; 150 microseconds at most after one (there is no such thing in libzmq; for sockets of the system,
    /// `SO_BUSY_POLL`). To be woken costs both sides. Two that answer each other at once, and a sender that is slower than its
    /// receiver, are several times as fast if nobody sleeps; where what comes is further apart than this, hardly any time is
    /// spent. A CPU is kept busy by messages that come one by one as often as this: at the default by some 33,000 a second.
    /// Zero: it always sleeps, which suits processes that share one CPU. Default: 30 microseconds.
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = time;
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

    /// Sends each peer a PING so often, and cuts it when nothing comes within
    /// [`heartbeat_timeout`](Self::heartbeat_timeout) of one (`ZMQ_HEARTBEAT_IVL`). Default: zero, which is never: a peer
    /// whose host has gone is then noticed when TCP gives up, after a quarter of an hour or, if nothing is sent, not at all.
    ///
    /// Best set on both sides. One that does not read because its application does not [receive](Self::recv_mark) answers
    /// no PING either; it is alive to the other by PINGs of its own.
    pub fn heartbeat_interval(mut self, time: Duration) -> Self {
        self.heartbeat_interval = time;
        self
    }

    /// How long after a PING a peer may be silent (`ZMQ_HEARTBEAT_TIMEOUT`). Any octet counts. Zero: for ever.
    /// Default: the [interval](Self::heartbeat_interval).
    pub fn heartbeat_timeout(mut self, time: Duration) -> Self {
        self.heartbeat_timeout = Some(time);
        self
    }

    /// Tells each peer with a PING that it may take this side for gone when nothing comes for so long
    /// (`ZMQ_HEARTBEAT_TTL`). At least the interval, in steps of 100 ms, 65.5 s at most, since libzmq misreads more.
    /// Default: zero, which sets no time. What a peer tells in this way is acted upon in any case.
    pub fn heartbeat_ttl(mut self, time: Duration) -> Self {
        self.heartbeat_ttl = time;
        self
    }

    pub(crate) fn heartbeats(&self) -> Option<Heartbeats> {
        let interval = self.heartbeat_interval;
        let timeout = self.heartbeat_timeout.unwrap_or(interval);
        (!interval.is_zero()).then_some(Heartbeats { interval, timeout, ttl: self.heartbeat_ttl })
    }

    /// How long to wait between attempts to connect: up to `min` at first, doubling to `max` while they fail, each wait
    /// drawn at random from nothing to that, so that the clients of a restarted server do not come back in step
    /// (`ZMQ_RECONNECT_IVL`, `ZMQ_RECONNECT_IVL_MAX`, where it is neither random nor kept over a connection that fails
    /// at once). A connection counts as success when the peer's READY has come. A peer that breaks the protocol is tried
    /// again like any other. Default: 50 ms to 5 s; for `ipc` never over 100 ms.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Self {
        (self.reconnect_min, self.reconnect_max) = (min, max.max(min));
        self
    }

    /// When to connect no more (`ZMQ_RECONNECT_STOP`; `ZMQ_RECONNECT_IVL` of -1). Default: when the peer has refused this
    /// side's login, and when the address can never work.
    pub fn give_up(mut self, when: GiveUp) -> Self {
        self.give_up = when;
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

    /// Each queue holds the latest message only: a newer one takes the place of one that was not taken yet, whatever the
    /// marks (`ZMQ_CONFLATE`; unlike there, a message may have several frames). What was replaced is counted as
    /// [`Tally::conflated`](crate::Tally::conflated). Not together with [`backlog`](Self::backlog). Default: off.
    pub fn conflate(mut self, on: bool) -> Self {
        self.conflate = on;
        self
    }

    /// PUB: a message that a subscriber has no room for is sent to nobody and given back
    /// ([`SendError::Full`](crate::SendError::Full)), so that none is dropped (`ZMQ_XPUB_NODROP`); the slowest subscriber
    /// then sets the pace of all. [`Pub::send_when_room`](crate::Pub::send_when_room) waits. Default: off.
    pub fn no_drop(mut self, on: bool) -> Self {
        self.drops_none = on;
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

    /// Lets peers of ZMTP 2.0 in too: libzmq 3.2, in old clouds. Such a peer knows neither security nor heartbeats, so this
    /// has no effect together with [`security`](Self::security), and one that hangs is not noticed. Default: they are
    /// refused, as are those of ZMTP 1.0 (libzmq 2.x) in any case; the monitor names them.
    pub fn admit_zmtp_2_0(mut self, on: bool) -> Self {
        self.admits_2_0 = on;
        self
    }

    /// Tells peers a name for this side, the property Identity: up to 255 octets, of which the first is not 0
    /// (`ZMQ_ROUTING_ID`). PUSH, PULL, PUB and SUB make no use of a peer's; it is in
    /// [`PeerInfo::properties`](crate::proto::PeerInfo::properties). Default: none.
    ///
    /// # Errors
    /// [`NotAProperty`], where it is too long or begins with 0.
    pub fn identity(self, identity: impl Into<Bytes>) -> Result<Self, NotAProperty> {
        let identity = identity.into();
        if identity.len() > 255 || identity.first() == Some(&0) {
            return Err(NotAProperty("an identity has up to 255 octets, of which the first is not 0"));
        }
        self.with_property(Bytes::from_static(b"Identity"), identity)
    }

    /// Tells peers a property of the application (`ZMQ_METADATA`), the name without its `X-`: up to 253 ASCII letters, digits
    /// and `-_.+`. Default: none.
    ///
    /// ```
    /// # fn main() -> Result<(), zmtp::NotAProperty> {
    /// let options = zmtp::Options::new().property("Region", "north")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotAProperty`], also where there would be more of them than peers take.
    pub fn property(self, name: &str, value: impl Into<Bytes>) -> Result<Self, NotAProperty> {
        let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
        if !fits || !(1..=253).contains(&name.len()) {
            return Err(NotAProperty("a property's name has 1 to 253 letters, digits or -_.+"));
        }
        self.with_property(format!("X-{name}").into(), value.into())
    }

    fn with_property(mut self, name: Bytes, value: Bytes) -> Result<Self, NotAProperty> {
        self.properties.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.properties.push((name, value));
        let octets: usize = self.properties.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
        if octets > MOST_PROPERTIES || self.properties.len() >= MAX_PROPERTIES {
            return Err(NotAProperty(
                "all properties have up to 7 KiB, and there are up to 31 of them: peers take no more",
            ));
        }
        Ok(self)
    }

    /// How TCP sockets are opened, and who is accepted on them. Default: [`Tcp::new`].
    pub fn tcp(self, tcp: Tcp) -> Self {
        self.transport("tcp", Arc::new(tcp))
    }

    /// How Unix sockets are opened, and who is accepted on them. Default: [`Ipc::new`].
    pub fn ipc(self, ipc: Ipc) -> Self {
        self.transport("ipc", Arc::new(ipc))
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

/// A property that can't be told to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAProperty(&'static str);

/// When a socket connects no more to an endpoint. By default it goes on in all three cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GiveUp {
    /// When no stream can be opened: nobody listens, the name is not found.
    pub refused: bool,
    /// When a handshake has failed.
    pub handshake_failed: bool,
    /// When a connection has ended that was ready.
    pub disconnected: bool,
}

impl GiveUp {
    /// After the first attempt, whatever comes of it.
    pub const ALWAYS: Self = Self { refused: true, handshake_failed: true, disconnected: true };
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_mark: Mark::default(),
            recv_mark: Mark::default(),
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::ZERO,
            heartbeat_timeout: None,
            heartbeat_ttl: Duration::ZERO,
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
            admits_2_0: false,
            properties: Vec::new(),
            give_up: GiveUp::default(),
            conflate: false,
            drops_none: false,
            busy_poll: BUSY_POLL,
            transports: Registry::default(),
        }
    }
}

/// About what a sleep costs both sides: a receiver of 20,000 messages a second that sleeps between them takes 12 microseconds of
/// its CPU for each, and its sender pays as much or more to wake it. With 15, two processes that answer each other on one CPU,
/// where looking is in vain, took 0.8 to 0.9 of the time, but the receiver slept between a feeder and a sink that do: 82
/// microseconds from one to the other instead of 23.
const BUSY_POLL: Duration = Duration::from_micros(30);
/// READY and its box must fit into what libzmq and [`Limits`] take of a command, 8 KiB.
const MOST_PROPERTIES: usize = 7 << 10;
