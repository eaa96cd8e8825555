//! What messages look like.

/// Frames of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) frames: usize,
    /// Octets of each.
    pub(crate) size: usize,
}

impl Shape {
    /// The small message of every benchmark.
    pub(crate) const SMALL: Self = Self { frames: 1, size: 64 };
    /// As many frames as a message of oslo.messaging has.
    pub(crate) const PARTS: Self = Self { frames: 4, size: 64 };
    /// A body that has an allocation of its own.
    pub(crate) const LARGE: Self = Self { frames: 1, size: 1 << 20 };

    /// The bodies of one message.
    pub(crate) fn bodies(self) -> Vec<Vec<u8>> {
        vec![vec![b'x'; self.size]; self.frames]
    }
}

/// A message of short frames on the wire (RFC 37, Framing).
pub(crate) fn wire(frames: &[&[u8]]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (n, body) in frames.iter().enumerate() {
        let len = u8::try_from(body.len());
        debug_assert!(len.is_ok(), "a short frame");
        octets.extend([u8::from(n + 1 < frames.len()), len.unwrap_or(u8::MAX)]);
        octets.extend_from_slice(body);
    }
    octets
}
