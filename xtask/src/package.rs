//! System packages: what the peers in the tests are built with, and how to get it from apt.
//!
//! A need is met by what works, not by what apt knows: a compiler from elsewhere is as good. Installing takes root or
//! sudo; without either the error holds the command to type.

use std::io::IsTerminal;
use std::process::Command;

use crate::command::{self, CommandError, line_of};

/// One thing a test's peer needs from the system.
struct Need {
    what: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
    /// A command that succeeds when the thing is there.
    proof: &'static [&'static str],
}

/// Missing packages that could not be installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("missing: {what}; this is not root and sudo does not let us in. Run: {line}")]
    NotRoot { what: String, line: String },
    #[error("missing: {what}; there is no apt-get here. Install them your system's way (Debian's names: {packages})")]
    NoApt { what: String, packages: String },
    #[error("apt-get succeeded, yet {what} is still missing")]
    StillMissing { what: String },
    #[error(transparent)]
    Apt(#[from] CommandError),
}

/// Installs what is missing, saying so.
pub(crate) fn install() -> Result<(), PackageError> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing: {}", names(&missing));
    apt(&missing)?;
    match self::missing() {
        still if still.is_empty() => Ok(()),
        still => Err(PackageError::StillMissing { what: names(&still) }),
    }
}

/// What is missing, for a person to read; empty when nothing is.
pub(crate) fn lacking() -> Vec<String> {
    missing().into_iter().map(|need| format!("{} (Debian package {})", need.what, need.package)).collect()
}

fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !command::succeeds(Command::new(need.proof[0]).args(&need.proof[1..]))).collect()
}

fn apt(missing: &[&Need]) -> Result<(), PackageError> {
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    if !command::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(PackageError::NoApt { what: names(missing), packages: packages.join(" ") });
    }
    let Some(as_root) = as_root() else {
        let line = format!("sudo apt-get install -y {}", packages.join(" "));
        return Err(PackageError::NotRoot { what: names(missing), line });
    };
    let apt_get = |arguments: &[&str]| {
        let words = [as_root, APT_GET, arguments].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        println!("running: {}", line_of(&command));
        command::capture(&mut command)
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat();
    if apt_get(&install).is_err() {
        // A fresh machine has no package lists yet, or old ones.
        apt_get(&["update"])?;
        apt_get(&install)?;
    }
    Ok(())
}

/// The words that make root run the words after them; `None` when this user cannot.
fn as_root() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        Some(&[])
    } else if command::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else if std::io::stdin().is_terminal() && command::succeeds(Command::new("sudo").arg("--version")) {
        Some(&["sudo"])
    } else {
        None
    }
}

fn names(needs: &[&Need]) -> String {
    needs.iter().map(|need| need.what).collect::<Vec<_>>().join(", ")
}

/// apt-get asking no questions. Another apt-get may hold the lock, as a fresh machine's first update does: wait for it.
const APT_GET: &[&str] = &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"];

/// What builds the Python peers, pyzmq against the system's libzmq and the C parts of the packages of their time; the
/// peers that are packages themselves; and what counts instructions.
const NEEDS: &[Need] = &[
    Need { what: "a C compiler", package: "gcc", proof: &["gcc", "--version"] },
    Need { what: "a C++ compiler", package: "g++", proof: &["g++", "--version"] },
    Need { what: "pkg-config", package: "pkg-config", proof: &["pkg-config", "--version"] },
    Need { what: "libzmq with its headers", package: "libzmq3-dev", proof: &["pkg-config", "--exists", "libzmq"] },
    Need { what: "a Redis server", package: "redis-server", proof: &["redis-server", "--version"] },
    Need { what: "libfaketime", package: "faketime", proof: &["faketime", "--version"] },
    Need { what: "an etcd", package: "etcd-server", proof: &["etcd", "--version"] },
    Need { what: "a client of etcd", package: "etcd-client", proof: &["etcdctl", "version"] },
    Need { what: "curl", package: "curl", proof: &["curl", "--version"] },
    Need { what: "promtool", package: "prometheus", proof: &["promtool", "--version"] },
    Need { what: "Chromium", package: "chromium", proof: &["chromium", "--version"] },
    Need { what: "valgrind", package: "valgrind", proof: &["valgrind", "--version"] },
    Need { what: "Python 3 with venv", package: "python3-venv", proof: &["python3", "-c", "import ensurepip, venv"] },
    Need { what: "the headers of Python 3", package: "python3-dev", proof: &["python3", "-c", PYTHON_HEADERS] },
];

const PYTHON_HEADERS: &str = "import os, sysconfig; os.stat(os.path.join(sysconfig.get_path('include'), 'Python.h'))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_has_a_package_and_a_proof() {
        for need in NEEDS {
            assert!(!need.package.is_empty() && need.proof.len() >= 2, "{}", need.what);
        }
    }
}
