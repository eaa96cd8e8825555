//! The one list of what is installed, from which every package is made.
//!
//! Paths are those on the host, without the leading slash. The Debian package and the tarball have all of it, the image what is
//! marked so.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use crate::workspace;

/// A file or a directory of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// `None` is a directory.
    pub(crate) content: Option<Vec<u8>>,
    /// Permissions.
    pub(crate) mode: u32,
    /// User and group; root unless a program has to write there.
    pub(crate) owner: u64,
    /// Whether the image has it.
    pub(crate) in_image: bool,
}

/// Everything, by path. Sorted, so that archives are the same each time.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<String, File>);

/// What the list is made of besides the files in the repository.
pub(crate) struct Sources<'a> {
    /// Programs: name and octets.
    pub(crate) programs: &'a [(String, Vec<u8>)],
    /// Where `pages` wrote.
    pub(crate) pages: &'a Path,
    /// Debian's changelog.
    pub(crate) changelog: String,
    /// Whose work is in it, and under which licences.
    pub(crate) copyright: String,
}

/// A file that is to be shipped and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

impl Files {
    /// Reads and makes all of it.
    pub(crate) fn gather(sources: &Sources<'_>) -> Result<Self, Unreadable> {
        let mut files = Self::default();
        for (name, octets) in sources.programs {
            files.put(format!("usr/bin/{name}"), octets.clone(), 0o755, true);
        }
        for (path, source) in COPIED {
            files.put((*path).to_owned(), read(&workspace::root().join(source))?, 0o644, false);
        }
        for (source, directory) in [("docs", DOC.to_owned()), ("contrib", format!("{DOC}/examples"))] {
            for (path, octets) in below(&workspace::root().join(source))? {
                files.put(format!("{directory}/{path}"), octets, 0o644, false);
            }
        }
        for (path, octets) in below(&sources.pages.join("man"))? {
            files.put(format!("usr/share/man/{path}.gz"), gzip(&octets), 0o644, false);
        }
        for (shell, directory) in COMPLETIONS {
            for (path, octets) in below(&sources.pages.join("completions").join(shell))? {
                files.put(format!("{directory}/{path}"), octets, 0o644, false);
            }
        }
        let sample = read(&sources.pages.join("zmq_receiver.conf"))?;
        files.put("etc/oslo/zmq_receiver.conf".to_owned(), sample, 0o644, false);
        files.put(format!("{DOC}/changelog.gz"), gzip(sources.changelog.as_bytes()), 0o644, false);
        files.put(format!("{DOC}/copyright"), sources.copyright.clone().into_bytes(), 0o644, true);
        Ok(files)
    }

    /// Adds a file, replacing one of the same path.
    fn put(&mut self, path: String, content: Vec<u8>, mode: u32, in_image: bool) {
        self.0.insert(path, File { content: Some(content), mode, owner: 0, in_image });
    }

    /// All of it, in the order of paths, each directory before what is in it.
    pub(crate) fn all(&self) -> BTreeMap<String, File> {
        with_directories(self.0.clone())
    }

    /// What the image has, and its own directory for sockets: there is nothing else in it to make one.
    pub(crate) fn in_image(&self) -> BTreeMap<String, File> {
        let mut files: BTreeMap<String, File> = self.0.clone().into_iter().filter(|(_, file)| file.in_image).collect();
        let sockets = File { content: None, mode: 0o2775, owner: IMAGE_USER, in_image: true };
        files.insert("var/run/openstack".to_owned(), sockets);
        with_directories(files)
    }
}

fn with_directories(mut files: BTreeMap<String, File>) -> BTreeMap<String, File> {
    for path in files.keys().cloned().collect::<Vec<_>>() {
        for (end, _) in path.match_indices('/') {
            let directory = File { content: None, mode: 0o755, owner: 0, in_image: true };
            files.entry(path[..end].to_owned()).or_insert(directory);
        }
    }
    files
}

/// Every file below a directory, by its path from there.
fn below(directory: &Path) -> Result<Vec<(String, Vec<u8>)>, Unreadable> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).map_err(unreadable(&next))? {
            let path = entry.map_err(unreadable(&next))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((name, read(&path)?));
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    fs::read(path).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Unreadable {
    let path = path.to_owned();
    move |source| Unreadable { path, source }
}

/// As `gzip -9n`: without a time, so that it is the same each time.
pub(crate) fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(octets);
    encoder.finish().unwrap_or_default()
}

/// The package, and its directory of documents.
pub(crate) const PACKAGE: &str = "oslo-messaging-zmq-receiver";

const DOC: &str = "usr/share/doc/oslo-messaging-zmq-receiver";

/// The user of the image, who has no name there. Above the system's users and below the dynamic ones of systemd.
pub(crate) const IMAGE_USER: u64 = 64_530;

/// What is shipped as it stands in the repository: where to, and from where.
const COPIED: &[(&str, &str)] = &[
    ("lib/systemd/system/oslo-messaging-zmq-receiver.service", "packaging/oslo-messaging-zmq-receiver.service"),
    ("lib/systemd/system/oslo-messaging-zmq-receiver.socket", "packaging/oslo-messaging-zmq-receiver.socket"),
    ("lib/systemd/system/matchmaker-sync.service", "packaging/matchmaker-sync.service"),
    ("usr/lib/sysusers.d/oslozmq.conf", "packaging/sysusers.conf"),
    ("usr/lib/tmpfiles.d/oslozmq.conf", "packaging/tmpfiles.conf"),
    ("etc/default/oslo-messaging-zmq-receiver", "packaging/default"),
    ("etc/default/matchmaker-sync", "packaging/default.sync"),
    ("etc/logrotate.d/oslo-messaging-zmq-receiver", "packaging/logrotate"),
    ("usr/share/lintian/overrides/oslo-messaging-zmq-receiver", "packaging/debian/overrides"),
];

/// Where each shell looks for completions that packages bring.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions"),
    ("zsh", "usr/share/zsh/vendor-completions"),
    ("fish", "usr/share/fish/vendor_completions.d"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_there() {
        for (path, source) in COPIED {
            assert!(workspace::root().join(source).is_file(), "{source} for {path}");
        }
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_the_image_has_its_own() {
        let mut files = Files::default();
        files.put("usr/bin/a".to_owned(), vec![1], 0o755, true);
        files.put("usr/share/b".to_owned(), vec![2], 0o644, false);
        let all: Vec<_> = files.all().into_keys().collect();
        assert_eq!(all, ["usr", "usr/bin", "usr/bin/a", "usr/share", "usr/share/b"]);
        let image = files.in_image();
        let paths: Vec<_> = image.keys().map(String::as_str).collect();
        assert_eq!(paths, ["usr", "usr/bin", "usr/bin/a", "var", "var/run", "var/run/openstack"]);
        assert_eq!((image["var/run"].mode, image["var/run/openstack"].owner), (0o755, IMAGE_USER));
    }
}
