//! The values of `rpc_zmq_matchmaker` (oslo-zmq, section 10; oslo-bugs B2, B12, B18).
//!
//! Short names, and every dotted path that the originals' documentation ever gave, by its last
//! component: `oslo.messaging`, `oslo_messaging`, and `nova` before them, put the classes in modules
//! of many names, and one guide gets the module wrong.

use std::str::FromStr;

use thiserror::Error;

/// A matchmaker of this build.
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
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, KindError> {
        let (path, class) = name.rsplit_once('.').unwrap_or(("", name));
        match (path, class) {
            ("", "local" | "localhost") | (_, "MatchMakerLocalhost") => Ok(Self::Localhost),
            ("", "ring") | (_, "MatchMakerRing") => Ok(Self::Ring),
            ("", "stub") | (_, "MatchMakerStub") => Ok(Self::Stub),
            ("", "redis" | "consul") | (_, "MatchMakerRedis") => Err(KindError::NotBuilt { name: name.to_owned() }),
            _ => Err(KindError::Unknown { name: name.to_owned() }),
        }
    }
}

/// Why a name stands for no matchmaker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KindError {
    /// One that other versions have.
    #[error("matchmaker {name:?} is not built in this version: use {KINDS}")]
    NotBuilt {
        /// The name as given.
        name: String,
    },
    /// None at all.
    #[error("there is no matchmaker {name:?}: use {KINDS}")]
    Unknown {
        /// The name as given.
        name: String,
    },
}

const KINDS: &str = "local, ring or stub";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_was_ever_documented() {
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
        ] {
            assert_eq!(name.parse(), Ok(kind), "{name}");
        }
    }

    #[test]
    fn what_other_versions_have_is_told_from_what_nobody_has() {
        for name in [
            "redis",
            "consul",
            "oslo.messaging._drivers.matchmaker_redis.MatchMakerRedis",
            "oslo_messaging._drivers.matchmaker_redis.MatchMakerRedis",
            "oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis",
        ] {
            let error = name.parse::<Kind>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("matchmaker {name:?} is not built in this version: use local, ring or stub")
            );
        }
        for name in ["", "rign", "Ring", "oslo.ring", "MatchMakerBase", "ring "] {
            let error = name.parse::<Kind>().unwrap_err();
            assert_eq!(error.to_string(), format!("there is no matchmaker {name:?}: use local, ring or stub"));
        }
    }
}
