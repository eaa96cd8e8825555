//! A program run by an ordinary user, whoever runs the tests.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A user without privileges and a directory of its own.
#[derive(Debug)]
pub struct Nobody {
    directory: TempDir,
    /// Whether it is another user than the one who runs the tests.
    is_other: bool,
}

/// The user's directory could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare {} for an ordinary user", path.display())]
pub struct NobodyError {
    path: PathBuf,
    source: io::Error,
}

impl Nobody {
    /// The user `nobody` if the tests are run by root, otherwise the user who runs them.
    pub fn new() -> Result<Self, NobodyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| NobodyError { path, source }
        };
        let directory = tempfile::tempdir().map_err(failed(&std::env::temp_dir()))?;
        let is_other = rustix::process::geteuid().is_root();
        if is_other {
            std::os::unix::fs::chown(directory.path(), Some(ID), Some(ID)).map_err(failed(directory.path()))?;
        }
        Ok(Self { directory, is_other })
    }

    /// The directory, which is private.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `executable` run by this user, with an empty environment. It is copied, since the user may not see where it is.
    pub fn command(&self, executable: &Path) -> Result<Command, NobodyError> {
        let copy = self.directory().join("program");
        let failed = |source| NobodyError { path: copy.clone(), source };
        std::fs::copy(executable, &copy).map_err(failed)?;
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
        let mut command = if self.is_other {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={ID}"), format!("--regid={ID}"), "--clear-groups".to_owned()]).arg(copy);
            command
        } else {
            Command::new(copy)
        };
        command.env_clear().current_dir("/");
        Ok(command)
    }

    /// Whether the system lets this user listen on a TCP port.
    pub fn may_listen_on(&self, port: u16) -> Result<bool, NobodyError> {
        let path = Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        let failed = |source| NobodyError { path: path.to_owned(), source };
        let first = std::fs::read_to_string(path).map_err(failed)?;
        let first = first.trim().parse::<u32>().map_err(io::Error::other).map_err(failed)?;
        Ok(u32::from(port) >= first)
    }
}

/// The user `nobody` and its group on Linux.
const ID: u32 = 65_534;
