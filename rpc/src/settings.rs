//! What a transport is to do, as meant (oslo-zmq, section 10).
//!
//! [`Settings`] is a plain value: made in code, read from the services' own configuration files
//! ([`Settings::from_config`]), or changed by a transport URL ([`Settings::apply_url`]). Nothing here is
//! global, so two transports of one process may differ in everything (oslo-bugs B3).

mod types;
mod options;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use matchmaker::{Host, Locator};
use oslo_config::{Config, Opt, OptType, Setting, ValueError};
use thiserror::Error;

pub use self::options::DECLARED;
pub use self::url::UrlError;
use crate::envelope::Style;

/// The settings of one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This machine's name in matchmaker data (`rpc_zmq_host`).
    pub host: Host,
    /// The port of every receiver (`rpc_zmq_port`).
    pub port: u16,
    /// Where this machine's receiver makes its sockets (`rpc_zmq_ipc_dir`).
    pub ipc_dir: PathBuf,
    /// Who knows the hosts of a topic (`rpc_zmq_matchmaker` and its groups).
    pub matchmaker: Locator,
    /// How long a call waits for its reply unless told otherwise (`rpc_response_timeout`).
    pub response_timeout: Duration,
    /// How long a cast, a reply or a notification may wait to be sent (`rpc_cast_timeout`). When it is over
    /// the message is dropped and counted, and not delivered late (oslo-bugs B9).
    pub cast_timeout: Duration,
    /// Most requests a server handles at once (`rpc_thread_pool_size`, later `executor_thread_pool_size`).
    pub concurrency: usize,
    /// The style in which requests are sent (`envelope` and `messagepack` of `[zmq_rpc]`, oslo-bugs B6). All are
    /// understood here; no original understands MessagePack.
    pub style: Style,
    /// Whether a cast nobody serves is an error (`fail_without_host` of `[zmq_rpc]`) or a warning, as in 1.8.3.
    pub fail_without_host: bool,
    /// Octets of the largest message taken (`max_message_size` of `[zmq_rpc]`).
    pub max_message_size: usize,
    /// In the direct mode, where to listen in place of connecting to a receiver (`listen` of `[zmq_rpc]`):
    /// `host:port`, the port `0` for one of the system's choice. Peers find it under the same text.
    pub listen: Option<String>,
    /// What an operator should know, one sentence each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The defaults, for a machine that peers know as `host`, with the local matchmaker.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            port: 9501,
            ipc_dir: "/var/run/openstack".into(),
            matchmaker: Locator::Localhost,
            response_timeout: Duration::from_secs(60),
            cast_timeout: Duration::from_secs(30),
            concurrency: 64,
            style: Style::Cast,
            fail_without_host: false,
            max_message_size: 64 << 20,
            listen: None,
            warnings: Vec::new(),
        }
    }

    /// Reads every option of a configuration that declares [`DECLARED`].
    ///
    /// # Errors
    ///
    /// The first value that cannot be meant.
    pub fn from_config(config: &Config) -> Result<Self, SettingsError> {
        let named = matchmaker::Settings::from_config(config)?;
        let warnings = named.warnings.iter().map(ToString::to_string).collect();
        let mut reader = Reader { config, warnings };
        let mut settings = Self {
            port: reader.require(&options::PORT)?.0,
            ipc_dir: reader.require(&options::IPC_DIR)?.0,
            matchmaker: named.locator,
            response_timeout: reader.require(&options::RESPONSE_TIMEOUT)?.0,
            cast_timeout: reader.require(&options::CAST_TIMEOUT)?.0,
            concurrency: reader.require(&options::CONCURRENCY)?.0,
            style: match (reader.require(&options::MESSAGEPACK)?, reader.require(&options::ENVELOPE)?) {
                (true, _) => Style::MessagePack,
                (false, true) => Style::V2,
                (false, false) => Style::Cast,
            },
            fail_without_host: reader.require(&options::FAIL_WITHOUT_HOST)?,
            max_message_size: reader.require(&options::MAX_MESSAGE_SIZE)?.0,
            listen: reader.get(&options::LISTEN)?,
            ..Self::new(named.node.map_or_else(own_name, Ok)?)
        };
        if let Some(url) = reader.get(&options::TRANSPORT_URL)? {
            settings.apply_url(&url)?;
        } else if let Some(other) = reader.get(&options::RPC_BACKEND)?.filter(|backend| !backend.contains("zmq")) {
            reader.warnings.push(format!("rpc_backend = {other} is another driver; this one is zmq"));
        }
        settings.warnings = reader.warnings;
        Ok(settings)
    }
}

/// Settings that cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A value cannot be meant.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// `rpc_zmq_host` is unset, and the system has no usable name for this machine.
    #[error("this machine has no host name of its own; set [DEFAULT] rpc_zmq_host to the name that peers use")]
    NoHostName,
    /// The matchmaker's options name none.
    #[error(transparent)]
    Matchmaker(#[from] matchmaker::SettingsError),
    /// `transport_url` is none of ours.
    #[error("transport_url: {0}")]
    Url(#[from] UrlError),
}

/// Reads options; the text `None`, which some tools write for "unset", means unset (oslo-bugs B12).
struct Reader<'a> {
    config: &'a Config,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn get<T: OptType>(&mut self, option: &Opt<T>) -> Result<Option<T>, ValueError> {
        let Setting { value: texts, origin } = self.config.texts(option.declaration())?;
        if texts != ["None"] {
            return Ok(self.config.get(option)?.value);
        }
        self.warnings.push(format!("{origin}: {} = None is taken as unset", option.declaration().name));
        Ok(Config::new(DECLARED).get(option)?.value)
    }

    fn require<T: OptType>(&mut self, option: &Opt<T>) -> Result<T, ValueError> {
        match self.get(option)? {
            Some(value) => Ok(value),
            None => Ok(self.config.require(option)?.value),
        }
    }
}

/// What the system calls this machine.
fn own_name() -> Result<Host, SettingsError> {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok().and_then(|name| name.parse().ok());
    name.ok_or(SettingsError::NoHostName)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, SettingsError> {
        let mut config = Config::new(DECLARED);
        config.push(oslo_config::parse(text.as_bytes(), "x.conf".as_ref()).unwrap());
        Settings::from_config(&config)
    }

    #[test]
    fn defaults_are_those_of_the_originals() {
        let settings = settings("").unwrap();
        assert_eq!(settings, Settings::new(settings.host.clone()));
    }

    #[test]
    fn every_option_is_read_from_where_it_belongs() {
        let read = settings(
            "[DEFAULT]\nrpc_zmq_host = node7\nrpc_zmq_port = 9601\nrpc_zmq_ipc_dir = /run/$rpc_zmq_host\n\
             rpc_zmq_matchmaker = ring\nrpc_response_timeout = 5\n\
             rpc_cast_timeout = 0.5\nrpc_thread_pool_size = 3\n[matchmaker_ring]\nringfile = /r.json\n\
             [zmq_rpc]\nenvelope = true\nfail_without_host = yes\nmax_message_size = 1 MiB\nlisten = 10.0.0.1:0\n",
        );
        let expected = Settings {
            port: 9601,
            ipc_dir: "/run/node7".into(),
            matchmaker: Locator::Ring("/r.json".into()),
            response_timeout: Duration::from_secs(5),
            cast_timeout: Duration::from_millis(500),
            concurrency: 3,
            style: Style::V2,
            fail_without_host: true,
            max_message_size: 1 << 20,
            listen: Some("10.0.0.1:0".to_owned()),
            ..Settings::new("node7".parse().unwrap())
        };
        assert_eq!(read.unwrap(), expected);
        assert_eq!(settings("[DEFAULT]\nexecutor_thread_pool_size = 7").unwrap().concurrency, 7);
    }

    #[test]
    fn a_url_beats_the_options() {
        let read = settings("[DEFAULT]\nrpc_zmq_matchmaker = local\ntransport_url = zmq+ring:///r.json\n").unwrap();
        assert_eq!(read.matchmaker, Locator::Ring("/r.json".into()));
        let error = settings("[DEFAULT]\ntransport_url = rabbit://u:hunter2@h\n").unwrap_err().to_string();
        assert!(error.starts_with("transport_url: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn b02_a_matchmaker_that_is_none_is_told_at_once() {
        let error = settings("[DEFAULT]\nrpc_zmq_matchmaker = zookeeper\n").unwrap_err();
        assert_eq!(error.to_string(), "x.conf:2: rpc_zmq_matchmaker");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert!(cause.is_some_and(|cause| cause.contains("zookeeper")));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn b12_a_redis_as_the_old_guide_has_it() {
        let read = settings(
            "[DEFAULT]\nrpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis\n\
             matchmaker_heartbeat_freq = 3\n[matchmaker_redis]\nhost = 10.0.0.5\nport = 6380\npassword = None\n",
        );
        let read = read.unwrap();
        assert_eq!(read.warnings.len(), 2, "{:?}", read.warnings);
        let Locator::Redis(redis) = read.matchmaker else { panic!("no Redis") };
        assert_eq!((redis.to_string().as_str(), redis.password), ("redis 10.0.0.5:6380/0", None));
        assert_eq!(redis.heartbeat_freq, Duration::from_secs(3));
    }
}
