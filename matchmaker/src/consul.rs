//! Hosts by Consul's health: a topic is a service, its hosts the nodes where that is passing
//! (oslo-zmq, section 7.3, mode 1).
//!
//! What always holds: a lookup of a service that was asked for before does not wait for Consul; while
//! Consul is away, or without a leader, each service keeps its last answer, and [`Backend::status`]
//! says since when; a registration is passed with every heartbeat, and made again if the agent has
//! lost it.
//!
//! Not done here: TLS, which an agent on the same machine does not need; removal of what has expired,
//! which Consul does itself.

mod names;

mod settings;

mod api;

mod outage;

mod watch;

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::announced::Announced;
use crate::backend::{Answer, Backend, BackendError, Listing, Status};
use crate::cache::Cache;
use crate::consul::api::{Api, ConsulFault};
use crate::consul::outage::Outage;
use crate::consul::watch::Watch;
use crate::exchange::Member;
use crate::heartbeat::{Beat, Heartbeat};
use crate::name::{Host, Topic};

pub use crate::consul::names::{Names, NamesError};
pub use crate::consul::settings::{ConsulSettings, ConsulUrlError};

/// A Consul agent.
///
/// Connects at the first question. To be used within one tokio runtime; its tasks end with it.
#[derive(Debug)]
pub struct Consul(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    api: Api,
    outage: Arc<Outage>,
    watches: Mutex<HashMap<Topic, Watch>>,
    /// There are as many directed topics as hosts, too many to watch; most are no service at all.
    directed: Cache,
    announced: Announced,
    heartbeat: Heartbeat,
}

impl Consul {
    /// Connects to nothing yet.
    pub fn new(settings: ConsulSettings) -> Self {
        let heartbeat = Heartbeat::default();
        Self(Arc::new(Shared {
            api: Api::new(settings),
            outage: Arc::new(Outage::new(heartbeat.wake())),
            watches: Mutex::default(),
            directed: Cache::new(DIRECTED_FRESH_FOR),
            announced: Announced::default(),
            heartbeat,
        }))
    }

    /// The volume services on one host, which multi-backend calls of cinder take for a topic.
    async fn volumes_of(&self, host: &str) -> Result<Arc<[Member]>, BackendError> {
        let volumes: Topic = Topic::VOLUME.parse().map_err(BackendError::new)?;
        let members = self.members(&volumes).await?;
        Ok(members.iter().filter(|member| member.name.machine().as_str() == host).cloned().collect())
    }
}

impl Backend for Consul {
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        if let Some(host) = topic.as_str().strip_prefix(Topic::VOLUME).and_then(|rest| rest.strip_prefix(':')) {
            return Box::pin(self.volumes_of(host));
        }
        let Some(service) = self.0.api.settings().names.service(topic) else {
            return Box::pin(ready(Ok(Arc::default())));
        };
        if topic.is_directed() {
            return match self.0.directed.fresh(topic) {
                Some(members) => Box::pin(ready(Ok(members))),
                None => Box::pin(self.0.directed(topic, service)),
            };
        }
        let mut watches = self.0.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = match watches.get(topic) {
            Some(watch) if watch.is_alive() => watch,
            _ => {
                make_room(&mut watches);
                let watch = Watch::start(self.0.api.clone(), self.0.outage.clone(), service);
                watches.entry(topic.clone()).insert_entry(watch).into_mut()
            }
        };
        match watch.known() {
            Some(members) => Box::pin(ready(Ok(members))),
            None => {
                let first = watch.first();
                Box::pin(async move { first.await.map_err(BackendError::new) })
            }
        }
    }

    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        Box::pin(async {
            let topics = self.0.noted(self.0.api.topics().await)?;
            Ok(topics.into_keys().collect())
        })
    }

    fn listing(&self) -> Answer<'_, Listing> {
        Box::pin(async {
            let mut services = self.0.noted(self.0.api.topics().await)?.into_iter();
            let mut asked = JoinSet::new();
            let mut listing = Listing::new();
            loop {
                while asked.len() < AT_ONCE
                    && let Some((topic, service)) = services.next()
                {
                    let api = self.0.api.clone();
                    asked.spawn(async move { (topic, api.health(&service, 0, Duration::ZERO).await) });
                }
                match asked.join_next().await {
                    None => return Ok(listing),
                    Some(Ok((topic, health))) => {
                        let health = self.0.noted(health)?;
                        listing.insert(topic, health.members.into());
                    }
                    // Only where the runtime shuts down, and this with it.
                    Some(Err(error)) => return Err(BackendError::new(error)),
                }
            }
        })
    }

    fn register<'a>(&'a self, topic: &'a Topic, host: &'a Host) -> Answer<'a, ()> {
        Box::pin(async {
            self.0.announced.add(topic, host);
            self.0.directed.age(topic);
            self.0.heartbeat.keep(&self.0, self.0.api.settings().heartbeat_freq);
            let _turn = self.0.heartbeat.turn().await;
            self.0.noted(self.0.api.register(topic, host).await)
        })
    }

    fn unregister<'a>(&'a self, topic: &'a Topic, host: &'a Host) -> Answer<'a, ()> {
        Box::pin(async {
            let _turn = self.0.heartbeat.turn().await;
            if !self.0.announced.remove(topic, host) {
                return Ok(());
            }
            self.0.noted(self.0.api.deregister(topic, host).await)
        })
    }

    fn status(&self) -> Status {
        self.0.outage.status()
    }
}

impl fmt::Display for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Beat for Shared {
    async fn beat(&self) -> Result<(), BackendError> {
        let mut outcome = Ok(());
        for (topic, host) in self.announced.all() {
            let passed = match self.noted(self.api.pass(&topic, &host).await) {
                // The agent may have lost it, with all it knew.
                Ok(false) => self.noted(self.api.register(&topic, &host).await),
                passed => passed.map(drop),
            };
            outcome = outcome.and(passed);
        }
        outcome
    }

    fn is_away(&self) -> bool {
        matches!(self.outage.status(), Status::Stale { .. })
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.api.settings().fmt(f)
    }
}

impl Shared {
    async fn directed(&self, topic: &Topic, service: String) -> Result<Arc<[Member]>, BackendError> {
        match self.noted(self.api.health(&service, 0, Duration::ZERO).await) {
            Ok(health) => {
                let members: Arc<[Member]> = health.members.into();
                self.directed.put(topic, members.clone());
                Ok(members)
            }
            Err(error) => self.directed.last(topic).ok_or(error),
        }
    }

    fn noted<T>(&self, outcome: Result<T, ConsulFault>) -> Result<T, BackendError> {
        self.outage.note(self.api.settings(), outcome).map_err(BackendError::new)
    }
}

/// Ends the watch that was asked longest ago, at the mark.
fn make_room(watches: &mut HashMap<Topic, Watch>) {
    if watches.len() < MOST_WATCHES {
        return;
    }
    let oldest = watches.iter().min_by_key(|(_, watch)| watch.last_used());
    if let Some(oldest) = oldest.map(|(topic, _)| topic.clone()) {
        watches.remove(&oldest);
    }
}

/// How old the answer for a directed topic may be: a server that is no host moves when it restarts.
const DIRECTED_FRESH_FOR: Duration = Duration::from_secs(5);

/// Services watched at once, each with a connection: what a process of many topics asks for, well
/// below the 200 connections that an agent allows one client.
const MOST_WATCHES: usize = 128;

/// Requests under way for a listing.
const AT_ONCE: usize = 16;
