//! A stream of octets with an address. Transports do not know ZMTP.
//!
//! An [`Endpoint`] is `scheme://address`; the scheme picks the [`Transport`]. `tcp`, `ipc` and `memory` are built in;
//! a program adds its own with [`Options::transport`](crate::Options::transport), or hands over a stream that it
//! opened itself with [`attach`](crate::Push::attach). What can be set for the first two is at [`Tcp`] and [`Ipc`].

mod endpoint;
mod ipc;
mod memory;
mod tcp;
mod registry;

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite};

pub use endpoint::{Endpoint, EndpointError};
pub use ipc::Ipc;
pub(crate) use registry::Registry;
pub use tcp::{Network, NotANetwork, Tcp};

/// A stream of octets in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A future in a box, so that [`Transport`] can be used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens streams to addresses of one scheme.
///
/// Addresses are what follows `://`. An error of kind [`io::ErrorKind::InvalidInput`] says that the address can never
/// work and ends reconnecting; after any other the socket tries again.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Starts to listen. The error's text should name what is in the way.
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Whether `address` can be connected to at all, without trying.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when it never can.
    fn check(&self, address: &str) -> io::Result<()> {
        let _ = address;
        Ok(())
    }

    /// Opens one stream. Called anew for each attempt, so names are resolved each time.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>>;

    /// Accepts from a socket that somebody else has opened.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] unless the transport has a use for it.
    fn adopt(&self, listener: OpenListener) -> io::Result<Box<dyn Listener>> {
        let _ = listener;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A socket that listens already, such as one inherited from systemd (libzmq: `ZMQ_USE_FD`). For
/// [`bind_open`](crate::Pull::bind_open).
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenListener {
    /// Of scheme `tcp`.
    Tcp(std::net::TcpListener),
    /// Of scheme `ipc`. Its file is left alone when it is closed.
    Ipc(std::os::unix::net::UnixListener),
}

impl OpenListener {
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Ipc(_) => "ipc",
        }
    }
}

impl From<std::net::TcpListener> for OpenListener {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<std::os::unix::net::UnixListener> for OpenListener {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self::Ipc(listener)
    }
}

/// Accepts streams. Dropping it stops listening and removes what it made in the file system.
pub trait Listener: Send + 'static {
    /// The address as bound, with the port that the system chose.
    fn address(&self) -> String;

    /// The next stream. An error of kind [`io::ErrorKind::PermissionDenied`] says that somebody was turned away; after any
    /// other but [`io::ErrorKind::ConnectionAborted`] the socket pauses before it accepts again.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>>;
}

/// An open stream and who is at its other end.
pub struct Link {
    /// The stream.
    pub stream: Box<dyn Stream>,
    /// The other end for logs and events, such as `10.0.0.7:51234` or `/run/x.sock pid 812 uid 0`.
    pub peer: String,
    /// The process at its other end, where the system vouches for that.
    pub process: Option<Process>,
}

/// A process of this machine, as the kernel knows it: as it was when the stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its number; it may be another process's by now.
    pub pid: Option<i32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl Link {
    /// A stream, and who is at its other end.
    pub fn new(stream: impl Stream, peer: impl Into<String>) -> Self {
        Self { stream: Box::new(stream), peer: peer.into(), process: None }
    }

    /// The same, of a process.
    #[must_use]
    pub fn of_process(mut self, process: Process) -> Self {
        self.process = Some(process);
        self
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}
