//! The property list of READY and INITIATE (RFC 37, Metadata).
//!
//! ```text
//! property = name-size(1) name(1..255) value-size(4, network) value
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::error::ProtocolError;

/// Properties of a peer, names compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    properties: Vec<(Bytes, Bytes)>,
}

impl Metadata {
    /// Reads a whole property list.
    ///
    /// # Errors
    /// [`ProtocolError::MalformedCommand`] for an empty name, a size that runs past the end, a property that comes
    /// twice, or more than [`MAX_PROPERTIES`].
    pub fn decode(mut octets: Bytes) -> Result<Self, ProtocolError> {
        let malformed = |problem| ProtocolError::MalformedCommand { command: "READY", problem };
        let mut metadata = Self::default();
        while !octets.is_empty() {
            let name_len = usize::from(octets[0]);
            if name_len == 0 {
                return Err(malformed("property with an empty name"));
            }
            let value_at = 1 + name_len + 4;
            let sizes = octets.get(1 + name_len..value_at).and_then(|s| s.try_into().ok());
            let Some(value_len) = sizes.map(u32::from_be_bytes).and_then(|n| usize::try_from(n).ok()) else {
                return Err(malformed("property cut short"));
            };
            if value_len > octets.len() - value_at {
                return Err(malformed("value runs past the end"));
            }
            let mut name = octets.split_to(value_at);
            name.truncate(1 + name_len);
            let name = name.slice(1..);
            let value = octets.split_to(value_len);
            if metadata.find(&name).is_some() {
                return Err(malformed("property comes twice"));
            }
            if metadata.properties.len() == MAX_PROPERTIES {
                return Err(malformed("too many properties"));
            }
            metadata.properties.push((name, value));
        }
        Ok(metadata)
    }

    /// A list that did not come as one.
    pub(crate) fn of(properties: Vec<(Bytes, Bytes)>) -> Self {
        Self { properties }
    }

    /// The value of a property.
    pub fn find(&self, name: &[u8]) -> Option<&Bytes> {
        self.properties.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All properties, as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.properties.iter().map(|(name, value)| (name, value))
    }
}

/// Writes one property. The caller keeps names within 1..=255 octets.
pub(crate) fn encode_property(to: &mut BytesMut, name: &[u8], value: &[u8]) {
    debug_assert!((1..=255).contains(&name.len()));
    to.put_u8(name.len() as u8);
    to.put_slice(name);
    to.put_u32(value.len() as u32);
    to.put_slice(value);
}

/// RFC 37 names three properties; applications add a few. Far above both.
pub const MAX_PROPERTIES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(octets: &[u8]) -> Result<Metadata, ProtocolError> {
        Metadata::decode(Bytes::copy_from_slice(octets))
    }

    #[test]
    fn names_ignore_case() {
        let mut octets = BytesMut::new();
        encode_property(&mut octets, b"socket-type", b"PUSH");
        encode_property(&mut octets, b"X-App", b"");
        let metadata = decode(&octets).unwrap();
        assert_eq!(metadata.find(b"Socket-Type").unwrap(), "PUSH");
        assert_eq!(metadata.iter().count(), 2);
    }

    #[test]
    fn every_cut_is_malformed() {
        let mut octets = BytesMut::new();
        encode_property(&mut octets, b"Socket-Type", b"PUSH");
        for cut in 1..octets.len() {
            assert!(decode(&octets[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(decode(b"").unwrap(), Metadata::default());
    }

    #[test]
    fn hostile_lists_are_malformed() {
        assert!(decode(b"\x00\x00\x00\x00\x00").is_err());
        assert!(decode(b"\x01a\xff\xff\xff\xff").is_err());
        let mut twice = BytesMut::new();
        encode_property(&mut twice, b"a", b"1");
        encode_property(&mut twice, b"A", b"2");
        assert!(decode(&twice).is_err());
        let mut many = BytesMut::new();
        for n in 0..=MAX_PROPERTIES {
            encode_property(&mut many, format!("p{n}").as_bytes(), b"");
        }
        assert!(decode(&many).is_err());
    }
}
