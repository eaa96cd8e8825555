//! PUSH (RFC 30).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    core::Core,
    lifecycle::lifecycle,
    monitor::Monitor,
    options::Options,
    outbound::{Outbound, Pushed, Refused},
    outcome::{BindError, CloseReport, ConnectError, SendError},
    stats::Stats,
};
use crate::{
    pattern::LoadBalancer,
    proto::{Payload, Picked, Run},
    transport::{Endpoint, Link, OpenListener, Stream},
};

/// Deals messages out to PULL peers, each to one of them in turn.
///
/// What [`send`](Self::send) returning means: the message is in the queue of one peer (or in the
/// [backlog](Options::backlog)), and will be written to it once and in order. It is lost if that peer goes away before
/// it was written, unless there is a backlog; or if the peer dies after it was written, which ZMTP, having no
/// acknowledgements, can't tell.
///
/// Dropping the socket goes on sending for [`Options::linger`]; [`close`](Self::close) waits and reports.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zmtp::{Message, Options, Pull, Push};
///
/// let mut pull = Pull::new(Options::new());
/// pull.bind("memory://push-example").await?;
/// let push = Push::new(Options::new());
/// push.connect("memory://push-example")?;
/// push.send("hello").await?;
/// assert_eq!(pull.recv().await, Message::from("hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Push {
    outbound: Arc<Outbound<LoadBalancer>>,
    core: Core<Outbound<LoadBalancer>>,
    expires: bool,
}

impl<M: Payload> From<Refused<M>> for SendError {
    fn from(refused: Refused<M>) -> Self {
        match refused {
            Refused::Full(payload) | Refused::Ahead(payload) => Self::Full(payload.into_message()),
            Refused::Closed(payload) => Self::Closed(payload.into_message()),
        }
    }
}

impl Push {
    /// A socket without endpoints. With [`Options::time_to_live`] or [`Options::opening`] it needs a tokio runtime.
    pub fn new(options: Options) -> Self {
        let Options { send_mark, backlog, immediate, overflow, .. } = options;
        let mut pattern = LoadBalancer::new(send_mark, backlog, immediate, options.budget.clone())
            .keeping_latest(options.conflate)
            .with_overflow(overflow);
        if options.settler.is_some() {
            pattern = pattern.numbered();
        }
        let expires = options.time_to_live.is_some();
        if let Some(time) = options.time_to_live {
            pattern = pattern.with_time_to_live(time);
        }
        let opens = options.opening.is_some();
        if let Some(time) = options.opening {
            pattern = pattern.with_opening(time);
        }
        let outbound = Outbound::new(pattern, options.settler.clone());
        let core = Core::new(outbound.clone(), options);
        if expires || opens {
            let outbound = outbound.clone();
            core.spawn_until_closed(async move { outbound.expire_forever().await });
        }
        Self { core, outbound, expires }
    }

    lifecycle!(connects);

    /// Sends a message to the next peer in turn, waiting while none has room.
    ///
    /// A sender in a loop that is ahead of its connections waits until they have taken what it sent, as long as they do
    /// take it. A peer that reads nothing makes it wait at the mark only.
    ///
    /// Cancel-safe in that the message is either taken or not; one that was not is dropped with the future.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the message.
    #[inline]
    pub async fn send(&self, payload: impl Payload) -> Result<(), SendError> {
        match self.outbound.put(payload, true) {
            Ok(()) => {
                self.note_held();
                Ok(())
            }
            Err(Refused::Closed(payload)) => Err(SendError::Closed(payload.into_message())),
            Err(Refused::Full(payload) | Refused::Ahead(payload)) => {
                let put = self.outbound.put_later(payload, None).await;
                self.note_held();
                Ok(put?)
            }
        }
    }

    /// As [`send`](Self::send), for at most `time` (`ZMQ_SNDTIMEO`): the message comes back when none had room until then.
    /// A timer around `send` would lose it.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    pub async fn send_timeout(&self, payload: impl Payload, time: Duration) -> Result<(), SendError> {
        let put = self.outbound.put_later(payload, Instant::now().checked_add(time)).await;
        self.note_held();
        Ok(put?)
    }

    /// Sends a message if a peer has room.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    pub fn try_send(&self, payload: impl Payload) -> Result<(), SendError> {
        let put = self.outbound.put(payload, false);
        self.note_held();
        Ok(put?)
    }

    /// Sends a run of messages as far as peers have room: the way to forward what was received without taking it
    /// apart.
    ///
    /// # Errors
    /// [`SendError`], with what was not taken.
    pub fn try_send_run(&self, mut run: Run) -> Result<(), SendError<Run>> {
        let pushed = self.outbound.push(&mut run);
        self.outcome(pushed, run)
    }

    /// Sends messages of a [sorted](crate::Sorted) run, all of them or none. False: there is not one peer with room for all,
    /// and it takes [`try_send_run`](Self::try_send_run) of each of [`Picked::runs`] to find out which are taken.
    pub fn try_send_picked(&self, picked: Picked<'_>) -> bool {
        let taken = self.outbound.push_picked(picked);
        self.note_held();
        taken
    }

    /// As [`try_send_run`](Self::try_send_run), for messages numbered from `first`, which is above all numbers of messages
    /// sent before: for sockets with a [settler](Options::settler). What is given back are the last of them.
    ///
    /// # Errors
    /// [`SendError`], with what was not taken.
    pub fn try_send_numbered(&self, mut run: Run, first: u64) -> Result<(), SendError<Run>> {
        let pushed = self.outbound.push_numbered(&mut run, first);
        self.outcome(pushed, run)
    }

    /// As [`try_send_numbered`](Self::try_send_numbered), for messages that came at `arrived` and that the program had
    /// taken before: no mark and no budget stops them.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn restore(&self, run: Run, first: u64, arrived: Instant) -> Result<(), SendError<Run>> {
        let pushed = self.outbound.restore(run.clone(), first, arrived);
        self.outcome(pushed, run)
    }

    fn outcome(&self, pushed: Pushed, run: Run) -> Result<(), SendError<Run>> {
        self.note_held();
        match pushed {
            Pushed::All => Ok(()),
            Pushed::Full => Err(SendError::Full(run)),
            Pushed::Closed => Err(SendError::Closed(run)),
        }
    }

    /// What was sent may expire.
    #[inline]
    fn note_held(&self) {
        if self.expires {
            self.outbound.note_held();
        }
    }

    /// Whether the [backlog](Options::backlog) is below its mark.
    pub fn has_room(&self) -> bool {
        self.outbound.has_room()
    }

    /// Waits until the [backlog](Options::backlog) is below its mark. A budget that others free does not end the wait.
    ///
    /// Cancel-safe.
    pub async fn room(&self) {
        self.outbound.room().await;
    }

    /// Takes back, in order, what waits in the [backlog](Options::backlog): messages that no peer has had room for. For a
    /// forwarder that has found another place for them. With each run comes the number of its first message, if messages
    /// are numbered.
    pub fn take_backlog(&self) -> Vec<(Run, u64)> {
        self.outbound.take_backlog()
    }

    /// Waits until at most `octets` octets are queued: for a sender that must not run far ahead of its peers.
    ///
    /// Cancel-safe.
    pub async fn drained_to(&self, octets: usize) {
        self.outbound.drained_to(octets).await;
    }

    /// Stops listening, sends what is queued, waits until the peers have read that and ended their connections, for at most
    /// `linger` in all. No more messages are taken; counters can still
    /// be read. Dropping the future ends it at once.
    pub async fn close(&self, linger: Duration) -> CloseReport {
        self.core.close(linger).await
    }
}
