//! Where messages are kept over a restart.

use std::path::PathBuf;

use oslo_config::ValueError;

use super::options;
use super::reader::Reader;
use super::types::Fsync;

/// Where and how messages are kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory.
    pub dir: PathBuf,
    /// Octets of messages that are kept at most.
    pub max_octets: usize,
    /// When messages are on the disk, and not only with the system.
    pub fsync: Fsync,
}

impl SpoolSettings {
    /// Reads the options.
    ///
    /// # Errors
    /// A default that cannot be meant.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, ValueError> {
        let max_octets = reader.require(&options::SPOOL_MAX_OCTETS)?.value.0;
        let fsync = reader.require(&options::SPOOL_FSYNC)?.value;
        let dir = reader.get(&options::SPOOL_DIR)?.value;
        Ok(dir.map(|dir| Self { dir: dir.0, max_octets, fsync }))
    }
}
