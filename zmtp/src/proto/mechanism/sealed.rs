//! Traffic after a handshake of CURVE: each frame in a box (RFC 26, MESSAGE).
//!
//! ```text
//!  frame = header | 07 "MESSAGE" | number(8) | tag(16) | flags(1) body      flags and body in the box
//! ```
//! The flags within are those of a frame, MORE and COMMAND, but with another value for COMMAND: so say libzmq's octets, and
//! so does the form of the outer frame, a message in libzmq, a command in the RFC. This writes libzmq's and reads both.
//!
//! Numbers rise: a frame that is repeated or comes late ends the connection. Limits hold for what is in the boxes, as they
//! would without.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Seal,
    boxes::{SharedKey, numbered},
};
use crate::proto::{
    decoder::Item,
    error::{PeerText, ProtocolError},
    frame::Header,
    limits::Limits,
    message::Message,
    run::Run,
};

/// The boxes of one connection, both ways.
#[derive(Debug)]
pub(super) struct Sealed {
    key: SharedKey,
    ours: Way,
    theirs: Way,
    limits: Limits,
    /// Why messages are refused, when they are.
    refuses: Option<&'static str>,
    /// What came and is not opened yet.
    arrived: Run,
    /// Opened: `messages` whole ones up to `boundary`, then `frames` of `octets` of one under way.
    opened: BytesMut,
    boundary: usize,
    messages: usize,
    frames: usize,
    octets: usize,
    /// A command or an error that waits until the messages before it are taken.
    held: Option<Result<Bytes, ProtocolError>>,
}

/// One direction: the prefix of its nonces and the number used last.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) prefix: &'static [u8; 16],
    pub(super) last: u64,
}

impl Sealed {
    pub(super) fn new(key: SharedKey, ours: Way, theirs: Way) -> Self {
        Self {
            key,
            ours,
            theirs,
            limits: Limits::default(),
            refuses: None,
            arrived: Run::default(),
            opened: BytesMut::new(),
            boundary: 0,
            messages: 0,
            frames: 0,
            octets: 0,
            held: None,
        }
    }

    /// Opens one frame: a message's goes to `opened`, the body of a command is returned.
    fn open(&mut self, sealed: &[u8]) -> Result<Option<Bytes>, ProtocolError> {
        let Some(rest) = sealed.strip_prefix(NAME) else {
            let name =
                sealed.split_first().map_or(&[][..], |(len, rest)| rest.get(..usize::from(*len)).unwrap_or(rest));
            return Err(ProtocolError::UnexpectedCommand { name: PeerText::new(name), state: "unsealed, after READY" });
        };
        let malformed = |problem| ProtocolError::MalformedCommand { command: "MESSAGE", problem };
        let (number, rest) = rest.split_first_chunk().ok_or_else(|| malformed("no number"))?;
        let (tag, octets) = rest.split_first_chunk().ok_or_else(|| malformed("no tag"))?;
        let size = octets.len().checked_sub(1).ok_or_else(|| malformed("no flags"))?;
        let number = u64::from_be_bytes(*number);
        if number <= self.theirs.last {
            return Err(ProtocolError::Repeated);
        }
        // The flags come to lie where the last octet of the frame's header will, and the body behind it.
        let start = self.opened.len();
        let header = if size <= Header::MAX_SHORT { Header::SHORT } else { Header::LONG };
        self.opened.put_bytes(0, header - 1);
        self.opened.put_slice(octets);
        let plain = &mut self.opened[start + header - 1..];
        if !self.key.open_in_place(&numbered(self.theirs.prefix, number), tag, plain) {
            return Err(ProtocolError::Box { command: "MESSAGE" });
        }
        self.theirs.last = number;
        let flags = plain[0];
        if flags == COMMAND {
            let body = Bytes::copy_from_slice(&plain[1..]);
            self.opened.truncate(start);
            if body.len() > self.limits.max_command {
                return Err(ProtocolError::FrameTooLarge { size: size as u64, limit: self.limits.max_command as u64 });
            }
            return Ok(Some(body));
        }
        if flags & !MORE != 0 {
            return Err(ProtocolError::ReservedFlags { flags });
        }
        self.admit(size)?;
        let more = flags == MORE;
        let (octets, n) = Header::message(size, more).encode();
        self.opened[start..start + n].copy_from_slice(&octets[..n]);
        if !more {
            self.boundary = self.opened.len();
            self.messages += 1;
            (self.frames, self.octets) = (0, 0);
        }
        Ok(None)
    }

    /// Checks a frame of a message against the limits and counts it.
    fn admit(&mut self, size: usize) -> Result<(), ProtocolError> {
        if let Some(state) = self.refuses {
            return Err(ProtocolError::UnexpectedMessage { state });
        }
        let limits = &self.limits;
        if size > limits.max_frame {
            return Err(ProtocolError::FrameTooLarge { size: size as u64, limit: limits.max_frame as u64 });
        }
        if size > limits.max_message.saturating_sub(self.octets) {
            return Err(ProtocolError::MessageTooLarge { limit: limits.max_message as u64 });
        }
        if self.frames >= limits.max_frames {
            return Err(ProtocolError::TooManyFrames { limit: limits.max_frames });
        }
        self.frames += 1;
        self.octets += size;
        Ok(())
    }

    fn take_run(&mut self) -> Option<Item> {
        let messages = std::mem::take(&mut self.messages);
        let octets = self.opened.split_to(std::mem::take(&mut self.boundary));
        (messages > 0).then(|| Item::Run(Run::contiguous(octets.freeze(), messages)))
    }

    fn put(&mut self, flags: u8, body: &[u8], to: &mut BytesMut) {
        self.ours.last += 1;
        let (header, n) = Header::message(OVERHEAD + body.len(), false).encode();
        to.reserve(n + OVERHEAD + body.len());
        to.put_slice(&header[..n]);
        to.put_slice(NAME);
        to.put_u64(self.ours.last);
        let tag_at = to.len();
        to.put_bytes(0, SharedKey::TAG);
        to.put_u8(flags);
        to.put_slice(body);
        let (tag, plain) = to[tag_at..].split_at_mut(SharedKey::TAG);
        tag.copy_from_slice(&self.key.seal_in_place(&numbered(self.ours.prefix, self.ours.last), plain));
    }
}

impl Seal for Sealed {
    fn hold_to(&mut self, limits: Limits, refuses: Option<&'static str>) {
        (self.limits, self.refuses) = (limits, refuses);
    }

    fn outer_limits(&self) -> Limits {
        let Limits { max_frame, max_command, .. } = self.limits;
        let max = max_frame.max(max_command).saturating_add(OVERHEAD);
        // Each frame is a message of its own to whoever can't look into it.
        Limits { max_frame: max, max_message: max, max_frames: 1, max_command }
    }

    fn arrive(&mut self, run: Run) {
        self.arrived = run;
    }

    fn next(&mut self) -> Result<Option<Item>, ProtocolError> {
        loop {
            if let Some(held) = self.held.take() {
                if self.messages > 0 {
                    self.held = Some(held);
                    return Ok(self.take_run());
                }
                return held.map(|body| Some(Item::Command(body)));
            }
            let Some(message) = self.arrived.pop() else { return Ok(self.take_run()) };
            self.held = self.open(message.frame(0).unwrap_or_default()).transpose();
        }
    }

    fn seal(&mut self, message: &Message) -> Bytes {
        let mut sealed = BytesMut::new();
        let mut frames = message.frames().peekable();
        while let Some(body) = frames.next() {
            self.put(if frames.peek().is_some() { MORE } else { 0 }, body, &mut sealed);
        }
        sealed.freeze()
    }

    fn seal_frame(&mut self, frame: &[u8]) -> Bytes {
        let mut sealed = BytesMut::new();
        if let Ok(Some((header, n))) = Header::decode(frame) {
            self.put(if header.is_command() { COMMAND } else { 0 }, &frame[n..], &mut sealed);
        }
        sealed.freeze()
    }

    fn unfinished(&self) -> usize {
        self.opened.len()
    }
}

const NAME: &[u8] = b"\x07MESSAGE";
/// Octets of a MESSAGE besides the body in it: name, number, tag, flags.
const OVERHEAD: usize = NAME.len() + 8 + SharedKey::TAG + 1;
/// Flags within a box.
const MORE: u8 = 1;
const COMMAND: u8 = 2;
