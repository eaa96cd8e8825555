//! The sending half of a socket: a pattern under one lock, the tasks of its peers, and the senders that wait.
//!
//! A sender puts a run of messages into a peer's queue under the lock and wakes the peer's task only if that slept;
//! the task takes all that waits under the same lock. So the cost per batch is one lock on each side and at most one
//! wake.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{timeout, timeout_at},
};

use super::{
    brief::{Brief, BriefGuard},
    options::Settler,
    roster::Roster,
    shared::Socket,
    stats::Stats,
};
use crate::{
    pattern::{LoadBalancer, Numbers, Outflow, PeerId},
    proto::{Connection, Payload, PeerInfo, Picked, ProtocolError, Run, SocketType},
    session::{Feed, Port},
};

/// The state that senders and connections share.
#[derive(Debug)]
pub(crate) struct Outbound<P> {
    state: Brief<State<P>>,
    /// Told when a queue was emptied.
    room: Notify,
    /// Told when something is held that will expire.
    held: Notify,
    written: AtomicU64,
    /// Told which messages are done with.
    settler: Option<Settler>,
}

#[derive(Debug)]
struct State<P> {
    pattern: P,
    roster: Roster,
    /// Octets that were queued since a connection last took some.
    ahead: usize,
    /// How many of these a sender may queue before it waits for the connections.
    lead: usize,
}

/// A message that was not taken.
#[derive(Debug)]
pub(crate) enum Refused<M> {
    /// No room.
    Full(M),
    /// There is room, but the sender should let the connections write first.
    Ahead(M),
    Closed(M),
}

/// What became of [`Outbound::push`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    All,
    /// Some or all of the run found no room and is still in it.
    Full,
    Closed,
}

impl<P: Outflow> Outbound<P> {
    pub(crate) fn new(pattern: P, settler: Option<Settler>) -> Arc<Self> {
        Arc::new(Self {
            state: Brief::new(State { pattern, roster: Roster::default(), ahead: 0, lead: LEAD }),
            room: Notify::new(),
            held: Notify::new(),
            written: AtomicU64::new(0),
            settler,
        })
    }

    /// Takes one message, or gives it back. A `patient` sender is told when it is far ahead of the connections, also of one
    /// that is still to come: what would pile up until then is memory that leaves the cache.
    #[inline]
    pub(crate) fn put<M: Payload>(&self, payload: M, patient: bool) -> Result<(), Refused<M>> {
        let mut state = self.lock();
        if state.roster.is_closed() {
            return Err(Refused::Closed(payload));
        }
        let octets = payload.octets();
        if state.ahead + octets > state.lead && state.ahead > 0 && patient {
            return Err(Refused::Ahead(payload));
        }
        state.pattern.put(payload, octets, Instant::now).map_err(Refused::Full)?;
        state.ahead += octets;
        self.wake(state);
        Ok(())
    }

    /// As [`put`](Self::put) for a patient sender, who waits until the message is taken, the socket is closed or the time
    /// is over.
    pub(crate) async fn put_later<M: Payload>(&self, mut payload: M, until: Option<Instant>) -> Result<(), Refused<M>> {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // What becomes free from here on wakes this task.
            room.as_mut().enable();
            match self.put(payload, true) {
                Ok(()) => return Ok(()),
                Err(Refused::Full(refused)) => {
                    payload = refused;
                    match until {
                        None => room.await,
                        Some(until) if timeout_at(until.into(), room).await.is_ok() => {}
                        Some(_) => return Err(Refused::Full(payload)),
                    }
                }
                Err(Refused::Ahead(refused)) => {
                    payload = refused;
                    if timeout(HICCUP, room).await.is_err() {
                        let mut state = self.lock();
                        state.lead = state.lead.saturating_mul(2);
                    }
                }
                Err(closed) => return Err(closed),
            }
        }
    }

    /// Takes what finds room, from the front of `run`.
    pub(crate) fn push(&self, run: &mut Run) -> Pushed {
        let mut state = self.lock();
        if state.roster.is_closed() {
            return Pushed::Closed;
        }
        state.pattern.push(run, Instant::now);
        let settled = state.pattern.take_settled();
        self.wake(state);
        self.tell(settled);
        if run.is_empty() { Pushed::All } else { Pushed::Full }
    }

    /// Waits until at most `octets` octets are queued.
    pub(crate) async fn drained_to(&self, octets: usize) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if self.lock().pattern.queued().1 <= octets {
                return;
            }
            room.await;
        }
    }

    /// Forgets what was held for too long, whenever something was held; for sockets that hold.
    pub(crate) async fn expire_forever(&self) {
        loop {
            self.held.notified().await;
            while let Some(at) = self.expire() {
                tokio::time::sleep_until(at.into()).await;
            }
        }
    }

    pub(crate) fn note_held(&self) {
        self.held.notify_one();
    }

    fn expire(&self) -> Option<Instant> {
        let mut state = self.lock();
        let due = state.pattern.expire(Instant::now());
        let settled = state.pattern.take_settled();
        self.wake(state);
        self.room.notify_waiters();
        self.tell(settled);
        due
    }

    /// Tells who wants to know that messages are done with. Not under the lock.
    #[inline]
    fn tell(&self, settled: Numbers) {
        if let Some(settler) = self.settler.as_ref().filter(|_| !settled.is_empty()) {
            settled.into_iter().for_each(|numbers| settler.settle(numbers));
        }
    }

    #[inline]
    fn lock(&self) -> BriefGuard<'_, State<P>> {
        self.state.lock()
    }

    /// Frees the lock, then wakes the tasks for which the pattern has something new.
    #[inline]
    fn wake(&self, mut state: BriefGuard<'_, State<P>>) {
        if let Some(first) = state.pattern.take_awakened() {
            Self::wake_all(state, first);
        }
    }

    fn wake_all(mut state: BriefGuard<'_, State<P>>, first: PeerId) {
        let State { pattern, roster, .. } = &mut *state;
        let first = roster.take_waker(first);
        let others: Vec<Waker> =
            std::iter::from_fn(|| pattern.take_awakened()).filter_map(|id| roster.take_waker(id)).collect();
        drop(state);
        first.into_iter().chain(others).for_each(Waker::wake);
    }
}

impl Outbound<LoadBalancer> {
    /// As [`push`](Self::push), for messages with numbers.
    pub(crate) fn push_numbered(&self, run: &mut Run, first: u64) -> Pushed {
        let mut state = self.lock();
        if state.roster.is_closed() {
            return Pushed::Closed;
        }
        state.pattern.push_numbered(run, first, Instant::now);
        let settled = state.pattern.take_settled();
        self.wake(state);
        self.tell(settled);
        if run.is_empty() { Pushed::All } else { Pushed::Full }
    }

    /// Takes all of `picked`, or nothing where that takes more than a look at one peer.
    pub(crate) fn push_picked(&self, picked: Picked<'_>) -> bool {
        let mut state = self.lock();
        if state.roster.is_closed() {
            return false;
        }
        let taken = state.pattern.push_picked(picked, Instant::now);
        self.wake(state);
        taken
    }

    /// Takes messages of an earlier run of this program, which no mark stops.
    pub(crate) fn restore(&self, run: Run, first: u64, arrived: Instant) -> Pushed {
        let mut state = self.lock();
        if state.roster.is_closed() {
            return Pushed::Closed;
        }
        state.pattern.restore(run, first, arrived);
        self.wake(state);
        Pushed::All
    }

    pub(crate) fn has_room(&self) -> bool {
        self.lock().pattern.has_room()
    }

    /// Waits until the backlog is below its mark, or the socket closed.
    pub(crate) async fn room(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            let state = self.lock();
            let is_over = state.roster.is_closed() || state.pattern.has_room();
            drop(state);
            if is_over {
                return;
            }
            room.await;
        }
    }

    /// Takes back what no peer has had room for.
    pub(crate) fn take_backlog(&self) -> Vec<(Run, u64)> {
        let runs = self.lock().pattern.take_backlog();
        self.room.notify_waiters();
        runs
    }
}

impl<P: Outflow> Socket for Outbound<P> {
    const TYPE: SocketType = P::TYPE;
    type Port = OutPort<P>;

    fn port(self: &Arc<Self>, _peer: &str, lasting: bool) -> OutPort<P> {
        let mut state = self.lock();
        let id = state.roster.join();
        if lasting {
            state.pattern.attach(id, true);
        }
        self.wake(state);
        OutPort { outbound: self.clone(), id, lasting, counted: 0, batch: VecDeque::new() }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.pattern.close();
        let wakers = state.roster.close();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.room.notify_waiters();
    }

    fn add_to(&self, stats: &mut Stats) {
        let state = self.lock();
        (stats.queued, stats.queued_octets) = state.pattern.queued();
        stats.peers = state.pattern.connected();
        stats.tally = state.pattern.tally();
        stats.written = self.written.load(Ordering::Relaxed);
    }
}

/// A peer's place in a socket that sends.
#[derive(Debug)]
pub(crate) struct OutPort<P: Outflow> {
    outbound: Arc<Outbound<P>>,
    id: PeerId,
    lasting: bool,
    /// Messages written on this connection that are counted already.
    counted: u64,
    /// Emptied at each use; kept for its memory.
    batch: VecDeque<Run>,
}

impl<P: Outflow> OutPort<P> {
    /// Counts what was written since the last call; returns how much that was.
    fn count_written(&mut self, written: u64) -> u64 {
        let more = written - std::mem::replace(&mut self.counted, written);
        self.outbound.written.fetch_add(more, Ordering::Relaxed);
        more
    }
}

impl<P: Outflow> Port for OutPort<P> {
    fn attach(&mut self, _peer: &PeerInfo) {
        self.counted = 0;
        let mut state = self.outbound.lock();
        if self.lasting {
            state.pattern.set_connected(self.id, true);
        } else {
            state.pattern.attach(self.id, false);
        }
        self.outbound.wake(state);
        self.outbound.room.notify_waiters();
        // Others may be about to come, for as long as the pattern says.
        self.outbound.note_held();
    }

    fn poll_deliver(&mut self, _cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        // A connection of PUSH or PUB never yields messages.
        *run = Run::default();
        Poll::Ready(())
    }

    fn handle_subscription(&mut self, prefix: Bytes, subscribe: bool) -> Result<(), ProtocolError> {
        let mut state = self.outbound.lock();
        let result = state.pattern.subscribe(self.id, prefix, subscribe, Instant::now());
        self.outbound.wake(state);
        result
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Feed> {
        let written = self.count_written(connection.messages_written());
        let mut state = self.outbound.lock();
        state.pattern.note_written(self.id, written);
        let settled = state.pattern.take_settled();
        state.pattern.take(self.id, WRITE, &mut self.batch);
        if self.batch.is_empty() {
            let is_closed = state.roster.is_closed();
            if !is_closed {
                state.roster.register(self.id, cx);
            }
            drop(state);
            self.outbound.tell(settled);
            return if is_closed { Poll::Ready(Feed::Closed) } else { Poll::Pending };
        }
        (state.ahead, state.lead) = (0, LEAD);
        self.outbound.wake(state);
        self.outbound.tell(settled);
        self.outbound.room.notify_waiters();
        self.batch.drain(..).for_each(|run| connection.send(run));
        Poll::Ready(Feed::Fed)
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.outbound.lock();
        if state.roster.is_closed() && state.pattern.is_drained(self.id) {
            return Poll::Ready(());
        }
        state.roster.register(self.id, cx);
        Poll::Pending
    }

    fn detach(&mut self, unsent: VecDeque<Run>, written: u64) {
        let written = self.count_written(written);
        let mut state = self.outbound.lock();
        state.pattern.note_written(self.id, written);
        state.pattern.put_back(self.id, unsent);
        if self.lasting {
            state.pattern.set_connected(self.id, false);
        } else {
            state.pattern.detach(self.id);
        }
        let settled = state.pattern.take_settled();
        self.outbound.wake(state);
        self.outbound.tell(settled);
        // Some of it may have waited for too long.
        self.outbound.note_held();
    }
}

impl<P: Outflow> Drop for OutPort<P> {
    fn drop(&mut self) {
        let mut state = self.outbound.lock();
        state.roster.leave(self.id);
        state.pattern.detach(self.id);
        self.outbound.wake(state);
    }
}

/// What one peer's task takes at a time, about: four full pages. More would only take memory out of the mark's sight.
const WRITE: usize = 256 << 10;
/// What a sender in a loop puts into queues before it waits for their connections to take it: as much as one takes. Beyond
/// that, octets would only leave the CPU's cache before they are written; with a quarter of it,
/// which is many small writes, 16 KiB messages cost about a sixth more on both sides.
const LEAD: usize = WRITE;
/// A peer that reads nothing for so long gets twice as much queued: so one that is only slow for a moment keeps memory
/// warm, and one that has stopped has its queue filled to the default mark within a few hundredths of a second.
const HICCUP: Duration = Duration::from_millis(2);
