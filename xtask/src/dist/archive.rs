//! Archives that are the same each time: sorted, one time for all, numeric owners.

use std::collections::BTreeMap;
use std::io;

use tar::{Builder, EntryType, Header};

use super::files::File;
use super::stamp::Stamp;

/// A tar archive of `files`, each path below `top` (empty, or with a slash at its end).
pub(crate) fn tar(files: &BTreeMap<String, File>, top: &str, stamp: Stamp) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (path, file) in files {
        let octets = file.content.as_deref().unwrap_or_default();
        let mut header = Header::new_gnu();
        header.set_entry_type(if file.content.is_some() { EntryType::Regular } else { EntryType::Directory });
        header.set_mode(file.mode);
        header.set_uid(file.owner);
        header.set_gid(file.owner);
        header.set_mtime(stamp.seconds());
        header.set_size(octets.len() as u64);
        let slash = if file.content.is_some() { "" } else { "/" };
        builder.append_data(&mut header, format!("{top}{path}{slash}"), octets)?;
    }
    builder.into_inner()
}
