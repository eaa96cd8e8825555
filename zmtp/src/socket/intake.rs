//! A PULL that hands messages on as they come, without a queue of its own.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;

use super::{
    core::Core,
    lifecycle::lifecycle,
    lock::{Lock, LockGuard},
    monitor::Monitor,
    options::Options,
    outcome::{BindError, CloseReport},
    roster::Roster,
    shared::Socket,
    stats::Stats,
};
use crate::{
    pattern::PeerId,
    proto::{Connection, PeerInfo, ProtocolError, Run, SocketType},
    session::{Feed, Port},
    transport::{Endpoint, Link, OpenListener, Stream},
};

/// Takes the messages of one connection, in order: the seam for forwarders.
///
/// It is called from the connection's own task, so a message goes from one socket to another without a queue or a task
/// in between.
pub trait Inbox: Send + 'static {
    /// Takes messages from the front of `run`. When it returns [`Poll::Ready`] it has taken all; otherwise it is called
    /// again after it woke the task, and until then the connection is not read.
    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()>;
}

/// A PULL socket that gives what comes to an [`Inbox`] per connection.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{sync::Arc, task::{Context, Poll}};
/// use zmtp::{Inbox, Intake, Mark, Options, Pull, Push, Run};
///
/// /// Hands everything on to one socket, which has room for all.
/// struct Forward(Arc<Push>);
///
/// impl Inbox for Forward {
///     fn poll_deliver(&mut self, _: &mut Context<'_>, run: &mut Run) -> Poll<()> {
///         let _ = self.0.try_send_run(std::mem::take(run));
///         Poll::Ready(())
///     }
/// }
///
/// let out = Arc::new(Push::new(Options::new().backlog(Mark::UNLIMITED)));
/// out.bind("memory://intake-out").await?;
/// let forward = out.clone();
/// let intake = Intake::new(Options::new(), move |_peer| Forward(forward.clone()));
/// intake.bind("memory://intake-in").await?;
///
/// let push = Push::new(Options::new());
/// push.connect("memory://intake-in")?;
/// push.send("through").await?;
/// let mut pull = Pull::new(Options::new());
/// pull.connect("memory://intake-out")?;
/// assert_eq!(pull.recv().await, "through".into());
/// # Ok(())
/// # }
/// ```
pub struct Intake<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> {
    core: Core<IntakeSocket<F>>,
}

impl<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> Intake<F, I> {
    /// A socket without endpoints. `inbox` makes the inbox of a connection from the text that describes the peer.
    pub fn new(options: Options, inbox: F) -> Self {
        let socket =
            IntakeSocket { inbox, roster: Lock::default(), received: AtomicU64::new(0), peers: AtomicUsize::new(0) };
        Self { core: Core::new(Arc::new(socket), options) }
    }

    lifecycle!();

    /// Ends listening at all endpoints, for good. The connections that are go on.
    pub fn stop_listening(&self) {
        self.core.stop_listening();
    }

    /// Stops listening and tells all peers, hands on what they had sent by then, and ends when they have ended their
    /// connections, or after `linger`. libzmq does so at once, and keeps what it has not sent. Counters can still be
    /// read. Dropping the future ends the connections at once.
    pub async fn close(&self, linger: Duration) -> CloseReport {
        self.core.close(linger).await
    }
}

struct IntakeSocket<F> {
    inbox: F,
    roster: Lock<Roster>,
    received: AtomicU64,
    peers: AtomicUsize,
}

impl<F> IntakeSocket<F> {
    fn roster(&self) -> LockGuard<'_, Roster> {
        self.roster.lock()
    }
}

impl<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> Socket for IntakeSocket<F> {
    const TYPE: SocketType = SocketType::Pull;
    type Port = IntakePort<F, I>;

    fn port(self: &Arc<Self>, peer: &str, _lasting: bool) -> Self::Port {
        IntakePort { id: self.roster().join(), inbox: (self.inbox)(peer), socket: self.clone() }
    }

    fn close(&self) {
        let wakers = self.roster().close();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn add_to(&self, stats: &mut Stats) {
        stats.received = self.received.load(Ordering::Relaxed);
        stats.peers = self.peers.load(Ordering::Relaxed);
    }
}

/// A peer's place in an [`Intake`].
struct IntakePort<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> {
    id: PeerId,
    inbox: I,
    socket: Arc<IntakeSocket<F>>,
}

impl<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> Port for IntakePort<F, I> {
    fn attach(&mut self, _peer: &PeerInfo) {
        self.socket.peers.fetch_add(1, Ordering::Relaxed);
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        let before = run.messages();
        let result = self.inbox.poll_deliver(cx, run);
        self.socket.received.fetch_add((before - run.messages()) as u64, Ordering::Relaxed);
        result
    }

    fn handle_subscription(&mut self, _: Bytes, _: bool) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>, _: &mut Connection) -> Poll<Feed> {
        self.poll_done(cx).map(|()| Feed::Closed)
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut roster = self.socket.roster();
        if roster.is_closed() {
            return Poll::Ready(());
        }
        roster.register(self.id, cx);
        Poll::Pending
    }

    fn detach(&mut self, _: VecDeque<Run>, _: u64) {
        self.socket.peers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> Drop for IntakePort<F, I> {
    fn drop(&mut self) {
        self.socket.roster().leave(self.id);
    }
}

impl<F: Fn(&str) -> I + Send + Sync + 'static, I: Inbox> fmt::Debug for Intake<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("core", &self.core).finish()
    }
}
