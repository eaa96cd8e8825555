//! The one trait between the exchanges and wherever the hosts of a topic are written down.
//!
//! A backend knows which hosts serve a topic and nothing else; choosing among them is the exchanges'
//! part. Futures are boxed so that a [`MatchMaker`](crate::MatchMaker) can hold any backend.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;

use crate::exchange::Member;
use crate::name::{Host, Topic};

/// A registry of topics. `Display` names it in errors: `ring /etc/oslo/matchmaker_ring.json`.
///
/// A backend of one's own is a page. This one takes every host for able to serve everything:
///
/// ```
/// use std::fmt;
/// use std::future::ready;
/// use std::sync::Arc;
/// use matchmaker::{Answer, Backend, Host, MatchMaker, Member, Topic};
///
/// #[derive(Debug)]
/// struct Everywhere(Arc<[Member]>);
///
/// impl fmt::Display for Everywhere {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("fixed list of hosts")
///     }
/// }
///
/// impl Backend for Everywhere {
///     fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
///         // A key with a dot names its host already.
///         let members = if topic.is_directed() { [].into() } else { self.0.clone() };
///         Box::pin(ready(Ok(members)))
///     }
///
///     fn topics(&self) -> Answer<'_, Vec<Topic>> {
///         Box::pin(ready(Ok(Vec::new())))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let hosts = ["host1", "host2"].map(|name| name.parse::<Host>().map(Member::from));
/// let hosts = hosts.into_iter().collect::<Result<_, _>>()?;
/// let matchmaker = MatchMaker::new(Arc::new(Everywhere(hosts)));
///
/// let copies = matchmaker.resolve(&"fanout~compute".parse()?).await?;
/// assert_eq!(copies[1].topic.as_str(), "fanout~compute.host2");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Backend: fmt::Debug + fmt::Display + Send + Sync {
    /// The hosts that serve exactly this topic, in the order of their turns. None known: an empty
    /// list, no error.
    ///
    /// Must be cancel safe. A backend that cannot reach its registry should go on giving its last
    /// answer and say so in [`Backend::status`].
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>>;

    /// All topics known, sorted: for tools and error texts, not for routing.
    fn topics(&self) -> Answer<'_, Vec<Topic>>;

    /// All topics with their hosts: for tools. A backend that has them in bulk should give them so.
    fn listing(&self) -> Answer<'_, Listing> {
        Box::pin(async {
            let mut listing = Listing::new();
            for topic in self.topics().await? {
                let members = self.members(&topic).await?;
                listing.insert(topic, members);
            }
            Ok(listing)
        })
    }

    /// Announces that `host` serves `topic`. Does nothing unless the registry takes announcements.
    ///
    /// A backend whose announcements expire repeats them until they are taken back. One that fails
    /// is kept and repeated as well, so that a service may start before its registry.
    fn register<'a>(&'a self, _topic: &'a Topic, _host: &'a Host) -> Answer<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    /// Takes back exactly one [`Backend::register`] (oslo-bugs B17): what two listeners of a process
    /// announced stands until both have taken it back.
    fn unregister<'a>(&'a self, _topic: &'a Topic, _host: &'a Host) -> Answer<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    /// The announcements, by anybody, that have expired and are still listed: no lookup sees them.
    fn expired(&self) -> Answer<'_, Vec<(Topic, Host)>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    /// Removes what is [`expired`](Backend::expired), unless it has come back to life meanwhile.
    /// Returns what was removed.
    fn expire(&self) -> Answer<'_, Vec<(Topic, Host)>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    /// Whether the answers are those of the registry as it is now.
    fn status(&self) -> Status {
        Status::Current
    }
}

/// What a [`Backend`] returns: a future that borrows its arguments.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// Topics and the hosts that serve them.
pub type Listing = BTreeMap<Topic, Arc<[Member]>>;

/// How far a backend's answers can be trusted.
#[derive(Debug, Clone)]
pub enum Status {
    /// They are up to date.
    Current,
    /// They are the last good ones.
    Stale {
        /// When newer ones could not be had for the first time.
        since: SystemTime,
        /// Why not.
        cause: Arc<dyn Error + Send + Sync>,
    },
}

/// A registry that does not answer, with its own account of why.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct BackendError(Box<dyn Error + Send + Sync>);

impl BackendError {
    /// Wraps the registry's own error.
    pub fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(cause))
    }
}
