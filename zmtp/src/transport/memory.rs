//! `memory://NAME`: both ends in one process, for tests and examples. Names are the process's, as abstract Unix
//! sockets are the machine's.

use std::{
    collections::HashMap,
    io,
    sync::{LazyLock, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{io::duplex, sync::mpsc};

use super::{BoxFuture, Link, Listener, Transport};

/// Pairs of in-process pipes.
#[derive(Debug)]
pub(crate) struct Memory;

impl Transport for Memory {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
            if names.contains_key(address) {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another socket of this process has this name"));
            }
            let (sender, links) = mpsc::channel(BACKLOG);
            names.insert(address.to_owned(), sender);
            let listener: Box<dyn Listener> = Box::new(MemoryAcceptor { name: address.to_owned(), links });
            Ok(listener)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let refused =
                || io::Error::new(io::ErrorKind::ConnectionRefused, "no socket of this process has this name");
            let sender = NAMES.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
            let (ours, theirs) = duplex(PIPE);
            let link = |stream| Link::new(stream, format!("memory://{address}"));
            sender.ok_or_else(refused)?.send(link(theirs)).await.map_err(|_| refused())?;
            Ok(link(ours))
        })
    }
}

struct MemoryAcceptor {
    name: String,
    links: mpsc::Receiver<Link>,
}

impl Listener for MemoryAcceptor {
    fn address(&self) -> String {
        self.name.clone()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let link = ready!(self.links.poll_recv(cx));
        Poll::Ready(link.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe)))
    }
}

impl Drop for MemoryAcceptor {
    fn drop(&mut self) {
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

static NAMES: LazyLock<Mutex<HashMap<String, mpsc::Sender<Link>>>> = LazyLock::new(Mutex::default);
/// Connects that wait to be accepted.
const BACKLOG: usize = 128;
/// Octets of one direction, the order of a socket buffer.
const PIPE: usize = 64 << 10;
