//! The decoder once more, as short as can be: all octets at hand, no buffer, nothing kept between reads.

use bytes::Bytes;
use zmtp::proto::{Limits, ProtocolError};

/// What comes out of a stream of frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Message(Vec<Bytes>),
    Command(Bytes),
    Fault(ProtocolError),
}

/// Reads the frames of RFC 37, Framing, under `limits`; ends at a fault or at a frame that is not all there.
pub(crate) fn decode(limits: Limits, mut stream: &[u8]) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    let mut frames: Vec<Bytes> = Vec::new();
    loop {
        let octets: usize = frames.iter().map(Bytes::len).sum();
        let (flags, size, rest) = match *stream {
            [flags, ..] if flags & 0xf8 != 0 => {
                decoded.push(Decoded::Fault(ProtocolError::ReservedFlags { flags }));
                return decoded;
            }
            [flags @ (5 | 7), ..] => {
                decoded.push(Decoded::Fault(ProtocolError::CommandMore { flags }));
                return decoded;
            }
            [flags @ (2 | 3 | 6), a, b, c, d, e, f, g, h, ref rest @ ..] => {
                (flags, u64::from_be_bytes([a, b, c, d, e, f, g, h]), rest)
            }
            [flags @ (0 | 1 | 4), size, ref rest @ ..] => (flags, size.into(), rest),
            _ => return decoded,
        };
        let is_command = flags & 4 != 0;
        let limit = if is_command { limits.max_command } else { limits.max_frame } as u64;
        let fault = if size > i64::MAX as u64 {
            Some(ProtocolError::FrameTooLarge { size, limit: i64::MAX as u64 })
        } else if size > limit {
            Some(ProtocolError::FrameTooLarge { size, limit })
        } else if !is_command && octets as u64 + size > limits.max_message as u64 {
            Some(ProtocolError::MessageTooLarge { limit: limits.max_message as u64 })
        } else if !is_command && frames.len() == limits.max_frames {
            Some(ProtocolError::TooManyFrames { limit: limits.max_frames })
        } else {
            None
        };
        if let Some(fault) = fault {
            decoded.push(Decoded::Fault(fault));
            return decoded;
        }
        let Some((body, next)) = rest.split_at_checked(size as usize) else { return decoded };
        let body = Bytes::copy_from_slice(body);
        stream = next;
        if is_command {
            decoded.push(Decoded::Command(body));
            continue;
        }
        frames.push(body);
        if flags & 1 == 0 {
            decoded.push(Decoded::Message(std::mem::take(&mut frames)));
        }
    }
}
