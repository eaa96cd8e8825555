//! What the clients and servers of a process share: settings, matchmaker, connections, replies.
//!
//! ```text
//! Client ─┐                ┌─ matchmaker      topic -> hosts
//! Client ─┼── Transport ───┼─ links           one PUSH per host, for requests and replies
//! Server ─┘                └─ replies         one SUB, or in the direct mode a socket that listens
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use matchmaker::{Destination, Host, Locator, LookupError, MatchMaker, RingError};
use thiserror::Error;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::debug;
use zmtp::{BindError, ConnectError, Limits, Message, Multipart, Options, SocketEvent, Sub};

use crate::counters::Counters;
use crate::direct::Direct;
use crate::envelope::NO_ID;
use crate::link::{LinkError, Ticket};
use crate::links::{Links, NoLink};
use crate::pending::Pending;
use crate::settings::Settings;
use crate::socket::{SocketDirError, check_socket_dir};
use crate::topic::Topic;
use crate::write::Encoded;

/// The way to all other machines. Cheap to clone; a process may have several (oslo-bugs B3).
///
/// Casts that have not left when the last clone is dropped go on being sent for a while if the runtime
/// lives on; [`Transport::close`] waits for them and reports (oslo-bugs B7).
#[derive(Debug, Clone)]
pub struct Transport {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) matchmaker: MatchMaker,
    pub(crate) pending: Arc<Pending>,
    pub(crate) direct: Option<Direct>,
    pub(crate) drops: Arc<Counters>,
    /// Frame 1 of replies to this transport.
    pub(crate) reply_topic: String,
    links: Links,
    replies: OnceCell<JoinHandle<()>>,
}

/// Why there is no transport. All that can be found missing is found here (oslo-bugs B2).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no good ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The directory of sockets has too long a path.
    #[error(transparent)]
    SocketDir(#[from] SocketDirError),
    /// The address to listen on, in the direct mode, cannot be had.
    #[error("cannot listen, set listen of [zmq_rpc] to HOST:PORT of this machine")]
    Listen(#[from] BindError),
    /// The name that peers are to find this machine under is none.
    #[error("peers cannot find {name:?}: set rpc_zmq_host, or listen of [zmq_rpc], to a name of this machine")]
    Name {
        /// The name.
        name: String,
    },
    /// There is no tokio runtime with its timers here.
    #[error("a transport must be opened within a tokio runtime")]
    NoRuntime(#[source] io::Error),
}

/// How a transport ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Closed {
    /// Messages sent since closing began.
    pub sent: u64,
    /// Messages dropped: nobody took them in time.
    pub dropped: u64,
}

/// Why a message cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Nobody serves the topic, or its registry does not answer.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The host cannot be connected to, ever.
    #[error("host {host:?} of the matchmaker is no address")]
    Address {
        /// As the matchmaker has it.
        host: String,
        /// What is wrong with it.
        source: ConnectError,
    },
    /// More waits for the host than is kept.
    #[error("host {host:?} takes no messages, and too many wait for it: see that its receiver runs")]
    Full {
        /// As the matchmaker has it.
        host: String,
    },
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
}

impl Transport {
    /// Makes a transport. Nothing is connected yet, but in the direct mode it listens.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let matchmaker = MatchMaker::at(&settings.matchmaker, &settings.host)?;
        Self::with_matchmaker(settings, matchmaker).await
    }

    /// The same, with a matchmaker of the caller's in place of the one the settings name.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn with_matchmaker(mut settings: Settings, matchmaker: MatchMaker) -> Result<Self, OpenError> {
        tokio::runtime::Handle::try_current().map_err(|error| OpenError::NoRuntime(io::Error::other(error)))?;
        let pending = Pending::new();
        let drops = Arc::new(Counters::default());
        let direct = match &settings.listen {
            None => {
                check_socket_dir(&settings.ipc_dir)?;
                None
            }
            Some(address) => {
                let options = options(&settings);
                let direct = Direct::bind(address, options, pending.clone(), drops.clone()).await?;
                let name = found_at(direct.address(), &settings);
                settings.host = name.parse().map_err(|_| OpenError::Name { name })?;
                Some(direct)
            }
        };
        let links = Links::new(settings.port, options(&settings), drops.clone());
        let reply_topic = format!("{REPLIES}{}", settings.host);
        if Topic::parse(reply_topic.as_bytes()).is_err() {
            return Err(OpenError::Name { name: settings.host.to_string() });
        }
        let replies = OnceCell::new();
        let shared = Shared { settings, matchmaker, pending, direct, drops, reply_topic, links, replies };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Its settings. In the direct mode `host` is what it listens at.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Its matchmaker.
    pub fn matchmaker(&self) -> &MatchMaker {
        &self.shared.matchmaker
    }

    /// Messages dropped so far, by reason.
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.shared.drops.counts()
    }

    /// Messages that have not left yet.
    pub fn unsent(&self) -> usize {
        self.shared.links.pending()
    }

    /// Sends what has not left, for at most `linger`, and ends all calls.
    ///
    /// Servers should be stopped before. Not cancel-safe: dropping the future drops what has not left.
    pub async fn close(&self, linger: Duration) -> Closed {
        let (sent, dropped) = self.shared.links.close(linger).await;
        self.shared.pending.close();
        if let Some(replies) = self.shared.replies.get() {
            replies.abort();
        }
        if let Some(direct) = &self.shared.direct {
            direct.close(Duration::ZERO).await;
        }
        Closed { sent, dropped }
    }
}

impl Shared {
    /// Sends one copy of a message to one host, before `end` or not at all.
    pub(crate) async fn send(&self, to: &str, message: Message, end: Instant) -> Result<Ticket, RouteError> {
        let link = self.links.to(to).map_err(|error| no_link(error, to))?;
        link.send(message, end).await.map_err(|error| route_error(error, to))
    }

    /// Sends a copy to each destination. One that is slow does not hold up the others (oslo-bugs B33).
    pub(crate) async fn send_copies(&self, to: &[Destination], body: Encoded, end: Instant) -> Result<(), RouteError> {
        if let [only] = to {
            return self.send(only.host.as_str(), wire(NO_ID, only.topic.as_str(), body), end).await.map(drop);
        }
        let (mut first_error, mut slow) = (None, Vec::new());
        for destination in to {
            let host = destination.host.as_str();
            let message = wire(NO_ID, destination.topic.as_str(), body.clone());
            match self.links.to(host) {
                Ok(link) => match link.try_send(message, end) {
                    Ok(Ok(_)) => {}
                    Ok(Err(message)) => slow.push((host, link, message)),
                    Err(error) => first_error = first_error.or(Some(route_error(error, host))),
                },
                Err(error) => first_error = first_error.or(Some(no_link(error, host))),
            }
        }
        for (host, link, message) in slow {
            if let Err(error) = link.send(message, end).await {
                first_error = first_error.or(Some(route_error(error, host)));
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// The host that a reply topic names: everything after the first dot, less a `@backend`.
    ///
    /// By the local matchmaker this machine is `localhost`, to which its name need not lead (oslo-bugs B30).
    pub(crate) fn reply_host<'a>(&'a self, topic: &'a str) -> Option<&'a str> {
        let host = topic.strip_prefix(REPLIES)?;
        let host = host.split_once('@').map_or(host, |(machine, _)| machine);
        if self.settings.matchmaker == Locator::Localhost
            && self.direct.is_none()
            && host == self.settings.host.as_str()
        {
            return Some("localhost");
        }
        host.parse::<Host>().is_ok().then_some(host)
    }

    /// Subscribes to replies, once in the life of the transport.
    ///
    /// Where the receiver has made its socket for replies it waits until that knows of the subscription: an original
    /// receiver drops what comes before (oslo-bugs B39). Where it has not, it makes it at the first reply, and waits
    /// for subscribers then.
    ///
    /// Cancel-safe: the next call begins anew.
    pub(crate) async fn expect_replies(&self) -> Result<(), ConnectError> {
        if self.direct.is_some() {
            return Ok(());
        }
        let subscribe = async || {
            let topic = Topic::parse(self.reply_topic.as_bytes()).ok();
            let path = topic.and_then(|topic| topic.socket_path(&self.settings.ipc_dir).ok());
            let sub = Sub::new(options(&self.settings));
            sub.subscribe(self.pending.prefix());
            if let Some(path) = path {
                let mut monitor = sub.monitor();
                sub.connect(&format!("ipc://{}", path.display()))?;
                if path.exists() {
                    let ready =
                        async { while !matches!(monitor.recv().await, Some(SocketEvent::Ready { .. }) | None) {} };
                    // A socket left behind by a receiver that died is not waited for long.
                    let _ = timeout(READY, ready).await;
                }
            }
            Ok(tokio::spawn(settle(sub, self.pending.clone(), self.drops.clone())))
        };
        self.replies.get_or_try_init(subscribe).await.map(drop)
    }

    /// The options of the sockets that receive.
    pub(crate) fn options(&self) -> Options {
        options(&self.settings)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(replies) = self.replies.get() {
            replies.abort();
        }
    }
}

/// The frames of a message.
pub(crate) fn wire(id: &[u8], topic: &str, body: Encoded) -> Message {
    let style = body.as_body().style().as_str().as_bytes();
    if let Encoded::Cast { json } = &body
        && json.len() < KEPT
    {
        return Multipart(&[id, topic.as_bytes(), style, json]).into();
    }
    let builder = Message::builder()
        .more(Bytes::copy_from_slice(id))
        .more(Bytes::copy_from_slice(topic.as_bytes()))
        .more(Bytes::from_static(style));
    match body {
        Encoded::Cast { json } => builder.last(json),
        Encoded::V2 { context, message } => {
            builder.more(context).more("oslo.message").more(message).more("oslo.version").last("2.0")
        }
        Encoded::MessagePack { context, message, payload } => builder.more(context).more(message).last(payload),
    }
}

async fn settle(mut sub: Sub, pending: Arc<Pending>, drops: Arc<Counters>) {
    loop {
        if !pending.settle(sub.recv().await) {
            drops.add("reply-late", 1);
            debug!("a reply came that nobody waits for any more");
        }
    }
}

/// The name under which peers find a transport that listens at `host:port`.
fn found_at(address: &str, settings: &Settings) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let everywhere = matches!(host, "*" | "0.0.0.0" | "[::]");
    let host = if everywhere { settings.host.as_str() } else { host };
    if port == settings.port.to_string() {
        // Peers without the direct mode add the port they all share.
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    } else {
        format!("{host}:{port}")
    }
}

fn no_link(error: NoLink, host: &str) -> RouteError {
    match error {
        NoLink::Address(source) => RouteError::Address { host: host.to_owned(), source },
        NoLink::Closed => RouteError::Closed,
    }
}

fn route_error(error: LinkError, host: &str) -> RouteError {
    match error {
        LinkError::Full => RouteError::Full { host: host.to_owned() },
        LinkError::Closed => RouteError::Closed,
    }
}

fn options(settings: &Settings) -> Options {
    let limits =
        Limits { max_frame: settings.max_message_size, max_message: settings.max_message_size, ..Limits::default() };
    Options::new().limits(limits)
}

const REPLIES: &str = "zmq_replies.";

/// A body below this is copied with its frames into one piece; from here on it is kept, as `zmtp` does.
const KEPT: usize = 4096;

/// Some hundred times what a handshake over a Unix socket takes on a busy machine.
const READY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_that_listens_is_found_under_its_address() {
        let settings = Settings::new("node7".parse().unwrap());
        for (address, expected) in [
            ("10.0.0.1:7000", "10.0.0.1:7000"),
            ("10.0.0.1:9501", "10.0.0.1"),
            ("[::1]:7000", "[::1]:7000"),
            ("[::1]:9501", "::1"),
            ("0.0.0.0:9501", "node7"),
            ("[::]:7000", "node7:7000"),
        ] {
            assert_eq!(found_at(address, &settings), expected);
        }
    }
}
