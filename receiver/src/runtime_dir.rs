//! The directory of the local sockets (`rpc_zmq_ipc_dir`): made if missing, and checked.
//!
//! A directory that an operator chose is taken or refused, never replaced: services look for
//! their sockets where their own configuration says. Only the untouched default, which an
//! ordinary user cannot write to, gives way to a directory of that user's own; the notice then
//! tells where it is.
//!
//! What holds of the result: it exists, this process may create sockets in it, and every topic's
//! path in it fits a socket address. A directory in a place that others write to besides belongs
//! to us, lets nobody else in, and is no symbolic link.
//!
//! Not here: the sockets, stale ones included, and their modes, which follow the umask.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use oslo_rpc::socket::{SocketDirError, check_socket_dir};
use rustix::fs::Access;
use thiserror::Error;

use crate::settings::IpcDir;

/// A directory ready for sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeDir {
    /// Where it is.
    pub path: PathBuf,
    /// One sentence for the operator, if it is not where the settings say.
    pub notice: Option<String>,
}

impl RuntimeDir {
    /// Makes the directory that is wanted, with its parents and the mode that the umask leaves,
    /// or finds a substitute. `xdg_runtime_dir` is the variable `XDG_RUNTIME_DIR`.
    ///
    /// # Errors
    /// The directory cannot be used, and was chosen explicitly or has no substitute either.
    pub fn prepare(wanted: &IpcDir, xdg_runtime_dir: Option<&Path>) -> Result<Self, RuntimeDirError> {
        Self::prepare_or_substitute(wanted, xdg_runtime_dir, Path::new("/tmp"))
    }

    fn prepare_or_substitute(
        wanted: &IpcDir,
        xdg_runtime_dir: Option<&Path>,
        tmp: &Path,
    ) -> Result<Self, RuntimeDirError> {
        match shared_directory(&wanted.path) {
            Ok(()) => Ok(Self { path: wanted.path.clone(), notice: None }),
            Err(refusal) if wanted.is_explicit => Err(refusal),
            Err(refusal) => {
                let path = substitute(xdg_runtime_dir, tmp)?;
                let notice = format!(
                    "{refusal}; using {} instead: services on this machine need rpc_zmq_ipc_dir = {0}",
                    path.display()
                );
                Ok(Self { path, notice: Some(notice) })
            }
        }
    }
}

/// There is no directory for the local sockets.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuntimeDirError {
    /// Socket paths would be too long.
    #[error(transparent)]
    TooLong(#[from] SocketDirError),
    /// The system will not let us make it or write to it.
    #[error(
        "cannot make sockets in the directory {}: {source}; \
         let user {user} write to it, or set rpc_zmq_ipc_dir to another one",
        path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
        /// The user the daemon runs as.
        user: u32,
    },
    /// The directory of our own is somebody else's, or open to others.
    #[error(
        "the directory {} is not private: it should be a directory of user {user} with mode 0700; \
         remove it, or set rpc_zmq_ipc_dir",
        path.display()
    )]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// The user the daemon runs as.
        user: u32,
    },
}

/// Makes a directory that other users work with too: its owner and mode are the site's affair.
fn shared_directory(path: &Path) -> Result<(), RuntimeDirError> {
    check_socket_dir(path)?;
    fs::create_dir_all(path).and_then(|()| check_writable(path)).map_err(|source| unusable(path, source))
}

/// A directory of our own, at the first of two places that will have it.
fn substitute(xdg_runtime_dir: Option<&Path>, tmp: &Path) -> Result<PathBuf, RuntimeDirError> {
    // The specification of the variable has a relative path ignored.
    if let Some(parent) = xdg_runtime_dir.filter(|path| path.is_absolute()) {
        let path = parent.join("openstack");
        if private_directory(&path).is_ok() {
            return Ok(path);
        }
    }
    let path = tmp.join(format!("openstack-{}", user()));
    private_directory(&path)?;
    Ok(path)
}

/// Makes a directory for us alone, where others may have been before us.
fn private_directory(path: &Path) -> Result<(), RuntimeDirError> {
    check_socket_dir(path)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(path, error)),
        // One that is there already was made by us earlier, or by somebody who knew the name.
        _ => {}
    }
    let found = fs::symlink_metadata(path).map_err(|source| unusable(path, source))?;
    let is_private = found.is_dir() && found.uid() == user() && found.mode() & 0o077 == 0;
    if !is_private {
        return Err(RuntimeDirError::NotPrivate { path: path.to_owned(), user: user() });
    }
    check_writable(path).map_err(|source| unusable(path, source))
}

/// Asks the system instead of looking at modes: file systems may be read-only, and root may not
/// be all-powerful.
fn check_writable(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn unusable(path: &Path, source: io::Error) -> RuntimeDirError {
    RuntimeDirError::Unusable { path: path.to_owned(), source, user: user() }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn wanted(path: PathBuf, is_explicit: bool) -> IpcDir {
        IpcDir { path, is_explicit }
    }

    /// A path below a file, where not even root can make a directory.
    fn impossible(root: &Path) -> PathBuf {
        let file = root.join("file");
        fs::write(&file, "").unwrap();
        file.join("ipc")
    }

    #[test]
    fn a_directory_is_made_with_its_parents_and_found_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        for _ in 0..2 {
            let made = RuntimeDir::prepare(&wanted(path.clone(), true), None).unwrap();
            assert_eq!(made, RuntimeDir { path: path.clone(), notice: None });
            assert!(path.is_dir());
        }
    }

    #[test]
    fn a_chosen_directory_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = impossible(root.path());
        let xdg = root.path();
        let told = RuntimeDir::prepare(&wanted(path.clone(), true), Some(xdg)).unwrap_err().to_string();
        let begin = format!("cannot make sockets in the directory {}: Not a directory (os error 20); ", path.display());
        assert!(told.starts_with(&begin), "{told}");
        assert!(told.ends_with("or set rpc_zmq_ipc_dir to another one"), "{told}");
    }

    #[test]
    fn the_default_gives_way_to_the_users_own_directory() {
        let root = tempfile::tempdir().unwrap();
        let (path, tmp) = (impossible(root.path()), root.path().join("tmp"));
        let xdg = root.path().join("xdg");
        for directory in [&tmp, &xdg] {
            fs::create_dir(directory).unwrap();
        }
        let prepare = |xdg| RuntimeDir::prepare_or_substitute(&wanted(path.clone(), false), xdg, &tmp).unwrap();

        let own = xdg.join("openstack");
        let made = prepare(Some(&xdg));
        assert_eq!(made.path, own);
        let notice = made.notice.unwrap();
        assert!(notice.contains("Not a directory (os error 20)"), "{notice}");
        assert!(notice.ends_with(&format!("need rpc_zmq_ipc_dir = {}", own.display())), "{notice}");
        assert_eq!(notice.lines().count(), 1);

        let shared = tmp.join(format!("openstack-{}", user()));
        for xdg in [None, Some(Path::new("relative")), Some(Path::new("/nonexistent"))] {
            assert_eq!(prepare(xdg).path, shared);
        }
        assert_eq!(fs::metadata(&shared).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_laid_out_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("openstack-0");

        fs::create_dir(root.path().join("theirs")).unwrap();
        symlink(root.path().join("theirs"), &path).unwrap();
        assert!(matches!(private_directory(&path), Err(RuntimeDirError::NotPrivate { .. })));
        fs::remove_file(&path).unwrap();

        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o710)).unwrap();
        let told = private_directory(&path).unwrap_err().to_string();
        assert!(told.contains("openstack-0 is not private"), "{told}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(private_directory(&path).is_ok());
    }

    #[test]
    fn a_directory_that_leaves_no_room_for_sockets_is_refused_before_it_is_made() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("d".repeat(oslo_rpc::socket::MAX_SOCKET_DIR));
        let told = RuntimeDir::prepare(&wanted(path.clone(), true), None).unwrap_err().to_string();
        assert!(told.contains("rpc_zmq_ipc_dir to a directory of at most"), "{told}");
        assert!(!path.exists());
    }
}
