//! One file of the spool: records with checksums, which only grows.
//!
//! Framing, checksums and the end of a file that a crash cut short are `wal-db`'s.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use wal_db::{OpenPolicy, Wal, WalConfig, WalError};

use super::item::{Item, decode};

/// A file that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    wal: Wal,
}

/// What a file of an earlier run held.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) items: Vec<Item>,
    /// Octets of the file.
    pub(super) octets: u64,
    /// Octets that were no records, but for an unfinished last one.
    pub(super) damaged: u64,
}

impl Segment {
    /// A new file.
    pub(super) fn create(dir: &Path, id: u64) -> io::Result<Self> {
        let config = WalConfig::new().with_max_record_size(u32::MAX);
        let path = path(dir, id);
        File::create_new(&path)?;
        let wal = Wal::open_with(&path, config).map_err(io_error)?;
        // So that it is found after a power failure.
        File::open(dir)?.sync_all()?;
        Ok(Self { wal })
    }

    /// Appends a record; with `sync` it is on the disk when this returns.
    pub(super) fn append(&self, record: &[u8], sync: bool) -> io::Result<()> {
        // Where it begins is of no use: files are read from their start.
        let _ = self.wal.append(record).map_err(io_error)?;
        if sync { self.sync() } else { Ok(()) }
    }

    /// Returns when all records are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.wal.sync().map_err(io_error)
    }

    pub(super) fn octets(&self) -> u64 {
        self.wal.len()
    }
}

/// Reads a file of an earlier run. What is damaged in its midst is kept in a copy beside it, for people.
pub(super) fn read(dir: &Path, id: u64) -> io::Result<Contents> {
    let path = path(dir, id);
    let octets = fs::metadata(&path)?.len();
    // No record is longer than its file, whatever a damaged header says.
    let config = WalConfig::new().with_max_record_size(u32::try_from(octets).unwrap_or(u32::MAX));
    let mut damaged = 0;
    let wal = match Wal::open_with(&path, config.with_open_policy(OpenPolicy::Strict)) {
        Err(WalError::Corruption { .. }) => {
            fs::copy(&path, path.with_extension("damaged"))?;
            let wal = Wal::open_with(&path, config).map_err(io_error)?;
            damaged = wal.truncated_on_open();
            wal
        }
        wal => wal.map_err(io_error)?,
    };
    let mut items = Vec::new();
    for record in wal.iter().map_err(io_error)? {
        let data = record.map_err(io_error)?.into_data();
        let len = data.len() as u64;
        match decode(data) {
            Some(more) => items.extend(more),
            None => damaged += len,
        }
    }
    Ok(Contents { items, octets, damaged })
}

/// The files of a directory, by id, in order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".spool"));
        ids.extend(digits.filter(|digits| digits.len() == DIGITS).and_then(|digits| digits.parse::<u64>().ok()));
    }
    ids.sort_unstable();
    Ok(ids)
}

pub(super) fn path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:0DIGITS$}.spool"))
}

fn io_error(error: WalError) -> io::Error {
    match error {
        WalError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

/// All of a `u64`, so that names sort as numbers do.
const DIGITS: usize = 20;
