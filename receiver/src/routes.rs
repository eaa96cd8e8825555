//! All topics: from a topic to its route, made on the first message.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use oslo_rpc::Topic;
use oslo_rpc::topic::Kind;
use tracing::{debug, error, info, warn};
use zmtp::{Budget, Run, Stats};

use crate::clock::Clock;
use crate::drops::Drops;
use crate::recorder::Recorder;
use crate::route::{Route, RouteError, Rules};
use crate::settings::Settings;
use crate::spool::{Restored, Spool};
use crate::taps::Taps;
use crate::transit::{Histogram, Transits};

/// The routes of a receiver, shared by all connections.
#[derive(Debug)]
pub(crate) struct Routes {
    /// For topics that are opened from now on.
    rules: RwLock<Rules>,
    memory: Budget,
    clock: Clock,
    /// The topic of replies to callers on this host, which is never given up.
    replies: String,
    by_key: RwLock<HashMap<String, Arc<Route>>>,
    /// Held while a socket is bound, so that look-ups of other topics do not wait for that. Knows when idle topics were
    /// last looked for in vain.
    opening: Mutex<Option<Instant>>,
    /// Counters of topics that are no more, by kind.
    given_up: Mutex<[Sums; KINDS.len()]>,
    pub(crate) drops: Drops,
    pub(crate) recorder: Recorder,
    pub(crate) taps: Taps,
    transits: Arc<Transits>,
    /// How often a sender had to wait for room.
    waits: AtomicU64,
    /// Nobody waits any more.
    hurries: AtomicBool,
    /// Where messages to queues are kept until they are written, if anywhere.
    pub(crate) spool: Option<Spool>,
}

/// Counters of several topics together, in messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) accepted: u64,
    pub(crate) written: u64,
    pub(crate) returned: u64,
    pub(crate) late: u64,
    pub(crate) refused: u64,
    pub(crate) over_mark: u64,
    pub(crate) unmatched: u64,
    pub(crate) discarded: u64,
    pub(crate) displaced: u64,
    pub(crate) expired: u64,
}

/// What all routes came to, from the start to their end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    /// Messages written whole to consumers.
    pub(crate) written: u64,
    /// Messages that nobody took in time.
    pub(crate) left: u64,
}

impl Sums {
    fn add(&mut self, stats: &Stats, refused: u64) {
        self.accepted += stats.tally.accepted;
        self.written += stats.written;
        self.returned += stats.tally.returned;
        self.late += stats.tally.late;
        self.refused += refused;
        self.over_mark += stats.tally.over_mark;
        self.unmatched += stats.tally.unmatched;
        self.discarded += stats.tally.discarded;
        self.displaced += stats.tally.displaced;
        self.expired += stats.tally.expired;
    }

    /// Messages dropped, for whatever reason.
    pub(crate) fn dropped(&self) -> u64 {
        self.refused + self.over_mark + self.unmatched + self.discarded + self.displaced + self.expired
    }
}

/// The kinds of topics, in the order of sums.
pub(crate) const KINDS: [Kind; 3] = [Kind::Queue, Kind::Fanout, Kind::Reply];

fn at(kind: Kind) -> usize {
    match kind {
        Kind::Queue => 0,
        Kind::Fanout => 1,
        Kind::Reply => 2,
    }
}

/// Why a topic has no route.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoute {
    #[error("{0} topics are served already: raise max_topics in [zmq_receiver], or see who makes so many")]
    TooMany(usize),
    #[error("it is not served here: add it to allow_topics in [zmq_receiver], or see who sends to it")]
    NotAllowed,
    #[error(transparent)]
    Open(#[from] RouteError),
}

impl NoRoute {
    /// A label for counters.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::TooMany(_) => "topic-limit",
            Self::NotAllowed => "topic-not-allowed",
            Self::Open(_) => "bind-failed",
        }
    }
}

impl Routes {
    pub(crate) fn new(settings: &Settings, dir: &Path, clock: Clock, spool: Option<Spool>) -> Self {
        let memory = Budget::new(settings.limits.memory_limit);
        let transits = Arc::default();
        Self {
            rules: RwLock::new(Rules::new(settings, dir, &memory, clock, spool.clone(), &transits)),
            memory,
            clock,
            replies: format!("zmq_replies.{}", settings.host),
            by_key: RwLock::default(),
            opening: Mutex::default(),
            given_up: Mutex::default(),
            waits: AtomicU64::new(0),
            hurries: AtomicBool::new(false),
            drops: Drops::default(),
            spool,
            recorder: Recorder::new(settings.flight_records),
            taps: Taps::default(),
            transits,
        }
    }

    /// Takes other rules for topics that are opened from now on.
    pub(crate) fn apply(&self, settings: &Settings) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        *rules = Rules::new(settings, rules.dir(), &self.memory, self.clock, self.spool.clone(), &self.transits);
    }

    /// The route of a topic, if there is one.
    pub(crate) fn find(&self, topic: &Topic<'_>) -> Option<Arc<Route>> {
        self.with_key(topic.key())
    }

    /// The route of the topics of a key, if there is one.
    pub(crate) fn with_key(&self, key: &str) -> Option<Arc<Route>> {
        self.read().get(key).cloned()
    }

    /// The route of a topic, made if it is the first of its key.
    pub(crate) fn open(&self, topic: &Topic<'_>) -> Result<Arc<Route>, NoRoute> {
        if topic.key() != self.replies && !self.rules().topics.allows(topic.key()) {
            return Err(NoRoute::NotAllowed);
        }
        let mut in_vain = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = self.find(topic) {
            return Ok(route);
        }
        let open = self.read().len();
        let rules = self.rules();
        if open >= rules.max_topics {
            if in_vain.is_some_and(|at| at.elapsed() < SEARCH_PAUSE) {
                return Err(NoRoute::TooMany(open));
            }
            if !self.reclaim() {
                *in_vain = Some(Instant::now());
                return Err(NoRoute::TooMany(open));
            }
        }
        let route = Arc::new(Route::open(topic, &rules)?);
        debug!(topic = route.key(), kind = ?topic.kind(), "topic opened");
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        by_key.insert(route.key().to_owned(), route.clone());
        Ok(route)
    }

    /// Queues messages of an earlier run. What has no route stays in the spool.
    pub(crate) fn restore(&self, messages: Restored) {
        let Restored { run, first, arrived } = messages;
        let topic = run.first().nth(TOPIC_FRAME).unwrap_or_default();
        let route = Topic::parse(topic)
            .map_err(|error| error.to_string())
            .and_then(|topic| self.open(&topic).map_err(|error| format!("topic {topic}: {error}")));
        match route {
            Ok(route) => drop(route.restore(run, first, arrived)),
            Err(error) => error!(messages = run.messages(), "messages stay in the spool until the next start: {error}"),
        }
    }

    /// Makes the socket of replies to callers on this host before the first reply, so that callers are connected to it.
    ///
    /// # Errors
    /// Why there is none yet; it is tried again at the first reply.
    pub(crate) fn open_replies(&self) -> Result<(), String> {
        let topic = Topic::parse(self.replies.as_bytes()).map_err(|error| error.to_string())?;
        self.open(&topic).map(drop).map_err(|error| error.to_string())
    }

    /// Gives up idle topics, to make room for others. A message for one of them makes it again.
    fn reclaim(&self) -> bool {
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let idle: Vec<_> =
            by_key.extract_if(|key, route| *key != self.replies && route.is_idle()).map(|(_, route)| route).collect();
        drop(by_key);
        let any = !idle.is_empty();
        for route in idle {
            debug!(topic = route.key(), "idle topic given up");
            self.lock_given_up()[at(route.kind())].add(&route.stats(), route.refused());
            // Begun at once: routers that still know it get their messages back from now on, and look the topic up again.
            let mut closing = Box::pin(async move { route.close(Duration::ZERO).await });
            if closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                tokio::spawn(closing);
            }
        }
        any
    }

    /// Lets nobody wait for room any more: what has been sent is to be taken before the end, whatever the limits.
    pub(crate) fn hurry(&self) {
        self.hurries.store(true, Ordering::Relaxed);
    }

    /// Has who sent the last messages to `route` wait until there is room for more.
    pub(crate) async fn wait_for_room(&self, route: &Route, peer: &str) {
        if !route.blocks() {
            return;
        }
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.drops.tell("sender-waits", peer, route.key(), || {
            format!("topic {}: queue is full, its senders wait", route.key())
        });
        loop {
            if self.hurries.load(Ordering::Relaxed) || route.room().await {
                return;
            }
        }
    }

    /// How often a sender had to wait for room.
    pub(crate) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Logs that messages of `route` were dropped for newer ones, if there are more than `before`. The topic counts them.
    pub(crate) fn note_displaced(&self, route: &Route, before: Option<u64>, peer: &str) {
        if let Some(before) = before
            && let Some(now) = route.displaced().filter(|now| *now > before)
        {
            self.drops.tell("oldest-displaced", peer, route.key(), || {
                format!("topic {}: queue is full, {} of its oldest messages were dropped", route.key(), now - before)
            });
        }
    }

    /// Counts and logs messages that found no room, with the limit that they met, which is the reason.
    pub(crate) fn note_full(&self, route: &Route, rest: &Run, peer: &str) -> &'static str {
        route.note_refused(rest.messages());
        let octets = rest.first_octets();
        let reason = if self.memory.left() < octets {
            "memory-limit"
        } else if route.octets_left() < octets {
            "topic-octets"
        } else {
            "topic-backlog"
        };
        self.drops.note(reason, rest.messages(), peer, Some(route.key()), || {
            let Stats { queued, peers, .. } = route.stats();
            format!("topic {}: queue is full, {queued} messages for {peers} consumers", route.key())
        });
        reason
    }

    /// Counters of each topic by key, in order of keys.
    pub(crate) fn stats(&self) -> Vec<(String, Stats)> {
        let mut all: Vec<_> = self.read().iter().map(|(key, route)| (key.clone(), route.stats())).collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// All routes, in order of keys.
    pub(crate) fn all(&self) -> Vec<Arc<Route>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        all
    }

    /// The receiver's clock.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// How long messages of queues took on their way.
    pub(crate) fn transits(&self) -> Histogram {
        self.transits.histogram()
    }

    /// Counters by kind, of all topics there ever were.
    pub(crate) fn sums(&self) -> [Sums; KINDS.len()] {
        let mut sums = *self.lock_given_up();
        self.read().values().for_each(|route| sums[at(route.kind())].add(&route.stats(), route.refused()));
        sums
    }

    fn lock_given_up(&self) -> MutexGuard<'_, [Sums; KINDS.len()]> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Octets for all topics together.
    pub(crate) fn memory(&self) -> &Budget {
        &self.memory
    }

    /// Closes all routes at the same time, each with `linger`.
    pub(crate) async fn close(&self, linger: Duration) -> Closed {
        let all: Vec<_> = self.by_key.write().unwrap_or_else(PoisonError::into_inner).drain().collect();
        let mut total = Closed { written: self.lock_given_up().iter().map(|sums| sums.written).sum(), left: 0 };
        let mut closing = tokio::task::JoinSet::new();
        for (key, route) in all {
            closing.spawn(async move {
                let stats = route.stats();
                let report = route.close(linger).await;
                (key, route, stats, report)
            });
        }
        while let Some(closed) = closing.join_next().await {
            let Ok((topic, route, stats, report)) = closed else { continue };
            // Until here nothing of it is seen: what was counted comes back with its end.
            self.lock_given_up()[at(route.kind())].add(&route.stats(), route.refused());
            let written = stats.written + report.flushed;
            let tally = stats.tally;
            debug!(
                topic,
                accepted = tally.accepted,
                written,
                returned = tally.returned,
                late = tally.late,
                over_mark = tally.over_mark,
                unmatched = tally.unmatched,
                left = report.discarded,
                "topic closed"
            );
            if report.discarded > 0 {
                let left = report.discarded;
                match &self.spool {
                    Some(_) => info!(topic, left, "nobody took these messages in time; they are in the spool"),
                    None => warn!(topic, left, "nobody took these messages in time; they are lost"),
                }
            }
            total.written += written;
            total.left += report.discarded;
        }
        total
    }

    fn rules(&self) -> std::sync::RwLockReadGuard<'_, Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Route>>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frame that names the topic, counted from 0.
pub(crate) const TOPIC_FRAME: usize = 1;
/// A search looks at every topic, so a flood of new ones must not cause one each: ten a second cost nothing.
const SEARCH_PAUSE: Duration = Duration::from_millis(100);
