//! Hearing what happened: a notification listener (oslo-bugs B31, B32).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tracing::warn;
use zmtp::Message;

use crate::consumer::{Consumer, StartError, Stopped};
use crate::context::Context;
use crate::envelope::Envelope;
use crate::json::{ReadError, Text};
use crate::notifier::Priority;
use crate::received::{Incoming, Notification, Received};
use crate::transport::{Shared, Transport};

/// A listener at work. Dropping it ends it at once; [`Listener::stop`] ends it in order.
#[derive(Debug)]
pub struct Listener {
    consumer: Consumer,
}

/// A listener to be. See [`Listener::builder`].
#[must_use]
pub struct ListenerBuilder {
    topics: Vec<String>,
    hears: Vec<(Priority, Hear)>,
}

type Hear = Arc<dyn Fn(Heard) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A notification of either version. `Debug` shows neither context nor payload.
#[derive(Clone)]
pub struct Heard {
    /// On whose behalf it happened.
    pub context: Context,
    /// Who tells.
    pub publisher_id: String,
    /// What happened, such as `compute.instance.create.end`.
    pub event_type: String,
    /// How urgent it is, in upper case.
    pub priority: String,
    /// When, in UTC, such as `2014-11-20 10:11:12.000000`.
    pub timestamp: String,
    /// Its own id.
    pub message_id: String,
    payload: String,
}

impl Listener {
    /// A listener for some base topics, such as `notifications`.
    pub fn builder<T: Into<String>>(topics: impl IntoIterator<Item = T>) -> ListenerBuilder {
        ListenerBuilder { topics: topics.into_iter().map(Into::into).collect(), hears: Vec::new() }
    }

    /// Ends: takes back its announcements, and lets handlers finish, for at most `limit`.
    ///
    /// Not cancel-safe: dropping the future ends it at once.
    pub async fn stop(self, limit: Duration) -> Stopped {
        self.consumer.stop(limit).await
    }
}

impl ListenerBuilder {
    /// What to do with notifications of a priority. Of several listeners for one each notification reaches one.
    pub fn on<F, Fut>(mut self, priority: Priority, hear: F) -> Self
    where
        F: Fn(Heard) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hears.push((priority, Arc::new(move |heard| Box::pin(hear(heard)))));
        self
    }

    /// Starts: connects to this machine's receiver, and announces the topics to the matchmaker.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self, transport: &Transport) -> Result<Listener, StartError> {
        let shared = &transport.shared;
        let host = shared.settings.host.as_str();
        let priorities = || self.hears.iter().map(|(priority, _)| *priority);
        let topics: Vec<_> =
            self.topics.iter().flat_map(|base| priorities().map(|priority| priority.topic(base))).collect();
        let keys: Vec<_> = topics.iter().map(|topic| format!("{topic}.{host}")).collect();
        let registered = topics.iter().map(|topic| topic.parse()).collect::<Result<_, _>>()?;
        let (hears, desk) = (Arc::new(self.hears), shared.clone());
        let handle = move |message: Message| {
            let (hears, shared) = (hears.clone(), desk.clone());
            async move { hear(&hears, &shared, &message).await }
        };
        let consumer = Consumer::start(shared, &keys, registered, shared.settings.concurrency, handle).await?;
        Ok(Listener { consumer })
    }
}

impl Heard {
    /// Reads what it is about into a type.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: it has another shape.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        Text::trusted(&self.payload).read()
    }

    fn of(context: Text<'_>, told: &Notification<'_>) -> Self {
        let field = |name| told.field(name).unwrap_or_default().into_owned();
        Self {
            context: Context::received(context),
            publisher_id: field("publisher_id"),
            event_type: field("event_type"),
            priority: field("priority"),
            timestamp: field("timestamp"),
            message_id: field("message_id"),
            payload: told.payload().as_str().to_owned(),
        }
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard")
            .field("event_type", &self.event_type)
            .field("publisher_id", &self.publisher_id)
            .field("priority", &self.priority)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let priorities: Vec<_> = self.hears.iter().map(|(priority, _)| priority).collect();
        f.debug_struct("ListenerBuilder").field("topics", &self.topics).field("priorities", &priorities).finish()
    }
}

/// Has one message heard. One that is no notification is dropped and counted.
async fn hear(hears: &[(Priority, Hear)], shared: &Shared, message: &Message) {
    let heard = decoded(message).and_then(|heard| {
        let named = |(priority, _): &&(Priority, Hear)| priority.as_str().eq_ignore_ascii_case(&heard.priority);
        let hear = hears.iter().find(named).ok_or("notification-priority")?;
        Ok((hear.1.clone(), heard))
    });
    match heard {
        Ok((hear, heard)) => hear(heard).await,
        Err(reason) => {
            if shared.drops.add(reason, 1).is_multiple_of(LOGGED_EVERY) {
                warn!(reason, octets = message.octets(), "a message cannot be understood and is dropped");
            }
        }
    }
}

fn decoded(message: &Message) -> Result<Heard, &'static str> {
    let envelope = Envelope::decode(message.frames()).map_err(|error| error.reason())?;
    let received = Received::decode(envelope.body).map_err(|error| error.reason())?;
    match received.read().map_err(|error| error.reason())? {
        Incoming::Notification(told) => Ok(Heard::of(received.context(), &told)),
        Incoming::Request(_) => Err("notification-with-method"),
    }
}

/// Of messages dropped for the same reason, one in so many is logged.
const LOGGED_EVERY: u64 = 1000;
