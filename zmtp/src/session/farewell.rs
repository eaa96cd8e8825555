//! An end that this side wants, without loss.
//!
//! It closes its half and waits for the peer to close the other: what either has sent by then arrives. A stream that is closed
//! at once takes along what the other side has not read yet, and libzmq drops what is in the kernel's buffer when a local peer
//! is gone while its own queue is full. libzmq drops, too, a message of which it has sent a part when it is told of the end; so
//! a peer that sends is told at a moment at which it does not, and if there is none, after a while.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep_until};

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    stage: Stage,
    /// When a peer that sends has been silent for long enough.
    quiet: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    None,
    /// All is sent, since then.
    Begun(Instant),
    /// The peer knows.
    Told,
}

/// What the peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// It has never sent a message.
    Listens,
    /// Something has just come.
    Sends,
    /// Nothing is there to read, and it has sent no part of a message.
    Rests,
    /// Nothing is there to read, but it has sent a part.
    Halts,
}

impl Farewell {
    /// All is sent.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Begun(Instant::now());
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stage != Stage::None
    }

    /// Ready at the moment at which to close this side's half.
    pub(super) fn poll_moment(&mut self, cx: &mut Context<'_>, peer: Peer) -> Poll<()> {
        let Stage::Begun(since) = self.stage else { return Poll::Pending };
        let last = since + HURRY;
        match peer {
            Peer::Listens => Poll::Ready(()),
            Peer::Sends => {
                self.quiet = None;
                if Instant::now() < last { Poll::Pending } else { Poll::Ready(()) }
            }
            Peer::Rests | Peer::Halts => {
                let quiet = self.quiet.get_or_insert_with(|| {
                    let at = if peer == Peer::Rests { last.min(Instant::now() + QUIET) } else { last };
                    Box::pin(sleep_until(at.into()))
                });
                quiet.as_mut().poll(cx)
            }
        }
    }

    /// The peer has been told.
    pub(super) fn finish(&mut self) {
        self.stage = Stage::Told;
    }
}

/// A peer that has sent nothing for so long is not in the middle of many messages, as far as can be told.
const QUIET: Duration = Duration::from_millis(10);
/// Who never is silent is told after so long: well within the time that the receiver has for its last reads.
const HURRY: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn at(farewell: &mut Farewell, peer: Peer) -> bool {
        farewell.poll_moment(&mut Context::from_waker(Waker::noop()), peer).is_ready()
    }

    #[tokio::test]
    async fn who_never_sent_is_told_at_once_and_once() {
        let mut farewell = Farewell::default();
        assert!(!at(&mut farewell, Peer::Listens));
        farewell.begin();
        assert!(at(&mut farewell, Peer::Listens));
        farewell.finish();
        assert!(farewell.has_begun() && !at(&mut farewell, Peer::Listens));
    }

    #[tokio::test]
    async fn who_sends_is_told_in_a_pause_or_in_the_end() {
        let mut farewell = Farewell::default();
        farewell.begin();
        assert!(!at(&mut farewell, Peer::Sends) && !at(&mut farewell, Peer::Rests));
        tokio::time::sleep(QUIET).await;
        assert!(at(&mut farewell, Peer::Rests));
        // Something came after all, and the pause begins anew.
        assert!(!at(&mut farewell, Peer::Sends) && !at(&mut farewell, Peer::Halts));
        tokio::time::sleep(2 * QUIET).await;
        assert!(!at(&mut farewell, Peer::Halts), "it was in the middle of a message");
        tokio::time::sleep(HURRY).await;
        assert!(at(&mut farewell, Peer::Halts) && at(&mut farewell, Peer::Sends));
    }
}
