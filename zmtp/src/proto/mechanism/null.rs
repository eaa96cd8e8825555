//! The NULL mechanism: each side sends READY as soon as it has the other's greeting (RFC 37, The NULL Mechanism).
//!
//! One that has an authenticator asks it first, by the peer's address alone, and sends READY when that has admitted the
//! peer: so does a libzmq with a ZAP domain.

use bytes::Bytes;

use super::{Credentials, Step};
use crate::proto::{
    command::{self, Command},
    error::ProtocolError,
};

/// A handshake that waits for the peer's READY.
#[derive(Debug)]
pub(crate) struct Null {
    pub(crate) asks: bool,
}

impl Null {
    pub(crate) const NAME: &'static str = "NULL";

    pub(crate) fn start(&self, ours: &[u8]) -> Step {
        if self.asks { Step::Ask(Credentials::Null) } else { self.ready(ours) }
    }

    /// Our first and only command.
    pub(crate) fn ready(&self, ours: &[u8]) -> Step {
        Step::Send(command::ready(ours))
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
