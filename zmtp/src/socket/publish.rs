//! PUB (RFC 29).

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    monitor::Monitor,
    options::Options,
    outbound::{Outbound, Pushed, Refused},
    outcome::{BindError, CloseReport, ConnectError},
    push::SendError,
    stats::Stats,
};
use crate::{
    pattern::Distributor,
    proto::{Payload, Run},
    transport::Endpoint,
};

/// Copies messages to SUB peers that subscribed to a start of their first frame.
///
/// Sending never waits. A message that nobody wants is dropped, and so is one for a peer whose queue is at its mark,
/// for that peer; both are counted. With [`Options::late_joiners`] messages wait a moment for subscribers that are
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
        );
        let outbound = Outbound::new(pattern, None);
        let core = Core::new(outbound.clone(), options);
        if holds {
            let outbound = outbound.clone();
            core.spawn_until_closed(async move { outbound.expire_forever().await });
        }
        Self { outbound, core, holds }
    }

    /// Listens; returns the endpoint with the port that the system chose.
    ///
    /// # Errors
    /// [`BindError`]: the text is no endpoint, or the transport refused.
    pub async fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        self.core.bind(endpoint).await
    }

    /// Connects, now and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`ConnectError`] only when the endpoint can never work.
    pub fn connect(&self, endpoint: &str) -> Result<Endpoint, ConnectError> {
        self.core.connect(endpoint)
    }

    /// Ends listening at, or connecting to, an endpoint, with its connections. False when there is none such.
    pub fn forget(&self, endpoint: &Endpoint) -> bool {
        self.core.forget(endpoint)
    }

    /// Publishes a message. Never waits.
    ///
    /// # Errors
    /// [`SendError::Closed`] only.
    #[inline]
    pub fn send(&self, payload: impl Payload) -> Result<(), SendError> {
        let put = self.outbound.put(payload, false);
        if self.holds {
            self.outbound.note_held();
        }
        match put {
            Err(Refused::Closed(payload)) => Err(SendError::Closed(payload.into_message())),
            Ok(()) | Err(Refused::Full(_) | Refused::Ahead(_)) => Ok(()),
        }
    }

    /// Publishes a run of messages. Never waits.
    ///
    /// # Errors
    /// [`SendError::Closed`] only.
    pub fn send_run(&self, mut run: Run) -> Result<(), SendError<Run>> {
        let pushed = self.outbound.push(&mut run);
        if self.holds {
            self.outbound.note_held();
        }
        match pushed {
            Pushed::Closed => Err(SendError::Closed(run)),
            Pushed::All | Pushed::Full => Ok(()),
        }
    }

    /// Waits until at most `octets` octets are queued: for a sender that must not run far ahead of its peers.
    ///
    /// Cancel-safe.
    pub async fn drained_to(&self, octets: usize) {
        self.outbound.drained_to(octets).await;
    }

    /// What happens to this socket's connections from now on.
    pub fn monitor(&self) -> Monitor {
        self.core.monitor()
    }

    /// Counters and queues.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Stops listening, sends what is queued for at most `linger`, and ends. No more messages are taken; counters can still
    /// be read. Dropping the future ends it at once.
    pub async fn close(&self, linger: Duration) -> CloseReport {
        self.core.close(linger).await
    }
}
