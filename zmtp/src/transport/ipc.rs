//! `ipc://PATH` and `ipc://@NAME`: Unix stream sockets, in the file system or abstract (Linux).
//!
//! Binding never takes what is not ours: a regular file, a symbolic link or the socket of a live server at the path is
//! an error. A socket that nobody serves is replaced. The mode of the file is what the umask leaves of 0777, as with
//! libzmq; to connect, a process needs write permission. Dropping the listener unlinks the path if the file there is
//! still the one that was bound.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    task::{Context, Poll, ready},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::{BoxFuture, Link, Listener, Transport};

/// Unix stream sockets: what is behind `ipc://`, for a [`Transport`] that adds something to it.
///
/// A [`Link`]'s peer is the address, then ` pid N` if the system tells, then ` uid N`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ipc;

impl Transport for Ipc {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let name = socket_name(address)?;
            let path = (!address.starts_with('@')).then(|| PathBuf::from(address));
            if let Some(path) = &path {
                make_way(path)?;
            }
            let listener = UnixListener::bind(name)?;
            let bound = path.map(BoundPath::new).transpose()?;
            let listener: Box<dyn Listener> =
                Box::new(IpcAcceptor { listener, address: address.into(), _bound: bound });
            Ok(listener)
        })
    }

    fn check(&self, address: &str) -> io::Result<()> {
        socket_name(address).map(|_| ())
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move { link(UnixStream::connect(socket_name(address)?).await?, address) })
    }
}

struct IpcAcceptor {
    listener: UnixListener,
    address: String,
    _bound: Option<BoundPath>,
}

impl Listener for IpcAcceptor {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(link(stream, &self.address))
    }
}

/// The file of a bound socket; unlinked on drop if it is still that file.
struct BoundPath {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl BoundPath {
    fn new(path: PathBuf) -> io::Result<Self> {
        let found = fs::symlink_metadata(&path)?;
        Ok(Self { path, device: found.dev(), inode: found.ino() })
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if let Ok(found) = fs::symlink_metadata(&self.path)
            && (found.dev(), found.ino()) == (self.device, self.inode)
        {
            // Nobody is left to tell, and the next bind replaces a dead socket.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a dead socket from `path`; an error when something else is there.
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
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A live server whose backlog is full must not hold up this process.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?).map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused, _)) => fs::remove_file(path),
        Err((io::ErrorKind::NotFound, _)) => Ok(()),
        Ok(()) | Err((io::ErrorKind::WouldBlock, _)) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves this socket"))
        }
        Err((_, error)) => Err(error),
    }
}

/// What tokio takes for a Unix socket's name: a path, or for an abstract one a name after a NUL octet.
fn socket_name(address: &str) -> io::Result<PathBuf> {
    let invalid = |problem| Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    if address.len() > MAX_NAME {
        return invalid("a Unix socket's path has at most 107 octets");
    }
    match address.strip_prefix('@') {
        Some("") => invalid("nothing after the @ of an abstract name"),
        Some(name) => Ok(PathBuf::from(format!("\0{name}"))),
        None => Ok(PathBuf::from(address)),
    }
}

fn link(stream: UnixStream, address: &str) -> io::Result<Link> {
    let who = stream.peer_cred()?;
    let pid = who.pid().map_or_else(String::new, |pid| format!(" pid {pid}"));
    let peer = format!("{address}{pid} uid {}", who.uid());
    Ok(Link { stream: Box::new(stream), peer })
}

/// `sun_path` has 108 octets, the last for the NUL (unix(7)).
const MAX_NAME: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind(path: &Path) -> io::Result<Box<dyn Listener>> {
        Ipc.bind(path.to_str().unwrap()).await
    }

    #[tokio::test]
    async fn only_dead_sockets_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead socket is in the way");
        let live = bind(&path).await.unwrap();
        assert_eq!(bind(&path).await.err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists());

        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).await.err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        let target = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &target).unwrap();
        assert!(bind(&target).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_no_longer_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let old = bind(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        let _new = bind(&path).await.unwrap();
        drop(old);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn names_are_checked() {
        for bad in ["@", &"x".repeat(108)] {
            assert_eq!(Ipc.bind(bad).await.err().unwrap().kind(), io::ErrorKind::InvalidInput);
        }
        let name = format!("@zmtp-test-{}", std::process::id());
        let _listener = Ipc.bind(&name).await.unwrap();
        assert!(Ipc.connect(&name).await.unwrap().peer.contains("uid"));
    }
}
