//! What binding, connecting, sending and closing come to.

use std::io;

use crate::{
    proto::Message,
    transport::{Endpoint, EndpointError},
};

/// Binding failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The transport refused.
    #[error("cannot bind {endpoint}: {cause}")]
    Io {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        cause: io::Error,
    },
}

/// Connecting can't even begin. That nobody answers is no such error: the socket tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no transport for it, or the address can never work.
    #[error("cannot connect to {endpoint}: {cause}")]
    Io {
        /// Where to.
        endpoint: Endpoint,
        /// Why.
        cause: io::Error,
    },
}

/// What became of the messages that were queued when a socket was closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// Written whole to a peer's stream since.
    pub flushed: u64,
    /// Dropped: no peer took them in time.
    pub discarded: u64,
}

/// A message that was not taken, given back.
#[derive(Debug, thiserror::Error)]
pub enum SendError<M = Message> {
    /// No peer has room.
    #[error("no peer has room for the message")]
    Full(M),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(M),
}
