//! What the daemon is to do, as meant: every option read, checked and put into its final form.
//!
//! `Cli` and files say what was typed; [`Settings`] is what it means. Everything that can be
//! wrong with it is found here, before anything is opened, and each error names the place, the
//! option, the value and what would be right. What is odd but workable becomes a warning.
//!
//! Options nobody here knows pass in silence: the files are the services' own.

mod types;
mod patterns;
mod options;
mod reader;
mod admin;
mod log;
mod gather;
mod limits;
mod topics;
mod access;
mod curve;
mod spool;

use std::path::PathBuf;
use std::time::Duration;

use oslo_config::{Config, OptType, Setting, ValueError};
use thiserror::Error;

pub use self::access::Access;
pub use self::admin::{AdminSettings, AdminSocket};
pub use self::curve::CurveSettings;
pub use self::gather::gather;
pub use self::limits::Limits;
pub use self::options::{DECLARED, OURS};
pub use self::patterns::Pattern;
use self::reader::Reader;
pub use self::reader::Warning;
pub use self::spool::SpoolSettings;
pub use self::topics::{TopicPolicy, TopicSettings};
pub use self::types::Fsync;
use self::types::HostName;
use crate::logging::LogSettings;

/// The settings of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where senders connect to.
    pub bind: Bind,
    /// Where senders that encrypt connect to, if they can.
    pub curve: Option<CurveSettings>,
    /// Where services connect to.
    pub ipc_dir: IpcDir,
    /// This machine's name among the others.
    pub host: String,
    /// Most messages queued for one topic; `None` leaves it to the limits in octets.
    pub topic_backlog: Option<usize>,
    /// Where messages are kept over a restart, if anywhere.
    pub spool: Option<SpoolSettings>,
    /// What bounds the daemon's memory and descriptors.
    pub limits: Limits,
    /// What holds for some topics only.
    pub topics: TopicSettings,
    /// Who may connect, and how much may come from one address.
    pub access: Access,
    /// How long a first fanout or a reply waits for its subscriber; zero: not at all.
    pub hold_time: Duration,
    /// How long messages for `TOPIC.HOST@BACKEND` wait for the backend's own consumer before those of `TOPIC.HOST` may
    /// have them; zero: for ever.
    pub backend_fallback: Duration,
    /// How long stopping may take while queues are handed over; zero: nothing is handed over.
    pub drain_timeout: Duration,
    /// How long connections that are go on after listening ended on request.
    pub lame_duck_time: Duration,
    /// How long a peer may take from connecting to the end of its handshake; never zero.
    pub handshake_timeout: Duration,
    /// How many of the last messages are remembered.
    pub flight_records: usize,
    /// How long a connection may look for more before it sleeps, on average for each read; zero: not at all.
    pub busy_poll: Duration,
    /// Where the admin endpoint is.
    pub admin: AdminSettings,
    /// What is logged, and where.
    pub log: LogSettings,
    /// What an operator should know, to be logged at start.
    pub warnings: Vec<Warning>,
}

/// The TCP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// `*`, an IP address or the name of an interface, as typed but without brackets.
    pub address: String,
    /// Never zero.
    pub port: u16,
}

/// The directory of the local sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpcDir {
    /// From the root.
    pub path: PathBuf,
    /// Whether an operator chose it, be it the default: then no other may take its place.
    pub is_explicit: bool,
}

impl Settings {
    /// Reads every option.
    ///
    /// # Errors
    /// The first value that cannot be meant.
    pub fn from_config(config: &Config) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(config);
        let settings = Self::read(&mut reader)?;
        match reader.faults.into_iter().next() {
            None => Ok(settings),
            Some(fault) => Err(fault.into()),
        }
    }

    /// Everything that [`from_config`](Self::from_config) could refuse; empty if it refuses nothing. And what it would
    /// warn of.
    #[must_use]
    pub fn examine(config: &Config) -> (Vec<SettingsError>, Vec<Warning>) {
        let mut reader = Reader::new(config);
        let last = Self::read(&mut reader).err();
        let faults = reader.faults.into_iter().map(SettingsError::Value).chain(last);
        (faults.collect(), reader.warnings)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, SettingsError> {
        warn_of_what_has_no_effect(reader)?;
        let bind = Bind {
            address: reader.require(&options::BIND_ADDRESS)?.value.0,
            port: reader.require(&options::PORT)?.value.0,
        };
        let host = host(reader)?;
        let curve = CurveSettings::read(reader, &bind.address)?;
        Ok(Self {
            bind,
            curve,
            ipc_dir: ipc_dir(reader)?,
            // A negative number is how the original spells "unlimited".
            topic_backlog: reader.get(&options::TOPIC_BACKLOG)?.value.and_then(|n| usize::try_from(n).ok()),
            spool: SpoolSettings::read(reader)?,
            limits: Limits::read(reader)?,
            topics: TopicSettings::read(reader)?,
            access: Access::read(reader)?,
            hold_time: reader.require(&options::HOLD_TIME)?.value.0,
            backend_fallback: reader.require(&options::BACKEND_FALLBACK)?.value.0,
            drain_timeout: reader.require(&options::DRAIN_TIMEOUT)?.value.0,
            lame_duck_time: reader.require(&options::LAME_DUCK_TIME)?.value.0,
            handshake_timeout: reader.require(&options::HANDSHAKE_TIMEOUT)?.value.0,
            // Each is some hundred octets.
            flight_records: usize::try_from(reader.require(&options::FLIGHT_RECORDS)?.value).unwrap_or(0).min(1 << 20),
            busy_poll: reader.require(&options::BUSY_POLL)?.value.0,
            admin: admin::admin(reader)?,
            log: log::log(reader, &host)?,
            host,
            warnings: reader.warnings.clone(),
        })
    }
}

impl Bind {
    /// The endpoint to bind, such as `tcp://*:9501` or `tcp://[::1]:9501`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let Self { address, port } = self;
        if address.contains(':') { format!("tcp://[{address}]:{port}") } else { format!("tcp://{address}:{port}") }
    }
}

/// The settings cannot be had.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A value cannot be meant.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// `rpc_zmq_host` is unset, and the system has no usable name for this machine.
    #[error("this machine has no host name of its own; set [DEFAULT] rpc_zmq_host to the name that peers use")]
    NoHostName,
}

fn ipc_dir(reader: &mut Reader<'_>) -> Result<IpcDir, ValueError> {
    let Setting { value, origin } = reader.require(&options::IPC_DIR)?;
    Ok(IpcDir { path: value.0, is_explicit: origin.is_explicit() })
}

fn host(reader: &mut Reader<'_>) -> Result<String, SettingsError> {
    if let Some(HostName(host)) = reader.get(&options::HOST)?.value {
        return Ok(host);
    }
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok().and_then(|name| HostName::from_text(name).ok()?);
    name.map(|HostName(host)| host).ok_or(SettingsError::NoHostName)
}

fn warn_of_what_has_no_effect(reader: &mut Reader<'_>) -> Result<(), ValueError> {
    reader.warn_if_set(&options::CONTEXTS, "has no effect here");
    reader.warn_if_set(&options::LOG_CONFIG_APPEND, "has no effect here: set debug, log_file or log_dir");
    // The receiver asks no matchmaker, whatever its name; only None is worth a word.
    let _ = reader.is_none(options::MATCHMAKER.declaration());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tracing::Level;

    use super::*;
    use crate::cli::PROGRAM;
    use crate::logging::{Facility, Levels, RateLimit};

    const FILE: &str = "[DEFAULT]\n";

    fn config(text: &str) -> Config {
        let mut config = Config::new(DECLARED);
        config.push(oslo_config::parse(text.as_bytes(), "x.conf".as_ref()).unwrap());
        config
    }

    fn settings(text: &str) -> Settings {
        Settings::from_config(&config(text)).unwrap()
    }

    /// The warnings about a text, as told.
    fn told(text: &str) -> Vec<String> {
        settings(text).warnings.iter().map(ToString::to_string).collect()
    }

    fn error(text: &str) -> String {
        Settings::from_config(&config(text)).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_original_and_ours() {
        let settings = settings("");
        let expected = Settings {
            bind: Bind { address: "*".to_owned(), port: 9501 },
            curve: None,
            ipc_dir: IpcDir { path: "/var/run/openstack".into(), is_explicit: false },
            host: rustix::system::uname().nodename().to_str().unwrap().to_owned(),
            topic_backlog: None,
            spool: None,
            limits: Limits {
                max_topics: 4096,
                max_connections: 4096,
                max_message_size: 64 << 20,
                max_frames: 1024,
                topic_max_octets: 64 << 20,
                memory_limit: 256 << 20,
            },
            topics: TopicSettings::default(),
            access: Access::default(),
            hold_time: Duration::from_secs(2),
            backend_fallback: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            lame_duck_time: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            flight_records: 8192,
            busy_poll: Duration::from_micros(30),
            admin: AdminSettings {
                socket: Some(AdminSocket { path: "/run/oslo-zmq/admin.sock".into(), is_explicit: false }),
                listen: None,
                metrics_max_topics: 1000,
            },
            log: LogSettings {
                levels: Levels::of(Level::INFO),
                file: None,
                stderr: true,
                json: None,
                syslog: None,
                journal: false,
                rate: None,
                program: PROGRAM,
            },
            warnings: Vec::new(),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_option_is_read_from_where_it_belongs() {
        let settings = settings(
            "[DEFAULT]\nrpc_zmq_bind_address = eth0\nrpc_zmq_port = 9601\nrpc_zmq_ipc_dir = /run/$rpc_zmq_host\n\
             rpc_zmq_host = node7\nrpc_zmq_topic_backlog = 100\nunknown = 1\n\
             [zmq_receiver]\nmax_topics = 1\nmax_connections = 2\nmax_message_size = 3\nmax_frames = 4\n\
             topic_max_octets = 5 KiB\nmemory_limit = 6 MiB\nhold_time = 0\nbackend_fallback = 2\ndrain_timeout = 1.5\n\
             lame_duck_time = 9\nhandshake_timeout = 7\nbusy_poll = 100\n",
        );
        assert_eq!(settings.bind.endpoint(), "tcp://eth0:9601");
        assert_eq!(settings.ipc_dir, IpcDir { path: "/run/node7".into(), is_explicit: true });
        assert_eq!((settings.host.as_str(), settings.topic_backlog), ("node7", Some(100)));
        let limits = Limits {
            max_topics: 1,
            max_connections: 2,
            max_message_size: 3,
            max_frames: 4,
            topic_max_octets: 5 << 10,
            memory_limit: 6 << 20,
        };
        assert_eq!(settings.limits, limits);
        assert_eq!(settings.hold_time, Duration::ZERO);
        assert_eq!(settings.backend_fallback, Duration::from_secs(2));
        assert_eq!(settings.drain_timeout, Duration::from_millis(1500));
        assert_eq!(settings.lame_duck_time, Duration::from_secs(9));
        assert_eq!(settings.handshake_timeout, Duration::from_secs(7));
        assert_eq!(settings.busy_poll, Duration::from_micros(100));
        assert_eq!(settings.warnings, []);
    }

    #[test]
    fn an_ipv6_address_is_bracketed_once() {
        for address in ["::1", "[::1]"] {
            let bind = settings(&format!("{FILE}rpc_zmq_bind_address = {address}")).bind;
            assert_eq!(bind.endpoint(), "tcp://[::1]:9501");
        }
    }

    #[test]
    fn a_negative_backlog_is_unlimited_and_zero_is_zero() {
        assert_eq!(settings(&format!("{FILE}rpc_zmq_topic_backlog = -1")).topic_backlog, None);
        assert_eq!(settings(&format!("{FILE}rpc_zmq_topic_backlog =")).topic_backlog, None);
        assert_eq!(settings(&format!("{FILE}rpc_zmq_topic_backlog = 0")).topic_backlog, Some(0));
    }

    #[test]
    fn errors_name_place_option_value_and_expectation() {
        assert_eq!(
            error(&format!("{FILE}\nrpc_zmq_port = 95o1")),
            "x.conf:3: [DEFAULT] rpc_zmq_port: expected a port, 1 to 65535, found \"95o1\""
        );
        assert_eq!(
            error(&format!("{FILE}rpc_zmq_port =")),
            "x.conf:2: [DEFAULT] rpc_zmq_port: expected a port, 1 to 65535, found nothing"
        );
        assert_eq!(
            error("[zmq_receiver]\nbusy_poll = 151"),
            "x.conf:2: [zmq_receiver] busy_poll: \
             expected microseconds, 0 to 150, found \"151\""
        );
        assert_eq!(
            error("[zmq_receiver]\nhandshake_timeout = 0"),
            "x.conf:2: [zmq_receiver] handshake_timeout: \
             expected seconds above 0 and up to 3600, such as 10 or 0.5, found \"0\""
        );
        let told = error(&format!("{FILE}debug = maybe"));
        assert!(told.starts_with("x.conf:2: [DEFAULT] debug: expected true, yes,"), "{told}");
    }

    #[test]
    fn all_that_is_wrong_is_found_at_once() {
        let text = "[DEFAULT]\nrpc_zmq_port = x\nrpc_zmq_host = a b\ndebug =\n[zmq_receiver]\nhold_time = $none\n";
        let (faults, warnings) = Settings::examine(&config(text));
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let begins = ["x.conf:2: ", "x.conf:3: ", "x.conf:6: ", "x.conf:4: "];
        assert_eq!(faults.len(), begins.len(), "{faults:?}");
        assert!(faults.iter().zip(begins).all(|(fault, begin)| fault.starts_with(begin)), "{faults:?}");
        assert_eq!(warnings, []);
        assert_eq!(Settings::examine(&config("")), (vec![], vec![]));
    }

    #[test]
    fn none_is_unset_with_a_warning() {
        let text = "[DEFAULT]\nrpc_zmq_matchmaker = None\nrpc_zmq_topic_backlog = 'None'\nrpc_zmq_ipc_dir = None\n";
        let settings = settings(text);
        assert_eq!(settings.topic_backlog, None);
        assert!(!settings.ipc_dir.is_explicit);
        assert_eq!(
            told(text),
            [
                "x.conf:2: rpc_zmq_matchmaker = None is taken as unset; the default is local",
                "x.conf:4: rpc_zmq_ipc_dir = None is taken as unset; the default is /var/run/openstack",
                "x.conf:3: rpc_zmq_topic_backlog = None is taken as unset; the default is none",
            ]
        );
    }

    #[test]
    fn what_has_no_effect_is_told_once_and_never_fails() {
        let text = "[DEFAULT]\nrpc_zmq_contexts = $nonsense\nlog_config = /etc/l\nrpc_zmq_matchmaker = $nonsense\n";
        assert_eq!(
            told(text),
            [
                "x.conf:2: rpc_zmq_contexts has no effect here",
                "x.conf:3: log_config_append has no effect here: set debug, log_file or log_dir",
            ]
        );
    }

    #[test]
    fn a_limit_above_a_wider_one_is_lowered() {
        let text = "[zmq_receiver]\nmemory_limit = 1 MiB\nmax_message_size = 2 MiB\n";
        let lowered = settings(text);
        assert_eq!(lowered.limits.topic_max_octets, 1 << 20);
        assert_eq!(lowered.limits.max_message_size, 1 << 20);
        let warning = "x.conf:3: max_message_size is lowered to 1048576 octets, the topic_max_octets; raise both";
        assert_eq!(told(text), [warning]);
    }

    #[test]
    fn the_admin_endpoint_is_where_the_options_say_and_not_for_strangers() {
        let text = |line: &str| format!("[zmq_receiver]\n{line}\n");
        let admin = |line: &str| settings(&text(line)).admin;
        assert_eq!(admin("admin_socket =").socket, None);
        let chosen = AdminSocket { path: "/run/a".into(), is_explicit: true };
        assert_eq!(admin("admin_socket = /run/a").socket, Some(chosen));
        assert_eq!(admin("admin_listen = [::1]:9510").listen, Some("[::1]:9510".parse().unwrap()));
        let open = "admin_listen = 0.0.0.0:9510";
        assert_eq!(admin(open).listen, None);
        let warning = &told(&text(open))[0];
        assert!(warning.starts_with("x.conf:2: admin_listen = 0.0.0.0:9510 is no loopback address"), "{warning}");
        assert!(admin(&format!("{open}\nadmin_allow_remote = yes")).listen.is_some());
    }

    #[test]
    fn the_log_goes_where_the_options_say() {
        let log = |text: &str| settings(&format!("{FILE}{text}")).log;
        let name = "oslo-messaging-zmq-receiver.log";
        assert_eq!(log("log_dir = /l").file, Some(PathBuf::from("/l").join(name)));
        assert_eq!(log("logdir = /l\nlogfile = x").file, Some("/l/x".into()));
        assert_eq!(log("log_dir = /l\nlog_file = /m/x").file, Some("/m/x".into()));
        assert_eq!(log("log_file =").file, None);
        let both = log("log_file = x\nuse_stderr = true");
        assert!(both.stderr && both.file.is_some());
        assert!(!log("log_file = x").stderr);
        assert!(log("use_stderr = false").stderr);
        assert_eq!(log("use_json = true\nrpc_zmq_host = h").json.as_deref(), Some("h"));
        assert_eq!(log("verbose = False").levels, Levels::of(Level::WARN));
        assert_eq!(log("verbose = False\ndebug = True").levels, Levels::of(Level::DEBUG));
        let levels = log("default_log_levels = amqp=WARN, zmtp=DEBUG").levels.to_string();
        assert_eq!(levels, "info,amqp=warning,zmtp=debug");
        let syslog = log("use_syslog = yes\nsyslog_log_facility = LOG_LOCAL3");
        assert!(!syslog.stderr && syslog.syslog == Facility::named("local3"));
        assert!(log("use_syslog = yes\nuse_stderr = yes").stderr);
        let journal = log("use_journal = yes\nlog_file = x");
        assert!(!journal.stderr && journal.journal && journal.file.is_some());
        let limit = RateLimit { interval: Duration::from_secs(5), burst: 100, except: Some(Level::ERROR) };
        assert_eq!(log("rate_limit_interval = 5\nrate_limit_burst = 100").rate, Some(limit));
        assert_eq!(log("rate_limit_interval = 5").rate, None);
    }
}
