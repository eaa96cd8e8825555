//! Members in Redis, shared with the Python services of 1.4.1 and 1.8.3 (oslo-zmq, section 7.1).
//!
//! The same keys, and what the originals do wrong with them put right: oslo-bugs B13 to B17, B37, B43.
//!
//! What always holds: a lookup changes nothing in Redis; what is announced is announced again with
//! every heartbeat, whole, so that it comes back after a FLUSHALL, a failover or an outage of any
//! length; while Redis is away every topic that was ever asked for keeps its last answer, and
//! [`Backend::status`] says since when.
//!
//! Redis is trusted with memory: an answer of its is not bounded, other than the list of all keys.
//!
//! Not done here: TLS, which cannot be had without C, and Redis Cluster, whose transactions do not
//! span the keys of a topic.

mod settings;

mod keys;

mod commands;
mod primary;

mod link;

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisError;
use redis::aio::MultiplexedConnection;

use crate::announced::Announced;
use crate::backend::{Answer, Backend, BackendError, Listing, Status};
use crate::cache::Cache;
use crate::exchange::Member;
use crate::heartbeat::{Beat, Heartbeat};
use crate::name::{Host, Topic};
use crate::redis::link::{Link, RedisFault};

pub use crate::redis::settings::{RedisSettings, RedisUrlError};

/// A Redis server, or the primary of several.
///
/// Connects at the first question. To be used within one tokio runtime; its tasks end with it.
///
/// ```no_run
/// use std::sync::Arc;
/// use matchmaker::{Backend, MatchMaker, Redis, RedisSettings, Server, Start};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Arc::new(Redis::new(RedisSettings::at(Server::here())));
/// redis.register(&"compute".parse()?, &"host1".parse()?).await?;
/// let matchmaker = MatchMaker::starting(Start::Random, redis);
/// let to = matchmaker.resolve(&"compute".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Redis(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    link: Arc<Link>,
    cache: Cache,
    announced: Announced,
    heartbeat: Heartbeat,
    /// For error texts, which need all topics.
    topics: Mutex<Option<(Instant, Vec<Topic>)>>,
}

impl Redis {
    /// Connects to nothing yet.
    pub fn new(settings: RedisSettings) -> Self {
        let heartbeat = Heartbeat::default();
        let cache = Cache::new(settings.fresh_for);
        let link = Arc::new(Link::new(settings, heartbeat.wake()));
        Self(Arc::new(Shared { link, cache, announced: Announced::default(), heartbeat, topics: Mutex::default() }))
    }
}

impl Backend for Redis {
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        // Not even a future of our own for the common case, which is a lookup in a map.
        match self.0.cache.fresh(topic) {
            Some(members) => Box::pin(ready(Ok(members))),
            None => Box::pin(self.0.members(topic)),
        }
    }

    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        Box::pin(self.0.topics())
    }

    fn listing(&self) -> Answer<'_, Listing> {
        Box::pin(async {
            let census = self.0.census().await?;
            let alive = |hosts: Vec<(Host, bool)>| {
                let hosts = hosts.into_iter().filter(|(_, alive)| *alive);
                hosts.map(|(host, _)| Member::from(host)).collect::<Arc<[_]>>()
            };
            Ok(census.into_iter().map(|(topic, hosts)| (topic, alive(hosts))).collect())
        })
    }

    fn register<'a>(&'a self, topic: &'a Topic, host: &'a Host) -> Answer<'a, ()> {
        Box::pin(async {
            let Shared { link, announced, heartbeat, .. } = &*self.0;
            announced.add(topic, host);
            heartbeat.keep(&self.0, link.settings().heartbeat_freq);
            let _turn = heartbeat.turn().await;
            self.0.announce(&[(topic.clone(), host.clone())]).await
        })
    }

    fn unregister<'a>(&'a self, topic: &'a Topic, host: &'a Host) -> Answer<'a, ()> {
        Box::pin(async {
            let _turn = self.0.heartbeat.turn().await;
            if !self.0.announced.remove(topic, host) {
                return Ok(());
            }
            self.0.cache.age(topic);
            self.0.ask(async |connection| commands::unregister(connection, topic, host).await).await
        })
    }

    fn expired(&self) -> Answer<'_, Vec<(Topic, Host)>> {
        Box::pin(async {
            let dead = self.0.dead().await?.into_iter();
            Ok(dead.flat_map(|(topic, hosts)| hosts.into_iter().map(move |host| (topic.clone(), host))).collect())
        })
    }

    fn expire(&self) -> Answer<'_, Vec<(Topic, Host)>> {
        Box::pin(async {
            let mut removed = Vec::new();
            for (topic, hosts) in self.0.dead().await? {
                let gone = self.0.ask(async |connection| commands::expire(connection, &topic, &hosts).await).await?;
                removed.extend(gone.into_iter().map(|host| (topic.clone(), host)));
            }
            Ok(removed)
        })
    }

    fn status(&self) -> Status {
        self.0.link.status()
    }
}

impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Beat for Shared {
    async fn beat(&self) -> Result<(), BackendError> {
        self.announce(&self.announced.all()).await
    }

    fn is_away(&self) -> bool {
        matches!(self.link.status(), Status::Stale { .. })
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.settings().fmt(f)
    }
}

impl Shared {
    async fn members(&self, topic: &Topic) -> Result<Arc<[Member]>, BackendError> {
        match self.ask(async |connection| commands::members(connection, topic).await).await {
            Ok(members) => {
                let members: Arc<[Member]> = members.into();
                self.cache.put(topic, members.clone());
                Ok(members)
            }
            Err(error) => self.cache.last(topic).ok_or(error),
        }
    }

    async fn announce(&self, pairs: &[(Topic, Host)]) -> Result<(), BackendError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let ttl = self.link.settings().heartbeat_ttl;
        self.ask(async |connection| commands::register(connection, pairs, ttl).await).await?;
        for (topic, _) in pairs {
            self.cache.age(topic);
        }
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<Topic>, BackendError> {
        let known = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, topics)) = known
            && at.elapsed() < TOPICS_FRESH_FOR
        {
            return Ok(topics);
        }
        let topics: Vec<_> = self.census().await?.into_keys().collect();
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), topics.clone()));
        Ok(topics)
    }

    /// All topics and who is announced for them, each dead or alive.
    async fn census(&self) -> Result<BTreeMap<Topic, Vec<(Host, bool)>>, BackendError> {
        let keys = self.ask(async |connection| commands::keys(connection, MOST_KEYS).await).await?;
        let keys = keys.ok_or_else(|| BackendError::new(RedisFault::TooManyKeys { most: MOST_KEYS }))?;
        let topics: Vec<Topic> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let sets = self.ask(async |connection| commands::sets(connection, &topics).await).await?;
        let judged = sets.into_iter().map(|(topic, hosts)| {
            let alive = |host: Host| {
                let alive = keys.contains(&keys::member(&topic, &host));
                (host, alive)
            };
            let hosts = hosts.into_iter().map(alive).collect();
            (topic, hosts)
        });
        Ok(judged.collect())
    }

    async fn dead(&self) -> Result<BTreeMap<Topic, Vec<Host>>, BackendError> {
        let census = self.census().await?.into_iter().map(|(topic, hosts)| {
            let dead = hosts.into_iter().filter(|(_, alive)| !alive).map(|(host, _)| host).collect::<Vec<_>>();
            (topic, dead)
        });
        Ok(census.filter(|(_, dead)| !dead.is_empty()).collect())
    }

    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, BackendError> {
        let mut lease = self.link.lease().await.map_err(BackendError::new)?;
        let answer = question(&mut lease.connection).await;
        self.link.settle(&lease, answer).map_err(BackendError::new)
    }
}

/// How old the list of topics in an error text may be: making it reads the whole database.
const TOPICS_FRESH_FOR: Duration = Duration::from_secs(10);

/// Most keys of a database that are read: ten times those of ten thousand topics on a few hosts each.
/// They are held in memory, some 60 octets each.
const MOST_KEYS: usize = 1_000_000;
