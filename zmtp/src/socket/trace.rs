//! Spans and events for crate `tracing`, with the feature of that name; nothing at all without it.
//!
//! Each connection has a span, `connection` or `dial`, within which its [`SocketEvent`]s are events too: faults and limits
//! as warnings, the rest for debugging. Target `zmtp`.

use super::monitor::SocketEvent;
use crate::proto::SocketType;

/// Whether somebody listens.
#[inline]
pub(crate) fn wants_events() -> bool {
    #[cfg(feature = "tracing")]
    return tracing::enabled!(target: TARGET, tracing::Level::WARN);
    #[cfg(not(feature = "tracing"))]
    false
}

/// Tells what happened.
pub(crate) fn event(event: &SocketEvent) {
    #[cfg(not(feature = "tracing"))]
    let _ = event;
    #[cfg(feature = "tracing")]
    match event {
        SocketEvent::Listening { endpoint } => tracing::debug!(target: TARGET, %endpoint, "listens"),
        SocketEvent::Deaf { endpoint } => tracing::debug!(target: TARGET, %endpoint, "listens no more"),
        SocketEvent::Accepted { peer } => tracing::debug!(target: TARGET, %peer, "accepted"),
        SocketEvent::AcceptFailed { error, pause } => tracing::warn!(target: TARGET, %error, ?pause, "accept failed"),
        SocketEvent::TurnedAway { endpoint, error } => tracing::warn!(target: TARGET, %endpoint, %error, "turned away"),
        SocketEvent::Full { connections } => tracing::warn!(target: TARGET, connections, "full"),
        SocketEvent::Connected { peer } => tracing::debug!(target: TARGET, %peer, "connected"),
        SocketEvent::ConnectFailed { endpoint, error, retry } => {
            tracing::debug!(target: TARGET, %endpoint, %error, ?retry, "connect failed");
        }
        SocketEvent::Ready { peer, info } => {
            let (major, minor) = info.version;
            tracing::debug!(target: TARGET, %peer, socket_type = %info.socket_type, major, minor, "ready");
        }
        SocketEvent::HandshakeFailed { peer, cause } => {
            tracing::warn!(target: TARGET, %peer, %cause, reason = cause.reason(), "handshake failed");
        }
        SocketEvent::Disconnected { peer, cause, traffic } => {
            let (sent, received, reason) = (traffic.sent, traffic.received, cause.reason());
            match cause.fault() {
                Some(_) => tracing::warn!(target: TARGET, %peer, %cause, reason, sent, received, "disconnected"),
                None => tracing::debug!(target: TARGET, %peer, %cause, reason, sent, received, "disconnected"),
            }
        }
        SocketEvent::GaveUp { endpoint } => tracing::warn!(target: TARGET, %endpoint, "connects no more"),
        SocketEvent::Missed(_) => {}
    }
}

/// Runs an accepted connection in its span.
pub(crate) fn connection<F: Future>(
    socket: SocketType,
    peer: &str,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    {
        use tracing::Instrument as _;
        work.instrument(tracing::debug_span!(target: TARGET, "connection", %socket, peer))
    }
    #[cfg(not(feature = "tracing"))]
    {
        let _ = (socket, peer);
        work
    }
}

/// Runs the attempts to keep an endpoint connected in their span.
pub(crate) fn dial<F: Future>(socket: SocketType, endpoint: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    {
        use tracing::Instrument as _;
        work.instrument(tracing::debug_span!(target: TARGET, "dial", %socket, endpoint))
    }
    #[cfg(not(feature = "tracing"))]
    {
        let _ = (socket, endpoint);
        work
    }
}

#[cfg(feature = "tracing")]
const TARGET: &str = "zmtp";
