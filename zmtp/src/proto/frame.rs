//! Frame headers: one octet of flags, then the size of the body (RFC 37, Framing).
//!
//! ```text
//!  flags 0000 0CLM        size
//! +--------------+-------------------------+------- - -
//! |  0..7        | L=0: 1 octet            | body
//! |              | L=1: 8 octets, network  |
//! +--------------+-------------------------+------- - -
//!  C command   L long size   M more frames of this message follow
//! ```

use super::error::ProtocolError;

/// A decoded frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Flag bits, reserved ones known to be zero.
    flags: u8,
    /// Octets of the body, at most 2^63 - 1.
    pub size: u64,
}

impl Header {
    /// Octets of a header with a short size.
    pub const SHORT: usize = 2;
    /// The longest body that takes the short form.
    pub const MAX_SHORT: usize = u8::MAX as usize;
    /// Octets of a header with a long size: the most that a header can have.
    pub const LONG: usize = 9;

    /// The header of a message frame.
    pub fn message(size: usize, more: bool) -> Self {
        Self { flags: if more { MORE } else { 0 }, size: size as u64 }
    }

    /// The header of a command frame.
    pub fn command(size: usize) -> Self {
        Self { flags: COMMAND, size: size as u64 }
    }

    /// Whether more frames of the same message follow.
    pub fn more(self) -> bool {
        self.flags & MORE != 0
    }

    /// Whether the body is a command.
    pub fn is_command(self) -> bool {
        self.flags & COMMAND != 0
    }

    /// The header at the start of `octets` if it is that of a message frame in the short form, as nearly all are.
    #[inline]
    pub(crate) fn decode_short(octets: &[u8]) -> Option<Self> {
        match *octets {
            [flags @ (0 | MORE), size, ..] => Some(Self { flags, size: size.into() }),
            _ => None,
        }
    }

    /// Reads the header at the start of `octets` and tells its length; `None` while it is not all there.
    ///
    /// # Errors
    /// Reserved bits, MORE on a command, and a size of 2^63 or more (RFC 37: the most significant bit must be zero).
    #[inline]
    pub fn decode(octets: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        if let Some(header) = Self::decode_short(octets) {
            return Ok(Some((header, Self::SHORT)));
        }
        let Some(&flags) = octets.first() else { return Ok(None) };
        if flags & RESERVED != 0 {
            return Err(ProtocolError::ReservedFlags { flags });
        }
        if flags & (COMMAND | MORE) == COMMAND | MORE {
            return Err(ProtocolError::CommandMore { flags });
        }
        if flags & LONG == 0 {
            return Ok(octets.get(1).map(|&size| (Self { flags, size: size.into() }, Self::SHORT)));
        }
        let Some(size) = octets.get(1..Self::LONG).and_then(|s| s.try_into().ok()) else { return Ok(None) };
        let size = u64::from_be_bytes(size);
        if size > MAX_SIZE {
            return Err(ProtocolError::FrameTooLarge { size, limit: MAX_SIZE });
        }
        Ok(Some((Self { flags, size }, Self::LONG)))
    }

    /// The header as octets and how many of them count. Sizes to 255 take the short form.
    #[inline]
    pub fn encode(self) -> ([u8; Self::LONG], usize) {
        let mut octets = [0; Self::LONG];
        if self.size <= u8::MAX.into() {
            octets[0] = self.flags & !LONG;
            octets[1] = self.size as u8;
            return (octets, Self::SHORT);
        }
        octets[0] = self.flags | LONG;
        octets[1..].copy_from_slice(&self.size.to_be_bytes());
        (octets, Self::LONG)
    }
}

const MORE: u8 = 0x01;
const LONG: u8 = 0x02;
const COMMAND: u8 = 0x04;
const RESERVED: u8 = 0xf8;
/// RFC 37, Framing: the long size is 63 bits.
const MAX_SIZE: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(octets: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
        Header::decode(octets)
    }

    #[test]
    fn short_and_long_forms_meet_at_255() {
        let (octets, n) = Header::message(255, false).encode();
        assert_eq!(octets[..n], [0x00, 0xff]);
        let (octets, n) = Header::message(256, true).encode();
        assert_eq!(octets[..n], [0x03, 0, 0, 0, 0, 0, 0, 1, 0]);
        let (octets, n) = Header::command(26).encode();
        assert_eq!(octets[..n], [0x04, 26]);
    }

    #[test]
    fn decode_inverts_encode_and_waits_for_all_octets() {
        for size in [0, 1, 254, 255, 256, 65_536, 1 << 40] {
            let header = Header::message(size, true);
            let (octets, n) = header.encode();
            for cut in 0..n {
                assert_eq!(decode(&octets[..cut]), Ok(None));
            }
            let (back, len) = decode(&octets[..n]).unwrap().unwrap();
            assert_eq!((back.size, back.more(), back.is_command(), len), (size as u64, true, false, n));
        }
    }

    #[test]
    fn long_form_of_a_short_body_is_legal() {
        let (header, n) = decode(&[2, 0, 0, 0, 0, 0, 0, 0, 3]).unwrap().unwrap();
        assert_eq!((header.size, n), (3, 9));
    }

    #[test]
    fn illegal_flags_and_sizes_are_refused() {
        assert_eq!(decode(&[0xf8]), Err(ProtocolError::ReservedFlags { flags: 0xf8 }));
        assert_eq!(decode(&[0x05]), Err(ProtocolError::CommandMore { flags: 0x05 }));
        assert_eq!(decode(&[0x07]), Err(ProtocolError::CommandMore { flags: 0x07 }));
        let max = [2, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(decode(&max), Err(ProtocolError::FrameTooLarge { .. })));
    }
}
