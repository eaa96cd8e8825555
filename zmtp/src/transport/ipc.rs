//! `ipc://PATH`, `ipc://@NAME`, `ipc://*`: Unix stream sockets.

mod file;

use std::{
    io,
    path::PathBuf,
    task::{Context, Poll, ready},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::{BoxFuture, Link, Listener, OpenListener, Process, Transport};
use file::{Access, SocketFile, take_turn};

/// Unix stream sockets, in the file system or abstract (Linux). For [`Options::ipc`](crate::Options::ipc).
///
/// Binding never takes what is not ours: a regular file, a symbolic link or the socket of a live server at the path is
/// an error. A socket that nobody serves is replaced. Dropping the listener unlinks the path if the file there is still
/// the one that was bound. libzmq does none of this: it removes whatever is in its way, and leaves its own behind.
///
/// The address `*` binds a fresh path in the directory for temporary files, where only this user can connect. A name after
/// an `@` is abstract: no file, and no permissions either; whoever is on the machine can connect, unless one of the
/// `accept` filters is set, or an [`Authenticator`](crate::Authenticator) looks at the peer's
/// [process](crate::Applicant::process).
///
/// A path has at most 107 octets; so does a name with its `@`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zmtp::{Options, Pull, Push, transport::Ipc};
///
/// let mut pull = Pull::new(Options::new().ipc(Ipc::new().mode(0o660)));
/// let endpoint = pull.bind("ipc://*").await?;
/// let push = Push::new(Options::new());
/// push.connect(endpoint.as_str())?;
/// push.send("hello").await?;
/// assert_eq!(pull.recv().await, "hello".into());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Ipc {
    access: Access,
    backlog: u32,
    accept: Vec<Accept>,
}

/// Who may connect.
#[derive(Debug, Clone, Copy)]
enum Accept {
    Uid(u32),
    Gid(u32),
    Pid(i32),
}

impl Ipc {
    /// The defaults: the mode that the umask leaves of 0777, as with libzmq; everybody is accepted who may write there.
    pub const fn new() -> Self {
        Self { access: Access { mode: None, uid: None, gid: None }, backlog: BACKLOG, accept: Vec::new() }
    }

    /// The mode of the file, whatever the umask. To connect, a process needs write permission. It is set before anyone can
    /// connect.
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// The user and the group that own the file; `None` leaves one as it is. It is set before anyone can connect.
    pub fn owner(mut self, uid: Option<u32>, gid: Option<u32>) -> Self {
        (self.access.uid, self.access.gid) = (uid, gid);
        self
    }

    /// Connections that may wait to be accepted (`ZMQ_BACKLOG`); the kernel cuts it to `net.core.somaxconn`. Default: 4,096.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Accepts processes of this user, and whom else a filter names; nobody else (`ZMQ_IPC_FILTER_UID`). Who is turned away
    /// shows in the monitor, and is counted as `accept-filter`.
    pub fn accept_uid(mut self, uid: u32) -> Self {
        self.accept.push(Accept::Uid(uid));
        self
    }

    /// The same by effective group (`ZMQ_IPC_FILTER_GID`). Further groups do not count, which libzmq looks up by the user's
    /// name: such a list is the system's at that moment, not the process's. The kernel's own (`SO_PEERGROUPS`) is not to
    /// be had without `unsafe`. Let members of a group in by the file's mode and owner, [`mode`](Self::mode) and [`owner`](Self::owner).
    pub fn accept_gid(mut self, gid: u32) -> Self {
        self.accept.push(Accept::Gid(gid));
        self
    }

    /// The same by process (`ZMQ_IPC_FILTER_PID`).
    pub fn accept_pid(mut self, pid: i32) -> Self {
        self.accept.push(Accept::Pid(pid));
        self
    }

    fn admits(&self, process: &Process) -> bool {
        let fits = |accept: &Accept| match *accept {
            Accept::Uid(uid) => process.uid == uid,
            Accept::Gid(gid) => process.gid == gid,
            Accept::Pid(pid) => process.pid == Some(pid),
        };
        self.accept.is_empty() || self.accept.iter().any(fits)
    }
}

impl Default for Ipc {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for Ipc {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // Until it listens.
            let mut _turn = None;
            let file = match socket_name(address)? {
                Name::Any => Some(SocketFile::bind_anywhere(&socket, self.access)?),
                Name::Path(path) => {
                    _turn = take_turn(&path).await;
                    Some(SocketFile::bind(&socket, &path, self.access)?)
                }
                Name::Abstract(name) => {
                    socket.bind(&SockAddr::unix(name)?)?;
                    None
                }
            };
            socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
            let address = match &file {
                Some(file) => {
                    file.check()?;
                    file.path().to_str().ok_or(io::ErrorKind::InvalidInput)?.to_owned()
                }
                None => address.to_owned(),
            };
            socket.set_nonblocking(true)?;
            let listener = UnixListener::from_std(socket.into())?;
            let listener: Box<dyn Listener> =
                Box::new(IpcAcceptor { listener, address, ipc: self.clone(), _file: file });
            Ok(listener)
        })
    }

    fn check(&self, address: &str) -> io::Result<()> {
        connectable(address).map(drop)
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let (link, _) = link(UnixStream::connect(connectable(address)?).await?, address)?;
            Ok(link)
        })
    }

    fn adopt(&self, listener: OpenListener) -> io::Result<Box<dyn Listener>> {
        let OpenListener::Ipc(listener) = listener else { return Err(io::ErrorKind::InvalidInput.into()) };
        let name = listener.local_addr()?;
        let address = match name.as_pathname() {
            Some(path) => path.to_string_lossy().into_owned(),
            None => format!("@{}", String::from_utf8_lossy(abstract_name(&name).unwrap_or(b"nameless"))),
        };
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Box::new(IpcAcceptor { listener, address, ipc: self.clone(), _file: None }))
    }
}

struct IpcAcceptor {
    listener: UnixListener,
    address: String,
    ipc: Ipc,
    _file: Option<SocketFile>,
}

impl Listener for IpcAcceptor {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        let (link, process) = link(stream, &self.address)?;
        if !self.ipc.admits(&process) {
            let text = format!("{} group {} passes no filter", link.peer, process.gid);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, text)));
        }
        Poll::Ready(Ok(link))
    }
}

#[derive(Debug)]
enum Name {
    Any,
    Path(PathBuf),
    /// With a NUL octet in front, as the libraries take it.
    Abstract(PathBuf),
}

fn socket_name(address: &str) -> io::Result<Name> {
    let invalid = |problem: String| Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    if address.len() > MAX_NAME {
        return invalid(format!("a Unix socket's path has at most {MAX_NAME} octets, this one has {}", address.len()));
    }
    match address.strip_prefix('@') {
        Some("") => invalid("nothing after the @ of an abstract name".into()),
        Some(name) => Ok(Name::Abstract(PathBuf::from(format!("\0{name}")))),
        None if address == "*" => Ok(Name::Any),
        None => Ok(Name::Path(PathBuf::from(address))),
    }
}

fn connectable(address: &str) -> io::Result<PathBuf> {
    match socket_name(address)? {
        Name::Path(path) | Name::Abstract(path) => Ok(path),
        Name::Any => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a wildcard is for bind only; name the path to connect to"))
        }
    }
}

fn link(stream: UnixStream, address: &str) -> io::Result<(Link, Process)> {
    let who = stream.peer_cred()?;
    let process = Process { pid: who.pid(), uid: who.uid(), gid: who.gid() };
    let pid = process.pid.map_or_else(String::new, |pid| format!(" pid {pid}"));
    let peer = format!("{address}{pid} uid {}", process.uid);
    Ok((Link::new(stream, peer).of_process(process), process))
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &std::os::unix::net::SocketAddr) -> Option<&[u8]> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(address)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &std::os::unix::net::SocketAddr) -> Option<&[u8]> {
    None
}

/// `sun_path` has 108 octets, the last for the NUL (unix(7)).
const MAX_NAME: usize = 107;
/// As for TCP.
const BACKLOG: u32 = 4096;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        future::poll_fn,
        os::unix::fs::{MetadataExt, PermissionsExt},
        path::Path,
    };

    use super::*;

    async fn bind(path: &Path) -> io::Result<Box<dyn Listener>> {
        Ipc::new().bind(path.to_str().unwrap()).await
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
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).await.err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        let target = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &target).unwrap();
        assert!(bind(&target).await.is_err());
        let dangling = dir.path().join("dangling");
        std::os::unix::fs::symlink(dir.path().join("nothing"), &dangling).unwrap();
        assert!(bind(&dangling).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(fs::symlink_metadata(&dangling).unwrap().is_symlink());
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
            assert_eq!(Ipc::new().bind(bad).await.err().unwrap().kind(), io::ErrorKind::InvalidInput);
        }
        let text = Ipc::new().check(&"x".repeat(200)).unwrap_err().to_string();
        assert_eq!(text, "a Unix socket's path has at most 107 octets, this one has 200");
        assert!(Ipc::new().check("*").is_err());
        let name = format!("@zmtp-test-{}", std::process::id());
        let _listener = Ipc::new().bind(&name).await.unwrap();
        let link = Ipc::new().connect(&name).await.unwrap();
        assert!(link.peer.contains("uid"));
        assert_eq!(link.process.unwrap().pid, Some(std::process::id() as i32));
    }

    #[tokio::test]
    async fn a_name_of_107_octets_is_bound_and_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_str().unwrap();
        let path = format!("{dir}/{}", "x".repeat(106 - dir.len()));
        let _listener = Ipc::new().bind(&path).await.unwrap();
        Ipc::new().connect(&path).await.unwrap();
        let name = format!("@{:x<106}", std::process::id());
        let _listener = Ipc::new().bind(&name).await.unwrap();
        Ipc::new().connect(&name).await.unwrap();
    }

    #[tokio::test]
    async fn mode_and_owner_are_as_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (uid, gid) = {
            let own = fs::metadata(dir.path()).unwrap();
            (own.uid(), own.gid())
        };
        // Giving a file away takes a privilege that its owner need not have.
        let (uid, gid) = if uid == 0 { (12, 34) } else { (uid, gid) };
        for mode in [0o600, 0o660, 0o666] {
            let ipc = Ipc::new().mode(mode).owner(Some(uid), Some(gid));
            let _listener = ipc.bind(path.to_str().unwrap()).await.unwrap();
            let found = fs::metadata(&path).unwrap();
            assert_eq!((found.permissions().mode() & 0o777, found.uid(), found.gid()), (mode, uid, gid));
        }
        assert!(!path.exists());
    }

    #[test]
    fn nobody_connects_before_the_mode_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let file = SocketFile::bind(&socket, &path, Access { mode: Some(0o600), ..Access::default() }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let early = std::os::unix::net::UnixStream::connect(&path);
        assert_eq!(early.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        socket.listen(1).unwrap();
        std::os::unix::net::UnixStream::connect(file.path()).unwrap();
    }

    #[tokio::test]
    async fn a_wildcard_is_a_path_of_its_own_and_leaves_nothing() {
        let [a, b] = [Ipc::new().bind("*").await.unwrap(), Ipc::new().bind("*").await.unwrap()];
        let (path, other) = (PathBuf::from(a.address()), PathBuf::from(b.address()));
        assert_ne!(path, other);
        let directory = path.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        Ipc::new().connect(&a.address()).await.unwrap();
        drop(a);
        assert!(!directory.exists() && other.exists());
    }

    #[tokio::test]
    async fn filters_look_at_the_process() {
        let own = std::process::id() as i32;
        let dir = tempfile::tempdir().unwrap();
        let (uid, gid) = {
            let made = fs::metadata(dir.path()).unwrap();
            (made.uid(), made.gid())
        };
        let cases = [
            (Ipc::new().accept_uid(uid), true),
            (Ipc::new().accept_uid(uid + 1), false),
            (Ipc::new().accept_gid(gid), true),
            (Ipc::new().accept_gid(gid + 1).accept_pid(own), true),
            (Ipc::new().accept_pid(own + 1).accept_uid(uid + 1), false),
        ];
        for (n, (ipc, welcome)) in cases.into_iter().enumerate() {
            let path = dir.path().join(n.to_string());
            let mut listener = ipc.bind(path.to_str().unwrap()).await.unwrap();
            let _stream = Ipc::new().connect(path.to_str().unwrap()).await.unwrap();
            let denied = poll_fn(|cx| listener.poll_accept(cx)).await.err().map(|error| error.kind());
            assert_eq!(denied, (!welcome).then_some(io::ErrorKind::PermissionDenied), "{n}");
        }
    }
}
