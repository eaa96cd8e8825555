//! The options the daemon reads, declared.
//!
//! Those of `oslo.messaging` keep their names, groups and defaults (oslo-zmq, section 10). Ours
//! are all in the group `zmq_receiver`, which the services do not know and pass over, so that
//! one file can serve both.

use std::time::Duration;

use oslo_config::{Declaration, Opt};
use zmtp::Overflow;

use super::patterns::{Patterns, PerTopic};
use super::types::{
    AbsolutePath, Address, AnyPath, Count, Deadline, Fsync, HostName, LevelName, Listen, ModuleLevels, Moment,
    Networks, Octets, Port, SyslogFacility, Wait,
};

pub(super) const BIND_ADDRESS: Opt<Address> =
    Opt::new("rpc_zmq_bind_address", "Address or interface to listen on; * is all of them.").or("*");

pub(super) const PORT: Opt<Port> =
    Opt::new("rpc_zmq_port", "TCP port to listen on, the same on every machine.").or("9501");

pub(super) const IPC_DIR: Opt<AbsolutePath> =
    Opt::new("rpc_zmq_ipc_dir", "Directory of the local sockets that services connect to.").or("/var/run/openstack");

pub(super) const HOST: Opt<HostName> = Opt::new(
    "rpc_zmq_host",
    "Name of this machine in matchmaker data and in the services' own rpc_zmq_host; by default \
     its host name.",
);

pub(super) const TOPIC_BACKLOG: Opt<i64> = Opt::new(
    "rpc_zmq_topic_backlog",
    "Most messages kept for a topic whose consumer is not there; unset or negative: as many as \
     memory allows.",
);

pub(super) const CONTEXTS: Opt<String> =
    Opt::new("rpc_zmq_contexts", "Number of ZeroMQ I/O threads; without effect here.").or("1");

pub(super) const MATCHMAKER: Opt<String> =
    Opt::new("rpc_zmq_matchmaker", "Who knows the hosts of a topic; the receiver does not ask.").or("local");

pub(super) const DEBUG: Opt<bool> = Opt::new("debug", "Log everything, in detail.").or("false");

pub(super) const VERBOSE: Opt<bool> = Opt::new("verbose", "Log what goes on as well as what goes wrong.").or("true");

pub(super) const LOG_FILE: Opt<AnyPath> =
    Opt::new("log_file", "File to log to instead of standard error.").formerly(&[("DEFAULT", "logfile")]);

pub(super) const LOG_DIR: Opt<AnyPath> =
    Opt::new("log_dir", "Directory of log_file; alone, of a file named after the program.")
        .formerly(&[("DEFAULT", "logdir")]);

pub(super) const USE_STDERR: Opt<bool> =
    Opt::new("use_stderr", "Log to standard error; by default if there is no log file.");

pub(super) const USE_JSON: Opt<bool> = Opt::new("use_json", "Log lines as JSON objects instead of text.").or("false");

pub(super) const DEFAULT_LOG_LEVELS: Opt<ModuleLevels> = Opt::new(
    "default_log_levels",
    "Levels of single modules, as in zmtp=DEBUG,zmq_receiver.drops=ERROR; modules of other programs may stand there.",
);

pub(super) const USE_SYSLOG: Opt<bool> = Opt::new("use_syslog", "Log to syslog.").or("false");

pub(super) const SYSLOG_LOG_FACILITY: Opt<SyslogFacility> =
    Opt::new("syslog_log_facility", "Whose lines they are to syslog.").or("LOG_USER");

pub(super) const USE_JOURNAL: Opt<bool> =
    Opt::new("use_journal", "Log to systemd's journal, fields as fields.").or("false");

pub(super) const RATE_LIMIT_INTERVAL: Opt<i64> =
    Opt::new("rate_limit_interval", "Seconds in which there may be rate_limit_burst lines; 0: any number.").or("0");

pub(super) const RATE_LIMIT_BURST: Opt<i64> =
    Opt::new("rate_limit_burst", "Lines in rate_limit_interval; further ones are left out and counted.").or("0");

pub(super) const RATE_LIMIT_EXCEPT_LEVEL: Opt<LevelName> =
    Opt::new("rate_limit_except_level", "Lines of this level and more severe ones are not limited.").or("CRITICAL");

pub(super) const LOG_CONFIG_APPEND: Opt<AnyPath> =
    Opt::new("log_config_append", "Without effect here.").formerly(&[("DEFAULT", "log_config")]);

pub(super) const MAX_TOPICS: Opt<Count> =
    Opt::new("max_topics", "Most topics served at once; messages to further ones are dropped.")
        .in_group(OURS)
        .or("4096");

pub(super) const MAX_CONNECTIONS: Opt<Count> =
    Opt::new("max_connections", "Most TCP peers at once; further ones wait to be accepted.").in_group(OURS).or("4096");

pub(super) const MAX_MESSAGE_SIZE: Opt<Octets> =
    Opt::new("max_message_size", "Octets of the largest message; who sends a larger one is disconnected.")
        .in_group(OURS)
        .or("64 MiB");

pub(super) const MAX_FRAMES: Opt<Count> =
    Opt::new("max_frames", "Most frames of a message; who sends more is disconnected.").in_group(OURS).or("1024");

pub(super) const TOPIC_MAX_OCTETS: Opt<Octets> =
    Opt::new("topic_max_octets", "Octets queued for one topic before its messages are dropped.")
        .in_group(OURS)
        .or("64 MiB");

pub(super) const MEMORY_LIMIT: Opt<Octets> =
    Opt::new("memory_limit", "Octets queued for all topics together before messages are dropped.")
        .in_group(OURS)
        .or("256 MiB");

pub(super) const CURVE_PORT: Opt<Port> =
    Opt::new("curve_port", "TCP port for peers that encrypt (CURVE), beside rpc_zmq_port; unset: none.").in_group(OURS);

pub(super) const CURVE_BIND_ADDRESS: Opt<Address> =
    Opt::new("curve_bind_address", "Address or interface of curve_port; unset: as rpc_zmq_bind_address.")
        .in_group(OURS);

pub(super) const CURVE_KEY_FILE: Opt<AnyPath> = Opt::new(
    "curve_key_file",
    "File with the secret key for curve_port, which only its owner may read; the command keygen makes it.",
)
.in_group(OURS)
.or("/etc/oslo/zmq_receiver.key");

pub(super) const CURVE_CLIENTS: Opt<AnyPath> = Opt::new(
    "curve_clients",
    "File with the public keys of peers that may connect to curve_port, one a line; unset: all that know ours.",
)
.in_group(OURS);

pub(super) const TOPIC_POLICY: Opt<PerTopic<Overflow>> = Opt::new(
    "topic_policy",
    "What becomes of messages that find the queue of their topic full, as PATTERN:POLICY, ...: drop-new drops them, drop-old \
     the oldest of the queue, block makes the sender wait, with all its topics. The first pattern counts; others: drop-new.",
)
.in_group(OURS);

pub(super) const TOPIC_TTL: Opt<PerTopic<Duration>> = Opt::new(
    "topic_ttl",
    "Seconds that messages wait for a consumer before they are dropped, as PATTERN:SECONDS, ...; 0 and others: for ever.",
)
.in_group(OURS);

pub(super) const TOPIC_OCTETS: Opt<PerTopic<usize>> =
    Opt::new("topic_octets", "Octets queued, in place of topic_max_octets, as PATTERN:OCTETS, ...").in_group(OURS);

pub(super) const ALLOW_TOPICS: Opt<Patterns> =
    Opt::new("allow_topics", "Patterns of the topics that are served; unset: all. Messages to others are dropped.")
        .in_group(OURS);

pub(super) const ALLOW_FROM: Opt<Networks> =
    Opt::new("allow_from", "Networks and addresses from which peers may connect; unset: all.").in_group(OURS);

pub(super) const MAX_PER_ADDRESS: Opt<Count> =
    Opt::new("max_connections_per_address", "Most TCP peers of one address at once; further ones are closed.")
        .in_group(OURS);

pub(super) const OCTETS_PER_SECOND: Opt<Octets> = Opt::new(
    "max_octets_per_second",
    "Octets that are read from one address in a second, all its connections together; a sender that is faster waits.",
)
.in_group(OURS);

pub(super) const SPOOL_DIR: Opt<AbsolutePath> = Opt::new(
    "spool_dir",
    "Directory to keep messages to queues in until a consumer has them, over a restart or a crash; unset: none is kept.",
)
.in_group(OURS);

pub(super) const SPOOL_MAX_OCTETS: Opt<Octets> = Opt::new(
    "spool_max_octets",
    "Octets of messages that are kept in spool_dir; further ones are handed on without. The files may take twice as much.",
)
.in_group(OURS)
.or("256 MiB");

pub(super) const SPOOL_FSYNC: Opt<Fsync> = Opt::new(
    "spool_fsync",
    "When messages in spool_dir are on the disk: always, before they are handed on; milliseconds, so long after they were \
     written at most, which is what a failure of power can cost; never, when the system likes, which is enough for a crash of \
     the daemon.",
)
.in_group(OURS)
.or("never");

pub(super) const HOLD_TIME: Opt<Wait> =
    Opt::new("hold_time", "Seconds a first fanout or a reply waits for its subscriber.").in_group(OURS).or("2");

pub(super) const BACKEND_FALLBACK: Opt<Wait> = Opt::new(
    "backend_fallback",
    "Seconds until messages for TOPIC.HOST@BACKEND, to which no consumer of this machine's backends ever came, go to \
     TOPIC.HOST, where original services listen; 0: never.",
)
.in_group(OURS)
.or("10");

pub(super) const DRAIN_TIMEOUT: Opt<Wait> =
    Opt::new("drain_timeout", "Seconds to hand over what is queued before the daemon stops.").in_group(OURS).or("10");

pub(super) const LAME_DUCK_TIME: Opt<Wait> =
    Opt::new("lame_duck_time", "Seconds from SIGUSR2, which ends listening, to the stop.").in_group(OURS).or("30");

pub(super) const HANDSHAKE_TIMEOUT: Opt<Deadline> =
    Opt::new("handshake_timeout", "Seconds a peer may take from connecting to the end of its handshake.")
        .in_group(OURS)
        .or("10");

pub(super) const ADMIN_SOCKET: Opt<AbsolutePath> =
    Opt::new("admin_socket", "Unix socket of the admin endpoint; empty: there is none.")
        .in_group(OURS)
        .or("/run/oslo-zmq/admin.sock");

pub(super) const ADMIN_LISTEN: Opt<Listen> = Opt::new(
    "admin_listen",
    "Address and port of the admin endpoint over TCP, for reading only; by default there is none.",
)
.in_group(OURS);

pub(super) const ADMIN_ALLOW_REMOTE: Opt<bool> =
    Opt::new("admin_allow_remote", "Let admin_listen be an address that other machines reach.")
        .in_group(OURS)
        .or("false");

pub(super) const METRICS_MAX_TOPICS: Opt<Count> =
    Opt::new("metrics_max_topics", "Most topics that metrics name; further ones are summed up.")
        .in_group(OURS)
        .or("1000");

pub(super) const FLIGHT_RECORDS: Opt<i64> =
    Opt::new("flight_records", "How many of the last messages are remembered, without their bodies; 0: none.")
        .in_group(OURS)
        .or("8192");

pub(super) const BUSY_POLL: Opt<Moment> = Opt::new(
    "busy_poll",
    "Microseconds that a connection may look for more before it sleeps, on average for each read; 0: not at all.",
)
.in_group(OURS)
.or("30");

/// All of them, in the order in which an operator would want to read them.
pub const DECLARED: &[Declaration] = &[
    *BIND_ADDRESS.declaration(),
    *PORT.declaration(),
    *IPC_DIR.declaration(),
    *HOST.declaration(),
    *TOPIC_BACKLOG.declaration(),
    *CONTEXTS.declaration(),
    *MATCHMAKER.declaration(),
    *DEBUG.declaration(),
    *VERBOSE.declaration(),
    *LOG_FILE.declaration(),
    *LOG_DIR.declaration(),
    *USE_STDERR.declaration(),
    *USE_JSON.declaration(),
    *DEFAULT_LOG_LEVELS.declaration(),
    *USE_SYSLOG.declaration(),
    *SYSLOG_LOG_FACILITY.declaration(),
    *USE_JOURNAL.declaration(),
    *RATE_LIMIT_INTERVAL.declaration(),
    *RATE_LIMIT_BURST.declaration(),
    *RATE_LIMIT_EXCEPT_LEVEL.declaration(),
    *LOG_CONFIG_APPEND.declaration(),
    *MAX_TOPICS.declaration(),
    *MAX_CONNECTIONS.declaration(),
    *MAX_MESSAGE_SIZE.declaration(),
    *MAX_FRAMES.declaration(),
    *TOPIC_MAX_OCTETS.declaration(),
    *MEMORY_LIMIT.declaration(),
    *CURVE_PORT.declaration(),
    *CURVE_BIND_ADDRESS.declaration(),
    *CURVE_KEY_FILE.declaration(),
    *CURVE_CLIENTS.declaration(),
    *TOPIC_POLICY.declaration(),
    *TOPIC_TTL.declaration(),
    *TOPIC_OCTETS.declaration(),
    *ALLOW_TOPICS.declaration(),
    *ALLOW_FROM.declaration(),
    *MAX_PER_ADDRESS.declaration(),
    *OCTETS_PER_SECOND.declaration(),
    *SPOOL_DIR.declaration(),
    *SPOOL_MAX_OCTETS.declaration(),
    *SPOOL_FSYNC.declaration(),
    *HOLD_TIME.declaration(),
    *BACKEND_FALLBACK.declaration(),
    *DRAIN_TIMEOUT.declaration(),
    *LAME_DUCK_TIME.declaration(),
    *HANDSHAKE_TIMEOUT.declaration(),
    *ADMIN_SOCKET.declaration(),
    *ADMIN_LISTEN.declaration(),
    *ADMIN_ALLOW_REMOTE.declaration(),
    *METRICS_MAX_TOPICS.declaration(),
    *FLIGHT_RECORDS.declaration(),
    *BUSY_POLL.declaration(),
];

/// The group of our own options.
pub const OURS: &str = "zmq_receiver";
