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
    proto::{Payload, Run},
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
    /// A socket without endpoints.
    pub fn new(options: Options) -> Self {
        let pattern = LoadBalancer::new(options.send_mark, options.backlog, options.immediate, options.budget.clone())
            .keeping_latest(options.conflate);
        let outbound = Outbound::new(pattern);
        Self { core: Core::new(outbound.clone(), options), outbound }
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
            Ok(()) => Ok(()),
            Err(Refused::Closed(payload)) => Err(SendError::Closed(payload.into_message())),
            Err(Refused::Full(payload) | Refused::Ahead(payload)) => Ok(self.outbound.put_later(payload, None).await?),
        }
    }

    /// As [`send`](Self::send), for at most `time` (`ZMQ_SNDTIMEO`): the message comes back when none had room until then.
    /// A timer around `send` would lose it.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    pub async fn send_timeout(&self, payload: impl Payload, time: Duration) -> Result<(), SendError> {
        Ok(self.outbound.put_later(payload, Instant::now().checked_add(time)).await?)
    }

    /// Sends a message if a peer has room.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    pub fn try_send(&self, payload: impl Payload) -> Result<(), SendError> {
        Ok(self.outbound.put(payload, false)?)
    }

    /// Sends a run of messages as far as peers have room: the way to forward what was received without taking it
    /// apart.
    ///
    /// # Errors
    /// [`SendError`], with what was not taken.
    pub fn try_send_run(&self, mut run: Run) -> Result<(), SendError<Run>> {
        match self.outbound.push(&mut run) {
            Pushed::All => Ok(()),
            Pushed::Full => Err(SendError::Full(run)),
            Pushed::Closed => Err(SendError::Closed(run)),
        }
    }

    /// Takes back, in order, what waits in the [backlog](Options::backlog): messages that no peer has had room for. For a
    /// forwarder that has found another place for them.
    pub fn take_backlog(&self) -> impl Iterator<Item = Run> + use<> {
        self.outbound.take_backlog().into_iter()
    }

    /// Waits until at most `octets` octets are queued: for a sender that must not run far ahead of its peers.
    ///
    /// Cancel-safe.
    pub async fn drained_to(&self, octets: usize) {
        self.outbound.drained_to(octets).await;
    }

    /// Stops listening, sends what is queued for at most `linger`, and ends. No more messages are taken; counters can still
    /// be read. Dropping the future ends it at once.
    pub async fn close(&self, linger: Duration) -> CloseReport {
        self.core.close(linger).await
    }
}
