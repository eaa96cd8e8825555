//! The libraries measured, each in a small program of its own in `peers/`.
//!
//! All of them are built before anything is measured. One that does not build stays in the report, with the reason.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cargo::{self, BuildError, Built};
use crate::report::Version;

/// One way of using a library, ready to be started.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// As the report calls it.
    pub(crate) name: String,
    /// Of the library.
    version: String,
    program: PathBuf,
    /// What its program calls it, if that has several.
    face: Option<&'static str>,
}

/// One line of the list.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    /// The package with its program, which may serve several.
    package: &'static str,
    library: Library,
}

/// Whose version counts.
#[derive(Debug)]
enum Library {
    /// This workspace's crate.
    Own(&'static str),
    /// A crate in the program.
    Crate(&'static str),
    /// One of the system's, by its name for pkg-config, without which its peer would not have been built.
    System(&'static str),
    /// Rust's own.
    Std,
}

/// The names of all, in the order of the report.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// Builds the program of one; an unknown name has none.
pub(crate) fn build(name: &str) -> Option<Result<Contestant, BuildError>> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name)?;
    Some(cargo::build(MANIFEST, entry.package).map(|built| entry.contestant(built)))
}

impl Contestant {
    /// A program with the command line of all peers, built elsewhere.
    pub(crate) fn given(name: String, program: PathBuf) -> Self {
        Self { name, version: "a program given by its path".to_owned(), program, face: None }
    }

    /// For the report.
    pub(crate) fn version(&self) -> Version {
        Version { peer: self.name.clone(), version: self.version.clone() }
    }

    /// Its program, to which the role is still to be told.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(face) = self.face {
            command.args(["--as", face]);
        }
        command
    }
}

impl Entry {
    fn contestant(&self, built: Built) -> Contestant {
        let of_crate = |name| format!("{name} {}", built.version_of(name).unwrap_or("of unknown version"));
        let version = match self.library {
            Library::Own(name) => {
                format!("{}, {}", of_crate(name), printed("git", &["-C", ROOT, "describe", "--always", "--dirty"]))
            }
            Library::Crate(name) => of_crate(name),
            Library::System(name) => format!("{name} {}", printed("pkg-config", &["--modversion", name])),
            Library::Std => printed("rustc", &["--version"]),
        };
        Contestant { name: self.name.to_owned(), version, program: built.executable, face: Some(self.name) }
    }
}

/// What a program prints; nothing if it can't be had.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// To this one all are compared.
pub(crate) const REFERENCE: &str = "libzmq";

/// What is no library, but the limit for all.
pub(crate) const LIMITS: &[&str] = &["raw-std", "raw-tokio"];

/// Those whose failure is a fault of this workspace or of this benchmark.
pub(crate) const MUST_NOT_FAIL: &[&str] = &["zmtp", "zmtp-mt", "raw-std", "raw-tokio", REFERENCE];

/// The workspace of the programs.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Where the version of this workspace is known.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const ENTRIES: &[Entry] = &[
    Entry { name: "libzmq", package: "peer-libzmq", library: Library::System("libzmq") },
    Entry { name: "zmtp", package: "peer-zmtp", library: Library::Own("zmtp") },
    Entry { name: "zmtp-mt", package: "peer-zmtp", library: Library::Own("zmtp") },
    Entry { name: "monocoque", package: "peer-monocoque", library: Library::Crate("monocoque") },
    Entry { name: "monocoque-coalescing", package: "peer-monocoque", library: Library::Crate("monocoque") },
    Entry { name: "omq-tokio", package: "peer-omq", library: Library::Crate("omq_tokio") },
    Entry { name: "omq-tokio-blocking", package: "peer-omq", library: Library::Crate("omq_tokio") },
    Entry { name: "rzmq", package: "peer-rzmq", library: Library::Crate("rzmq") },
    Entry { name: "zeromq", package: "peer-zeromq", library: Library::Crate("zeromq") },
    Entry { name: "raw-std", package: "peer-raw", library: Library::Std },
    Entry { name: "raw-tokio", package: "peer-raw", library: Library::Crate("tokio") },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_singled_out_are_in_the_list() {
        for name in MUST_NOT_FAIL.iter().chain(LIMITS) {
            assert!(names().any(|known| known == *name), "{name}");
        }
        assert!(build("nobody").is_none());
    }
}
