//! What happens to a socket's connections, as it happens.
//!
//! A peer's faults come out here and never out of `recv`. The channel is bounded: a reader that falls behind loses the
//! oldest events and is told how many. Costs nothing while nobody asked for it.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    proto::PeerInfo,
    session::{Disconnect, Traffic},
    transport::Endpoint,
};

/// Something happened to a connection of a socket. Names in brackets are libzmq's, of `zmq_socket_monitor`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// The socket listens (`LISTENING`).
    #[non_exhaustive]
    Listening {
        /// With the port that the system chose.
        endpoint: Endpoint,
    },
    /// It no longer listens (`CLOSED`).
    #[non_exhaustive]
    Deaf {
        /// Where it did.
        endpoint: Endpoint,
    },
    /// A stream was accepted, or [attached](crate::Push::attach); the handshake follows (`ACCEPTED`).
    #[non_exhaustive]
    Accepted {
        /// The other end.
        peer: Arc<str>,
    },
    /// Accepting failed, for lack of file descriptors for example; it goes on after a pause (`ACCEPT_FAILED`).
    #[non_exhaustive]
    AcceptFailed {
        /// Why.
        error: Arc<io::Error>,
        /// How long it pauses.
        pause: Duration,
    },
    /// Somebody was turned away by an accept filter, before the handshake.
    #[non_exhaustive]
    TurnedAway {
        /// Where it came in.
        endpoint: Endpoint,
        /// Who, and by which filter.
        error: Arc<io::Error>,
    },
    /// As many connections as [`Options::max_connections`](crate::Options::max_connections) allows: peers wait in the
    /// listen backlog until one ends.
    #[non_exhaustive]
    Full {
        /// The limit.
        connections: usize,
    },
    /// A stream was opened; the handshake follows (`CONNECTED`).
    #[non_exhaustive]
    Connected {
        /// The other end.
        peer: Arc<str>,
    },
    /// Opening a stream failed (`CONNECT_DELAYED`, `CONNECT_RETRIED`).
    #[non_exhaustive]
    ConnectFailed {
        /// Where to.
        endpoint: Endpoint,
        /// Why.
        error: Arc<io::Error>,
        /// When it tries again; `None`: never, the address can't work or [`Options::give_up`](crate::Options::give_up)
        /// says so.
        retry: Option<Duration>,
    },
    /// The handshake is over (`HANDSHAKE_SUCCEEDED`).
    #[non_exhaustive]
    Ready {
        /// The other end.
        peer: Arc<str>,
        /// What it told about itself.
        info: Arc<PeerInfo>,
    },
    /// The handshake failed (`HANDSHAKE_FAILED_PROTOCOL`, `_AUTH`, `_NO_DETAIL`: [`Disconnect::fault`] tells them apart).
    #[non_exhaustive]
    HandshakeFailed {
        /// The other end.
        peer: Arc<str>,
        /// Why.
        cause: Disconnect,
    },
    /// A peer's connection ended (`DISCONNECTED`).
    #[non_exhaustive]
    Disconnected {
        /// The other end.
        peer: Arc<str>,
        /// Why.
        cause: Disconnect,
        /// What went over it.
        traffic: Traffic,
    },
    /// It connects no more: the peer refused it for good, or [`Options::give_up`](crate::Options::give_up) says so.
    #[non_exhaustive]
    GaveUp {
        /// Where to.
        endpoint: Endpoint,
    },
    /// So many events were lost because the reader was slow.
    Missed(u64),
}

/// Receives [`SocketEvent`]s, by [`recv`](Self::recv) or as a [`Stream`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::io::AsyncWriteExt;
/// use zmtp::{Fault, Options, Pull, SocketEvent};
///
/// let pull = Pull::new(Options::new());
/// let mut monitor = pull.monitor();
/// let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
/// let mut stranger = tokio::net::TcpStream::connect(endpoint.address()).await?;
/// stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
/// while let Some(event) = monitor.recv().await {
///     if let SocketEvent::HandshakeFailed { peer, cause, .. } = event {
///         assert_eq!(*peer, stranger.local_addr()?.to_string());
///         assert_eq!((cause.fault(), cause.reason()), (Some(Fault::Mismatch), "not-zmtp"));
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Monitor(Pin<Box<dyn Next>>);

/// The next event, and the receiver back.
trait Next: Future<Output = (Result<SocketEvent, RecvError>, Receiver)> + Send + Sync {}

impl<F: Future<Output = (Result<SocketEvent, RecvError>, Receiver)> + Send + Sync> Next for F {}

type Receiver = broadcast::Receiver<SocketEvent>;

impl Monitor {
    pub(crate) fn new(receiver: Receiver) -> Self {
        Self(Box::pin(receive(receiver)))
    }

    /// The next event; `None` when the socket and its connections are gone.
    ///
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<SocketEvent> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Monitor {
    type Item = SocketEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        let (received, receiver) = ready!(self.0.as_mut().poll(cx));
        self.0 = Box::pin(receive(receiver));
        Poll::Ready(match received {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(n)) => Some(SocketEvent::Missed(n)),
            Err(RecvError::Closed) => None,
        })
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// Keeps its place among the waiting readers between polls, which a new future each time would lose.
async fn receive(mut receiver: Receiver) -> (Result<SocketEvent, RecvError>, Receiver) {
    (receiver.recv().await, receiver)
}
