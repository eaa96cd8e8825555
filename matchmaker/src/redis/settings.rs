//! Where a Redis is, and how to treat it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::secret::Secret;
use crate::url::{Server, Url, UrlError};

/// What [`Redis`](crate::Redis) is to connect to. `Debug` hides the password.
///
/// | URL | meaning |
/// |---|---|
/// | `redis://:PASSWORD@HOST:6379/0` | one server, database 0 |
/// | `redis://USER:PASSWORD@A,B:6380/3` | whichever of two is the primary, with an ACL user, database 3 |
/// | `redis+sentinel://:PASSWORD@S1,S2,S3/NAME/0` | the primary that three Sentinels name `NAME` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// The servers, or with `sentinel` the Sentinels. Port 6379, or 26379, unless said.
    pub servers: Vec<Server>,
    /// The name under which the Sentinels know the primary.
    pub sentinel: Option<String>,
    /// An ACL user.
    pub user: Option<String>,
    /// That user's password, or the server's.
    pub password: Option<Secret>,
    /// The database; the originals know only 0.
    pub database: u16,
    /// Between two heartbeats.
    pub heartbeat_freq: Duration,
    /// How long an announcement outlives its last heartbeat. Whole seconds, at least one.
    pub heartbeat_ttl: Duration,
    /// How old an answer may be before Redis is asked again.
    pub fresh_for: Duration,
    /// How long Redis may take to accept a connection, and to answer.
    pub patience: Duration,
}

impl RedisSettings {
    /// One server; all else as the originals have it by default.
    pub fn at(server: Server) -> Self {
        Self {
            servers: vec![server],
            sentinel: None,
            user: None,
            password: None,
            database: 0,
            heartbeat_freq: HEARTBEAT_FREQ,
            heartbeat_ttl: HEARTBEAT_TTL,
            fresh_for: FRESH_FOR,
            patience: PATIENCE,
        }
    }

    /// Whether a URL of this scheme is meant for Redis.
    pub(crate) fn has_scheme(scheme: &str) -> bool {
        matches!(scheme, REDIS | SENTINEL)
    }

    /// Reads a URL of a scheme of ours.
    pub(crate) fn from_url(url: Url) -> Result<Self, RedisUrlError> {
        let Url { scheme, user, password, servers, path, query } = url;
        if let Some((key, _)) = query.first() {
            return Err(RedisUrlError::Query { key: key.clone() });
        }
        let (sentinel, database) = match (scheme.as_str(), path.as_slice()) {
            (SENTINEL, []) => return Err(RedisUrlError::NoPrimaryName),
            (SENTINEL, [name, database @ ..]) => (Some(name.clone()), database),
            (_, database) => (None, database),
        };
        let database = match database {
            [] => 0,
            [number] => number.parse().map_err(|_| RedisUrlError::Database)?,
            _ => return Err(RedisUrlError::Database),
        };
        let first = servers.first().cloned().ok_or(UrlError::NoHost)?;
        Ok(Self { servers, sentinel, user, password, database, ..Self::at(first) })
    }
}

/// Names the servers in errors. Never shows a login.
impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        match &self.sentinel {
            None => write!(f, "redis {}/{}", servers.join(","), self.database),
            Some(name) => write!(f, "redis {name}/{} of Sentinel {}", self.database, servers.join(",")),
        }
    }
}

/// What is wrong with the URL of a Redis.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// Its form.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Something after `?`.
    #[error("a Redis URL has no {key:?}: leave out the part from the question mark on")]
    Query {
        /// The first such key.
        key: String,
    },
    /// The path is no number.
    #[error("the database of a Redis is a number: redis://HOST:6379/0")]
    Database,
    /// A Sentinel without the name of its primary.
    #[error("the name of the primary is missing: redis+sentinel://HOST:26379/NAME/0")]
    NoPrimaryName,
}

const REDIS: &str = "redis";
const SENTINEL: &str = "redis+sentinel";

/// `matchmaker_heartbeat_freq` of the originals.
pub(crate) const HEARTBEAT_FREQ: Duration = Duration::from_secs(300);

/// `matchmaker_heartbeat_ttl` of the originals.
pub(crate) const HEARTBEAT_TTL: Duration = Duration::from_secs(600);

/// Short beside the life of an announcement; one question per topic and second is no load.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// A healthy server answers in a millisecond; with this a stopped one holds a caller up once, for as
/// long as a person hardly notices.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RedisSettings, RedisUrlError> {
        RedisSettings::from_url(text.parse()?)
    }

    #[test]
    fn every_form_of_url() {
        for (text, shown) in [
            ("redis://h", "redis h/0"),
            ("redis://:pw@h:7000/2", "redis h:7000/2"),
            ("redis://u:pw@a,[::1]:2/", "redis a,[::1]:2/0"),
            ("redis+sentinel://:pw@s1,s2:7/main/4", "redis main/4 of Sentinel s1,s2:7"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), shown);
        }
        let settings = read("redis://me:pw@h").unwrap();
        assert_eq!(settings.user.as_deref(), Some("me"));
        assert_eq!(settings.password, Some(Secret::new("pw")));
        assert!(!format!("{settings:?}").contains("pw"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(read("redis://h/x"), Err(RedisUrlError::Database));
        assert_eq!(read("redis://h/0/1"), Err(RedisUrlError::Database));
        assert_eq!(read("redis+sentinel://h"), Err(RedisUrlError::NoPrimaryName));
        assert_eq!(read("redis://h?db=1"), Err(RedisUrlError::Query { key: "db".to_owned() }));
        assert_eq!(read("redis://"), Err(RedisUrlError::Url(UrlError::NoHost)));
    }
}
