//! PUB (RFC 29).

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    lifecycle::lifecycle,
    monitor::Monitor,
    options::Options,
    outbound::{Outbound, Pushed},
    outcome::{BindError, CloseReport, ConnectError, SendError},
    stats::Stats,
};
use crate::{
    pattern::Distributor,
    proto::{Payload, Run},
    transport::{Endpoint, Link, OpenListener, Stream},
};

/// Copies messages to SUB peers that subscribed to a start of their first frame.
///
/// Sending never waits. A message that nobody wants is dropped, and so is one for a peer whose queue is at its mark,
/// for that peer; both are counted. With [`Options::no_drop`] such a message is given back instead. With [`Options::late_joiners`] messages wait a moment for subscribers that are
/// still connecting.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use zmtp::{LateJoiners, Mark, Message, Options, Pub, Sub};
///
/// let late = LateJoiners { time: Duration::from_secs(2), mark: Mark::default() };
/// let publisher = Pub::new(Options::new().late_joiners(late));
/// publisher.bind("memory://pub-example").await?;
/// publisher.send("weather sunny")?;
///
/// let mut subscriber = Sub::new(Options::new());
/// subscriber.subscribe("weather");
/// subscriber.connect("memory://pub-example")?;
/// assert_eq!(subscriber.recv().await, Message::from("weather sunny"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pub {
    outbound: Arc<Outbound<Distributor>>,
    core: Core<Outbound<Distributor>>,
    holds: bool,
}

impl Pub {
    /// A socket without endpoints. With [`Options::late_joiners`] it needs a tokio runtime.
    pub fn new(options: Options) -> Self {
        let holds = options.late_joiners.is_some();
        let pattern = Distributor::new(
            options.send_mark,
            options.subscription_limits,
            options.late_joiners,
            options.budget.clone(),
        )
        .keeping_latest(options.conflate)
        .dropping_none(options.drops_none);
        let outbound = Outbound::new(pattern, None);
        let core = Core::new(outbound.clone(), options);
        if holds {
            let outbound = outbound.clone();
            core.spawn_until_closed(async move { outbound.expire_forever().await });
        }
        Self { outbound, core, holds }
    }

    lifecycle!(connects);

    /// Publishes a message. Never waits.
    ///
    /// # Errors
    /// [`SendError::Closed`]; with [`Options::no_drop`] also [`SendError::Full`].
    #[inline]
    pub fn send(&self, payload: impl Payload) -> Result<(), SendError> {
        let put = self.outbound.put(payload, false);
        if self.holds {
            self.outbound.note_held();
        }
        Ok(put?)
    }

    /// As [`send`](Self::send), but with [`Options::no_drop`] waits until all who want the message have room for it.
    ///
    /// Cancel-safe in that the message is either taken or not; one that was not is dropped with the future.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the message.
    pub async fn send_when_room(&self, payload: impl Payload) -> Result<(), SendError> {
        let put = self.outbound.put_later(payload, None).await;
        if self.holds {
            self.outbound.note_held();
        }
        Ok(put?)
    }

    /// Publishes a run of messages. Never waits.
    ///
    /// # Errors
    /// As for [`send`](Self::send), with what was not taken.
    pub fn send_run(&self, mut run: Run) -> Result<(), SendError<Run>> {
        let pushed = self.outbound.push(&mut run);
        if self.holds {
            self.outbound.note_held();
        }
        match pushed {
            Pushed::Closed => Err(SendError::Closed(run)),
            Pushed::Full => Err(SendError::Full(run)),
            Pushed::All => Ok(()),
        }
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
