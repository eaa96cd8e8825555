//! Commands after the mechanism's own: READY, ERROR, SUBSCRIBE, CANCEL, PING, PONG (RFC 37, Commands).
//!
//! The body of a command frame is `name-size(1) name data`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    error::{PeerText, ProtocolError},
    frame::Header,
    metadata::{Metadata, encode_property},
    socket_type::SocketType,
};

/// A decoded command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The end of the handshake, with the peer's properties.
    Ready(Metadata),
    /// The peer refuses us; the reason is its text.
    Error(PeerText),
    /// Send me messages whose first frame starts with this.
    Subscribe(Bytes),
    /// No longer.
    Cancel(Bytes),
    /// Answer with PONG and this context.
    Ping {
        /// If nothing comes from the sender of the PING for this many tenths of a second, it is dead; 0 = no limit.
        ttl: u16,
        /// At most 16 octets, to be echoed.
        context: Bytes,
    },
    /// Answer to a PING.
    Pong,
    /// A name of no RFC, or of another mechanism.
    Unknown(PeerText),
}

impl Command {
    /// Reads the body of a command frame.
    ///
    /// # Errors
    /// [`ProtocolError::MalformedCommand`]: no name, a name that runs past the body, or data that does not fit the
    /// name.
    pub fn decode(body: Bytes) -> Result<Self, ProtocolError> {
        let (name, data) = split_name(body)?;
        match &name[..] {
            b"READY" => Metadata::decode(data).map(Self::Ready),
            b"ERROR" => Self::decode_error(&data).map(Self::Error),
            b"SUBSCRIBE" => Ok(Self::Subscribe(data)),
            b"CANCEL" => Ok(Self::Cancel(data)),
            b"PING" => Self::decode_ping(data),
            b"PONG" => Ok(Self::Pong),
            other => Ok(Self::Unknown(PeerText::new(other))),
        }
    }

    /// The reason in the data of an ERROR.
    pub(crate) fn decode_error(data: &[u8]) -> Result<PeerText, ProtocolError> {
        let reason = data.split_first().and_then(|(len, reason)| reason.get(..usize::from(*len)));
        reason.map(PeerText::new).ok_or_else(|| malformed("ERROR", "reason cut short"))
    }

    fn decode_ping(mut data: Bytes) -> Result<Self, ProtocolError> {
        if data.len() < 2 {
            return Err(malformed("PING", "no ttl"));
        }
        let mut context = data.split_off(2);
        // RFC 37 allows 16 octets; libzmq echoes the first 16 of a longer one, and so do we.
        context.truncate(MAX_PING_CONTEXT);
        Ok(Self::Ping { ttl: u16::from_be_bytes([data[0], data[1]]), context })
    }

    /// The name, for error texts.
    pub fn name(&self) -> PeerText {
        PeerText::new(match self {
            Self::Ready(_) => b"READY",
            Self::Error(_) => b"ERROR",
            Self::Subscribe(_) => b"SUBSCRIBE",
            Self::Cancel(_) => b"CANCEL",
            Self::Ping { .. } => b"PING",
            Self::Pong => b"PONG",
            Self::Unknown(name) => return name.clone(),
        })
    }
}

/// Takes the body of a command apart, into its name and its data.
pub(crate) fn split_name(mut body: Bytes) -> Result<(Bytes, Bytes), ProtocolError> {
    let name_len = body.first().map_or(0, |n| usize::from(*n));
    if name_len == 0 {
        return Err(malformed("?", "no name"));
    }
    if body.len() <= name_len {
        return Err(malformed("?", "name runs past the body"));
    }
    let mut name = body.split_to(1 + name_len);
    name.advance(1);
    Ok((name, body))
}

/// Our property list: the socket type, and others of the program's choice.
pub(crate) fn properties(socket_type: SocketType, others: &[(Bytes, Bytes)]) -> Bytes {
    let mut data = BytesMut::new();
    encode_property(&mut data, b"Socket-Type", socket_type.name().as_bytes());
    others.iter().for_each(|(name, value)| encode_property(&mut data, name, value));
    data.freeze()
}

/// READY with our property list, a whole frame.
pub(crate) fn ready(ours: &[u8]) -> Bytes {
    frame("READY", ours)
}

/// ERROR, a whole frame. `reason` is cut at 255 octets.
pub(crate) fn error(reason: &str) -> Bytes {
    let reason = reason.as_bytes();
    let reason = reason.get(..255).unwrap_or(reason);
    let mut data = BytesMut::new();
    data.put_u8(reason.len() as u8);
    data.put_slice(reason);
    frame("ERROR", &data)
}

/// PONG with the context of the PING that it answers, a whole frame.
pub(crate) fn pong(context: &[u8]) -> Bytes {
    frame("PONG", context)
}

/// A subscription or its end, a whole frame: a command for a 3.1 peer, else a message that starts with 1 or 0.
pub(crate) fn subscription(prefix: &[u8], subscribe: bool, as_command: bool) -> Bytes {
    if as_command {
        return frame(if subscribe { "SUBSCRIBE" } else { "CANCEL" }, prefix);
    }
    let (header, n) = Header::message(1 + prefix.len(), false).encode();
    let mut octets = BytesMut::with_capacity(n + 1 + prefix.len());
    octets.put_slice(&header[..n]);
    octets.put_u8(subscribe.into());
    octets.put_slice(prefix);
    octets.freeze()
}

/// Any command, a whole frame.
pub(crate) fn frame(name: &str, data: &[u8]) -> Bytes {
    let size = 1 + name.len() + data.len();
    let (header, n) = Header::command(size).encode();
    let mut octets = BytesMut::with_capacity(n + size);
    octets.put_slice(&header[..n]);
    octets.put_u8(name.len() as u8);
    octets.put_slice(name.as_bytes());
    octets.put_slice(data);
    octets.freeze()
}

fn malformed(command: &'static str, problem: &'static str) -> ProtocolError {
    ProtocolError::MalformedCommand { command, problem }
}

/// RFC 37, PING: the context is 0 to 16 octets.
const MAX_PING_CONTEXT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &[u8]) -> Result<Command, ProtocolError> {
        Command::decode(Bytes::copy_from_slice(body))
    }

    #[test]
    fn names_and_data() {
        assert_eq!(decode(b"\x09SUBSCRIBEA").unwrap(), Command::Subscribe("A".into()));
        assert_eq!(decode(b"\x06CANCEL").unwrap(), Command::Cancel(Bytes::new()));
        assert_eq!(decode(b"\x04PONGctx").unwrap(), Command::Pong);
        assert_eq!(decode(b"\x05ERROR\x03400").unwrap(), Command::Error(PeerText::new(b"400")));
        assert_eq!(decode(b"\x03FOOxyz").unwrap(), Command::Unknown(PeerText::new(b"FOO")));
        let ping = Command::Ping { ttl: 15, context: "0123456789abcdef".into() };
        assert_eq!(decode(b"\x04PING\x00\x0f0123456789abcdefg").unwrap(), ping);
    }

    #[test]
    fn malformed_bodies() {
        for body in [&b""[..], b"\x00", b"\x03AB", b"\x04PING", b"\x04PING\x00", b"\x05ERROR", b"\x05ERROR\x05ab"] {
            assert!(matches!(decode(body), Err(ProtocolError::MalformedCommand { .. })), "{body:?}");
        }
    }

    #[test]
    fn frames_on_the_wire() {
        assert_eq!(
            &ready(&properties(SocketType::Push, &[]))[..],
            b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
        );
        assert_eq!(&subscription(b"A", true, true)[..], b"\x04\x0b\x09SUBSCRIBEA");
        assert_eq!(&subscription(b"A", false, true)[..], b"\x04\x08\x06CANCELA");
        assert_eq!(&subscription(b"A", true, false)[..], b"\x00\x02\x01A");
        assert_eq!(&subscription(b"A", false, false)[..], b"\x00\x02\x00A");
        // 246 octets make a body of 256: the long form, which libzmq 4.3.4 gets wrong.
        assert_eq!(&subscription(&[b't'; 246], true, true)[..9], [6, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(&error("400")[..], b"\x04\x0a\x05ERROR\x03400");
        assert_eq!(&pong(b"ctx")[..], b"\x04\x08\x04PONGctx");
    }
}
