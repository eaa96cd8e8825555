//! tokio's `Notify`, as far as it is used, on loom's lock.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::sync::Mutex;

#[derive(Debug)]
pub(crate) struct Notify(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often all were notified.
    rounds: u64,
    /// One was notified, and nobody waited.
    permit: bool,
    waiting: Vec<Waker>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::default()))
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.0.lock().unwrap().rounds }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut state = self.0.lock().unwrap();
        state.rounds += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notify_one(&self) {
        let mut state = self.0.lock().unwrap();
        state.permit = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Ends when all were notified after it was made, or one was.
#[derive(Debug)]
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    round: u64,
}

impl Notified<'_> {
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        let mut state = self.notify.0.lock().unwrap();
        std::mem::take(&mut state.permit) || state.rounds != self.round
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.0.lock().unwrap();
        if std::mem::take(&mut state.permit) || state.rounds != self.round {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
