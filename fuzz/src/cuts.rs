//! Where a stream is cut: sizes of reads that the input itself chooses.

/// Sizes of reads, over and over.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    sizes: [usize; Self::CONTROL],
    next: usize,
}

impl Cuts {
    /// Octets of an input that choose the cuts of the rest.
    const CONTROL: usize = 4;

    /// One read for all that there is room for.
    pub(crate) fn whole() -> Self {
        Self { sizes: [usize::MAX; Self::CONTROL], next: 0 }
    }

    /// Splits an input in cuts and stream; `None` when it is too short to have cuts.
    pub(crate) fn split_off(input: &[u8]) -> Option<(Self, &[u8])> {
        let (control, stream) = input.split_first_chunk()?;
        Some((Self { sizes: control.map(|octet| 1 + usize::from(octet)), next: 0 }, stream))
    }

    /// The size of the next read, at least 1.
    pub(crate) fn next(&mut self) -> usize {
        let size = self.sizes[self.next];
        self.next = (self.next + 1) % Self::CONTROL;
        size
    }
}
