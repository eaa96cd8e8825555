//! The receiving half of a socket: queues per peer under one lock, the reader, and the connections that wait for room.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    lock::{Lock, LockGuard},
    roster::Roster,
    shared::Socket,
    stats::Stats,
};
use crate::{
    pattern::{FairQueue, PeerId, Turns},
    proto::{Connection, Message, PeerInfo, ProtocolError, Run, SocketType},
    session::{Feed, Port},
};

/// The state that the reader and connections share.
#[derive(Debug)]
pub(crate) struct Inbound {
    state: Lock<State>,
}

#[derive(Debug)]
struct State {
    queue: FairQueue,
    roster: Roster,
    reader: Option<Waker>,
    received: u64,
}

impl Inbound {
    pub(crate) fn new(queue: FairQueue) -> Arc<Self> {
        let state = State { queue, roster: Roster::default(), reader: None, received: 0 };
        Arc::new(Self { state: Lock::new(state) })
    }

    pub(crate) fn new_port(self: &Arc<Self>) -> InPort {
        InPort { id: self.lock().roster.join(), inbound: self.clone() }
    }

    /// The next message. `turns` is the reader's own half of the queue; the lock is taken when that is empty.
    #[inline]
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>, turns: &mut Turns) -> Poll<Message> {
        match turns.pop() {
            Some(message) => Poll::Ready(message),
            None => self.poll_refilled(cx, turns),
        }
    }

    /// As [`poll_recv`](Self::poll_recv) when the reader's half is empty. Not inlined, so that the rest of it is.
    #[inline(never)]
    fn poll_refilled(&self, cx: &mut Context<'_>, turns: &mut Turns) -> Poll<Message> {
        let mut state = self.lock();
        let message = state.refill(turns);
        if message.is_none() {
            state.reader = Some(cx.waker().clone());
        }
        wake_blocked(state);
        message.map_or(Poll::Pending, Poll::Ready)
    }

    /// The next message if one is there.
    pub(crate) fn try_recv(&self, turns: &mut Turns) -> Option<Message> {
        turns.pop().or_else(|| {
            let mut state = self.lock();
            let message = state.refill(turns);
            wake_blocked(state);
            message
        })
    }

    /// Wakes all connections: there is something for them to send.
    pub(crate) fn wake_all(&self) {
        let wakers = self.lock().roster.take_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> LockGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Fills the reader's half, which is empty, and takes the first message.
    fn refill(&mut self, turns: &mut Turns) -> Option<Message> {
        self.queue.swap(turns);
        turns.pop()
    }
}

/// There is room again: frees the lock and wakes the connections that wait for it.
fn wake_blocked(mut state: LockGuard<'_, State>) {
    let wakers = state.roster.take_blocked();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

/// [`Inbound`] alone is a PULL; SUB puts its filter in front.
impl Socket for Inbound {
    const TYPE: SocketType = SocketType::Pull;
    type Port = InPort;

    fn port(self: &Arc<Self>, _peer: &str, _lasting: bool) -> InPort {
        self.new_port()
    }

    fn close(&self) {
        let wakers = self.lock().roster.close();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn add_to(&self, stats: &mut Stats) {
        let state = self.lock();
        (stats.peers, stats.queued, stats.received) = (state.queue.connected(), state.queue.messages(), state.received);
        stats.tally.conflated = state.queue.replaced();
    }
}

/// A peer's place in a socket that receives.
#[derive(Debug)]
pub(crate) struct InPort {
    inbound: Arc<Inbound>,
    id: PeerId,
}

impl InPort {
    pub(crate) fn id(&self) -> PeerId {
        self.id
    }
}

impl Port for InPort {
    fn attach(&mut self, _peer: &PeerInfo) {
        self.inbound.lock().queue.attach(self.id);
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        let mut state = self.inbound.lock();
        let before = run.messages();
        state.queue.push(self.id, run);
        state.received += (before - run.messages()) as u64;
        let reader = if state.queue.messages() > 0 { state.reader.take() } else { None };
        let blocked = !run.is_empty();
        if blocked {
            state.roster.register_blocked(self.id, cx);
        }
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        if blocked { Poll::Pending } else { Poll::Ready(()) }
    }

    fn handle_subscription(&mut self, _: Bytes, _: bool) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>, _: &mut Connection) -> Poll<Feed> {
        self.poll_done(cx).map(|()| Feed::Over)
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.inbound.lock();
        if state.roster.is_closed() {
            return Poll::Ready(());
        }
        state.roster.register(self.id, cx);
        Poll::Pending
    }

    fn detach(&mut self, _: VecDeque<Run>, _: u64) {
        self.inbound.lock().queue.detach(self.id);
    }
}

impl Drop for InPort {
    fn drop(&mut self) {
        self.inbound.lock().roster.leave(self.id);
    }
}
