//! One topic's local socket.
//!
//! A queue is a PUSH with a backlog: messages wait for a consumer, each goes to one, and what a vanished consumer left
//! unwritten goes to the next. Fanouts and replies are a PUB that holds messages a moment for subscribers which are
//! still connecting, since the socket is made by its first message.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use oslo_rpc::socket::SocketDirError;
use oslo_rpc::topic::{Kind, Topic};
use thiserror::Error;
use tokio::time::timeout;
use zmtp::{
    BindError, Budget, CloseReport, LateJoiners, Mark, Options, Overflow, Picked, Pub, Push, Run, SendError, Stats,
    Tally,
};

use crate::ages::Ages;
use crate::clock::Clock;
use crate::consumers::{Consumers, Counted};
use crate::passing::Outcome;
use crate::settings::{Settings, TopicSettings};
use crate::spool::Spool;
use crate::transit::{Transit, Transits};

/// What all routes have in common.
#[derive(Debug)]
pub(crate) struct Rules {
    dir: PathBuf,
    options: Options,
    backlog: Mark,
    late_joiners: Option<LateJoiners>,
    topic_octets: usize,
    memory: Budget,
    spool: Option<Spool>,
    /// What holds for some topics only.
    pub(crate) topics: TopicSettings,
    clock: Clock,
    transits: Arc<Transits>,
    /// How many there may be at once.
    pub(crate) max_topics: usize,
}

impl Rules {
    /// `memory` bounds all topics together.
    pub(crate) fn new(
        settings: &Settings,
        dir: &Path,
        memory: &Budget,
        clock: Clock,
        spool: Option<Spool>,
        transits: &Arc<Transits>,
    ) -> Self {
        let share = settings.limits.topic_max_octets / SHARES;
        let held = LateJoiners { time: settings.hold_time, mark: Mark { octets: share, ..Mark::default() } };
        Self {
            dir: dir.to_owned(),
            options: Options::new().handshake_timeout(settings.handshake_timeout),
            // Octets are bounded for all queues of a topic together, by its budget.
            backlog: settings.topic_backlog.map_or(Mark::UNLIMITED, |n| Mark { messages: n, ..Mark::UNLIMITED }),
            late_joiners: (!held.time.is_zero()).then_some(held),
            topic_octets: settings.limits.topic_max_octets,
            memory: memory.clone(),
            spool,
            topics: settings.topics.clone(),
            clock,
            transits: transits.clone(),
            max_topics: settings.limits.max_topics,
        }
    }

    /// Where sockets are made.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// A bound socket and what goes out of it.
#[derive(Debug)]
pub(crate) struct Route {
    key: Arc<str>,
    kind: Kind,
    outlet: Outlet,
    budget: Budget,
    overflow: Overflow,
    consumers: Arc<Consumers>,
    ages: Ages,
    /// Messages that found no room.
    refused: AtomicU64,
    /// Its consumers were given time and did not catch up; until then nobody waits for them again.
    lags_until: Mutex<Option<Instant>>,
}

#[derive(Debug)]
enum Outlet {
    Queue { push: Arc<Push>, transit: Arc<Transit> },
    Broadcast(Pub),
}

/// A topic's socket cannot be made.
#[derive(Debug, Error)]
pub(crate) enum RouteError {
    #[error(transparent)]
    Path(#[from] SocketDirError),
    #[error("the socket path {0:?} is not UTF-8: set rpc_zmq_ipc_dir to one that is")]
    NotUtf8(PathBuf),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("binding the socket did not end at once")]
    Slow(#[source] io::Error),
}

impl Route {
    /// Binds the socket of `topic`. Needs a tokio runtime.
    pub(crate) fn open(topic: &Topic<'_>, rules: &Rules) -> Result<Self, RouteError> {
        let path = topic.socket_path(&rules.dir)?;
        let Some(path) = path.to_str() else { return Err(RouteError::NotUtf8(path)) };
        let endpoint = format!("ipc://{path}");
        let policy = rules.topics.policy(topic.key());
        let budget = rules.memory.part(policy.max_octets.unwrap_or(rules.topic_octets));
        let consumers = Consumers::new(rules.clock);
        let transit = (topic.kind() == Kind::Queue).then(|| Transit::new(&rules.transits));
        let counted = Arc::new(Counted { consumers: consumers.clone(), transit: transit.clone() });
        let options = rules.options.clone().budget(budget.clone()).transport("ipc", counted);
        let outlet = match transit {
            Some(transit) => {
                let options =
                    options.send_mark(FAIR_SHARE).backlog(rules.backlog).overflow(policy.overflow).opening(OPENING);
                let options = match policy.time_to_live {
                    Some(time) => options.time_to_live(time),
                    None => options,
                };
                let push = Push::new(match rules.spool.clone() {
                    Some(spool) => options.settler(move |numbers| spool.settle(numbers)),
                    None => options,
                });
                at_once(push.bind(&endpoint))?;
                let push = Arc::new(push);
                let queue = Arc::downgrade(&push);
                transit.observe(move || queue.upgrade().map_or(0, |push| left(&push.stats())));
                Outlet::Queue { push, transit }
            }
            None => {
                let shares = if topic.kind() == Kind::Reply { REPLY_SHARES } else { SHARES };
                let options = options.send_mark(Mark::octets(rules.topic_octets / shares));
                let publisher = Pub::new(match rules.late_joiners {
                    Some(late) => options.late_joiners(late),
                    None => options,
                });
                at_once(publisher.bind(&endpoint))?;
                Outlet::Broadcast(publisher)
            }
        };
        Ok(Self {
            key: topic.key().into(),
            kind: topic.kind(),
            outlet,
            budget,
            overflow: policy.overflow,
            consumers,
            ages: Ages::default(),
            refused: AtomicU64::new(0),
            lags_until: Mutex::default(),
        })
    }

    /// [`Topic::key`] of the topics that go here.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The same, to be kept.
    pub(crate) fn shared_key(&self) -> Arc<str> {
        self.key.clone()
    }

    /// How its messages are handed on.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Who is connected to its socket.
    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// Hands messages on that came at `now`, a time of the receiver's clock.
    ///
    /// # Errors
    /// What was not taken: [`SendError::Full`] at a limit, [`SendError::Closed`] when the route was given up.
    pub(crate) fn push(&self, run: Run, now: u64) -> Result<(), SendError<Run>> {
        self.note_age(now);
        match &self.outlet {
            Outlet::Queue { push, transit } => {
                push.try_send_run(run)?;
                follow(push, transit, now);
                Ok(())
            }
            Outlet::Broadcast(publisher) => publisher.send_run(run),
        }
    }

    /// As [`push`](Self::push), for all of them or none. False: it takes a look at each run.
    pub(crate) fn push_picked(&self, messages: Picked<'_>, now: u64) -> bool {
        let Outlet::Queue { push, transit } = &self.outlet else { return false };
        self.note_age(now);
        let taken = push.try_send_picked(messages);
        if taken {
            follow(push, transit, now);
        }
        taken
    }

    /// Has the age of what waits known, for messages that come at `now`.
    #[inline]
    fn note_age(&self, now: u64) {
        if self.ages.is_due(now) {
            let stats = self.stats();
            self.ages.mark(stats.tally.accepted, stats.queued as u64, now);
        }
    }

    /// Whether messages may be kept until a consumer comes: others are for whoever listens now.
    pub(crate) fn is_queue(&self) -> bool {
        matches!(self.outlet, Outlet::Queue { .. })
    }

    /// As [`push`](Self::push), for messages that the spool has numbered.
    ///
    /// # Errors
    /// As there; what was not taken are the last of them.
    pub(crate) fn push_numbered(&self, run: Run, first: u64, now: u64) -> Result<(), SendError<Run>> {
        self.note_age(now);
        match &self.outlet {
            Outlet::Queue { push, transit } => {
                push.try_send_numbered(run, first)?;
                follow(push, transit, now);
                Ok(())
            }
            Outlet::Broadcast(publisher) => publisher.send_run(run),
        }
    }

    /// As [`push_numbered`](Self::push_numbered), for messages of an earlier run, which no limit stops.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub(crate) fn restore(&self, run: Run, first: u64, arrived: Instant) -> Result<(), SendError<Run>> {
        // Its age is counted from the start of this run.
        self.note_age(0);
        match &self.outlet {
            Outlet::Queue { push, .. } => push.restore(run, first, arrived),
            Outlet::Broadcast(publisher) => publisher.send_run(run),
        }
    }

    /// Whether who sent the last messages has to wait for [room](Self::room): the policy says so, and the queue is full.
    pub(crate) fn blocks(&self) -> bool {
        match &self.outlet {
            Outlet::Queue { push, .. } => self.overflow == Overflow::Exceed && !push.has_room(),
            Outlet::Broadcast(_) => false,
        }
    }

    /// Waits a while until there is room. True if there is.
    pub(crate) async fn room(&self) -> bool {
        match &self.outlet {
            // Room that other topics make in memory is not told.
            Outlet::Queue { push, .. } => timeout(LOOK_AGAIN, push.room()).await.is_ok(),
            Outlet::Broadcast(_) => true,
        }
    }

    /// Messages that were dropped for newer ones, if that is the policy.
    pub(crate) fn displaced(&self) -> Option<u64> {
        (self.overflow == Overflow::Displace).then(|| self.stats().tally.displaced)
    }

    /// Whether to let the consumers catch up before more is read: see [`catch_up`](Self::catch_up).
    pub(crate) fn is_behind(&self) -> bool {
        self.budget.used() > BEHIND && !self.lags() && self.stats().peers > 0
    }

    /// Gives the consumers a moment to catch up with what was read, and another one as long as they take much of it, so
    /// that a sender faster than they are is slowed to their pace and not cut off at the limit. When they do not, the
    /// topic lags and is not waited for again for a while: a slow consumer costs other topics a moment now and then, not
    /// its pace.
    pub(crate) async fn catch_up(&self) {
        loop {
            let before = self.budget.used();
            let caught_up = async {
                match &self.outlet {
                    Outlet::Queue { push, .. } => push.drained_to(CAUGHT_UP).await,
                    Outlet::Broadcast(publisher) => publisher.drained_to(CAUGHT_UP).await,
                }
            };
            if timeout(PATIENCE, caught_up).await.is_ok() {
                return;
            }
            if before.saturating_sub(self.budget.used()) < MUCH {
                *self.lock_lags() = Some(Instant::now() + LAG);
                return;
            }
        }
    }

    fn lags(&self) -> bool {
        self.lock_lags().is_some_and(|until| Instant::now() < until)
    }

    fn lock_lags(&self) -> MutexGuard<'_, Option<Instant>> {
        self.lags_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of messages that were all taken, when `before` was the tally before them.
    pub(crate) fn outcome_since(&self, before: &Tally) -> Outcome {
        let now = self.stats().tally;
        match self.kind {
            Kind::Queue => Outcome::Queued { last: now.accepted },
            _ if now.unmatched > before.unmatched => Outcome::Dropped("no-subscriber"),
            _ if now.over_mark > before.over_mark => Outcome::Dropped("consumer-full"),
            _ => Outcome::Published,
        }
    }

    /// So many messages found no room.
    pub(crate) fn note_refused(&self, messages: usize) {
        self.refused.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// How many messages found no room so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// For how many microseconds the first message that waits has waited, at most. Queues only: of what waits for several
    /// consumers, each may be elsewhere.
    pub(crate) fn oldest(&self, stats: &Stats, now: u64) -> Option<u64> {
        match self.kind {
            Kind::Queue => self.ages.oldest(stats.tally.accepted, stats.queued as u64, now),
            Kind::Fanout | Kind::Reply => None,
        }
    }

    /// Octets that this topic may still queue.
    pub(crate) fn octets_left(&self) -> usize {
        self.budget.left()
    }

    pub(crate) fn stats(&self) -> Stats {
        match &self.outlet {
            Outlet::Queue { push, .. } => push.stats(),
            Outlet::Broadcast(publisher) => publisher.stats(),
        }
    }

    /// Whether a consumer has ever come.
    pub(crate) fn was_served(&self) -> bool {
        self.stats().connections > 0
    }

    /// Takes back what waits for a consumer.
    pub(crate) fn take_backlog(&self) -> Vec<(Run, u64)> {
        match &self.outlet {
            Outlet::Queue { push, .. } => push.take_backlog(),
            Outlet::Broadcast(_) => Vec::new(),
        }
    }

    /// Whether nothing would be missed if it were gone: no consumer, and nothing queued for one.
    pub(crate) fn is_idle(&self) -> bool {
        let stats = self.stats();
        stats.peers == 0 && stats.queued == 0
    }

    /// Takes no more messages, stops listening, hands on what is queued for at most `linger`, and removes the socket.
    pub(crate) async fn close(&self, linger: Duration) -> CloseReport {
        match &self.outlet {
            Outlet::Queue { push, .. } => push.close(linger).await,
            Outlet::Broadcast(publisher) => publisher.close(linger).await,
        }
    }
}

/// Follows the last message of a queue, which was read at `now`, if it is time to follow one.
#[inline]
fn follow(push: &Push, transit: &Transit, now: u64) {
    if transit.is_due(now) {
        transit.follow(push.stats().tally.accepted, now);
    }
}

/// Messages that are no longer in a queue.
fn left(stats: &Stats) -> u64 {
    stats.tally.accepted.saturating_sub(stats.queued as u64)
}

/// Polls a future once. Binding a Unix socket waits for nothing, and the first message of a topic is to find it bound.
fn at_once<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T, RouteError>
where
    RouteError: From<E>,
{
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result?),
        Poll::Pending => Err(RouteError::Slow(io::ErrorKind::WouldBlock.into())),
    }
}

/// The socket is made by the first message, and services come to it one after the other: libzmq and ours try again every
/// 100 ms. So that the first does not get a whole burst (oslo-bugs, B35).
const OPENING: Duration = Duration::from_millis(150);
/// How often a sender that waits for room looks whether other topics made some.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What one consumer has queued before the next messages go to others or wait for whoever is ready first.
const FAIR_SHARE: Mark = Mark { messages: 1000, octets: usize::MAX };
/// Of a topic's octets one subscriber may have this part waiting, and messages held for late ones another: so several
/// subscribers have to stop reading before the others feel it.
const SHARES: usize = 4;
/// A process has all its replies by one subscription, and each reply goes to one process: eight of 3 MB at once fit into
/// half of 64 MiB.
const REPLY_SHARES: usize = 2;
/// A topic with more than this queued is behind: several full pages, so that one read never makes it so.
const BEHIND: usize = 1 << 20;
/// And has caught up at this: low enough that waiting and going on do not alternate for each read.
const CAUGHT_UP: usize = BEHIND / 4;
/// Consumers that take so much in a moment, 13 MB/s, are waited for on: what one connection takes at a time.
const MUCH: usize = 256 << 10;
/// How long a topic that did not catch up is not waited for: so that others on its connection lose at most a tenth of
/// their time to it.
const LAG: Duration = PATIENCE.saturating_mul(10);
/// Long enough for a consumer that runs on a busy machine to be scheduled and read what it has, short enough to pass
/// unnoticed by other topics.
const PATIENCE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use tokio::time::sleep;
    use zmtp::{Message, Pull};

    use super::*;
    use crate::cli::Cli;
    use crate::settings::gather;

    /// The clock stands still while anybody has something to do, so that the pace is the consumer's own: in the 20 ms that a
    /// topic is given at a time, two messages of half a megabyte.
    #[tokio::test(start_paused = true)]
    async fn a_topic_lags_unless_its_consumer_reads_on() {
        for reads in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let cli = Cli::parse_from(["receiver", "--config-file", "/dev/null"]).unwrap();
            let settings = Settings::from_config(&gather(&cli, []).unwrap()).unwrap();
            let memory = Budget::new(settings.limits.memory_limit);
            let rules = Rules::new(&settings, dir.path(), &memory, Clock::new(), None, &Arc::default());
            let topic = Topic::parse(b"compute.host1").unwrap();
            let route = Route::open(&topic, &rules).unwrap();
            let mut pull = Pull::new(Options::new().recv_mark(Mark::messages(1)));
            pull.connect(&format!("ipc://{}", topic.socket_path(dir.path()).unwrap().display())).unwrap();
            while route.stats().peers == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            for _ in 0..60 {
                route.push(Message::from(vec![0; 500_000]).into(), 0).unwrap();
            }
            assert!(route.is_behind());
            let reading = async {
                loop {
                    if reads {
                        pull.recv().await;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                () = route.catch_up() => {}
                () = reading => {}
            }
            assert_eq!((route.lags(), route.budget.used() <= CAUGHT_UP), (!reads, reads));
        }
    }
}
