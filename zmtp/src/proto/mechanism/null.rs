//! The NULL mechanism: each side sends READY as soon as it has the other's greeting (RFC 37, The NULL Mechanism).

use bytes::Bytes;

use crate::proto::{
    command::{self, Command},
    error::ProtocolError,
    metadata::Metadata,
    socket_type::SocketType,
};

/// A handshake that waits for the peer's READY.
#[derive(Debug)]
pub(crate) struct Null;

impl Null {
    pub(crate) const NAME: &'static str = "NULL";

    /// Our first and only command, a whole frame.
    pub(crate) fn start(socket_type: SocketType) -> (Self, Bytes) {
        (Self, command::ready(socket_type))
    }

    /// The peer's first command; READY ends the handshake with its properties.
    pub(crate) fn handle(self, command: Command) -> Result<Metadata, ProtocolError> {
        match command {
            Command::Ready(properties) => Ok(properties),
            Command::Error(reason) => Err(ProtocolError::PeerRefused { reason }),
            other => Err(ProtocolError::UnexpectedCommand { name: other.name(), state: "before READY" }),
        }
    }
}
