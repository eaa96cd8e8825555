//! One connection at work: the only place where the protocol, a stream and a socket's pattern meet.
//!
//! Two steps. [`Session::handshake`] runs until the peer's READY; until then there is no peer, and routing does not
//! know of it. [`Session::run`] then moves messages between the stream and a [`Port`], its place in the socket.
//!
//! Work is done per batch: one read brings many messages, which leave as one run; all that waits is written with one
//! `writev`. What comes while a write is under way goes with the next one, so batches grow with load and a lone
//! message leaves at once.

mod busy_poll;
mod farewell;

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
    time::Instant,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWrite as _},
    task::yield_now,
    time::{Sleep, sleep_until},
};

use crate::{
    pattern::Budget,
    proto::{Connection, Credentials, Event, Fault, PeerInfo, ProtocolError, Run},
    transport::Stream,
};
use busy_poll::BusyPoll;
use farewell::{Farewell, Peer};

/// A peer's place in its socket.
pub(crate) trait Port: Send + 'static {
    /// The peer takes part from now on.
    fn attach(&mut self, peer: &PeerInfo);

    /// Takes messages that came. Pending: it is full, is called again with what is left in `run` when it wakes the
    /// task, and nothing is read until then.
    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()>;

    /// The peer subscribes, or no longer.
    fn handle_subscription(&mut self, prefix: Bytes, subscribe: bool) -> Result<(), ProtocolError>;

    /// Gives the connection what is to be sent. Ready when it gave something or when all is over.
    fn poll_feed(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Feed>;

    /// Ready when the socket is closed and nothing is left to send.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// The peer is gone; `unsent` is what [`poll_feed`](Self::poll_feed) gave that was not written whole, `written`
    /// how many messages were.
    fn detach(&mut self, unsent: VecDeque<Run>, written: u64);
}

/// What [`Port::poll_feed`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// Something to send.
    Fed,
    /// The socket is closed and all was given. What comes until the peer's end is still delivered.
    Closed,
    /// The socket is closed, and what comes is of no use.
    Over,
}

/// How far a handshake has come.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// It waits for a decision.
    Asks(Credentials),
    /// It is over.
    Ready(PeerInfo),
}

/// How much went over a connection, in whole messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Written to the peer.
    pub sent: u64,
    /// That came from the peer.
    pub received: u64,
}

/// Why a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// This side closed it, all sent.
    #[error("closed by this side")]
    Closed,
    /// The peer closed it.
    #[error("closed by the peer")]
    PeerClosed,
    /// The stream failed.
    #[error("{0}")]
    Io(#[source] std::sync::Arc<io::Error>),
    /// The peer broke the protocol.
    #[error("{0}")]
    Protocol(#[source] ProtocolError),
    /// The shared [budget](crate::Options::budget) has no octets left for the message that the peer was sending.
    #[error("no memory is left for the message that was coming")]
    OverBudget,
}

impl Disconnect {
    /// A constant label for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::PeerClosed => "peer-closed",
            Self::Io(_) => "io",
            Self::Protocol(error) => error.reason(),
            Self::OverBudget => "memory-limit",
        }
    }

    /// What kind of fault it was, of the peer or for a limit of this side; `None` when there was none.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Closed | Self::PeerClosed | Self::Io(_) => None,
            Self::Protocol(error) => Some(error.fault()),
            Self::OverBudget => Some(Fault::Limit),
        }
    }
}

impl From<io::Error> for Disconnect {
    fn from(error: io::Error) -> Self {
        Self::Io(error.into())
    }
}

impl From<ProtocolError> for Disconnect {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

/// A connection and its stream.
pub(crate) struct Session {
    stream: Box<dyn Stream>,
    connection: Connection,
    timer: Option<Pin<Box<Sleep>>>,
    unfinished: Unfinished,
    busy_poll: BusyPoll,
}

impl Session {
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        connection: Connection,
        budget: Option<Budget>,
        busy_poll: Duration,
    ) -> Self {
        let unfinished = Unfinished { budget, octets: 0 };
        Self { stream, connection, timer: None, unfinished, busy_poll: BusyPoll::new(busy_poll) }
    }

    /// Runs until the peer's READY, or until somebody has to decide whether the peer may come in.
    pub(crate) async fn handshake(&mut self) -> Result<Handshake, Disconnect> {
        poll_fn(|cx| {
            loop {
                match self.connection.poll_event() {
                    Ok(Some(Event::Ready(peer))) => return Poll::Ready(Ok(Handshake::Ready(peer))),
                    Ok(Some(Event::Authenticate(credentials))) => {
                        return Poll::Ready(Ok(Handshake::Asks(credentials)));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        // An ERROR command may tell the peer why; if it can't be written at once, so be it.
                        let _ = self.poll_write(cx);
                        return Poll::Ready(Err(error.into()));
                    }
                }
                let _ = self.poll_write(cx)?;
                match self.poll_read(cx)? {
                    Poll::Ready(0) => {
                        let error = self.connection.handle_eof().err();
                        return Poll::Ready(Err(error.map_or(Disconnect::PeerClosed, Into::into)));
                    }
                    Poll::Ready(_) => {}
                    Poll::Pending => break,
                }
            }
            self.poll_timer(cx).map(Err)
        })
        .await
    }

    /// The peer that [asked](Handshake::Asks) may come in: the [`handshake`](Self::handshake) goes on.
    pub(crate) fn authorize(&mut self) {
        self.connection.authorize();
    }

    /// It may not: the [`handshake`](Self::handshake) goes on to tell it so, and fails.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.connection.refuse(reason);
    }

    /// When the handshake has to be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    /// Moves messages until one side ends it. Dropping the future ends it too; either way the port is detached and
    /// gets back what was not written.
    pub(crate) fn run<'p, P: Port>(self: Box<Self>, port: &'p mut P, peer: &PeerInfo) -> Attached<'p, P> {
        port.attach(peer);
        Attached {
            session: self,
            port,
            waiting: Run::default(),
            received: 0,
            blocked: false,
            farewell: Farewell::default(),
            detached: false,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<usize>> {
        let mut buffer = self.connection.read_buffer();
        // The future keeps no state between polls, so a new one each time is the same.
        let read = pin!(self.stream.read_buf(&mut buffer)).poll(cx)?;
        if read.is_pending() {
            self.connection.handle_idle();
        }
        Ok(read.map(|_| self.connection.handle_read()))
    }

    /// Writes until all is written (Ready) or the stream takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        while self.connection.wants_write() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let n = self.connection.poll_transmit(&mut slices);
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..n])? else {
                return Ok(Poll::Pending);
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.connection.handle_written(written);
        }
        // For streams with a buffer of their own, such as TLS; a no-op for sockets.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(flushed) => flushed.map(Poll::Ready),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let Some(at) = self.connection.poll_timeout() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        if timer.deadline() != at.into() {
            timer.as_mut().reset(at.into());
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => match self.connection.handle_timeout(Instant::now()) {
                Err(error) => Poll::Ready(error.into()),
                Ok(()) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

/// What an unfinished message takes of the budget: otherwise many peers that never finish theirs would hold more than
/// any queue may.
struct Unfinished {
    budget: Option<Budget>,
    octets: usize,
}

impl Unfinished {
    fn update(&mut self, octets: usize) -> Result<(), Disconnect> {
        let Some(budget) = self.budget.as_ref().filter(|_| octets != self.octets) else { return Ok(()) };
        if octets > self.octets && budget.left() < octets - self.octets {
            return Err(Disconnect::OverBudget);
        }
        budget.give_back(self.octets);
        budget.take(octets);
        self.octets = octets;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.octets);
        }
    }
}

/// A session in its port; detaches when dropped. A future by hand, since the memory of an idle connection is mostly what
/// its task holds, and an `async fn` holds its arguments twice.
pub(crate) struct Attached<'p, P: Port> {
    session: Box<Session>,
    port: &'p mut P,
    /// Messages that came and wait for room in the port.
    waiting: Run,
    /// Messages that came.
    received: u64,
    /// The port is full. Nothing is read: the kernel's buffer fills and the peer stops.
    blocked: bool,
    farewell: Farewell,
    detached: bool,
}

impl<P: Port> Attached<'_, P> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        match self.poll_work(cx) {
            Ok(Poll::Pending) => {
                if self.blocked {
                    self.session.connection.handle_unread();
                }
                self.session.poll_timer(cx)
            }
            Ok(Poll::Ready(end)) => Poll::Ready(end),
            Err(end) => {
                let _ = self.session.poll_write(cx);
                Poll::Ready(end)
            }
        }
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> Result<Poll<Disconnect>, Disconnect> {
        self.deliver(cx)?;
        if !self.farewell.has_begun()
            && let Some(closed) = self.write(cx)?
        {
            if closed == Feed::Over {
                return Ok(Pin::new(&mut self.session.stream).poll_shutdown(cx).map(|_| Disconnect::Closed));
            }
            self.farewell.begin();
        }
        for _ in 0..ROUNDS {
            if self.blocked {
                return Ok(Poll::Pending);
            }
            match self.session.poll_read(cx)? {
                Poll::Ready(0) => {
                    self.session.connection.handle_eof()?;
                    return Ok(Poll::Ready(if self.farewell.has_begun() {
                        Disconnect::Closed
                    } else {
                        Disconnect::PeerClosed
                    }));
                }
                Poll::Ready(_) => {
                    self.session.busy_poll.handle_read(Instant::now);
                    self.tell_farewell(cx, true)?;
                }
                Poll::Pending => {
                    self.tell_farewell(cx, false)?;
                    if self.session.busy_poll.looks_again(Instant::now) {
                        // Back after the runtime's driver has looked at all that it watches.
                        let _ = pin!(yield_now()).poll(cx);
                    }
                    return Ok(Poll::Pending);
                }
            }
            self.deliver(cx)?;
            if !self.farewell.has_begun() && self.session.connection.wants_write() {
                let _ = self.session.poll_write(cx)?;
            }
        }
        // Others on this thread have their turn. A plain wake would bring this task back before a runtime of one thread
        // looks at its main future again, which may be the very one that is to receive.
        let _ = pin!(yield_now()).poll(cx);
        Ok(Poll::Pending)
    }

    /// Closes this side's half when all is sent and the moment has come.
    fn tell_farewell(&mut self, cx: &mut Context<'_>, has_come: bool) -> io::Result<()> {
        if !self.farewell.has_begun() {
            return Ok(());
        }
        let peer = match self.session.connection.is_between_messages() {
            _ if has_come => Peer::Sends,
            _ if self.received == 0 => Peer::Listens,
            true => Peer::Rests,
            false => Peer::Halts,
        };
        if self.farewell.poll_moment(cx, peer).is_ready()
            && Pin::new(&mut self.session.stream).poll_shutdown(cx)?.is_ready()
        {
            self.farewell.finish();
        }
        Ok(())
    }

    /// Hands on what has come until nothing is left or the port is full.
    fn deliver(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        loop {
            if self.blocked || !self.waiting.is_empty() {
                self.blocked = self.port.poll_deliver(cx, &mut self.waiting).is_pending();
                if self.blocked {
                    return Ok(());
                }
            }
            let session = &mut self.session;
            let event = session.connection.poll_event()?;
            // Before the message is handed on: from then on its queue counts it.
            session.unfinished.update(session.connection.unfinished())?;
            match event {
                None => return Ok(()),
                Some(Event::Run(run)) => {
                    self.received += run.messages() as u64;
                    self.waiting = run;
                }
                Some(Event::Subscribe(prefix)) => self.port.handle_subscription(prefix, true)?,
                Some(Event::Cancel(prefix)) => self.port.handle_subscription(prefix, false)?,
                // Of the handshake, which is over.
                Some(Event::Ready(_) | Event::Authenticate(_)) => {}
            }
        }
    }

    /// Writes what there is to write; tells how the socket is closed when it is and all is written.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<Option<Feed>, Disconnect> {
        loop {
            if self.session.poll_write(cx)?.is_pending() {
                return Ok(None);
            }
            match self.port.poll_feed(cx, &mut self.session.connection) {
                Poll::Ready(Feed::Fed) => {}
                Poll::Ready(closed) => return Ok(Some(closed)),
                Poll::Pending => return Ok(None),
            }
        }
    }
}

impl<P: Port> Attached<'_, P> {
    fn detach(&mut self) {
        if !std::mem::replace(&mut self.detached, true) {
            let connection = &mut self.session.connection;
            let unsent = connection.take_unsent();
            self.port.detach(unsent, connection.messages_written());
        }
    }
}

impl<P: Port> Future for Attached<'_, P> {
    type Output = (Disconnect, Traffic);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let cause = ready!(self.poll_end(cx));
        self.detach();
        let sent = self.session.connection.messages_written();
        Poll::Ready((cause, Traffic { sent, received: self.received }))
    }
}

impl<P: Port> Drop for Attached<'_, P> {
    fn drop(&mut self) {
        self.detach();
    }
}

/// Slices of one `writev`: enough for 64 large bodies with their headers between; the kernel takes 1,024.
const MAX_SLICES: usize = 128;
/// Reads of one poll before other tasks have their turn: 128 KiB. Beside four reads (and twice the kept pages), 64 senders to
/// one PULL cost the receiver about a tenth less and a third less memory, and a PUB's 32 receivers a few percent more; beside
/// one read, one sender was the same within noise.
const ROUNDS: usize = 2;
