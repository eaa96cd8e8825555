//! What a socket counts.

use crate::pattern::Tally;

#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) peers: usize,
    pub(crate) queued: usize,
    pub(crate) queued_octets: usize,
    pub(crate) written: u64,
    pub(crate) received: u64,
    pub(crate) tally: Tally,
}
