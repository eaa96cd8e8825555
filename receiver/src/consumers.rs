//! Who is connected to a topic's socket now: processes, as the system names them.
//!
//! They are counted where streams are accepted, beneath the protocol, so that messages cost nothing more. A process is
//! one from its connecting on, a moment before the socket takes it for a peer.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zmtp::transport::{BoxFuture, Ipc, Link, Listener, Process, Stream, Transport};

use crate::clock::Clock;
use crate::transit::Transit;

/// The consumers of one topic.
#[derive(Debug)]
pub(crate) struct Consumers {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    present: BTreeMap<u64, Consumer>,
    /// When the last one left, or the topic began.
    alone_since: u64,
}

/// A process at the other end of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Consumer {
    pub(crate) pid: Option<u32>,
    pub(crate) uid: Option<u32>,
    /// By the receiver's clock.
    pub(crate) since: u64,
}

impl Consumers {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let state = State { next: 0, present: BTreeMap::new(), alone_since: clock.now() };
        Arc::new(Self { clock, state: Mutex::new(state) })
    }

    /// Those that are connected, in the order in which they came.
    pub(crate) fn present(&self) -> Vec<Consumer> {
        self.lock().present.values().copied().collect()
    }

    /// Since when there is none; `None` while there is one.
    pub(crate) fn absent_since(&self) -> Option<u64> {
        let state = self.lock();
        state.present.is_empty().then_some(state.alone_since)
    }

    fn enter(self: &Arc<Self>, process: Option<Process>) -> Presence {
        let pid = process.and_then(|process| u32::try_from(process.pid?).ok());
        let uid = process.map(|process| process.uid);
        let consumer = Consumer { pid, uid, since: self.clock.now() };
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        state.present.insert(id, consumer);
        Presence { consumers: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `ipc` that knows who is connected, and tells when something was written.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) consumers: Arc<Consumers>,
    /// Of a queue.
    pub(crate) transit: Option<Arc<Transit>>,
}

impl Transport for Counted {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = IPC.bind(address).await?;
            let counting: Box<dyn Listener> =
                Box::new(Counting { listener, consumers: self.consumers.clone(), transit: self.transit.clone() });
            Ok(counting)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        IPC.connect(address)
    }
}

/// What it counts for.
static IPC: Ipc = Ipc::new();

struct Counting {
    listener: Box<dyn Listener>,
    consumers: Arc<Consumers>,
    transit: Option<Arc<Transit>>,
}

impl Listener for Counting {
    fn address(&self) -> String {
        self.listener.address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let link = ready!(self.listener.poll_accept(cx))?;
        let presence = self.consumers.enter(link.process);
        let stream = Present { stream: link.stream, presence, transit: self.transit.clone() };
        Poll::Ready(Ok(Link { stream: Box::new(stream), ..link }))
    }
}

/// A place among the consumers, given up on drop.
struct Presence {
    consumers: Arc<Consumers>,
    id: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.consumers.lock();
        state.present.remove(&self.id);
        if state.present.is_empty() {
            state.alone_since = self.consumers.clock.now();
        }
    }
}

/// The stream of a consumer, which is one as long as the stream is.
struct Present {
    stream: Box<dyn Stream>,
    presence: Presence,
    transit: Option<Arc<Transit>>,
}

impl AsyncRead for Present {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Present {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream).poll_flush(cx);
        // It follows each write, or several that were one batch.
        if flushed.is_ready()
            && let Some(transit) = self.transit.as_ref().filter(|transit| transit.is_under_way())
        {
            transit.note_written(self.presence.consumers.clock.now());
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_not_present_and_the_last_one_leaves_a_time() {
        let consumers = Consumers::new(Clock::new());
        let began = consumers.absent_since().unwrap();
        let (a, b) = (consumers.enter(None), consumers.enter(None));
        assert_eq!(consumers.present().len(), 2);
        assert!(consumers.absent_since().is_none());
        drop(a);
        assert_eq!(consumers.present().len(), 1);
        drop(b);
        assert!(consumers.absent_since().unwrap() >= began);
    }
}
