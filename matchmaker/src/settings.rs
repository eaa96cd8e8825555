//! Which matchmaker an OpenStack configuration file asks for (oslo-zmq, section 10).
//!
//! The options are the originals'; `rpc_zmq_matchmaker` may also be the text of a [`Locator`]. What
//! deployment guides get wrong is understood where it can only mean one thing, and remarked upon
//! (oslo-bugs B12, B18).
//!
//! Not done here: reading files, which is `oslo-config`'s.

use std::fmt;
use std::path::PathBuf;
#[cfg(any(feature = "consul", feature = "redis"))]
use std::time::Duration;

use oslo_config::{Config, Declaration, Opt, OptType, Origin, Setting, ValueError};
use thiserror::Error;

use crate::kind::Kind;
use crate::locator::{Locator, LocatorError};
use crate::name::{Host, NameError};

/// Where the hosts of topics are written down, and what this machine is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The registry.
    pub locator: Locator,
    /// `rpc_zmq_host`; without it, the name of the machine.
    pub node: Option<Host>,
    /// What was understood and should be written otherwise, each with its place.
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// The options that are read, to be declared to a [`Config`].
    pub const OPTIONS: &[Declaration] = &[
        *MATCHMAKER.declaration(),
        *HOST.declaration(),
        *HEARTBEAT_FREQ.declaration(),
        *HEARTBEAT_TTL.declaration(),
        *RINGFILE.declaration(),
        *MISPLACED_RINGFILE.declaration(),
        *REDIS_HOST.declaration(),
        *REDIS_PORT.declaration(),
        *REDIS_PASSWORD.declaration(),
    ];

    /// Reads the options.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] at the first value that stands for nothing (oslo-bugs B2).
    pub fn from_config(config: &Config) -> Result<Self, SettingsError> {
        let mut reader = Reader { config, warnings: Vec::new() };
        let node = reader.node()?;
        let locator = reader.locator()?;
        Ok(Self { locator, node, warnings: reader.warnings })
    }
}

/// A remark on one option. Printed as `file:line: option: text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is set.
    pub origin: Origin,
    /// The option.
    pub option: &'static str,
    /// What should be written otherwise.
    pub remark: Remark,
}

/// What is remarked upon.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The dotted path of a class, right or wrong.
    ClassPath {
        /// What it stands for.
        kind: Kind,
    },
    /// The word `None`.
    NoneIsUnset,
    /// `ringfile` outside its group, where the originals do not look.
    Misplaced,
    /// Announcements that expire before they are repeated.
    ShortLife,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, option, remark } = self;
        write!(f, "{origin}: {option}: ")?;
        match remark {
            Remark::ClassPath { kind } => write!(f, "this path of a class stands for {kind}: write that"),
            Remark::NoneIsUnset => f.write_str("None is taken as unset: the originals would use the word itself"),
            Remark::Misplaced => f.write_str("read only in [matchmaker_ring]: move it there"),
            Remark::ShortLife => {
                f.write_str("announcements expire before they are repeated: make it twice matchmaker_heartbeat_freq")
            }
        }
    }
}

/// An option whose value stands for nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// It is not of its type.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// It names no matchmaker.
    #[error("{origin}: rpc_zmq_matchmaker")]
    Locator {
        /// Where it is set.
        origin: Origin,
        /// Why not.
        source: LocatorError,
    },
    /// It is no host.
    #[error("{origin}: {option}")]
    Host {
        /// Where it is set.
        origin: Origin,
        /// Which option.
        option: &'static str,
        /// Why not.
        source: NameError,
    },
    /// It is out of bounds.
    #[error("{origin}: {option}: choose a number from {least} to {most}")]
    Range {
        /// Where it is set.
        origin: Origin,
        /// Which option.
        option: &'static str,
        /// The smallest that will do.
        least: i64,
        /// The largest.
        most: i64,
    },
}

struct Reader<'c> {
    config: &'c Config,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    fn node(&mut self) -> Result<Option<Host>, SettingsError> {
        let Setting { value, origin } = self.text(&HOST)?;
        let host = value.map(|host| host.parse()).transpose();
        host.map_err(|source| SettingsError::Host { origin, option: "rpc_zmq_host", source })
    }

    fn locator(&mut self) -> Result<Locator, SettingsError> {
        let Setting { value, origin } = self.text(&MATCHMAKER)?;
        let text = value.unwrap_or_else(|| DEFAULT_MATCHMAKER.to_owned());
        let kind = text.parse::<Kind>().ok();
        if let (Some(kind), true) = (kind, text.contains('.')) {
            self.warn(origin.clone(), "rpc_zmq_matchmaker", Remark::ClassPath { kind });
        }
        let named = match kind {
            Some(kind) => Locator::usual(kind),
            None => text.parse(),
        };
        let mut locator = named.map_err(|source| SettingsError::Locator { origin, source })?;
        match &mut locator {
            // Named by its kind, it is where its own group says.
            Locator::Ring(file) if kind.is_some() => *file = self.ring()?,
            #[cfg(feature = "redis")]
            Locator::Redis(settings) => {
                (settings.heartbeat_freq, settings.heartbeat_ttl) = self.heartbeat()?;
                if kind.is_some() {
                    let (server, password) = self.redis()?;
                    settings.servers = vec![server];
                    settings.password = password;
                }
            }
            #[cfg(feature = "consul")]
            Locator::Consul(settings) => (settings.heartbeat_freq, settings.heartbeat_ttl) = self.heartbeat()?,
            _ => {}
        }
        Ok(locator)
    }

    fn ring(&mut self) -> Result<PathBuf, SettingsError> {
        let misplaced = self.config.get(&MISPLACED_RINGFILE)?;
        if misplaced.value.is_some() {
            self.warn(misplaced.origin, "ringfile", Remark::Misplaced);
        }
        let ring = self.text(&RINGFILE)?.value;
        Ok(ring.unwrap_or_else(|| crate::ring_file::DEFAULT_RING_FILE.to_owned()).into())
    }

    #[cfg(feature = "redis")]
    fn redis(&mut self) -> Result<(crate::url::Server, Option<crate::secret::Secret>), SettingsError> {
        let host = self.text(&REDIS_HOST)?.value.unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = u16::try_from(self.number(&REDIS_PORT, 1, u16::MAX.into())?).ok();
        let password = self.text(&REDIS_PASSWORD)?.value.map(crate::secret::Secret::new);
        Ok((crate::url::Server { host, port }, password))
    }

    #[cfg(any(feature = "consul", feature = "redis"))]
    fn heartbeat(&mut self) -> Result<(Duration, Duration), SettingsError> {
        let freq = self.number(&HEARTBEAT_FREQ, 1, LONGEST)?;
        let ttl = self.number(&HEARTBEAT_TTL, 1, LONGEST)?;
        if ttl <= freq {
            let origin = self.config.require(&HEARTBEAT_TTL)?.origin;
            self.warn(origin, "matchmaker_heartbeat_ttl", Remark::ShortLife);
        }
        Ok((Duration::from_secs(freq), Duration::from_secs(ttl)))
    }

    #[cfg(any(feature = "consul", feature = "redis"))]
    fn number(&self, option: &Opt<i64>, least: i64, most: i64) -> Result<u64, SettingsError> {
        let Setting { value, origin } = self.config.require(option)?;
        let in_range = Some(value).filter(|value| (least..=most).contains(value));
        let option = option.declaration().name;
        in_range.and_then(|value| value.try_into().ok()).ok_or(SettingsError::Range { origin, option, least, most })
    }

    /// A text; none if it is empty, or the word that Puppet writes for nothing.
    fn text<T: OptType + Into<String>>(&mut self, option: &Opt<T>) -> Result<Setting<Option<String>>, SettingsError> {
        let Setting { value, origin } = self.config.get(option)?;
        let text = value.map(Into::into).filter(|text: &String| !text.is_empty());
        let declaration = option.declaration();
        if text.as_deref() == Some("None") {
            self.warn(origin.clone(), declaration.name, Remark::NoneIsUnset);
            return Ok(Setting { value: declaration.default.map(str::to_owned), origin });
        }
        Ok(Setting { value: text, origin })
    }

    fn warn(&mut self, origin: Origin, option: &'static str, remark: Remark) {
        self.warnings.push(Warning { origin, option, remark });
    }
}

const MATCHMAKER: Opt<String> =
    Opt::new("rpc_zmq_matchmaker", "Who knows the hosts of a topic: local, ring, redis, consul, or a URL.").or("local");
const HOST: Opt<String> = Opt::new("rpc_zmq_host", "Name of this machine in matchmaker data.");
const HEARTBEAT_FREQ: Opt<i64> = Opt::new("matchmaker_heartbeat_freq", "Seconds between two heartbeats.").or("300");
const HEARTBEAT_TTL: Opt<i64> =
    Opt::new("matchmaker_heartbeat_ttl", "Seconds that an announcement outlives its last heartbeat.").or("600");
const RINGFILE: Opt<String> = Opt::new("ringfile", "Topics and their hosts, as JSON.")
    .in_group("matchmaker_ring")
    .or(crate::ring_file::DEFAULT_RING_FILE)
    .formerly(&[("DEFAULT", "matchmaker_ringfile")]);
/// Where Puppet's template has it, and the originals do not look.
const MISPLACED_RINGFILE: Opt<String> = Opt::new("ringfile", "Not read: see [matchmaker_ring].");
const REDIS_HOST: Opt<String> = Opt::new("host", "Where Redis is.").in_group("matchmaker_redis").or("127.0.0.1");
const REDIS_PORT: Opt<i64> = Opt::new("port", "Its port.").in_group("matchmaker_redis").or("6379");
const REDIS_PASSWORD: Opt<String> = Opt::new("password", "Its password.").in_group("matchmaker_redis").secret();

/// Of the releases from 1.8 on; before it was the path of the same.
const DEFAULT_MATCHMAKER: &str = "local";

/// Most seconds of a heartbeat: a day.
#[cfg(any(feature = "consul", feature = "redis"))]
const LONGEST: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let mut config = Config::new(Settings::OPTIONS);
        config.push(oslo_config::parse(text.as_bytes(), "nova.conf".as_ref()).unwrap());
        Settings::from_config(&config)
    }

    fn warnings(settings: &Settings) -> Vec<String> {
        settings.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_set_is_this_machine() {
        let settings = read("[DEFAULT]\n").unwrap();
        assert_eq!((settings.locator, settings.node, settings.warnings), (Locator::Localhost, None, Vec::new()));
    }

    #[test]
    fn a_ring_is_where_its_group_says() {
        let settings =
            read("[DEFAULT]\nrpc_zmq_matchmaker = ring\nrpc_zmq_host = h1\n[matchmaker_ring]\nringfile = /r\n");
        let settings = settings.unwrap();
        assert_eq!(settings.locator, Locator::Ring("/r".into()));
        assert_eq!(settings.node.unwrap().as_str(), "h1");
        let old = read("[DEFAULT]\nrpc_zmq_matchmaker = ring\nmatchmaker_ringfile = /old\n").unwrap();
        assert_eq!(old.locator, Locator::Ring("/old".into()));
        let lost = read("[DEFAULT]\nrpc_zmq_matchmaker = ring\nringfile = /lost\n").unwrap();
        assert_eq!(lost.locator, Locator::usual(Kind::Ring).unwrap());
        assert_eq!(warnings(&lost), ["nova.conf:3: ringfile: read only in [matchmaker_ring]: move it there"]);
    }

    #[cfg(feature = "redis")]
    #[test]
    fn b12_the_guides_redis_is_understood_with_one_warning_each() {
        let settings = read(
            "[DEFAULT]\nrpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis\n\
             matchmaker_heartbeat_freq = 15\nmatchmaker_heartbeat_ttl = 30\n\
             [matchmaker_redis]\nhost = 10.0.0.5\nport = 6380\npassword = None\n",
        )
        .unwrap();
        assert_eq!(
            warnings(&settings),
            [
                "nova.conf:2: rpc_zmq_matchmaker: this path of a class stands for redis: write that",
                "nova.conf:8: password: None is taken as unset: the originals would use the word itself",
            ]
        );
        let Locator::Redis(redis) = settings.locator else { panic!("another matchmaker") };
        assert_eq!(redis.to_string(), "redis 10.0.0.5:6380/0");
        assert_eq!((redis.password, redis.heartbeat_ttl.as_secs()), (None, 30));
    }

    #[cfg(all(feature = "consul", feature = "redis"))]
    #[test]
    fn a_url_says_all_but_the_heartbeat() {
        let beat = "matchmaker_heartbeat_freq = 60\nmatchmaker_heartbeat_ttl = 50\n";
        let settings = read(&format!("[DEFAULT]\nrpc_zmq_matchmaker = redis://:pw@h/2\n{beat}")).unwrap();
        assert_eq!(warnings(&settings).len(), 1);
        let Locator::Redis(redis) = settings.locator else { panic!("another matchmaker") };
        assert_eq!((redis.database, redis.heartbeat_freq.as_secs()), (2, 60));
        let settings = read(&format!("[DEFAULT]\nrpc_zmq_matchmaker = consul://c:1\n{beat}")).unwrap();
        let Locator::Consul(consul) = settings.locator else { panic!("another matchmaker") };
        assert_eq!(consul.heartbeat_ttl.as_secs(), 50);
    }

    #[test]
    fn what_stands_for_nothing_is_told_with_its_place() {
        for (text, said) in [
            ("[DEFAULT]\nrpc_zmq_matchmaker = rign\n", "nova.conf:2: rpc_zmq_matchmaker"),
            ("[DEFAULT]\nrpc_zmq_host = a b\n", "nova.conf:2: rpc_zmq_host"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), said);
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn numbers_have_bounds() {
        let redis = "[DEFAULT]\nrpc_zmq_matchmaker = redis\n";
        let error = read(&format!("{redis}[matchmaker_redis]\nport = 70000\n")).unwrap_err().to_string();
        assert_eq!(error, "nova.conf:4: port: choose a number from 1 to 65535");
        assert!(read(&format!("{redis}matchmaker_heartbeat_ttl = 0\n")).is_err());
    }
}
