//! The tasks of a socket's peers: who to wake.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Context, Waker},
};

use crate::pattern::{PeerId, PeerIds};

/// One waker per peer; kept under the lock of the socket's state.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    ids: PeerIds,
    wakers: BTreeMap<PeerId, Option<Waker>>,
    /// Those of them that wait for room, not for something to send.
    blocked: BTreeSet<PeerId>,
    closed: bool,
}

impl Roster {
    pub(crate) fn join(&mut self) -> PeerId {
        let id = self.ids.next_id();
        self.wakers.insert(id, None);
        id
    }

    pub(crate) fn leave(&mut self, id: PeerId) {
        self.wakers.remove(&id);
    }

    /// The task of `id` is to be woken when there is something for it.
    pub(crate) fn register(&mut self, id: PeerId, cx: &Context<'_>) {
        if let Some(waker) = self.wakers.get_mut(&id) {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
    }

    /// The task of `id` waits for room.
    pub(crate) fn register_blocked(&mut self, id: PeerId, cx: &Context<'_>) {
        self.register(id, cx);
        self.blocked.insert(id);
    }

    /// Takes the wakers of all that wait for room.
    pub(crate) fn take_blocked(&mut self) -> Vec<Waker> {
        let Self { wakers, blocked, .. } = self;
        std::mem::take(blocked).into_iter().filter_map(|id| wakers.get_mut(&id).and_then(Option::take)).collect()
    }

    /// Takes the waker of a task that sleeps; wake it when the lock is free.
    pub(crate) fn take_waker(&mut self, id: PeerId) -> Option<Waker> {
        self.wakers.get_mut(&id).and_then(Option::take)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        self.wakers.values_mut().filter_map(Option::take).collect()
    }

    /// No more messages; returns the tasks to tell.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        self.take_all()
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}
