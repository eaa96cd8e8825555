//! The first 64 octets in each direction (RFC 37, Greeting).
//!
//! ```text
//!  0      1..8      9     10     11     12..31        32         33..63
//! +----+---------+----+-------+-------+------------+------------+--------+
//! | ff | padding | 7f | major | minor | mechanism  | as-server  | zeros  |
//! +----+---------+----+-------+-------+------------+------------+--------+
//! ```
//! A peer may send it in pieces (libzmq writes 10, then 1, then 53 octets), so [`Greeting::decode`] looks at a
//! prefix and refuses it as early as an octet shows that it can't become a greeting.
//!
//! Not looked at, since real peers put anything there: the padding, all of octet 9 but its lowest bit, the filler,
//! and as-server: libzmq writes 0 there also when it *is* the server.

use super::{
    error::{PeerText, ProtocolError},
    frame::Header,
    socket_type::SocketType,
};

/// A peer's greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// Major version: 3 or more. RFC 37 has later majors accepted and spoken to as 3.1.
    pub major: u8,
    /// Minor version; 0 means that subscriptions travel as messages.
    pub minor: u8,
    /// The mechanism field, padding included.
    pub mechanism: [u8; 20],
}

impl Greeting {
    /// Octets of a greeting.
    pub const LEN: usize = 64;
    /// Octets up to and with the major version.
    pub const VERSION_END: usize = 11;

    /// Reads the start of a stream; `None` while it is an unfinished greeting.
    ///
    /// # Errors
    /// As soon as an octet shows that this is no greeting of ZMTP 3.
    pub fn decode(octets: &[u8]) -> Result<Option<Self>, ProtocolError> {
        match octets {
            [] => return Ok(None),
            // ZMTP 1.0 begins with an identity, which is mostly empty (RFC 13): a size of 1, which counts the flags,
            // and these. To wait for the second octet is to be able to name it.
            [0x01] => return Ok(None),
            [0x01, 0x00, ..] => return Err(ProtocolError::OldVersion { major: 0 }),
            [SIGNATURE, ..] => {}
            [found, ..] => return Err(ProtocolError::NotZmtp { offset: 0, found: *found }),
        }
        // An even octet 9 is the flags octet of a ZMTP 1.0 peer with a long identity.
        if octets.get(SIGNATURE_END).is_some_and(|o| *o & 1 == 0) {
            return Err(ProtocolError::OldVersion { major: 0 });
        }
        if let Some(&major) = octets.get(10).filter(|o| **o < 3) {
            return Err(ProtocolError::OldVersion { major });
        }
        let Some(octets) = octets.first_chunk::<{ Self::LEN }>() else { return Ok(None) };
        let mut mechanism = [0; 20];
        mechanism.copy_from_slice(&octets[12..32]);
        Ok(Some(Self { major: octets[10], minor: octets[11], mechanism }))
    }

    /// Our greeting: ZMTP 3.1 with `mechanism`, at most 20 octets of it.
    pub fn encode(mechanism: &str, as_server: bool) -> [u8; Self::LEN] {
        let mut octets = [0; Self::LEN];
        octets[0] = SIGNATURE;
        octets[SIGNATURE_END] = 0x7f;
        octets[10] = 3;
        octets[11] = 1;
        for (to, from) in octets[12..32].iter_mut().zip(mechanism.bytes()) {
            *to = from;
        }
        octets[32] = as_server.into();
        octets
    }

    /// Checks all 20 octets of the peer's mechanism against ours.
    ///
    /// # Errors
    /// [`ProtocolError::Mechanism`] when they differ.
    pub fn require(&self, mechanism: &'static str) -> Result<(), ProtocolError> {
        let name = mechanism.as_bytes();
        let same = self.mechanism.starts_with(name) && self.mechanism[name.len()..].iter().all(|o| *o == 0);
        if same {
            return Ok(());
        }
        let end = self.mechanism.iter().rposition(|o| *o != 0).map_or(0, |last| last + 1);
        Err(ProtocolError::Mechanism { expected: mechanism, found: PeerText::new(&self.mechanism[..end]) })
    }
}

/// The 12 octets of a ZMTP 2.0 peer, libzmq 3.2 (RFC 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldGreeting {
    /// The number of its socket type.
    pub(crate) code: u8,
}

impl OldGreeting {
    pub(crate) const LEN: usize = 12;
    /// The revision octet of ZMTP 2.0.
    pub(crate) const MAJOR: u8 = 1;
    pub(crate) const VERSION: (u8, u8) = (2, 0);
    /// The bit that later marks commands is reserved in ZMTP 2.0.
    pub(crate) const NO_COMMANDS: ProtocolError = ProtocolError::ReservedFlags { flags: 0x04 };

    /// Reads the start of a stream that [`Greeting::decode`] has found to be of revision 1.
    pub(crate) fn decode(octets: &[u8]) -> Result<Option<Self>, ProtocolError> {
        debug_assert_eq!(octets.get(Greeting::VERSION_END - 1), Some(&Self::MAJOR));
        Ok(octets.get(Self::LEN - 1).map(|code| Self { code: *code }))
    }

    /// Reads the identity that ends the greeting, one frame of up to 255 octets; tells how many octets both take.
    pub(crate) fn identity(octets: &[u8]) -> Result<Option<(&[u8], usize)>, ProtocolError> {
        let Some((header, start)) = Header::decode(octets)? else { return Ok(None) };
        if header.is_command() {
            return Err(Self::NO_COMMANDS);
        }
        if header.more() {
            return Err(ProtocolError::TooManyFrames { limit: 1 });
        }
        let size = u8::try_from(header.size)
            .map_err(|_| ProtocolError::FrameTooLarge { size: header.size, limit: u8::MAX.into() })?;
        let end = start + usize::from(size);
        Ok(octets.get(start..end).map(|identity| (identity, end)))
    }

    /// What follows our version: the number of our socket type, and an identity without octets.
    pub(crate) fn rest(ours: SocketType) -> [u8; 3] {
        [ours.code(), 0x00, 0x00]
    }
}

const SIGNATURE: u8 = 0xff;
const SIGNATURE_END: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_greeting_is_unfinished() {
        let octets = Greeting::encode("NULL", false);
        for cut in 0..Greeting::LEN {
            assert_eq!(Greeting::decode(&octets[..cut]), Ok(None));
        }
        let greeting = Greeting::decode(&octets).unwrap().unwrap();
        assert_eq!((greeting.major, greeting.minor), (3, 1));
        greeting.require("NULL").unwrap();
    }

    #[test]
    fn strangers_are_refused_at_the_first_telling_octet() {
        assert_eq!(Greeting::decode(b"G"), Err(ProtocolError::NotZmtp { offset: 0, found: b'G' }));
        let mut octets = Greeting::encode("NULL", false);
        octets[9] = 0x7e;
        let older = Err(ProtocolError::OldVersion { major: 0 });
        assert_eq!((Greeting::decode(&octets[..10]), Greeting::decode(&[1, 0])), (older.clone(), older));
        assert_eq!(Greeting::decode(&[1, 1]), Err(ProtocolError::NotZmtp { offset: 0, found: 1 }));
        octets[9] = 0x01;
        octets[10] = 1;
        assert_eq!(Greeting::decode(&octets[..11]), Err(ProtocolError::OldVersion { major: 1 }));
    }

    #[test]
    fn padding_filler_and_as_server_do_not_count() {
        let mut octets = Greeting::encode("NULL", true);
        octets[1..9].fill(0xaa);
        octets[33..].fill(0xbb);
        (octets[10], octets[11]) = (255, 9);
        let greeting = Greeting::decode(&octets).unwrap().unwrap();
        greeting.require("NULL").unwrap();
        assert_eq!((greeting.major, greeting.minor), (255, 9));
    }

    #[test]
    fn all_octets_of_the_mechanism_count() {
        for name in ["PLAIN", "null", "NULL\0X", ""] {
            let greeting = Greeting::decode(&Greeting::encode(name, false)).unwrap().unwrap();
            assert!(matches!(greeting.require("NULL"), Err(ProtocolError::Mechanism { .. })), "{name:?}");
        }
    }
}
