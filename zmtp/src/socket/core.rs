//! The tasks of a socket: one per bound endpoint, one per accepted connection, one per place that it connects to. The
//! only file that spawns.

use std::{fmt, future::poll_fn, io, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    announcer::Announcer,
    backoff::Backoff,
    lock::{Lock, LockGuard},
    monitor::{Monitor, SocketEvent},
    options::Options,
    outcome::{BindError, CloseReport, ConnectError},
    shared::{Shared, Socket},
    stats::{Counters, Stats},
    trace,
};
use crate::{
    proto::{PeerInfo, ProtocolError},
    session::{Disconnect, Port, Session},
    transport::{Endpoint, Link, Listener, OpenListener},
};

/// A socket's tasks and what they share.
pub(crate) struct Core<S: Socket> {
    shared: Arc<Shared<S>>,
    closing: watch::Sender<bool>,
    deaf: watch::Sender<bool>,
    tasks: Lock<Tasks>,
}

#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    endpoints: Vec<(Endpoint, AbortHandle)>,
}

impl Tasks {
    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        // Those that are over would be kept until the end otherwise.
        while self.set.try_join_next().is_some() {}
        self.set.spawn(work)
    }
}

impl<S: Socket> Core<S> {
    pub(crate) fn new(socket: Arc<S>, options: Options) -> Self {
        let (closing, seen) = watch::channel(false);
        let (deaf, heard) = watch::channel(false);
        let shared = Shared {
            socket,
            options,
            announcer: Announcer::default(),
            counters: Counters::default(),
            closing: seen,
            deaf: heard,
        };
        Self { shared: Arc::new(shared), closing, deaf, tasks: Lock::default() }
    }

    pub(crate) async fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        let endpoint: Endpoint = endpoint.parse()?;
        let shared = &self.shared;
        let refused = |cause| BindError::Io { endpoint: endpoint.clone(), cause };
        let transport = shared.options.transports.find(&endpoint).map_err(refused)?;
        let listener = transport.bind(endpoint.address()).await.map_err(refused)?;
        self.listen(endpoint.scheme(), listener)
    }

    pub(crate) fn bind_open(&self, listener: OpenListener) -> Result<Endpoint, BindError> {
        let scheme = listener.scheme();
        let endpoint = Endpoint::new(scheme, "inherited")?;
        let transport = self.shared.options.transports.find(&endpoint);
        let listener = transport.and_then(|transport| transport.adopt(listener));
        self.listen(scheme, listener.map_err(|cause| BindError::Io { endpoint, cause })?)
    }

    fn listen(&self, scheme: &str, listener: Box<dyn Listener>) -> Result<Endpoint, BindError> {
        let endpoint = Endpoint::new(scheme, &listener.address())?;
        self.shared.announcer.announce(|| SocketEvent::Listening { endpoint: endpoint.clone() });
        self.spawn(endpoint.clone(), self.shared.clone().accept(endpoint.clone(), listener));
        Ok(endpoint)
    }

    pub(crate) fn attach(&self, link: Link) {
        let work = trace::connection(S::TYPE, &link.peer.clone(), self.shared.clone().serve(link));
        self.lock().spawn(work);
    }

    pub(crate) fn connect(&self, endpoint: &str) -> Result<Endpoint, ConnectError> {
        let endpoint: Endpoint = endpoint.parse()?;
        let refused = |cause| ConnectError::Io { endpoint: endpoint.clone(), cause };
        let transport = self.shared.options.transports.find(&endpoint).map_err(refused)?;
        transport.check(endpoint.address()).map_err(refused)?;
        let port = self.shared.socket.port(endpoint.as_str(), true);
        let work = self.shared.clone().dial(endpoint.clone(), port);
        self.spawn(endpoint.clone(), trace::dial(S::TYPE, endpoint.as_str(), work));
        Ok(endpoint)
    }

    /// Ends listening at all endpoints. The connections that are go on.
    pub(crate) fn stop_listening(&self) {
        self.deaf.send_replace(true);
    }

    /// Ends listening at, or connecting to, an endpoint, and its connections. False when there is none such.
    pub(crate) fn forget(&self, endpoint: &Endpoint) -> bool {
        let mut tasks = self.lock();
        let before = tasks.endpoints.len();
        tasks.endpoints.retain(|(known, task)| {
            let keep = known != endpoint;
            if !keep {
                task.abort();
            }
            keep
        });
        tasks.endpoints.len() < before
    }

    /// Runs `work` until the socket is closed.
    pub(crate) fn spawn_until_closed(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut closing = self.shared.closing.clone();
        self.lock().set.spawn(async move {
            tokio::select! {
                _ = closing.changed() => {}
                () = work => {}
            }
        });
    }

    pub(crate) fn monitor(&self) -> Monitor {
        self.shared.announcer.monitor()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.shared.counters.add_to(&mut stats);
        self.shared.socket.add_to(&mut stats);
        stats
    }

    pub(crate) async fn close(&self, linger: Duration) -> CloseReport {
        let before = self.stats();
        let tasks = self.begin_close();
        finish(tasks, linger).await;
        let after = self.stats();
        let discarded = after.tally.discarded - before.tally.discarded + after.queued as u64;
        CloseReport { flushed: after.written - before.written, discarded }
    }

    fn begin_close(&self) -> JoinSet<()> {
        self.shared.socket.close();
        self.closing.send_replace(true);
        std::mem::take(&mut self.lock().set)
    }

    fn spawn(&self, endpoint: Endpoint, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.lock();
        tasks.endpoints.retain(|(_, task)| !task.is_finished());
        let task = tasks.spawn(work);
        tasks.endpoints.push((endpoint, task));
    }

    fn lock(&self) -> LockGuard<'_, Tasks> {
        self.tasks.lock()
    }
}

impl<S: Socket> Drop for Core<S> {
    /// Closes with the linger of the options, in the background.
    fn drop(&mut self) {
        let tasks = self.begin_close();
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !tasks.is_empty()
        {
            runtime.spawn(finish(tasks, self.shared.options.linger));
        }
    }
}

impl<S: Socket> fmt::Debug for Core<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(S::TYPE.name()).field("endpoints", &self.lock().endpoints).finish_non_exhaustive()
    }
}

/// Waits for tasks that end by themselves; those that have not by then are ended, and leave their messages in the
/// queues.
async fn finish(mut tasks: JoinSet<()>, linger: Duration) {
    let _ = timeout(linger, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
}

impl<S: Socket> Shared<S> {
    async fn accept(self: Arc<Self>, endpoint: Endpoint, mut listener: Box<dyn Listener>) {
        let ears = Ears { shared: self.clone(), endpoint };
        let mut sessions = JoinSet::new();
        let mut closing = self.closing.clone();
        let mut deaf = self.deaf.clone();
        let mut pause = Backoff::new(ACCEPT_PAUSE_MIN, ACCEPT_PAUSE_MAX);
        while !*closing.borrow_and_update() && !*deaf.borrow_and_update() {
            let full = sessions.len() >= self.options.max_connections;
            tokio::select! {
                _ = closing.changed() => break,
                _ = deaf.changed() => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                accepted = poll_fn(|cx| listener.poll_accept(cx)), if !full => match accepted {
                    Ok(link) => {
                        pause.reset();
                        sessions.spawn(trace::connection(S::TYPE, &link.peer.clone(), self.clone().serve(link)));
                        if sessions.len() == self.options.max_connections {
                            self.counters.fault("connection-limit");
                            let connections = self.options.max_connections;
                            self.announcer.announce(|| SocketEvent::Full { connections });
                        }
                    }
                    // The peer gave up while it waited in the backlog: no fault of this side.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        self.counters.fault("accept-filter");
                        let (endpoint, error) = (ears.endpoint.clone(), Arc::new(error));
                        self.announcer.announce(|| SocketEvent::TurnedAway { endpoint, error });
                    }
                    Err(error) => {
                        // Most likely no file descriptors are left. Neither spin nor stop: some will be free again.
                        let pause = pause.next_wait();
                        self.counters.fault("accept-failed");
                        let error = Arc::new(error);
                        self.announcer.announce(|| SocketEvent::AcceptFailed { error, pause });
                        tokio::select! {
                            _ = closing.changed() => break,
                            () = sleep(pause) => {}
                        }
                    }
                },
            }
        }
        drop(listener);
        drop(ears);
        while sessions.join_next().await.is_some() {}
    }

    /// Keeps one place connected until the socket is closed and its queue empty.
    async fn dial(self: Arc<Self>, endpoint: Endpoint, mut port: S::Port) {
        let max = if endpoint.scheme() == "ipc" { IPC_RECONNECT } else { self.options.reconnect_max };
        let mut backoff = Backoff::new(self.options.reconnect_min.min(max), max);
        let give_up = self.options.give_up;
        loop {
            let open = tokio::select! {
                () = poll_fn(|cx| port.poll_done(cx)) => return,
                open = self.open(&endpoint) => open,
            };
            let (cause, last) = match open {
                Ok((peer, session, info)) => {
                    backoff.reset();
                    let (cause, traffic) = session.run(&mut port, &info).await;
                    self.note_end(&peer, cause.clone(), traffic);
                    (cause, give_up.disconnected)
                }
                Err(Attempt::Stream(error)) => {
                    let forever = give_up.refused || error.kind() == io::ErrorKind::InvalidInput;
                    let retry = (!forever).then(|| backoff.next_wait());
                    let (endpoint, error) = (endpoint.clone(), Arc::new(error));
                    self.announcer.announce(|| SocketEvent::ConnectFailed { endpoint, error, retry });
                    let Some(wait) = retry else { return };
                    if self.pause(&mut port, wait).await {
                        return;
                    }
                    continue;
                }
                Err(Attempt::Handshake(cause)) => (cause, give_up.handshake_failed),
            };
            // ERROR is the peer's considered answer; asking again would get the same one.
            let refused = matches!(cause, Disconnect::Protocol(ProtocolError::PeerRefused { .. }));
            if matches!(cause, Disconnect::Closed) {
                return;
            }
            if last || refused && self.options.security.believes_refusals() {
                self.announcer.announce(|| SocketEvent::GaveUp { endpoint });
                return;
            }
            if self.pause(&mut port, backoff.next_wait()).await {
                return;
            }
        }
    }

    /// One attempt: a stream, then the handshake.
    async fn open(&self, endpoint: &Endpoint) -> Result<(Arc<str>, Box<Session>, PeerInfo), Attempt> {
        let transport = self.options.transports.find(endpoint).map_err(Attempt::Stream)?;
        let connect = timeout(self.options.connect_timeout, transport.connect(endpoint.address()));
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let link = connect.await.map_err(late).and_then(|link| link).map_err(Attempt::Stream)?;
        let peer: Arc<str> = link.peer.as_str().into();
        self.announcer.announce(|| SocketEvent::Connected { peer: peer.clone() });
        let (session, info) = self.introduce(link, &peer).await.map_err(Attempt::Handshake)?;
        Ok((peer, session, info))
    }

    /// Waits before the next attempt; true when the socket is closed and nothing is left to send.
    async fn pause(&self, port: &mut S::Port, wait: Duration) -> bool {
        tokio::select! {
            () = poll_fn(|cx| port.poll_done(cx)) => true,
            () = sleep(wait) => false,
        }
    }
}

/// A listener at work; tells when it ends, however it does.
struct Ears<S> {
    shared: Arc<Shared<S>>,
    endpoint: Endpoint,
}

impl<S> Drop for Ears<S> {
    fn drop(&mut self) {
        let endpoint = self.endpoint.clone();
        self.shared.announcer.announce(|| SocketEvent::Deaf { endpoint });
    }
}

/// What went wrong with an attempt to connect.
enum Attempt {
    Stream(io::Error),
    Handshake(Disconnect),
}

/// A receiver makes the socket of a topic on its first message, and a service must then be there at once.
const IPC_RECONNECT: Duration = Duration::from_millis(100);
/// Short enough to serve peers soon after descriptors are free, long enough to burn no CPU until then.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
