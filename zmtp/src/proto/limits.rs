//! What a peer may make this side hold: each limit with a name and a default.

/// Limits on what one peer may send. Every one is finite; passing one closes that connection.
///
/// ```
/// let limits = zmtp::Limits { max_frame: 1 << 20, max_message: 4 << 20, ..zmtp::Limits::default() };
/// assert_eq!((limits.max_frames, limits.max_command), (1024, 8 << 10));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one frame's body, inclusive. Over it the connection closes at the header, before the body is read.
    pub max_frame: usize,
    /// Octets of all frames' bodies of one message, inclusive.
    pub max_message: usize,
    /// Frames of one message.
    pub max_frames: usize,
    /// Octets of a command's body: bounds READY (8 KiB of metadata) and the length of one subscription.
    pub max_command: usize,
}

impl Default for Limits {
    /// 64 MiB for a frame and for a message: the largest RPC bodies seen are a few MiB. 1,024 frames: oslo sends 4
    /// or 8. 8 KiB for a command: far above any READY, and the size libzmq's own buffer has.
    fn default() -> Self {
        Self { max_frame: 64 << 20, max_message: 64 << 20, max_frames: 1024, max_command: 8 << 10 }
    }
}
