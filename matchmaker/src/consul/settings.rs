//! Where a Consul agent is, and which of its services are topics.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::consul::names::{Names, NamesError};
use crate::secret::Secret;
use crate::url::{Server, Url, UrlError};

/// What [`Consul`](crate::Consul) is to ask. `Debug` hides the token.
///
/// | URL | meaning |
/// |---|---|
/// | `consul://127.0.0.1:8500` | every service is a topic of its name |
/// | `consul://:TOKEN@HOST` | with an ACL token |
/// | `consul://HOST?dc=east&tag=zmq` | of one datacentre, services with a tag |
/// | `consul://HOST?map=nova-scheduler=scheduler,cinder-volume` | these services only, the first under another name |
/// | `consul://HOST?address=ip` | connect to the addresses that Consul knows, not to the names of nodes |
/// | `consul://HOST?names=full` | nodes under their full names, `host1.example.com` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulSettings {
    /// The agent. Port 8500 unless said.
    pub server: Server,
    /// The ACL token.
    pub token: Option<Secret>,
    /// The datacentre; without one, the agent's own.
    pub datacenter: Option<String>,
    /// A tag that a service must have, and that those registered here get.
    pub tag: Option<String>,
    /// Which service is which topic.
    pub names: Names,
    /// Whether to connect to the address that Consul knows of a service, in place of its host's name.
    pub by_address: bool,
    /// Whether a node's name counts whole, in place of the part before its first dot.
    pub full_names: bool,
    /// Between two heartbeats.
    pub heartbeat_freq: Duration,
    /// How long a registration stays healthy after its last heartbeat.
    pub heartbeat_ttl: Duration,
    /// How long Consul may take to answer what it knows at once.
    pub patience: Duration,
}

impl ConsulSettings {
    /// One agent; every service is a topic.
    pub fn at(server: Server) -> Self {
        Self {
            server,
            token: None,
            datacenter: None,
            tag: None,
            names: Names::default(),
            by_address: false,
            full_names: false,
            heartbeat_freq: HEARTBEAT_FREQ,
            heartbeat_ttl: HEARTBEAT_TTL,
            patience: PATIENCE,
        }
    }

    /// Reads a URL of the scheme `consul`.
    pub(crate) fn from_url(url: Url) -> Result<Self, ConsulUrlError> {
        let [server] = url.servers.as_slice() else { return Err(ConsulUrlError::SeveralServers) };
        if url.user.is_some() {
            return Err(ConsulUrlError::User);
        }
        if !url.path.is_empty() {
            return Err(ConsulUrlError::Path);
        }
        let mut settings = Self { token: url.password, ..Self::at(server.clone()) };
        for (key, value) in url.query {
            match (key.as_str(), value.as_str()) {
                ("dc", _) => settings.datacenter = Some(value),
                ("tag", _) => settings.tag = Some(value),
                ("map", _) => settings.names = value.parse()?,
                ("address", "name") => settings.by_address = false,
                ("address", "ip") => settings.by_address = true,
                ("names", "short") => settings.full_names = false,
                ("names", "full") => settings.full_names = true,
                _ => return Err(ConsulUrlError::Query { key }),
            }
        }
        Ok(settings)
    }
}

/// Names the agent in errors.
impl fmt::Display for ConsulSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consul {}", self.server)?;
        self.datacenter.as_ref().map_or(Ok(()), |datacenter| write!(f, " ({datacenter})"))
    }
}

/// What is wrong with the URL of a Consul.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConsulUrlError {
    /// Its form.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Two hosts.
    #[error("a Consul URL names one agent, which knows the servers: consul://127.0.0.1:8500")]
    SeveralServers,
    /// A user name.
    #[error("Consul knows no users: write a token as consul://:TOKEN@HOST:8500")]
    User,
    /// A path.
    #[error("a Consul URL has no path: consul://HOST:8500?dc=NAME")]
    Path,
    /// Something unknown after `?`.
    #[error("a Consul URL has no such {key:?}: there are dc, tag, map, address=name|ip and names=short|full")]
    Query {
        /// The first such key.
        key: String,
    },
    /// The map.
    #[error(transparent)]
    Names(#[from] NamesError),
}

/// As the originals treat Redis.
const HEARTBEAT_FREQ: Duration = Duration::from_secs(300);

/// As the originals treat Redis.
const HEARTBEAT_TTL: Duration = Duration::from_secs(600);

/// An agent may have to ask servers elsewhere, and an election takes them seconds: less would take
/// it for gone too soon, and what is known is answered meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConsulSettings, ConsulUrlError> {
        ConsulSettings::from_url(text.parse()?)
    }

    #[test]
    fn every_part_of_a_url_counts() {
        let settings = read("consul://:t0ken@h:1?dc=east&tag=zmq&map=a=b,c&address=ip&names=full").unwrap();
        assert_eq!(settings.to_string(), "consul h:1 (east)");
        assert_eq!(settings.token, Some(Secret::new("t0ken")));
        assert_eq!(settings.tag.as_deref(), Some("zmq"));
        assert!(settings.by_address && settings.full_names);
        assert_eq!(settings.names, "a=b,c".parse().unwrap());
        assert!(!format!("{settings:?}").contains("t0ken"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(read("consul://a,b"), Err(ConsulUrlError::SeveralServers));
        assert_eq!(read("consul://token@a"), Err(ConsulUrlError::User));
        assert_eq!(read("consul://a/v1"), Err(ConsulUrlError::Path));
        assert_eq!(read("consul://a?token=x"), Err(ConsulUrlError::Query { key: "token".to_owned() }));
        assert_eq!(read("consul://a?address=x"), Err(ConsulUrlError::Query { key: "address".to_owned() }));
        assert!(matches!(read("consul://a?map=x=/"), Err(ConsulUrlError::Names(_))));
    }
}
