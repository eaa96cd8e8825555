//! What a connection is given at its start, and what it tells.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{limits::Limits, mechanism::Credentials, metadata::Metadata, run::Run, socket_type::SocketType};

/// What a connection needs to know before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The type of the socket that this connection belongs to: PUSH, PULL, PUB or SUB.
    pub socket_type: SocketType,
    /// What the peer may send.
    pub limits: Limits,
    /// One deadline from the start to the peer's READY, not renewed by octets that trickle in.
    pub handshake_timeout: Duration,
}

/// What a peer told about itself in greeting and READY.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Major and minor version of its greeting; 2.0 for a peer of ZMTP 2.0, which shows revision 1.
    pub version: (u8, u8),
    /// Its socket type.
    pub socket_type: SocketType,
    /// Its properties.
    pub properties: Metadata,
    /// What the authenticator calls it; never the peer's own word.
    pub user_id: Option<Arc<str>>,
}

/// What happened on a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer wants to come in. Only to a server; nothing more comes until
    /// [`authorize`](super::Connection::authorize) or [`refuse`](super::Connection::refuse).
    Authenticate(Credentials),
    /// The handshake is over; messages may be sent from now on.
    Ready(PeerInfo),
    /// Messages came. Only to PULL and SUB.
    Run(Run),
    /// The peer wants messages whose first frame starts with this. Only to PUB.
    Subscribe(Bytes),
    /// The peer no longer wants them. Only to PUB.
    Cancel(Bytes),
}
