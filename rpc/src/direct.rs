//! The direct mode: no receiver on this machine, for the process listens on TCP itself.
//!
//! What comes is sorted as a receiver would: a reply goes to its call, anything else to the server of
//! its topic. It is done in the task of the connection, without a queue in between but the server's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use zmtp::{BindError, Endpoint, Inbox, Intake, Message, Options, Run};

use crate::counters::Counters;
use crate::pending::Pending;
use crate::topic::{Kind, Topic};

/// A socket that listens, and who gets what it takes.
pub(crate) struct Direct {
    intake: Intake<MakeSorter, Sorter>,
    endpoint: Endpoint,
    desks: Arc<Desks>,
}

type MakeSorter = Box<dyn Fn(&str) -> Sorter + Send + Sync>;

/// Where the messages of each topic go.
#[derive(Debug, Default)]
struct Desks {
    by_key: Mutex<HashMap<Box<str>, Vec<mpsc::Sender<Message>>>>,
}

impl Direct {
    /// Listens at `host:port`.
    pub(crate) async fn bind(
        address: &str,
        options: Options,
        pending: Arc<Pending>,
        drops: Arc<Counters>,
    ) -> Result<Self, BindError> {
        let desks = Arc::new(Desks::default());
        let make: MakeSorter = {
            let desks = desks.clone();
            Box::new(move |_peer| Sorter { desks: desks.clone(), pending: pending.clone(), drops: drops.clone() })
        };
        let intake = Intake::new(options, make);
        let endpoint = intake.bind(&format!("tcp://{address}")).await?;
        Ok(Self { intake, endpoint, desks })
    }

    /// `host:port` with the port that the system chose.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.as_str().trim_start_matches("tcp://")
    }

    /// The messages of a topic from now on, at most `mark` of them waiting. Of several that listen for
    /// one topic each gets a fanout, and one gets anything else.
    pub(crate) fn listen(&self, key: &str, mark: usize) -> mpsc::Receiver<Message> {
        let (sender, messages) = mpsc::channel(mark);
        self.desks.lock().entry(key.into()).or_default().push(sender);
        messages
    }

    /// Listens no longer.
    pub(crate) async fn close(&self, linger: Duration) {
        self.intake.close(linger).await;
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Desks {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<mpsc::Sender<Message>>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message on; the reason if nobody takes it.
    fn hand_on(&self, topic: Topic<'_>, message: Message) -> Option<&'static str> {
        let mut desks = self.lock();
        let Some(listeners) = desks.get_mut(topic.key()) else { return Some("topic-unknown") };
        listeners.retain(|listener| !listener.is_closed());
        if listeners.is_empty() {
            desks.remove(topic.key());
            return Some("topic-unknown");
        }
        if topic.kind() == Kind::Fanout {
            let full = listeners.iter().filter(|listener| listener.try_send(message.clone()).is_err()).count();
            return (full > 0).then_some("server-full");
        }
        listeners.rotate_left(1);
        let mut message = Some(message);
        for listener in listeners {
            match listener.try_send(message.take()?) {
                Ok(()) => return None,
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                    message = Some(back);
                }
            }
        }
        Some("server-full")
    }
}

/// The inbox of one connection.
#[derive(Debug)]
struct Sorter {
    desks: Arc<Desks>,
    pending: Arc<Pending>,
    drops: Arc<Counters>,
}

impl Sorter {
    fn sort(&self, message: Message) -> Option<&'static str> {
        let frame = message.frame(1).unwrap_or_default().to_vec();
        match Topic::parse(&frame) {
            Ok(topic) if topic.kind() == Kind::Reply => (!self.pending.settle(message)).then_some("reply-late"),
            Ok(topic) => self.desks.hand_on(topic, message),
            Err(error) => Some(error.reason()),
        }
    }
}

impl Inbox for Sorter {
    fn poll_deliver(&mut self, _: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        while let Some(message) = run.pop() {
            if let Some(reason) = self.sort(message) {
                self.drops.add(reason, 1);
            }
        }
        Poll::Ready(())
    }
}
