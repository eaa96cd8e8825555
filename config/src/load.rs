//! Which files are read, in which order, and reading them.
//!
//! Files apply in the order of the command line, so that each overrides what came before it; a
//! directory stands for its `*.conf` files, sorted by name. If no file is named, the default
//! files come first. The home directory is an argument; the environment is not looked at.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ini::{File, ParseError, parse};

/// One `--config-file` or `--config-dir`, in the order of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, which must exist.
    File(PathBuf),
    /// A directory, which must exist; its files `*.conf` count, but for hidden ones.
    Directory(PathBuf),
}

/// The files a program reads when none is named: `<project>.conf`, then `<program>.conf`, each
/// from the first of `~/.<project>/`, `~/`, `/etc/<project>/` and `/etc/` that has it.
///
/// Without a home directory, or with one that is not absolute, only `/etc` is searched. The list
/// may well be empty.
#[must_use]
pub fn default_files(project: &str, program: &str, home: Option<&Path>) -> Vec<PathBuf> {
    default_files_under(Path::new("/etc"), project, program, home)
}

/// The files to read for these sources, in order. `defaults` lead unless a file is named.
///
/// # Errors
/// A directory that cannot be listed. Files named one by one are not looked at yet.
pub fn config_files(sources: &[Source], defaults: Vec<PathBuf>) -> Result<Vec<PathBuf>, LoadError> {
    let file_named = sources.iter().any(|source| matches!(source, Source::File(_)));
    let mut files = if file_named { Vec::new() } else { defaults };
    for source in sources {
        match source {
            Source::File(file) => files.push(file.clone()),
            Source::Directory(directory) => {
                let listed = conf_files(directory)
                    .map_err(|source| LoadError::Directory { directory: directory.clone(), source })?;
                files.extend(listed);
            }
        }
    }
    Ok(files)
}

/// Reads and parses one file.
///
/// # Errors
/// The file cannot be read, is larger than 1 MiB, or breaks the dialect.
pub fn load(path: &Path) -> Result<File, LoadError> {
    let text = read(path).map_err(|source| LoadError::File { file: path.to_owned(), source })?;
    if text.len() > MAX_FILE {
        return Err(LoadError::TooLarge { file: path.to_owned() });
    }
    Ok(parse(&text, path)?)
}

/// A configuration file or directory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is missing or unreadable.
    #[error("cannot read the configuration file {}: {source}", file.display())]
    File {
        /// As it was named.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory is missing or unreadable.
    #[error("cannot list the configuration directory {}: {source}", directory.display())]
    Directory {
        /// As it was named.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no configuration file of this world.
    #[error(
        "the configuration file {} is larger than {MAX_FILE} octets; is it the right file?",
        file.display()
    )]
    TooLarge {
        /// As it was named.
        file: PathBuf,
    },
    /// The file breaks the dialect.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

fn default_files_under(etc: &Path, project: &str, program: &str, home: Option<&Path>) -> Vec<PathBuf> {
    // A relative one would make whoever owns the working directory the author of the settings.
    let home = home.filter(|home| home.is_absolute());
    let of_home = home.into_iter().flat_map(|home| [home.join(format!(".{project}")), home.into()]);
    let directories: Vec<PathBuf> = of_home.chain([etc.join(project), etc.into()]).collect();
    [project, program]
        .into_iter()
        .filter_map(|name| {
            let in_each = directories.iter().map(|directory| directory.join(format!("{name}.conf")));
            in_each.into_iter().find(|file| file.exists())
        })
        .collect()
}

fn conf_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let octets = name.as_encoded_bytes();
        if octets.ends_with(b".conf") && !octets.starts_with(b".") {
            files.push(directory.join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads at most one octet more than is allowed.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Octets a file may have. Sample files that list every option of nova stay below a quarter of
/// it, and a wrong path (a log, a device) is refused before it fills the memory.
const MAX_FILE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn each_default_file_comes_from_the_first_directory_that_has_it() {
        let root = tempfile::tempdir().unwrap();
        let (etc, home) = (root.path().join("etc"), root.path().join("home"));
        let found = |home| default_files_under(&etc, "oslo", "prog", home);
        assert_eq!(found(Some(&home)), Vec::<PathBuf>::new());

        let last = write(etc.join("oslo.conf"), "");
        let prog = write(etc.join("oslo/prog.conf"), "");
        write(etc.join("prog.conf"), "");
        assert_eq!(found(Some(&home)), [&last, &prog].map(PathBuf::clone));

        let own = write(home.join("oslo.conf"), "");
        assert_eq!(found(Some(&home)), [&own, &prog].map(PathBuf::clone));
        let hidden = write(home.join(".oslo/oslo.conf"), "");
        assert_eq!(found(Some(&home)), [&hidden, &prog].map(PathBuf::clone));
        for no_home in [None, Some(Path::new("")), Some(Path::new("."))] {
            assert_eq!(found(no_home), [&last, &prog].map(PathBuf::clone));
        }
    }

    #[test]
    fn sources_keep_their_order_and_directories_are_sorted() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.conf~", "e.txt"] {
            write(root.path().join(name), "");
        }
        let directory = Source::Directory(root.path().to_owned());
        let default = vec![PathBuf::from("default")];
        let sorted = ["a.conf", "b.conf"].map(|name| root.path().join(name));

        let files = config_files(std::slice::from_ref(&directory), default.clone()).unwrap();
        assert_eq!(files, [default.as_slice(), &sorted].concat());

        let sources = [Source::File("x".into()), directory, Source::File("y".into())];
        let files = config_files(&sources, default).unwrap();
        assert_eq!(files, [&["x".into()], sorted.as_slice(), &["y".into()]].concat());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = load(Path::new("/nonexistent/x.conf")).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot read the configuration file /nonexistent/x.conf: \
             No such file or directory (os error 2)"
        );
        let error = config_files(&[Source::Directory("/nonexistent".into())], vec![]).unwrap_err();
        assert!(error.to_string().contains("directory /nonexistent: No such file"), "{error}");
    }

    #[test]
    fn a_file_of_one_mebibyte_is_the_largest() {
        let root = tempfile::tempdir().unwrap();
        let file = write(root.path().join("x.conf"), &"#".repeat(MAX_FILE));
        assert!(load(&file).is_ok());
        fs::write(&file, "#".repeat(MAX_FILE + 1)).unwrap();
        assert!(matches!(load(&file), Err(LoadError::TooLarge { .. })));
        // A device without end is refused too, not read.
        assert!(matches!(load(Path::new("/dev/zero")), Err(LoadError::TooLarge { .. })));
    }

    #[test]
    fn parse_errors_name_the_path() {
        let root = tempfile::tempdir().unwrap();
        let file = write(root.path().join("x.conf"), "[DEFAULT]\nword\n");
        let error = load(&file).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:2: the line has", file.display())), "{error}");
    }
}
