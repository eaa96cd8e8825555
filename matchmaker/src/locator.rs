//! The text that says where the hosts of topics are written down: `ring:FILE`, `redis://HOST/0`.
//!
//! | text | registry |
//! |---|---|
//! | `ring`, `ring:FILE` | a ring file, [`DEFAULT_RING_FILE`] unless said |
//! | `redis`, `redis://…`, `redis+sentinel://…` | a Redis, on this machine unless said |
//! | `consul`, `consul://…` | a Consul agent, on this machine unless said |
//! | `localhost` | this machine serves everything |
//! | `stub` | nobody serves anything |
//!
//! What always holds: no error and no `Debug` shows a password.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::backend::Backend;
#[cfg(feature = "consul")]
use crate::consul::{Consul, ConsulSettings, ConsulUrlError};
use crate::kind::{Kind, KindError};
use crate::localhost::Localhost;
use crate::memory::Memory;
use crate::name::Host;
#[cfg(feature = "redis")]
use crate::redis::{Redis, RedisSettings, RedisUrlError};
use crate::ring_file::{DEFAULT_RING_FILE, RingError, RingFile};
#[cfg(any(feature = "consul", feature = "redis"))]
use crate::url::{Server, Url};

/// Where a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Locator {
    /// A ring file.
    Ring(PathBuf),
    /// This machine.
    Localhost,
    /// Nowhere.
    Stub,
    /// A Redis.
    #[cfg(feature = "redis")]
    Redis(RedisSettings),
    /// A Consul agent.
    #[cfg(feature = "consul")]
    Consul(ConsulSettings),
}

impl Locator {
    /// The registry of this kind in its usual place.
    ///
    /// # Errors
    ///
    /// It was left out of this build.
    pub fn usual(kind: Kind) -> Result<Self, LocatorError> {
        match kind {
            Kind::Ring => Ok(Self::Ring(DEFAULT_RING_FILE.into())),
            Kind::Localhost => Ok(Self::Localhost),
            Kind::Stub => Ok(Self::Stub),
            #[cfg(feature = "redis")]
            Kind::Redis => Ok(Self::Redis(RedisSettings::at(Server::here()))),
            #[cfg(feature = "consul")]
            Kind::Consul => Ok(Self::Consul(ConsulSettings::at(Server::here()))),
            #[allow(unreachable_patterns, reason = "there may be no other")]
            kind => Err(LocatorError::NotBuilt { kind }),
        }
    }

    /// The registry itself. A ring is read; servers are connected to when they are first asked.
    ///
    /// `node` is the `rpc_zmq_host` of this machine, under which its services listen.
    ///
    /// # Errors
    ///
    /// There is no good ring.
    pub fn open(&self, node: &Host) -> Result<Arc<dyn Backend>, RingError> {
        Ok(match self {
            Self::Ring(file) => Arc::new(RingFile::open(file)?),
            Self::Localhost => Arc::new(Localhost::new(node.clone())),
            Self::Stub => Arc::new(Memory::named("stub")),
            #[cfg(feature = "redis")]
            Self::Redis(settings) => Arc::new(Redis::new(settings.clone())),
            #[cfg(feature = "consul")]
            Self::Consul(settings) => Arc::new(Consul::new(settings.clone())),
        })
    }
}

impl FromStr for Locator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) => (scheme, Some(rest)),
            None => (text, None),
        };
        #[cfg(feature = "redis")]
        if rest.is_some() && RedisSettings::has_scheme(scheme) {
            let url: Url = text.parse().map_err(RedisUrlError::Url)?;
            return Ok(Self::Redis(RedisSettings::from_url(url)?));
        }
        #[cfg(feature = "consul")]
        if rest.is_some() && scheme == "consul" {
            let url: Url = text.parse().map_err(ConsulUrlError::Url)?;
            return Ok(Self::Consul(ConsulSettings::from_url(url)?));
        }
        match (scheme, scheme.parse::<Kind>(), rest) {
            ("rediss" | "https", _, Some(_)) => Err(LocatorError::Tls),
            (_, Ok(kind), None) => Self::usual(kind),
            (_, Ok(Kind::Ring), Some("")) => Err(LocatorError::NoFile),
            (_, Ok(Kind::Ring), Some(file)) => Ok(Self::Ring(file.into())),
            (_, Ok(_), Some(_)) => Err(LocatorError::Surplus { kind: scheme.to_owned() }),
            (_, Err(error), _) => Err(error.into()),
        }
    }
}

/// Why a text names no registry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocatorError {
    /// Its beginning names none.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// One that was left out of this build.
    #[error("the matchmaker {kind} was left out of this build: build it with the feature of that name")]
    NotBuilt {
        /// Which one.
        kind: Kind,
    },
    /// `ring:` and nothing.
    #[error("a file has to follow the colon: ring:/etc/oslo/matchmaker_ring.json")]
    NoFile,
    /// Something after a registry that has no place.
    #[error("{kind} has no file: leave out the colon and what follows")]
    Surplus {
        /// That registry.
        kind: String,
    },
    /// A URL for TLS.
    #[error("TLS is not built in: connect to the server's plain port, or through a tunnel on this machine")]
    Tls,
    /// A URL of a Redis.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] RedisUrlError),
    /// A URL of a Consul.
    #[cfg(feature = "consul")]
    #[error(transparent)]
    Consul(#[from] ConsulUrlError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registry_has_a_text() {
        for (text, locator) in [
            ("ring", Locator::Ring(DEFAULT_RING_FILE.into())),
            ("ring:/a:b", Locator::Ring("/a:b".into())),
            ("localhost", Locator::Localhost),
            ("stub", Locator::Stub),
        ] {
            assert_eq!(text.parse(), Ok(locator), "{text}");
        }
        for text in ["rign", "ring:", "localhost:/x", "stub:", "rediss://h", ""] {
            assert!(text.parse::<Locator>().is_err(), "{text}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_redis_is_named_and_its_password_is_not() {
        let Locator::Redis(settings) = "redis://:hunter2@h:1/2".parse().unwrap() else { panic!("another registry") };
        assert_eq!(settings.to_string(), "redis h:1/2");
        let Locator::Redis(settings) = "redis".parse().unwrap() else { panic!("another registry") };
        assert_eq!(settings.to_string(), "redis 127.0.0.1/0");
        for text in
            ["redis://:hunter2@", "redis:hunter2", "rediss://:hunter2@h", "redis://:hunter2@h:x", "redsi://:hunter2@h"]
        {
            let error = text.parse::<Locator>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }
}
