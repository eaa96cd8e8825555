//! When a queue is full.

/// A high-water mark: what a queue holds before it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Whole messages.
    pub messages: usize,
    /// Octets on the wire, headers included. A message larger than this alone still passes through an empty queue.
    pub octets: usize,
}

impl Mark {
    /// What is left of it beside so many.
    #[must_use]
    pub fn less(self, messages: usize, octets: usize) -> Self {
        Self { messages: self.messages.saturating_sub(messages), octets: self.octets.saturating_sub(octets) }
    }

    /// A mark that is never reached.
    pub const UNLIMITED: Self = Self { messages: usize::MAX, octets: usize::MAX };

    /// A mark of `messages`, and the default of 64 MiB.
    pub fn messages(messages: usize) -> Self {
        Self { messages, ..Self::default() }
    }

    /// A mark in octets alone.
    pub fn octets(octets: usize) -> Self {
        Self { messages: usize::MAX, octets }
    }
}

impl Default for Mark {
    /// 1,000 messages as in libzmq, and 64 MiB, since a count alone lets 1,000 messages of 1 MiB fill a host.
    fn default() -> Self {
        Self { messages: 1000, octets: 64 << 20 }
    }
}
