//! The tasks of a socket: one per bound endpoint, one per accepted connection, one per place that it connects to. The
//! only file that spawns.

use std::{
    fmt,
    future::poll_fn,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    backoff::Backoff,
    monitor::{Announcer, Monitor, SocketEvent},
    options::Options,
    outcome::{BindError, CloseReport, ConnectError},
    security::{Applicant, Verdict},
    stats::{Counters, Stats},
};
use crate::{
    proto::{Connection, Credentials, PeerInfo, ProtocolError, Setup, SocketType},
    session::{Disconnect, Handshake, Port, Session},
    transport::{Endpoint, Link, Listener},
};

/// What the tasks need of a socket.
pub(crate) trait Socket: Send + Sync + 'static {
    const TYPE: SocketType;
    type Port: Port;

    /// A place for a peer. `lasting`: one to connect to, kept while the peer is away.
    fn port(self: &Arc<Self>, peer: &str, lasting: bool) -> Self::Port;

    /// No more messages; connections end when what is queued is sent.
    fn close(&self);

    fn add_to(&self, stats: &mut Stats);
}

/// A socket's tasks and what they share.
pub(crate) struct Core<S: Socket> {
    shared: Arc<Shared<S>>,
    closing: watch::Sender<bool>,
    deaf: watch::Sender<bool>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    endpoints: Vec<(Endpoint, AbortHandle)>,
}

struct Shared<S> {
    socket: Arc<S>,
    options: Options,
    announcer: Announcer,
    counters: Counters,
    closing: watch::Receiver<bool>,
    /// No listener of this socket takes connections any more.
    deaf: watch::Receiver<bool>,
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
        Self { shared: Arc::new(shared), closing, deaf, tasks: Mutex::default() }
    }

    pub(crate) async fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        let endpoint: Endpoint = endpoint.parse()?;
        let shared = &self.shared;
        let refused = |cause| BindError::Io { endpoint: endpoint.clone(), cause };
        let transport = shared.options.transports.find(&endpoint).map_err(refused)?;
        let listener = transport.bind(endpoint.address()).await.map_err(refused)?;
        let bound = Endpoint::new(endpoint.scheme(), &listener.address())?;
        shared.announcer.announce(|| SocketEvent::Listening { endpoint: bound.clone() });
        self.spawn(bound.clone(), shared.clone().accept(listener));
        Ok(bound)
    }

    pub(crate) fn connect(&self, endpoint: &str) -> Result<Endpoint, ConnectError> {
        let endpoint: Endpoint = endpoint.parse()?;
        let refused = |cause| ConnectError::Io { endpoint: endpoint.clone(), cause };
        let transport = self.shared.options.transports.find(&endpoint).map_err(refused)?;
        transport.check(endpoint.address()).map_err(refused)?;
        let port = self.shared.socket.port(endpoint.as_str(), true);
        self.spawn(endpoint.clone(), self.shared.clone().dial(endpoint.clone(), port));
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
        let task = tasks.set.spawn(work);
        tasks.endpoints.push((endpoint, task));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn accept(self: Arc<Self>, mut listener: Box<dyn Listener>) {
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
                        sessions.spawn(self.clone().serve(link));
                        if sessions.len() == self.options.max_connections {
                            self.counters.fault("connection-limit");
                            let connections = self.options.max_connections;
                            self.announcer.announce(|| SocketEvent::Full { connections });
                        }
                    }
                    // The peer gave up while it waited in the backlog: no fault of this side.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
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
        while sessions.join_next().await.is_some() {}
    }

    /// One accepted connection. It is no peer before its handshake is over.
    async fn serve(self: Arc<Self>, link: Link) {
        let peer: Arc<str> = link.peer.into();
        self.announcer.announce(|| SocketEvent::Accepted { peer: peer.clone() });
        let mut session = match self.session(link.stream) {
            Ok(session) => session,
            Err(error) => {
                self.note_handshake(&peer, Err(error.into()));
                return;
            }
        };
        let mut closing = self.closing.clone();
        let info = tokio::select! {
            info = self.handshake(&mut session, &peer) => self.note_handshake(&peer, info),
            _ = closing.wait_for(|closing| *closing) => None,
        };
        if let Some(info) = info {
            let mut port = self.socket.port(&peer, false);
            let cause = session.run(&mut port, &info).await;
            self.note_end(&peer, cause);
        }
    }

    /// Keeps one place connected until the socket is closed and its queue empty.
    async fn dial(self: Arc<Self>, endpoint: Endpoint, mut port: S::Port) {
        let max = if endpoint.scheme() == "ipc" { IPC_RECONNECT } else { self.options.reconnect_max };
        let mut backoff = Backoff::new(self.options.reconnect_min.min(max), max);
        loop {
            let open = tokio::select! {
                () = poll_fn(|cx| port.poll_done(cx)) => return,
                open = self.open(&endpoint) => open,
            };
            let cause = match open {
                Ok((peer, session, info)) => {
                    backoff.reset();
                    let cause = session.run(&mut port, &info).await;
                    self.note_end(&peer, cause.clone());
                    cause
                }
                Err(Attempt::Stream(error)) => {
                    let forever = error.kind() == io::ErrorKind::InvalidInput;
                    let retry = (!forever).then(|| backoff.next_wait());
                    let (endpoint, error) = (endpoint.clone(), Arc::new(error));
                    self.announcer.announce(|| SocketEvent::ConnectFailed { endpoint, error, retry });
                    let Some(wait) = retry else { return };
                    if self.pause(&mut port, wait).await {
                        return;
                    }
                    continue;
                }
                Err(Attempt::Handshake(cause)) => cause,
            };
            // ERROR is the peer's considered answer; asking again would get the same one.
            let refused = matches!(cause, Disconnect::Protocol(ProtocolError::PeerRefused { .. }));
            if matches!(cause, Disconnect::Closed) || refused && self.options.security.believes_refusals() {
                return;
            }
            if self.pause(&mut port, backoff.next_wait()).await {
                return;
            }
        }
    }

    /// One attempt: a stream, then the handshake.
    async fn open(&self, endpoint: &Endpoint) -> Result<(Arc<str>, Session, PeerInfo), Attempt> {
        let transport = self.options.transports.find(endpoint).map_err(Attempt::Stream)?;
        let connect = timeout(self.options.connect_timeout, transport.connect(endpoint.address()));
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let link = connect.await.map_err(late).and_then(|link| link).map_err(Attempt::Stream)?;
        let peer: Arc<str> = link.peer.into();
        self.announcer.announce(|| SocketEvent::Connected { peer: peer.clone() });
        let mut session = self.session(link.stream).map_err(Attempt::Stream)?;
        match self.handshake(&mut session, &peer).await {
            Ok(info) => {
                self.note_handshake(&peer, Ok(info.clone()));
                Ok((peer, session, info))
            }
            Err(cause) => {
                self.note_handshake(&peer, Err(cause.clone()));
                Err(Attempt::Handshake(cause))
            }
        }
    }

    /// Waits before the next attempt; true when the socket is closed and nothing is left to send.
    async fn pause(&self, port: &mut S::Port, wait: Duration) -> bool {
        tokio::select! {
            () = poll_fn(|cx| port.poll_done(cx)) => true,
            () = sleep(wait) => false,
        }
    }

    /// The handshake, with the authenticator's verdict where one is needed.
    async fn handshake(&self, session: &mut Session, peer: &Arc<str>) -> Result<PeerInfo, Disconnect> {
        loop {
            let credentials = match session.handshake().await? {
                Handshake::Ready(info) => return Ok(info),
                Handshake::Asks(credentials) => credentials,
            };
            match self.judge(peer.clone(), credentials, session.deadline()).await? {
                Verdict::Admit => session.authorize(),
                Verdict::Refuse => session.refuse("the authenticator refuses it"),
            }
        }
    }

    /// Asks the authenticator, in a task that its panic ends and nothing else.
    async fn judge(
        &self,
        peer: Arc<str>,
        credentials: Credentials,
        deadline: Option<Instant>,
    ) -> Result<Verdict, ProtocolError> {
        let no_verdict = |reason| Err(ProtocolError::Unauthorized { reason });
        let Some(authenticator) = self.options.security.authenticator().cloned() else {
            return no_verdict("there is nobody to decide");
        };
        let applicant = Applicant { peer, credentials };
        let mut task = JoinSet::new();
        task.spawn(async move { authenticator.authenticate(&applicant).await });
        // None: beyond all instants.
        let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        match timeout(left, task.join_next()).await {
            Ok(Some(Ok(Ok(verdict)))) => Ok(verdict),
            Ok(Some(Ok(Err(_)))) => no_verdict("the authenticator failed"),
            Ok(_) => no_verdict("the authenticator panicked"),
            Err(_) => no_verdict("the authenticator did not decide in time"),
        }
    }

    fn session(&self, stream: Box<dyn crate::transport::Stream>) -> io::Result<Session> {
        self.counters.connection();
        let mechanism = self.options.security.mechanism()?;
        let setup = Setup {
            socket_type: S::TYPE,
            limits: self.options.limits,
            handshake_timeout: self.options.handshake_timeout,
        };
        let connection = Connection::secured(setup, mechanism, Instant::now());
        Ok(Session::new(stream, connection, self.options.budget.clone()))
    }

    fn note_handshake(&self, peer: &Arc<str>, result: Result<PeerInfo, Disconnect>) -> Option<PeerInfo> {
        let peer = peer.clone();
        match result {
            Ok(info) => {
                self.announcer.announce(|| SocketEvent::Ready { peer, info: Arc::new(info.clone()) });
                Some(info)
            }
            Err(cause) => {
                if cause.is_fault() {
                    self.counters.fault(cause.reason());
                }
                self.announcer.announce(|| SocketEvent::HandshakeFailed { peer, cause });
                None
            }
        }
    }

    fn note_end(&self, peer: &Arc<str>, cause: Disconnect) {
        if cause.is_fault() {
            self.counters.fault(cause.reason());
        }
        let peer = peer.clone();
        self.announcer.announce(|| SocketEvent::Disconnected { peer, cause });
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
