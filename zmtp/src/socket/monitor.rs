//! What happens to a socket's connections, as it happens.
//!
//! A peer's faults come out here and never out of `recv`. The channel is bounded: a reader that falls behind loses the
//! oldest events and is told how many. Costs nothing while nobody asked for it.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::{proto::PeerInfo, session::Disconnect, transport::Endpoint};

/// Something happened to a connection of a socket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// The socket listens (libzmq: `LISTENING`).
    Listening {
        /// With the port that the system chose.
        endpoint: Endpoint,
    },
    /// A stream was accepted; the handshake follows (`ACCEPTED`).
    Accepted {
        /// The other end.
        peer: Arc<str>,
    },
    /// Accepting failed, for lack of file descriptors for example; it goes on after a pause (`ACCEPT_FAILED`).
    AcceptFailed {
        /// Why.
        error: Arc<io::Error>,
        /// How long it pauses.
        pause: Duration,
    },
    /// As many connections as [`Options::max_connections`](crate::Options::max_connections) allows: peers wait in the
    /// listen backlog until one ends.
    Full {
        /// The limit.
        connections: usize,
    },
    /// A stream was opened; the handshake follows (`CONNECTED`).
    Connected {
        /// The other end.
        peer: Arc<str>,
    },
    /// Opening a stream failed (`CONNECT_DELAYED`, `CONNECT_RETRIED`).
    ConnectFailed {
        /// Where to.
        endpoint: Endpoint,
        /// Why.
        error: Arc<io::Error>,
        /// When it tries again; `None`: never, the address can't work.
        retry: Option<Duration>,
    },
    /// The handshake is over (`HANDSHAKE_SUCCEEDED`).
    Ready {
        /// The other end.
        peer: Arc<str>,
        /// What it told about itself.
        info: Arc<PeerInfo>,
    },
    /// The handshake failed (`HANDSHAKE_FAILED_*`).
    HandshakeFailed {
        /// The other end.
        peer: Arc<str>,
        /// Why.
        cause: Disconnect,
    },
    /// A peer's connection ended (`DISCONNECTED`).
    Disconnected {
        /// The other end.
        peer: Arc<str>,
        /// Why.
        cause: Disconnect,
    },
    /// So many events were lost because the reader was slow.
    Missed(u64),
}

/// Receives [`SocketEvent`]s.
#[derive(Debug)]
pub struct Monitor(broadcast::Receiver<SocketEvent>);

impl Monitor {
    /// The next event; `None` when the socket and its connections are gone.
    ///
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<SocketEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(n)) => Some(SocketEvent::Missed(n)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The sending side. Made on demand, since thousands of sockets may never have a reader.
#[derive(Debug, Default)]
pub(crate) struct Announcer(OnceLock<broadcast::Sender<SocketEvent>>);

impl Announcer {
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor(self.0.get_or_init(|| broadcast::channel(KEPT).0).subscribe())
    }

    pub(crate) fn announce(&self, event: impl FnOnce() -> SocketEvent) {
        if let Some(sender) = self.0.get() {
            // An error says only that nobody listens any more.
            let _ = sender.send(event());
        }
    }
}

/// Events kept for a slow reader: a burst of a few hundred reconnects fits.
const KEPT: usize = 1024;
