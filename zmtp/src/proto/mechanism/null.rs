//! The NULL mechanism: each side sends READY as soon as it has the other's greeting (RFC 37, The NULL Mechanism).

use bytes::Bytes;

use super::Step;
use crate::proto::{
    command::{self, Command},
    error::ProtocolError,
    socket_type::SocketType,
};

/// A handshake that waits for the peer's READY.
#[derive(Debug)]
pub(crate) struct Null;

impl Null {
    pub(crate) const NAME: &'static str = "NULL";

    /// Our first and only command, a whole frame.
    pub(crate) fn start(&self, ours: SocketType) -> Bytes {
        command::ready(ours)
    }

    /// The peer's first command; READY ends the handshake with its properties.
    pub(crate) fn handle(&self, body: Bytes) -> Result<Step, ProtocolError> {
        match Command::decode(body)? {
            Command::Ready(properties) => Ok(Step::Ready { reply: None, properties, seal: None }),
            Command::Error(reason) => Err(ProtocolError::PeerRefused { reason }),
            other => Err(ProtocolError::UnexpectedCommand { name: other.name(), state: "before READY" }),
        }
    }
}
