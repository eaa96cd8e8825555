//! Each way in which a peer can break the protocol.
//!
//! The floor of the crate: this file imports nothing of it. An error says what was expected, what was found and
//! which section of which RFC says so; [`ProtocolError::reason`] is a short constant label for counters.
//!
//! Octets that the peer chose are never printed raw: names are kept as [`PeerText`], which escapes and truncates.

use std::fmt;

/// A peer broke the protocol; the connection is over.
///
/// After one of these only [`Connection::poll_transmit`](crate::proto::Connection::poll_transmit) (an ERROR command
/// may be waiting there) and drop are of use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first octets are not a ZMTP greeting: HTTP, TLS, a port scanner, or a ZMTP 1.0 peer with an identity.
    #[error("not a ZMTP greeting: octet {offset} is {found:#04x} (HTTP, TLS, or ZMTP 1.0 with an identity)")]
    NotZmtp {
        /// Offset of the octet in the greeting.
        offset: usize,
        /// The octet that came.
        found: u8,
    },
    /// A peer from before ZMTP 3.0, which knows no security.
    #[error("peer speaks {}; this side needs ZMTP 3.0 (libzmq 4.0) or later", old_version(*.major))]
    OldVersion {
        /// The revision octet of the greeting: 1 is ZMTP 2.0 (libzmq 3.2), 0 stands for ZMTP 1.0 (libzmq 2.x), which may have
        /// none; 2 was never used.
        major: u8,
    },
    /// The peer wants another security mechanism.
    #[error("security mechanism mismatch: expected {expected}, peer offers {found}")]
    Mechanism {
        /// Our mechanism.
        expected: &'static str,
        /// The peer's, all 20 octets of the field looked at.
        found: PeerText,
    },
    /// Flag bits that must be zero are set.
    #[error("reserved bits in frame flags {flags:#04x}")]
    ReservedFlags {
        /// The flags octet.
        flags: u8,
    },
    /// A command with the MORE bit.
    #[error("command frame with the MORE bit, flags {flags:#04x}")]
    CommandMore {
        /// The flags octet.
        flags: u8,
    },
    /// A frame header announces more octets than this side takes.
    #[error("frame of {size} octets is over the limit of {limit}")]
    FrameTooLarge {
        /// Octets announced.
        size: u64,
        /// [`Limits::max_frame`](crate::proto::Limits::max_frame) or the limit on commands.
        limit: u64,
    },
    /// The frames of one message add up to more octets than this side takes.
    #[error("message of over {limit} octets")]
    MessageTooLarge {
        /// [`Limits::max_message`](crate::proto::Limits::max_message).
        limit: u64,
    },
    /// A message has more frames than this side takes.
    #[error("message of over {limit} frames")]
    TooManyFrames {
        /// [`Limits::max_frames`](crate::proto::Limits::max_frames).
        limit: usize,
    },
    /// The body of a command does not parse.
    #[error("malformed {command} command: {problem}")]
    MalformedCommand {
        /// Name of the command, or `?` when the name itself does not parse.
        command: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A command that may not come at this point.
    #[error("unexpected command {name} {state}")]
    UnexpectedCommand {
        /// The name on the wire.
        name: PeerText,
        /// When it came.
        state: &'static str,
    },
    /// A message where none is allowed: before READY, or to a PUSH socket.
    #[error("unexpected message {state}")]
    UnexpectedMessage {
        /// When it came.
        state: &'static str,
    },
    /// READY without the property Socket-Type.
    #[error("READY without a Socket-Type")]
    NoSocketType,
    /// The peer's socket type does not go with ours.
    #[error("socket type {found} does not go with our {ours}")]
    SocketType {
        /// Our type.
        ours: &'static str,
        /// The peer's.
        found: PeerText,
    },
    /// The peer sent ERROR.
    #[error("peer refused: ERROR {reason}")]
    PeerRefused {
        /// Its reason.
        reason: PeerText,
    },
    /// This side does not let the peer in, and has told it so.
    #[error("peer not let in: {reason}")]
    Unauthorized {
        /// Why, for this side's log: the peer learns only that it was refused.
        reason: &'static str,
    },
    /// A box of CURVE does not open.
    #[error("the box in {command} does not open: check the keys of both sides, else it was altered on the way")]
    Box {
        /// Name of the command.
        command: &'static str,
    },
    /// The number of a sealed frame does not rise.
    #[error("a sealed frame came again, or late: somebody repeats what was recorded")]
    Repeated,
    /// More or longer subscriptions than this side keeps for one peer.
    #[error("subscriptions over the limit: {what}")]
    TooManySubscriptions {
        /// Which limit.
        what: &'static str,
    },
    /// The handshake was not over in time.
    #[error("handshake not over within {millis} ms")]
    HandshakeTimeout {
        /// The deadline, from connect or accept.
        millis: u128,
    },
    /// Nothing has come from the peer for too long: it hangs, its host is down, or the network is cut.
    #[error("nothing was heard from the peer for {millis} ms {since}")]
    Silent {
        /// For how long.
        millis: u128,
        /// What set the time.
        since: &'static str,
    },
    /// The stream ended before the handshake was over.
    #[error("connection closed {state}")]
    Closed {
        /// When.
        state: &'static str,
    },
}

impl ProtocolError {
    /// A verdict on a peer that no mechanism has asked for: a fault of this side, kept from becoming a panic.
    pub(crate) const UNASKED: Self = Self::Unauthorized { reason: "a verdict came before the question" };

    /// A constant label for counters and for telling kinds apart in logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotZmtp { .. } => "not-zmtp",
            Self::OldVersion { .. } => "old-version",
            Self::Mechanism { .. } => "mechanism",
            Self::ReservedFlags { .. } => "reserved-flags",
            Self::CommandMore { .. } => "command-more",
            Self::FrameTooLarge { .. } => "frame-too-large",
            Self::MessageTooLarge { .. } => "message-too-large",
            Self::TooManyFrames { .. } => "too-many-frames",
            Self::MalformedCommand { .. } => "malformed-command",
            Self::UnexpectedCommand { .. } => "unexpected-command",
            Self::UnexpectedMessage { .. } => "unexpected-message",
            Self::NoSocketType => "no-socket-type",
            Self::SocketType { .. } => "socket-type",
            Self::PeerRefused { .. } => "peer-refused",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Box { .. } => "box",
            Self::Repeated => "repeated",
            Self::TooManySubscriptions { .. } => "too-many-subscriptions",
            Self::HandshakeTimeout { .. } => "handshake-timeout",
            Self::Silent { .. } => "heartbeat-timeout",
            Self::Closed { .. } => "closed-in-handshake",
        }
    }

    /// What kind of fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotZmtp { .. }
            | Self::OldVersion { .. }
            | Self::Mechanism { .. }
            | Self::NoSocketType
            | Self::SocketType { .. } => Fault::Mismatch,
            Self::HandshakeTimeout { .. } | Self::Silent { .. } => Fault::Timeout,
            Self::PeerRefused { .. } | Self::Unauthorized { .. } | Self::Box { .. } | Self::Repeated => Fault::Auth,
            Self::FrameTooLarge { .. }
            | Self::MessageTooLarge { .. }
            | Self::TooManyFrames { .. }
            | Self::TooManySubscriptions { .. } => Fault::Limit,
            Self::ReservedFlags { .. }
            | Self::CommandMore { .. }
            | Self::MalformedCommand { .. }
            | Self::UnexpectedCommand { .. }
            | Self::UnexpectedMessage { .. }
            | Self::Closed { .. } => Fault::Protocol,
        }
    }

    /// The rule that was broken.
    pub fn section(&self) -> &'static str {
        match self {
            Self::NotZmtp { .. } | Self::OldVersion { .. } => "RFC 37, Greeting and Version Negotiation",
            Self::Mechanism { .. } => "RFC 37, Security Mechanisms",
            Self::ReservedFlags { .. } | Self::CommandMore { .. } | Self::FrameTooLarge { .. } => "RFC 37, Framing",
            Self::MessageTooLarge { .. } | Self::TooManyFrames { .. } => "local limit",
            Self::MalformedCommand { .. } | Self::UnexpectedCommand { .. } => "RFC 37, Commands",
            Self::UnexpectedMessage { .. } => "RFC 37, Traffic; RFC 30",
            Self::NoSocketType | Self::SocketType { .. } => "RFC 37, The NULL Mechanism; Socket-Type",
            Self::PeerRefused { .. } => "RFC 37, ERROR",
            Self::Unauthorized { .. } => "RFC 27, Authentication",
            Self::Box { .. } | Self::Repeated => "RFC 26, CurveZMQ",
            Self::TooManySubscriptions { .. } | Self::HandshakeTimeout { .. } => "local limit",
            Self::Silent { .. } => "RFC 37, Connection Heartbeating",
            Self::Closed { .. } => "RFC 37, Connection Life-cycle",
        }
    }
}

fn old_version(revision: u8) -> &'static str {
    match revision {
        0 => "ZMTP 1.0 (libzmq 2.x)",
        1 => "ZMTP 2.0 (libzmq 3.2)",
        _ => "a ZMTP revision that was never used",
    }
}

/// Kinds of faults, for who watches connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The two do not go together: another protocol, version, mechanism or socket type. Trying again will not help.
    Mismatch,
    /// One was not let in, or keys or numbers of sealed frames are wrong.
    Auth,
    /// Too late, or silent for too long.
    Timeout,
    /// More than this side takes.
    Limit,
    /// Octets that break the rules.
    Protocol,
}

/// Text that a peer chose: escaped and cut when printed, so that it can't forge a log line.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerText(Box<[u8]>);

impl PeerText {
    /// Keeps at most the first 64 octets.
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.get(..Self::KEPT).unwrap_or(octets).into())
    }

    /// The octets as they came, cut.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Long enough for any name of the RFCs and for a readable ERROR reason.
    const KEPT: usize = 64;
}

impl fmt::Display for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_text_is_escaped_and_cut() {
        let text = PeerText::new(b"a\n\x1b[31m");
        assert_eq!(text.to_string(), r#""a\n\x1b[31m""#);
        assert_eq!(PeerText::new(&[b'x'; 1000]).as_bytes().len(), 64);
    }
}
