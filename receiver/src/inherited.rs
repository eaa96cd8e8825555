//! A TCP socket that listens already, handed over by whoever started the process (systemd.socket(5)).
//!
//! Peers wait in its backlog while no receiver runs, so that a restart refuses no connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;
use zmtp::transport::{BoxFuture, Link, Listener, Transport};

/// Takes the place of `tcp` in a socket that binds once.
#[derive(Debug)]
pub(crate) struct Inherited(Mutex<Option<TcpListener>>);

impl Inherited {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self(Mutex::new(Some(listener)))
    }
}

impl Transport for Inherited {
    /// Whatever the address is: the socket has its own.
    fn bind<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            let listener = listener.ok_or(io::ErrorKind::AddrInUse)?;
            listener.set_nonblocking(true)?;
            let listener: Box<dyn Listener> = Box::new(Acceptor(tokio::net::TcpListener::from_std(listener)?));
            Ok(listener)
        })
    }

    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

struct Acceptor(tokio::net::TcpListener);

impl Listener for Acceptor {
    fn address(&self) -> String {
        self.0.local_addr().map(|address| address.to_string()).unwrap_or_default()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        // It fails only for a peer that is gone again.
        Poll::Ready(link(stream, peer).map_err(|_| io::ErrorKind::ConnectionAborted.into()))
    }
}

fn link(stream: TcpStream, peer: SocketAddr) -> io::Result<Link> {
    stream.set_nodelay(true)?;
    Ok(Link::new(stream, peer.to_string()))
}
