//! Which hosts serve a topic.
//!
//! A sender of brokerless messages has to know where to send. It asks a [`MatchMaker`]: a key goes
//! in (`compute`, `compute.host1`, `fanout~compute`), and out come the hosts to connect to, each with
//! the topic to send it. The rules are those of the OpenStack messaging of 2013 to 2015
//! (oslo-zmq, sections 6 and 7), held to captures of the original; where the original fails, the
//! number of its bug stands beside what is done instead.
//!
//! | read first | what it is |
//! |---|---|
//! | [`Topic`], [`Host`] | checked names |
//! | [`Exchange`] | from a key and members to destinations: direct, round robin, fanout, localhost |
//! | [`Backend`] | where the members are written down: [`RingFile`], `Redis`, `Consul`, [`Localhost`], [`Memory`], yours |
//! | [`Locator`] | the text that names one: `ring:/etc/oslo/matchmaker_ring.json`, `redis://10.0.0.5/0` |
//! | [`MatchMaker`] | bindings of keys to exchanges, over one backend |
//! | [`reconcile`] | what a ring file should hold, given what a server lists |
//!
//! ```
//! use std::sync::Arc;
//! use matchmaker::{MatchMaker, RingFile};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("ring.json");
//! # std::fs::write(&path, r#"{"scheduler": ["host1", "host2"]}"#)?;
//! let matchmaker = MatchMaker::new(Arc::new(RingFile::open(path)?));
//!
//! let to = matchmaker.resolve(&"scheduler".parse()?).await?;
//! assert_eq!(to[0].topic.as_str(), "scheduler.host1");
//! assert_eq!(to[0].host.with_port(9501), "host1:9501");
//!
//! // The next host has the next turn.
//! let to = matchmaker.resolve(&"scheduler".parse()?).await?;
//! assert_eq!(to[0].host.as_str(), "host2");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `cli` (default) builds the command `matchmaker`, with all of the others: `redis` and
//! `consul` are the backends of those names, `oslo-config` reads nova's configuration files, `tokio`
//! has a task look at the ring file in place of lookups. The library alone needs none, and none
//! compiles C.
//!
//! This crate sends nothing and knows no sockets.

mod name;

mod document;
mod exchange;
mod finding;
#[cfg(any(feature = "consul", feature = "redis"))]
mod secret;
#[cfg(any(feature = "consul", feature = "redis"))]
mod url;

mod announced;
mod backend;
mod ring;

mod localhost;
mod lookup;
mod memory;
mod ring_file;

mod difference;
mod ring_writer;
mod reconcile;

mod kind;
mod lint;
#[cfg(feature = "tokio")]
mod ring_watch;

#[cfg(any(feature = "consul", feature = "redis"))]
mod backoff;
#[cfg(any(feature = "consul", feature = "redis"))]
mod cache;
#[cfg(any(feature = "consul", feature = "redis"))]
mod heartbeat;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "consul")]
mod consul;

mod locator;
#[cfg(feature = "oslo-config")]
mod settings;

use std::sync::Arc;

pub use crate::backend::{Answer, Backend, BackendError, Listing, Status};
#[cfg(feature = "consul")]
pub use crate::consul::{Consul, ConsulSettings, ConsulUrlError, Names, NamesError};
pub use crate::difference::{Change, differences};
pub use crate::document::{Fault, Leniency, ParseError};
pub use crate::exchange::{Binding, Destination, Exchange, Member, RoundRobin, Start};
pub use crate::finding::{Finding, Level, Rule};
pub use crate::kind::{Kind, KindError};
pub use crate::lint::{lint, lint_file};
pub use crate::localhost::Localhost;
pub use crate::locator::{Locator, LocatorError};
pub use crate::lookup::{Absence, LookupError};
pub use crate::memory::Memory;
pub use crate::name::{Host, MAX_NAME, NameError, Named, Topic};
pub use crate::reconcile::{Refusal, Rules, Wanted, reconcile};
#[cfg(feature = "redis")]
pub use crate::redis::{Redis, RedisSettings, RedisUrlError};
pub use crate::ring::Ring;
pub use crate::ring_file::{DEFAULT_RING_FILE, MAX_RING, POLL, RingError, RingFile};
#[cfg(feature = "tokio")]
pub use crate::ring_watch::RingWatch;
pub use crate::ring_writer::{RingWriter, WriteError, ring_text};
#[cfg(any(feature = "consul", feature = "redis"))]
pub use crate::secret::Secret;
#[cfg(feature = "oslo-config")]
pub use crate::settings::{Remark, Settings, SettingsError, Warning};
#[cfg(any(feature = "consul", feature = "redis"))]
pub use crate::url::{Server, UrlError};

/// An ordered list of bindings over a backend: the first that matches a key answers it, alone.
///
/// One serves a whole process, shared in an [`Arc`]: the turns of a round robin are its own.
#[derive(Debug)]
pub struct MatchMaker {
    backend: Arc<dyn Backend>,
    bindings: Vec<(Binding, Exchange)>,
}

impl MatchMaker {
    /// The usual exchanges over a registry: fanout, direct, and round robin from the first host on.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::starting(Start::First, backend)
    }

    /// [`MatchMaker::new`] with a choice of the host that has the first turn.
    pub fn starting(start: Start, backend: Arc<dyn Backend>) -> Self {
        let round_robin = Exchange::RoundRobin(RoundRobin::new(start));
        let bindings = vec![
            (Binding::Fanout, Exchange::Fanout),
            (Binding::Directed, Exchange::Direct),
            (Binding::Any, round_robin),
        ];
        Self::with_bindings(backend, bindings)
    }

    /// Everything to this machine, whose services listen under `node` (their `rpc_zmq_host`), except
    /// what names another host.
    pub fn localhost(node: Host) -> Self {
        let bindings = vec![(Binding::Directed, Exchange::Direct), (Binding::Any, Exchange::Localhost(node.clone()))];
        Self::with_bindings(Arc::new(Localhost::new(node)), bindings)
    }

    /// Nothing to anybody: for a process that must not send.
    ///
    /// The original stub names the key and no host, which no sender can use; every lookup here is
    /// [`LookupError::NoHost`].
    pub fn stub() -> Self {
        let bindings = vec![(Binding::Any, Exchange::Nobody)];
        Self::with_bindings(Arc::new(Memory::named("stub")), bindings)
    }

    /// Any exchanges over any registry. A key that no binding matches has no host.
    pub fn with_bindings(backend: Arc<dyn Backend>, bindings: Vec<(Binding, Exchange)>) -> Self {
        Self { backend, bindings }
    }

    /// The usual matchmaker over the registry of a [`Locator`].
    ///
    /// `node` is the `rpc_zmq_host` of this machine. Where many processes share one list of hosts
    /// that has no order of its own, each begins with another host.
    ///
    /// # Errors
    ///
    /// There is no good ring, so that nothing is found missing later (oslo-bugs B2).
    pub fn at(locator: &Locator, node: &Host) -> Result<Self, RingError> {
        match locator {
            Locator::Localhost => Ok(Self::localhost(node.clone())),
            Locator::Stub => Ok(Self::stub()),
            Locator::Ring(_) => Ok(Self::new(locator.open(node)?)),
            #[allow(unreachable_patterns, reason = "there may be no other")]
            _ => Ok(Self::starting(Start::Random, locator.open(node)?)),
        }
    }

    /// Where a message for `key` is to go: never nowhere, and one place unless `key` is a fanout.
    ///
    /// A key that names its host goes there even if the registry does not answer.
    ///
    /// Cancel safe: a turn is taken only when the answer is there.
    ///
    /// # Errors
    ///
    /// [`LookupError::NoHost`] if nobody serves the topic, the others as they say.
    pub async fn resolve(&self, key: &Topic) -> Result<Vec<Destination>, LookupError> {
        let unroutable = |source| LookupError::Key { key: key.clone(), source };
        let mut asked = None;
        let mut destinations = Vec::new();
        let mut bindings = self.bindings.iter();
        if let Some((_, exchange)) = bindings.find(|(binding, _)| binding.matches(key)) {
            asked = exchange.asks_for(key).map_err(unroutable)?;
            let members = match &asked {
                Some(topic) => match self.registered(topic).await {
                    // It says where to go itself, and so the originals never ask.
                    Err(_) if matches!(exchange, Exchange::Direct) => Arc::default(),
                    members => members?,
                },
                None => Arc::default(),
            };
            destinations = exchange.route(key, &members).map_err(unroutable)?;
        }
        if destinations.is_empty() {
            let topic = asked.unwrap_or_else(|| key.clone());
            return Err(LookupError::no_host(&*self.backend, topic).await);
        }
        Ok(destinations)
    }

    /// The hosts of exactly this topic, in the order of their turns: at least one.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`MatchMaker::resolve`].
    pub async fn members(&self, topic: &Topic) -> Result<Arc<[Member]>, LookupError> {
        let members = self.registered(topic).await?;
        if members.is_empty() {
            return Err(LookupError::no_host(&*self.backend, topic.clone()).await);
        }
        Ok(members)
    }

    /// The topics that have hosts or a list for them, sorted. None where any name will do.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LookupError::Backend`].
    pub async fn topics(&self) -> Result<Vec<Topic>, LookupError> {
        self.answered(self.backend.topics().await)
    }

    /// All topics with their hosts: for tools.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LookupError::Backend`].
    pub async fn listing(&self) -> Result<Listing, LookupError> {
        self.answered(self.backend.listing().await)
    }

    /// The announcements that have expired and are still listed. No lookup sees them.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LookupError::Backend`].
    pub async fn expired(&self) -> Result<Vec<(Topic, Host)>, LookupError> {
        self.answered(self.backend.expired().await)
    }

    /// Removes what has expired, and returns it.
    ///
    /// Not cancel safe: some of it may be removed.
    ///
    /// # Errors
    ///
    /// [`LookupError::Backend`].
    pub async fn expire(&self) -> Result<Vec<(Topic, Host)>, LookupError> {
        self.answered(self.backend.expire().await)
    }

    /// Announces that services on `host` listen for `topic`, where the backend takes announcements.
    ///
    /// Not cancel safe: a cancelled announcement may or may not be made.
    ///
    /// # Errors
    ///
    /// [`LookupError::Backend`].
    pub async fn register(&self, topic: &Topic, host: &Host) -> Result<(), LookupError> {
        self.answered(self.backend.register(topic, host).await)
    }

    /// Takes back one [`MatchMaker::register`].
    ///
    /// Not cancel safe, as that is not.
    ///
    /// # Errors
    ///
    /// [`LookupError::Backend`].
    pub async fn unregister(&self, topic: &Topic, host: &Host) -> Result<(), LookupError> {
        self.answered(self.backend.unregister(topic, host).await)
    }

    /// The registry.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Whether the answers are up to date: a ring that no longer parses gives the last good ones.
    pub fn status(&self) -> Status {
        self.backend.status()
    }

    async fn registered(&self, topic: &Topic) -> Result<Arc<[Member]>, LookupError> {
        self.answered(self.backend.members(topic).await)
    }

    fn answered<T>(&self, answer: Result<T, BackendError>) -> Result<T, LookupError> {
        answer.map_err(|source| LookupError::backend(&*self.backend, source))
    }
}
