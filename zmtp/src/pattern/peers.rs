//! What the two sending patterns have in common, as their socket sees it.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use super::numbers::Numbers;
use crate::proto::{Payload, ProtocolError, Run, SocketType};

/// A peer of a socket, for as long as it is one. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u64);

/// Gives out [`PeerId`]s.
#[derive(Debug, Default)]
pub struct PeerIds(u64);

impl PeerIds {
    /// The next one.
    pub fn next_id(&mut self) -> PeerId {
        self.0 += 1;
        PeerId(self.0)
    }
}

/// What became of messages, in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Taken from the caller, whatever became of them then.
    pub accepted: u64,
    /// Dropped because a peer's queue or the backlog was at its mark.
    pub over_mark: u64,
    /// Published without a subscriber, after any time that they were held.
    pub unmatched: u64,
    /// Dropped from the front of a full backlog, to make room for others.
    pub displaced: u64,
    /// Dropped from the backlog because they had waited for too long.
    pub expired: u64,
    /// Queued for a peer that went away.
    pub discarded: u64,
    /// Unsent ones of a peer that went away, back in the backlog for the next.
    pub returned: u64,
    /// Handed to a subscriber that came late.
    pub late: u64,
    /// Replaced by a newer one, where a queue holds the latest only.
    pub conflated: u64,
}

/// A pattern that sends: queues per peer, filled by a policy.
pub trait Outflow: Send + 'static {
    /// The socket type that follows this pattern.
    const TYPE: SocketType;

    /// Adds a peer. `lasting`: it is a place to connect to, and queues messages also while it is away.
    fn attach(&mut self, peer: PeerId, lasting: bool);

    /// A lasting peer is connected, or no longer.
    fn set_connected(&mut self, peer: PeerId, connected: bool);

    /// Removes a peer.
    fn detach(&mut self, peer: PeerId);

    /// Takes one message, which has `octets` octets, or gives it back when it finds no room. `now` as in
    /// [`push`](Self::push).
    ///
    /// # Errors
    /// The message.
    fn put<P: Payload>(&mut self, payload: P, octets: usize, now: impl Fn() -> Instant) -> Result<(), P>;

    /// Takes messages from the front of `run`. What stays in it found no room. The clock is asked only by patterns that
    /// hold messages, since asking costs as much as queueing a small one.
    fn push(&mut self, run: &mut Run, now: impl Fn() -> Instant);

    /// Moves up to about `octets` octets of a peer's queue to `to`.
    fn take(&mut self, peer: PeerId, octets: usize, to: &mut VecDeque<Run>);

    /// Messages that were taken and could not be written, in order.
    fn put_back(&mut self, peer: PeerId, unsent: VecDeque<Run>);

    /// A peer was written so many more messages whole.
    fn note_written(&mut self, peer: PeerId, messages: u64) {
        let _ = (peer, messages);
    }

    /// Numbers of messages that this socket has done with, since the last call; none unless it numbers messages.
    #[inline]
    fn take_settled(&mut self) -> Numbers {
        Numbers::default()
    }

    /// A peer subscribes, or no longer.
    ///
    /// # Errors
    /// Over the limits for one peer.
    fn subscribe(&mut self, peer: PeerId, prefix: Bytes, subscribe: bool, now: Instant) -> Result<(), ProtocolError>;

    /// Forgets what was held for too long. Returns when to call again.
    fn expire(&mut self, now: Instant) -> Option<Instant>;

    /// No more messages come: what waits is to go now.
    fn close(&mut self) {}

    /// Whether a peer's queue is empty.
    fn is_drained(&self, peer: PeerId) -> bool;

    /// Peers whose queue was empty and is not any more, since the last call.
    fn take_awakened(&mut self) -> Option<PeerId>;

    /// Messages and octets in all queues.
    fn queued(&self) -> (usize, usize);

    /// Peers that are connected.
    fn connected(&self) -> usize;

    /// What became of messages so far.
    fn tally(&self) -> Tally;
}
