//! What was wanted of a ring last: a file beside it, so that the next run can tell a topic that the
//! catalogue has lost from one that somebody wrote.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use matchmaker::{Listing, Ring, RingWriter, Wanted, WriteError, ring_text};
use serde_json::Value;

/// `.ring.json.synced` beside `ring.json`.
pub(crate) fn file_of(ring: &Path) -> PathBuf {
    let name = ring.file_name().unwrap_or_default().to_string_lossy();
    ring.with_file_name(format!(".{name}.synced"))
}

/// None if there is none, or none of use: then everything unknown in the ring is taken for hand-made.
pub(crate) fn recall(ring: &Path) -> Option<Wanted> {
    let path = file_of(ring);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            eprintln!("matchmaker: cannot read {}: {error}: taking unknown topics for hand-made", path.display());
            return None;
        }
    };
    let read = || -> Option<Wanted> {
        let value: Value = serde_json::from_str(&text).ok()?;
        let listing = |key: &str| Some(Ring::parse(&value.get(key)?.to_string()).ok()?.listing().clone());
        Some(Wanted { managed: listing(MANAGED)?, kept: listing(KEPT)? })
    };
    let wanted = read();
    if wanted.is_none() {
        eprintln!("matchmaker: {} is damaged: taking unknown topics for hand-made", path.display());
    }
    wanted
}

/// Writes it, unless it says so already.
pub(crate) fn remember(ring: &Path, wanted: &Wanted, writer: &RingWriter) -> Result<(), WriteError> {
    let indented = |listing: &Listing| ring_text(listing).trim_end().replace('\n', "\n  ");
    let text =
        format!("{{\n  \"{MANAGED}\": {},\n  \"{KEPT}\": {}\n}}\n", indented(&wanted.managed), indented(&wanted.kept));
    let path = file_of(ring);
    if fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    RingWriter { backups: 0, ..writer.clone() }.replace(&path, &text)
}

const MANAGED: &str = "managed";
const KEPT: &str = "kept";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled() {
        let dir = tempfile::tempdir().unwrap();
        let ring = dir.path().join("ring.json");
        assert_eq!(recall(&ring), None);
        let listing = |text: &str| Ring::parse(text).unwrap().listing().clone();
        let wanted = Wanted { managed: listing(r#"{"a": ["h2", "h1"], "b": []}"#), kept: Listing::new() };
        remember(&ring, &wanted, &RingWriter::default()).unwrap();
        assert_eq!(recall(&ring), Some(wanted));
        fs::write(file_of(&ring), "{").unwrap();
        assert_eq!(recall(&ring), None);
    }
}
