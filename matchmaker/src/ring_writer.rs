//! Writing ring files: whole or not at all.
//!
//! What always holds: who reads the file sees the old ring or the new one, never half of either, and
//! so does a machine that loses power meanwhile; the file keeps its owner, group and mode unless told
//! otherwise; the text is strict JSON, which the originals read, its topics sorted.
//!
//! Not done here: what belongs into a ring.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::backend::Listing;

/// A ring as text: an object with a topic on each line, hosts in the order given.
pub fn ring_text(listing: &Listing) -> String {
    // A name has neither control characters nor backslashes.
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\\\""));
    let lines: Vec<_> = listing
        .iter()
        .map(|(topic, members)| {
            let hosts: Vec<_> = members.iter().map(|member| quoted(member.name.as_str())).collect();
            format!("  {}: [{}]", quoted(topic.as_str()), hosts.join(", "))
        })
        .collect();
    if lines.is_empty() { "{}\n".to_owned() } else { format!("{{\n{}\n}}\n", lines.join(",\n")) }
}

/// How a ring file is to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingWriter {
    /// Its owner; without one, as it was.
    pub owner: Option<u32>,
    /// Its group; without one, as it was.
    pub group: Option<u32>,
    /// Its permissions; without any as they were, and for a new file 0644.
    pub mode: Option<u32>,
    /// How many earlier versions to keep, as `ring.json.1` (the latest), `ring.json.2` and so on.
    pub backups: u32,
}

impl RingWriter {
    /// Replaces the file, or makes it. Blocks until the disk has it.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the file is then as it was.
    pub fn replace(&self, path: &Path, text: &str) -> Result<(), WriteError> {
        // A link is followed: replaced is what it leads to.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let temporary = beside(path, &format!(".{}.new", std::process::id()));
        let written = self.write(path, &temporary, text).and_then(|()| {
            self.keep_backups(path)?;
            fs::rename(&temporary, path).map_err(failed("replace", path))
        });
        if let Err(error) = written {
            // What is left of it is of no use; the error that counts is the first.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        // The name is safe on the disk only with its directory.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("save", path))
    }

    fn write(&self, path: &Path, temporary: &Path, text: &str) -> Result<(), WriteError> {
        let before = fs::metadata(path).ok();
        let mode = self.mode.or_else(|| Some(before.as_ref()?.mode() & 0o7777)).unwrap_or(NEW_MODE);
        // Left over from a process of this number that was killed.
        let _ = fs::remove_file(temporary);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(temporary);
        let mut file = file.map_err(failed("create", temporary))?;
        file.write_all(text.as_bytes()).map_err(failed("write", temporary))?;
        let was = |id: fn(&fs::Metadata) -> u32| before.as_ref().map(id);
        let (owner, group) = (self.owner.or_else(|| was(|it| it.uid())), self.group.or_else(|| was(|it| it.gid())));
        let now = file.metadata().map_err(failed("look at", temporary))?;
        if owner.is_some_and(|owner| owner != now.uid()) || group.is_some_and(|group| group != now.gid()) {
            fchown(&file, owner, group).map_err(failed("give away", temporary))?;
        }
        // After the owner: a change of that takes some bits away.
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed("set the mode of", temporary))?;
        file.sync_all().map_err(failed("save", temporary))
    }

    /// Moves each backup one on, and makes the file itself the first.
    fn keep_backups(&self, path: &Path) -> Result<(), WriteError> {
        if self.backups == 0 || !path.exists() {
            return Ok(());
        }
        let backup = |number: u32| beside(path, &format!(".{number}"));
        for number in (1..self.backups).rev().filter(|&number| backup(number).exists()) {
            fs::rename(backup(number), backup(number + 1)).map_err(failed("rename", &backup(number)))?;
        }
        let first = backup(1);
        match fs::remove_file(&first) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &first)(error)),
            _ => {}
        }
        // Both names for one moment, so that the ring is never missing.
        fs::hard_link(path, &first).map_err(failed("make the backup", &first))
    }
}

/// A ring that could not be written.
#[derive(Debug, Error)]
#[error("cannot {action} {}: check who may write to its directory", path.display())]
pub struct WriteError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError { action, path, source }
}

/// The same path with an addition to its name.
fn beside(path: &Path, addition: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(addition);
    name.into()
}

/// Every service reads the ring.
const NEW_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::Ring;

    const RING: &str = "{\n  \"a\": [],\n  \"b\": [\"h2\", \"h1\"]\n}\n";

    #[test]
    fn a_ring_is_written_as_it_is_read() {
        let ring = Ring::parse(r#"{"b": ["h2", "h1"], "a": []}"#).unwrap();
        assert_eq!(ring_text(ring.listing()), RING);
        assert_eq!(ring_text(&Listing::new()), "{}\n");
    }

    proptest! {
        #[test]
        fn any_ring_survives_being_written(text in r#"\{("[a-c\\".é]{0,3}": \["[a-c".é]{0,3}"\],?){0,4}\}"#) {
            if let Ok(ring) = Ring::parse(&text) {
                let again = Ring::parse(&ring_text(ring.listing())).unwrap();
                prop_assert_eq!(again.listing(), ring.listing());
                prop_assert_eq!(again.findings(), &[]);
            }
        }
    }

    #[test]
    fn mode_and_backups_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.json");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
        let writer = RingWriter { backups: 2, ..RingWriter::default() };
        writer.replace(&path, "1").unwrap();
        assert_eq!(mode(), NEW_MODE);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        for text in ["2", "3", "4"] {
            writer.replace(&path, text).unwrap();
        }
        assert_eq!(mode(), 0o640);
        let texts = ["", ".1", ".2"].map(|end| fs::read_to_string(beside(&path, end)).unwrap());
        assert_eq!(texts, ["4", "3", "2"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        RingWriter { mode: Some(0o600), ..RingWriter::default() }.replace(&path, "5").unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("real.json"), dir.path().join("ring.json"));
        fs::write(&target, "1").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        RingWriter::default().replace(&link, "2").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "2");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no-such").join("ring.json");
        let error = RingWriter::default().replace(&path, "{}").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot create ") && error.ends_with("check who may write to its directory"),
            "{error}"
        );
    }
}
