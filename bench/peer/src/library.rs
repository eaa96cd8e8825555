//! What a messaging library is, as far as this benchmark goes: sockets that send and sockets that receive.
//!
//! An implementation is written as a competent user of that library would write it, on its default settings. Where a
//! library blocks the calling thread, its futures are ready at once, and [`Executor::Threads`](crate::Executor) runs
//! them.
#![expect(async_fn_in_trait, reason = "every executor here polls a future on the thread that made it")]

use std::error::Error;

use crate::control::Control;
use crate::messages::Incoming;

/// What went wrong in a library, in its own words; it ends the process.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A messaging library. Endpoints are tcp://IPV4:PORT or ipc://PATH.
pub trait Library: Send + Sync + 'static {
    /// PUSH.
    type Push: Sender;
    /// PULL.
    type Pull: Receiver;
    /// PUB.
    type Pub: Sender;
    /// SUB.
    type Sub: Receiver;

    /// A PUSH socket that connects.
    async fn push(&self, endpoint: &str) -> Result<Self::Push, Failure>;

    /// A PULL socket that connects.
    async fn pull(&self, endpoint: &str) -> Result<Self::Pull, Failure>;

    /// One message by a PUSH socket made, connected and closed for it; closed so that the message is not lost, if the
    /// library knows how.
    ///
    /// # Errors
    /// Unless implemented: plain sockets have no handshake, and so nothing to compare here.
    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let _ = (endpoint, parts);
        Err("it has no handshake to measure".into())
    }

    /// A SUB socket that connects and subscribes to everything.
    async fn subscribe(&self, endpoint: &str) -> Result<Self::Sub, Failure>;

    /// A PUSH socket that binds for so many PULL peers.
    async fn push_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Self::Push, Failure>;

    /// A PULL socket that binds for so many PUSH peers.
    async fn pull_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Self::Pull, Failure>;

    /// A PUB socket that binds for so many SUB peers.
    async fn publish_for(&self, endpoint: &str, peers: u16, listening: Listening<'_>) -> Result<Self::Pub, Failure>;
}

/// A socket that sends.
pub trait Sender {
    /// Sends a message of these parts, at least one.
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure>;

    /// Called after the last message of a series: for a library that keeps messages back until it is told to write.
    async fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A socket that receives.
pub trait Receiver {
    /// Receives at least one message and shows it to `incoming`.
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure>;
}

/// Tells that a socket listens, so that others may connect to it.
#[derive(Debug)]
#[must_use]
pub struct Listening<'a> {
    control: Option<&'a Control>,
}

impl<'a> Listening<'a> {
    /// The driver is told.
    pub(crate) fn new(control: &'a Control) -> Self {
        Self { control: Some(control) }
    }

    /// Nobody waits for it.
    pub(crate) fn unheard() -> Self {
        Self { control: None }
    }

    /// The socket listens.
    pub fn now(self) {
        if let Some(control) = self.control {
            control.listening();
        }
    }
}
