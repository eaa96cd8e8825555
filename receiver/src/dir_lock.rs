//! One daemon per directory of local sockets.
//!
//! Two that served one directory would take each other's sockets for stale. The lock is on the directory itself (flock(2)),
//! so it leaves no file behind and ends with the process, however that ends. It is advisory: services, and the original
//! daemon, know nothing of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, major, minor};
use thiserror::Error;

/// The directory is ours until this is dropped.
#[derive(Debug)]
pub struct DirLock {
    _directory: File,
}

/// The directory cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirLockError {
    /// Another receiver has it.
    #[error(
        "another receiver{} owns {}: stop it, or set rpc_zmq_ipc_dir to another directory",
        holder.map_or_else(String::new, |holder| format!(" (pid {holder})")), path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// Its process, where the system tells.
        holder: Option<u32>,
    },
    /// The system refuses.
    #[error("cannot lock the directory {}: {source}; let this user read it, or set rpc_zmq_ipc_dir", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl DirLock {
    /// Takes the directory without waiting.
    ///
    /// # Errors
    /// [`DirLockError`]: another receiver has it, or it cannot be read.
    pub fn take(path: &Path) -> Result<Self, DirLockError> {
        let system = |source| DirLockError::System { path: path.to_owned(), source };
        let directory = File::open(path).map_err(system)?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _directory: directory }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(DirLockError::Held { path: path.to_owned(), holder: holder(&directory) })
            }
            Err(errno) => Err(system(errno.into())),
        }
    }
}

/// Who has the lock: the process in the table of the kernel (proc_locks(5)), unless that is hidden from us.
fn holder(directory: &File) -> Option<u32> {
    let metadata = directory.metadata().ok()?;
    let device = metadata.dev();
    let inode = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    let table = fs::read_to_string("/proc/locks").ok()?;
    table.lines().find_map(|line| holder_in(line, &inode))
}

/// The process of a line such as `1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF`, if it is about that inode. Who waits for
/// a lock has an arrow behind the number.
fn holder_in(line: &str, inode: &str) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let process = fields.nth(2)?.parse().ok()?;
    (fields.next()? == inode).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirLock::take(directory.path()).unwrap();
        let told = DirLock::take(directory.path()).unwrap_err().to_string();
        assert!(told.starts_with("another receiver") && told.contains("set rpc_zmq_ipc_dir"), "{told}");
        drop(lock);
        DirLock::take(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_there_cannot_be_locked() {
        let told = DirLock::take(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(told.starts_with("cannot lock the directory /nonexistent: No such file"), "{told}");
    }

    #[test]
    fn the_table_of_the_kernel_names_the_holder() {
        let line = "1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF";
        assert_eq!(holder_in(line, "08:01:1234"), Some(812));
        assert_eq!(holder_in(line, "08:01:12"), None);
        assert_eq!(holder_in("1: POSIX  ADVISORY  WRITE 812 08:01:1234 0 EOF", "08:01:1234"), None);
        assert_eq!(holder_in("1: -> FLOCK  ADVISORY  WRITE 9 08:01:1234 0 EOF", "08:01:1234"), None);
        assert_eq!(holder_in("", ""), None);
    }
}
