//! A stream of octets with an address. Transports do not know ZMTP.
//!
//! An [`Endpoint`] is `scheme://address`; the scheme picks the [`Transport`]. `tcp`, `ipc` and `memory` are built in;
//! a program adds its own with [`Options::transport`](crate::Options::transport), or hands over a stream that it
//! opened itself.

mod endpoint;
mod ipc;
mod memory;
mod tcp;
mod registry;

use std::{fmt, future::Future, io, pin::Pin, task::Context, task::Poll};

use tokio::io::{AsyncRead, AsyncWrite};

pub use endpoint::{Endpoint, EndpointError};
pub(crate) use registry::Registry;
pub use tcp::Tcp;

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
}

/// Accepts streams. Dropping it stops listening and removes what it made in the file system.
pub trait Listener: Send + 'static {
    /// The address as bound, with the port that the system chose.
    fn address(&self) -> String;

    /// The next stream.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>>;
}

/// An open stream and who is at its other end.
pub struct Link {
    /// The stream.
    pub stream: Box<dyn Stream>,
    /// The other end for logs and events, such as `10.0.0.7:51234` or `/run/x.sock pid 812 uid 0`.
    pub peer: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}
