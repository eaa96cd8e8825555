//! The file of a Unix socket: who may use it, when it may be replaced, when it is removed.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::time::sleep;

/// Who may use a socket; what is not said is left to the umask and to the process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Access {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// The file of a bound socket; unlinked on drop if it is still that file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// A directory of its own.
    directory: Option<PathBuf>,
}

impl SocketFile {
    /// Binds `socket`, which does not listen yet: until it does nobody can connect, whatever the mode.
    pub(super) fn bind(socket: &Socket, path: &Path, access: Access) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            make_way(path)?;
            socket.bind(&address)?;
        }
        let found = fs::symlink_metadata(path)?;
        // From here on the file is removed if anything goes wrong.
        let file = Self { path: path.to_owned(), device: found.dev(), inode: found.ino(), directory: None };
        if access.uid.is_some() || access.gid.is_some() {
            lchown(path, access.uid, access.gid)?;
        }
        if let Some(mode) = access.mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(file)
    }

    /// The same under a fresh name, in a directory that only this user can enter unless the access says otherwise.
    pub(super) fn bind_anywhere(socket: &Socket, access: Access) -> io::Result<Self> {
        let directory = fresh_directory()?;
        let file = Self::bind(socket, &directory.join("socket"), access);
        match file {
            Ok(mut file) => {
                file.directory = Some(directory);
                Ok(file)
            }
            Err(error) => {
                let _ = fs::remove_dir(&directory);
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails when another process took the path between `bind` and `listen`, when the socket looked like a dead one.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_ours() { Ok(()) } else { Err(in_use("another process took the path meanwhile")) }
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nobody is left to tell of a failure, and the next bind replaces a dead socket.
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Waits until nobody else of this machine who uses this crate is binding `path`. Between `bind` and `listen` a socket looks
/// dead, and what lies at the path a moment later may be another's.
///
/// The lock is an abstract socket, since nothing of it is left behind whatever becomes of the process. Anyone may hold it,
/// so it is waited for in vain only so long.
pub(super) async fn take_turn(path: &Path) -> Option<Socket> {
    let directory =
        fs::metadata(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")));
    let directory = directory.ok()?;
    let mut name = format!("\0zmtp-bind-{:x}-{:x}-", directory.dev(), directory.ino()).into_bytes();
    name.extend_from_slice(path.file_name()?.as_encoded_bytes());
    // Of longer names those with the same start take turns too.
    name.truncate(MAX_ABSTRACT);
    let lock = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    let address = SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&name))).ok()?;
    for _ in 0..TURNS {
        match lock.bind(&address) {
            Ok(()) => return Some(lock),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(TURN).await,
            Err(_) => return None,
        }
    }
    None
}

/// Removes a dead socket from `path`; an error when something else is there.
///
/// It moves aside first, and is asked once more there: what was bound and did not listen yet looked dead. If it lives by
/// now, or if what moved is not what was found dead, another process has bound the path in between: its socket gets the
/// path back.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is not a socket; move it away or bind another path",
        ));
    }
    match is_served(path) {
        Ok(false) => {}
        Ok(true) => return Err(in_use("another process serves this socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // Short, since what is asked there has a path of 107 octets too.
    let aside = path.with_file_name(format!(".{:08x}", random() as u32));
    fs::rename(path, &aside)?;
    let moved = fs::symlink_metadata(&aside)?;
    let is_what_was_found = (moved.dev(), moved.ino()) == (found.dev(), found.ino());
    if is_what_was_found && !is_served(&aside).unwrap_or(false) {
        return fs::remove_file(&aside);
    }
    let given_back = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    given_back.and_then(|()| Err(in_use("another process has just bound this socket")))
}

/// Whether somebody listens at a socket.
fn is_served(path: &Path) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A live server whose backlog is full must not hold up this process.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error),
    }
}

fn fresh_directory() -> io::Result<PathBuf> {
    let parent = std::env::temp_dir();
    for _ in 0..ATTEMPTS {
        let path = parent.join(format!("zmtp-{:016x}", random()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(path),
        }
    }
    Err(in_use("no free name in the directory for temporary files"))
}

/// A name that nobody else has: the standard library's only source of randomness is good enough for that.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn in_use(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, problem)
}

/// A second name that is taken is no accident.
const ATTEMPTS: usize = 8;
/// `sun_path` has 108 octets (unix(7)).
const MAX_ABSTRACT: usize = 107;
/// Binding takes some tens of microseconds.
const TURN: Duration = Duration::from_millis(1);
/// Half a second in all.
const TURNS: usize = 500;
