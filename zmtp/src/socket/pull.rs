//! PULL (RFC 30).

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    core::Core,
    inbound::Inbound,
    lifecycle::lifecycle,
    monitor::Monitor,
    options::Options,
    outcome::{BindError, CloseReport, ConnectError},
    stats::Stats,
};
use crate::{
    pattern::{FairQueue, Turns},
    proto::Message,
    transport::{Endpoint, Link, OpenListener, Stream},
};

/// Collects messages from PUSH peers, one of each in turn.
///
/// A peer's faults end its connection and show in the [monitor](Self::monitor); they never come out of
/// [`recv`](Self::recv). While a peer has [`Options::recv_mark`] messages waiting, its connection is not read, and it
/// feels that. Dropping the socket drops what waits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use zmtp::{Options, Pull, Push};
///
/// let mut pull = Pull::new(Options::new());
/// pull.bind("memory://pull-example").await?;
/// for name in ["a", "b"] {
///     let push = Push::new(Options::new());
///     push.connect("memory://pull-example")?;
///     push.send(name).await?;
/// }
/// let mut got = Vec::new();
/// while got.len() < 2 {
///     pull.recv_many(&mut got, 100).await;
/// }
/// assert_eq!(pull.recv_timeout(Duration::from_millis(10)).await, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pull {
    turns: Turns,
    inbound: Arc<Inbound>,
    core: Core<Inbound>,
}

impl Pull {
    /// A socket without endpoints.
    pub fn new(options: Options) -> Self {
        let inbound =
            Inbound::new(FairQueue::new(options.recv_mark, options.budget.clone()).keeping_latest(options.conflate));
        let core = Core::new(inbound.clone(), options);
        Self { turns: Turns::default(), inbound, core }
    }

    lifecycle!(connects);

    /// The next message. Waits while there is none, also while there is no peer.
    ///
    /// Cancel-safe: a message is taken only when it is returned.
    pub async fn recv(&mut self) -> Message {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Appends up to `max` messages to `messages`, waiting for the first only; returns how many.
    ///
    /// Cancel-safe: messages are taken only when it returns.
    pub async fn recv_many(&mut self, messages: &mut Vec<Message>, max: usize) -> usize {
        if max == 0 {
            return 0;
        }
        let before = messages.len();
        messages.push(self.recv().await);
        while messages.len() - before < max {
            let Some(message) = self.try_recv() else { break };
            messages.push(message);
        }
        messages.len() - before
    }

    /// The next message, or `None` when there was none for so long (`ZMQ_RCVTIMEO`).
    ///
    /// Cancel-safe: a message is taken only when it is returned.
    pub async fn recv_timeout(&mut self, time: Duration) -> Option<Message> {
        tokio::time::timeout(time, self.recv()).await.ok()
    }

    /// The next message if one is there.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.inbound.try_recv(&mut self.turns)
    }

    /// As [`recv`](Self::recv), for hand-written futures.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        self.inbound.poll_recv(cx, &mut self.turns)
    }

    /// Stops listening and ends all connections, for at most `linger`. Messages that were not received are dropped.
    pub async fn close(&self, linger: Duration) -> CloseReport {
        self.core.close(linger).await
    }
}

/// Never ends by itself; [`close`](Pull::close) it when enough has come.
impl futures_core::Stream for Pull {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx).map(Some)
    }
}
