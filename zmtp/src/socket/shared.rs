//! What the tasks of a socket have in common: how a stream comes to be a peer's, and who hears of it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    announcer::Announcer,
    monitor::SocketEvent,
    options::Options,
    security::{Applicant, Verdict},
    stats::{Counters, Stats},
};
use crate::{
    proto::{Connection, PeerInfo, Setup, SocketType},
    session::{Disconnect, Handshake, Port, Session, Traffic},
    transport::{Link, Process},
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

pub(crate) struct Shared<S> {
    pub(crate) socket: Arc<S>,
    pub(crate) options: Options,
    pub(crate) announcer: Announcer,
    pub(crate) counters: Counters,
    pub(crate) closing: watch::Receiver<bool>,
    /// No listener of this socket takes connections any more.
    pub(crate) deaf: watch::Receiver<bool>,
}

impl<S: Socket> Shared<S> {
    /// One accepted connection. It is no peer before its handshake is over.
    ///
    /// The memory of an idle connection is mostly what its task holds. So what is over with the handshake is in a box that is
    /// freed with it.
    pub(crate) fn serve(self: Arc<Self>, link: Link) -> impl Future<Output = ()> {
        let peer: Arc<str> = link.peer.as_str().into();
        let introduced = Box::pin(self.clone().introduce_until_closed(link, peer.clone()));
        async move {
            let Some((session, info)) = introduced.await else { return };
            let mut port = self.socket.port(&peer, false);
            let attached = session.run(&mut port, &info);
            drop(info);
            let (cause, traffic) = attached.await;
            self.note_end(&peer, cause, traffic);
        }
    }

    async fn introduce_until_closed(self: Arc<Self>, link: Link, peer: Arc<str>) -> Option<(Box<Session>, PeerInfo)> {
        self.announcer.announce(|| SocketEvent::Accepted { peer: peer.clone() });
        let mut closing = self.closing.clone();
        tokio::select! {
            introduced = self.introduce(link, &peer) => introduced.ok(),
            _ = closing.wait_for(|closing| *closing) => None,
        }
    }

    /// The handshake, with the authenticator's verdict where one is needed. The monitor is told how it went.
    pub(crate) async fn introduce(&self, link: Link, peer: &Arc<str>) -> Result<(Box<Session>, PeerInfo), Disconnect> {
        let process = link.process;
        let introduced = match self.session(link) {
            Ok(session) => self.handshake(session, peer, process).await,
            Err(error) => Err(error.into()),
        };
        let peer = peer.clone();
        match &introduced {
            Ok((_, info)) => self.announcer.announce(|| SocketEvent::Ready { peer, info: Arc::new(info.clone()) }),
            Err(cause) => {
                self.count(cause);
                self.announcer.announce(|| SocketEvent::HandshakeFailed { peer, cause: cause.clone() });
            }
        }
        introduced
    }

    pub(crate) fn note_end(&self, peer: &Arc<str>, cause: Disconnect, traffic: Traffic) {
        self.count(&cause);
        let peer = peer.clone();
        self.announcer.announce(|| SocketEvent::Disconnected { peer, cause, traffic });
    }

    fn count(&self, cause: &Disconnect) {
        if cause.fault().is_some() {
            self.counters.fault(cause.reason());
        }
    }

    fn session(&self, link: Link) -> io::Result<Box<Session>> {
        self.counters.connection();
        let options = &self.options;
        let mechanism = options.security.mechanism()?;
        let setup =
            Setup { socket_type: S::TYPE, limits: options.limits, handshake_timeout: options.handshake_timeout };
        let mut connection = Connection::secured(setup, mechanism, Instant::now());
        if !options.properties.is_empty() {
            connection = connection.with_properties(&options.properties);
        }
        if let Some(heartbeats) = options.heartbeats() {
            connection = connection.with_heartbeats(heartbeats);
        }
        if options.admits_2_0 {
            connection = connection.admitting_2_0();
        }
        Ok(Box::new(Session::new(link.stream, connection, options.budget.clone(), options.busy_poll)))
    }

    async fn handshake(
        &self,
        mut session: Box<Session>,
        peer: &Arc<str>,
        process: Option<Process>,
    ) -> Result<(Box<Session>, PeerInfo), Disconnect> {
        let mut user_id = None;
        loop {
            let credentials = match session.handshake().await? {
                Handshake::Ready(info) => return Ok((session, PeerInfo { user_id, ..info })),
                Handshake::Asks(credentials) => credentials,
            };
            let deadline = session.deadline().unwrap_or_else(|| Instant::now() + LONG);
            let applicant = Applicant { peer: peer.clone(), process, credentials };
            // In a box, since few connections ever need it.
            match Box::pin(self.options.security.judge(applicant, deadline)).await? {
                Verdict::Admit => session.authorize(),
                Verdict::AdmitAs(name) => {
                    user_id = Some(name);
                    session.authorize();
                }
                Verdict::Refuse => session.refuse("the authenticator refuses it"),
            }
        }
    }
}

/// For an authenticator where the handshake has no end that the clock can tell: a day.
const LONG: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pattern::FairQueue, pattern::Mark, socket::inbound::Inbound};

    #[test]
    fn a_task_of_an_accepted_connection_holds_little() {
        let (_, seen) = watch::channel(false);
        let shared = Arc::new(Shared {
            socket: Inbound::new(FairQueue::new(Mark::default(), None)),
            options: Options::new(),
            announcer: Announcer::default(),
            counters: Counters::default(),
            closing: seen.clone(),
            deaf: seen,
        });
        let task = size_of_val(&shared.serve(Link::new(tokio::io::empty(), "nobody")));
        assert!(task <= 220, "{task} octets; 208 were when this was written, and 656 of the session in its box");
    }
}
