//! As much ZMTP 3.1 as a bare socket needs: the NULL handshake, and where a message on the wire ends (RFC 37).
//!
//! This is the measuring side's own reading of the protocol, on std alone: it must cost next to nothing and share no
//! code with what is measured. A message is handed out as the octets that carry it; nothing is copied.
//!
//! Always true: no length from the wire sizes an allocation, and a message never exceeds [`MESSAGE_LIMIT`].
//!
//! It does not answer PING: a run is over before a peer's heartbeat could give it up.

use std::io::{self, Read, Write};

/// One whole message at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Every octet of it, frame headers included.
    pub(crate) wire: &'a [u8],
    /// Frame 1, by which a receiver routes; absent if there is only one frame.
    pub(crate) topic: Option<&'a [u8]>,
}

/// The side of a pipeline this end claims to be in its READY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketType {
    /// Sends only.
    Push,
    /// Receives only.
    Pull,
}

/// A stream with room for what was read and not yet consumed.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

/// How a peer can fail a bare socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The socket failed, or closed during the handshake.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// No ZMTP 3 greeting; its first octets, up to the name of the mechanism.
    #[error("the peer does not greet as ZMTP 3 with NULL security; its greeting begins {0:02x?}")]
    Greeting([u8; 16]),
    /// The handshake brought something other than READY of the right socket type.
    #[error("expected READY of a {expected:?} socket, found a frame with flags {flags:#04x} that begins {start:02x?}")]
    NotReady {
        /// The other side of ours.
        expected: SocketType,
        /// Flags of the frame found.
        flags: u8,
        /// Its first octets.
        start: Vec<u8>,
    },
    /// A frame no data message has: a command, or reserved bits.
    #[error("expected a message frame, found flags {0:#04x}")]
    Flags(u8),
    /// A message larger than any this program sends.
    #[error("a message exceeds {MESSAGE_LIMIT} octets")]
    TooLong,
}

/// The first message in `input`, or `None` if it is not all there yet.
pub(crate) fn message(input: &[u8]) -> Result<Option<Message<'_>>, WireError> {
    let mut at = 0;
    let mut topic = None;
    let mut index = 0_usize;
    while let Some(header) = header(&input[at..])? {
        let body = at + header.length;
        let end = body.saturating_add(header.body);
        if end > MESSAGE_LIMIT {
            return Err(WireError::TooLong);
        }
        let Some(body) = input.get(body..end) else {
            break;
        };
        if index == 1 {
            topic = Some(body);
        }
        if !header.more {
            let wire = &input[..end];
            return Ok(Some(Message { wire, topic }));
        }
        index += 1;
        at = end;
    }
    if input.len() < MESSAGE_LIMIT { Ok(None) } else { Err(WireError::TooLong) }
}

/// Appends one frame: the short form up to 255 octets, the long form beyond.
pub(crate) fn put_frame(wire: &mut Vec<u8>, body: &[u8], more: bool) {
    let more = if more { MORE } else { 0 };
    match u8::try_from(body.len()) {
        Ok(length) => wire.extend([more, length]),
        Err(_) => {
            wire.push(more | LONG);
            wire.extend((body.len() as u64).to_be_bytes());
        }
    }
    wire.extend(body);
}

/// Greets, sends READY as `this`, and returns once the peer's READY is in; only then may messages follow
/// (RFC 37, The NULL Security Mechanism). Reads not one octet further. A peer of the same side is refused: on loopback it
/// may be this very socket, connected to itself.
pub(crate) fn handshake<S: Read + Write>(stream: &mut S, this: SocketType) -> Result<(), WireError> {
    let mut hello = greeting().to_vec();
    hello.extend(ready(this));
    stream.write_all(&hello)?;

    let mut theirs = [0; 64];
    stream.read_exact(&mut theirs)?;
    let version_3 = theirs[0] == 0xff && theirs[9] & 1 == 1 && theirs[10] >= 3;
    if !version_3 || theirs[12..32] != greeting()[12..32] {
        let mut start = [0; 16];
        start.copy_from_slice(&theirs[..16]);
        return Err(WireError::Greeting(start));
    }

    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    let [flags, length] = header;
    let mut body = vec![0; usize::from(length)];
    stream.read_exact(&mut body)?;
    let expected = match this {
        SocketType::Push => SocketType::Pull,
        SocketType::Pull => SocketType::Push,
    };
    // Properties may follow; none that a daemon sends comes before its socket type.
    if flags == COMMAND && body.starts_with(&ready(expected)[2..]) {
        Ok(())
    } else {
        body.truncate(32);
        Err(WireError::NotReady { expected, flags, start: body })
    }
}

impl<S: Read> Reader<S> {
    /// Reads `stream` from here on.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; MESSAGE_LIMIT].into_boxed_slice(), start: 0, end: 0 }
    }

    /// One read behind what is still [`unread`](Self::unread). Returns the octets it brought; 0 means the end of the
    /// stream, for a consumer that takes every whole message first always leaves room.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read)
    }

    /// What was read and not consumed, in order.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Drops the first `octets` of [`unread`](Self::unread).
    pub(crate) fn consume(&mut self, octets: usize) {
        self.start = self.end.min(self.start + octets);
    }
}

struct Header {
    /// Octets of the header itself: 2 or 9.
    length: usize,
    /// Octets of the body it announces.
    body: usize,
    more: bool,
}

/// The header at the front of `input`, or `None` if it is not all there yet.
fn header(input: &[u8]) -> Result<Option<Header>, WireError> {
    let Some((&flags, rest)) = input.split_first() else {
        return Ok(None);
    };
    if flags & !(MORE | LONG) != 0 {
        return Err(WireError::Flags(flags));
    }
    let more = flags & MORE != 0;
    if flags & LONG == 0 {
        return Ok(rest.first().map(|&body| Header { length: 2, body: usize::from(body), more }));
    }
    let Some(size) = rest.first_chunk() else {
        return Ok(None);
    };
    let body = usize::try_from(u64::from_be_bytes(*size)).map_err(|_| WireError::TooLong)?;
    Ok(Some(Header { length: 9, body, more }))
}

fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn ready(this: SocketType) -> Vec<u8> {
    let name = match this {
        SocketType::Push => b"PUSH",
        SocketType::Pull => b"PULL",
    };
    let mut ready = vec![COMMAND, 26];
    ready.extend(b"\x05READY\x0bSocket-Type\x00\x00\x00\x04");
    ready.extend(name);
    ready
}

/// The largest message in octets on the wire, and what one read asks for. 64 KiB is where the kernel's cost per octet
/// stops falling on loopback.
pub(crate) const MESSAGE_LIMIT: usize = 64 * 1024;

// Flag bits of a frame (RFC 37, Framing).
const MORE: u8 = 0x01;
const LONG: u8 = 0x02;
const COMMAND: u8 = 0x04;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    fn two_messages() -> Vec<u8> {
        let mut wire = Vec::new();
        put_frame(&mut wire, b"0", true);
        put_frame(&mut wire, b"compute", true);
        put_frame(&mut wire, &[7; 300], false);
        put_frame(&mut wire, b"alone", false);
        wire
    }

    #[test]
    fn splits_messages_wherever_the_bytes_are_cut() {
        let wire = two_messages();
        let first = wire.len() - 7;
        for cut in 0..first {
            assert_eq!(message(&wire[..cut]).unwrap(), None, "{cut} octets");
        }
        for cut in first..=wire.len() {
            let found = message(&wire[..cut]).unwrap().unwrap();
            assert_eq!(found, Message { wire: &wire[..first], topic: Some(b"compute") });
        }
        let last = message(&wire[first..]).unwrap().unwrap();
        assert_eq!(last, Message { wire: b"\x00\x05alone", topic: None });
    }

    #[test]
    fn refuses_commands_reserved_bits_and_oversize() {
        assert!(matches!(message(&[0x04, 0]), Err(WireError::Flags(0x04))));
        assert!(matches!(message(&[0x80]), Err(WireError::Flags(0x80))));
        let mut huge = vec![LONG];
        huge.extend(u64::MAX.to_be_bytes());
        assert!(matches!(message(&huge), Err(WireError::TooLong)));
        let endless = [MORE, 0].repeat(MESSAGE_LIMIT / 2);
        assert!(matches!(message(&endless), Err(WireError::TooLong)));
    }

    #[test]
    fn reader_keeps_the_unfinished_rest() {
        let wire = two_messages();
        let mut reader = Reader::new(wire.chunks(5).fold(Cut::default(), Cut::then));
        let mut found: Vec<u8> = Vec::new();
        while reader.fill().unwrap() > 0 {
            while let Some(message) = message(reader.unread()).unwrap() {
                let length = message.wire.len();
                found.extend(message.wire);
                reader.consume(length);
            }
        }
        assert_eq!(found, wire);
    }

    #[test]
    fn both_sides_of_a_handshake_agree_and_read_no_further() {
        let (mut push, mut pull) = UnixStream::pair().unwrap();
        let pusher = thread::spawn(move || {
            handshake(&mut push, SocketType::Push).unwrap();
            push.write_all(b"\x00\x01x").unwrap();
        });
        handshake(&mut pull, SocketType::Pull).unwrap();
        let mut rest = Vec::new();
        pull.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"\x00\x01x");
        pusher.join().unwrap();
    }

    #[test]
    fn a_peer_of_another_protocol_is_named() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[b'H'; 64]).unwrap();
        let error = handshake(&mut ours, SocketType::Pull).unwrap_err();
        assert!(matches!(error, WireError::Greeting(octets) if octets == [b'H'; 16]));
    }

    #[test]
    fn an_error_command_is_not_taken_for_ready() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&greeting()).unwrap();
        theirs.write_all(b"\x04\x0a\x05ERROR\x03400").unwrap();
        let error = handshake(&mut ours, SocketType::Pull).unwrap_err();
        assert!(matches!(error, WireError::NotReady { flags: COMMAND, start, .. } if start == b"\x05ERROR\x03400"));
    }

    #[test]
    fn a_peer_of_the_same_side_is_refused() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&greeting()).unwrap();
        theirs.write_all(&ready(SocketType::Push)).unwrap();
        let error = handshake(&mut ours, SocketType::Push).unwrap_err();
        assert!(matches!(error, WireError::NotReady { expected: SocketType::Pull, .. }), "{error}");
    }

    /// Hands out one piece per read.
    #[derive(Default)]
    struct Cut(std::collections::VecDeque<Vec<u8>>);

    impl Cut {
        fn then(mut self, piece: &[u8]) -> Self {
            self.0.push_back(piece.to_vec());
            self
        }
    }

    impl Read for Cut {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop_front().unwrap_or_default();
            room[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }
}
