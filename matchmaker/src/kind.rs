//! The values of `rpc_zmq_matchmaker` (oslo-zmq, section 10; oslo-bugs B2, B12, B18).
//!
//! Short names, and every dotted path that the originals' documentation ever gave, by its last
//! component: `oslo.messaging`, `oslo_messaging`, and `nova` before them, put the classes in modules
//! of many names, and one guide gets the module wrong.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A matchmaker.
///
/// ```
/// use matchmaker::Kind;
///
/// let path = "oslo.messaging._drivers.matchmaker_ring.MatchMakerRing";
/// assert_eq!(path.parse(), Ok(Kind::Ring));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// This machine serves everything: `local`, `localhost`, `…MatchMakerLocalhost`.
    Localhost,
    /// A ring file: `ring`, `…MatchMakerRing`.
    Ring,
    /// Nobody serves anything: `stub`, `…MatchMakerStub`.
    Stub,
    /// A Redis: `redis`, `…MatchMakerRedis`.
    Redis,
    /// Consul: `consul`.
    Consul,
}

/// The short name.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Localhost => "local",
            Self::Ring => "ring",
            Self::Stub => "stub",
            Self::Redis => "redis",
            Self::Consul => "consul",
        })
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, KindError> {
        let (path, class) = name.rsplit_once('.').unwrap_or(("", name));
        match (path, class) {
            ("", "local" | "localhost") | (_, "MatchMakerLocalhost") => Ok(Self::Localhost),
            ("", "ring") | (_, "MatchMakerRing") => Ok(Self::Ring),
            ("", "stub") | (_, "MatchMakerStub") => Ok(Self::Stub),
            ("", "redis") | (_, "MatchMakerRedis") => Ok(Self::Redis),
            ("", "consul") => Ok(Self::Consul),
            _ => Err(KindError { name: name.to_owned() }),
        }
    }
}

/// A name that stands for no matchmaker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no matchmaker {name:?}: use local, ring, redis, consul or stub")]
pub struct KindError {
    /// The name as given.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b18_every_name_that_was_ever_documented() {
        for (name, kind) in [
            ("local", Kind::Localhost),
            ("localhost", Kind::Localhost),
            ("ring", Kind::Ring),
            ("stub", Kind::Stub),
            ("MatchMakerRing", Kind::Ring),
            ("oslo.messaging._drivers.matchmaker.MatchMakerLocalhost", Kind::Localhost),
            ("oslo_messaging._drivers.matchmaker.MatchMakerLocalhost", Kind::Localhost),
            ("oslo.messaging._drivers.matchmaker.MatchMakerRing", Kind::Ring),
            ("oslo.messaging._drivers.matchmaker_ring.MatchMakerRing", Kind::Ring),
            ("oslo_messaging._drivers.matchmaker_ring.MatchMakerRing", Kind::Ring),
            ("nova.openstack.common.rpc.matchmaker.MatchMakerRing", Kind::Ring),
            ("oslo.messaging._drivers.matchmaker.MatchMakerStub", Kind::Stub),
            ("redis", Kind::Redis),
            ("oslo.messaging._drivers.matchmaker_redis.MatchMakerRedis", Kind::Redis),
            ("oslo_messaging._drivers.matchmaker_redis.MatchMakerRedis", Kind::Redis),
            // One guide's, wrong in its module (B12).
            ("oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis", Kind::Redis),
            ("consul", Kind::Consul),
        ] {
            assert_eq!(name.parse(), Ok(kind), "{name}");
        }
    }

    #[test]
    fn what_nobody_has_is_refused() {
        for name in ["", "rign", "Ring", "oslo.ring", "MatchMakerBase", "ring "] {
            let error = name.parse::<Kind>().unwrap_err();
            let said = format!("there is no matchmaker {name:?}: use local, ring, redis, consul or stub");
            assert_eq!(error.to_string(), said);
        }
    }
}
