//! The options a transport reads, declared.
//!
//! Those of `oslo.messaging` keep their names, groups and defaults. Ours are in the group `zmq_rpc`,
//! which the originals do not know and pass over, so that one file can serve both.

use oslo_config::{Declaration, Opt};

use super::types::{AbsolutePath, Count, HostName, Octets, Port, Time};

pub(super) const TRANSPORT_URL: Opt<String> =
    Opt::new("transport_url", "zmq:// with the options below, or zmq+MATCHMAKER://…, which overrides them.").secret();

pub(super) const RPC_BACKEND: Opt<String> = Opt::new("rpc_backend", "The driver; this one is zmq.");

pub(super) const HOST: Opt<HostName> =
    Opt::new("rpc_zmq_host", "Name of this machine in matchmaker data; by default its host name.");

pub(super) const PORT: Opt<Port> =
    Opt::new("rpc_zmq_port", "TCP port of the receivers, the same on every machine.").or("9501");

pub(super) const IPC_DIR: Opt<AbsolutePath> =
    Opt::new("rpc_zmq_ipc_dir", "Directory of this machine's receiver's sockets.").or("/var/run/openstack");

pub(super) const MATCHMAKER: Opt<String> =
    Opt::new("rpc_zmq_matchmaker", "Who knows the hosts of a topic: local, ring, redis.").or("local");

pub(super) const RESPONSE_TIMEOUT: Opt<Time> =
    Opt::new("rpc_response_timeout", "Seconds a call waits for its reply.").or("60");

pub(super) const CAST_TIMEOUT: Opt<Time> =
    Opt::new("rpc_cast_timeout", "Seconds a message may wait to be sent before it is dropped.").or("30");

pub(super) const CONCURRENCY: Opt<Count> =
    Opt::new("executor_thread_pool_size", "Most requests that a server handles at once.")
        .or("64")
        .formerly(&[("DEFAULT", "rpc_thread_pool_size")]);

pub(super) const HEARTBEAT_FREQ: Opt<Time> =
    Opt::new("matchmaker_heartbeat_freq", "Seconds between two heartbeats.").or("300");

pub(super) const HEARTBEAT_TTL: Opt<Time> =
    Opt::new("matchmaker_heartbeat_ttl", "Seconds that a registration outlives its last heartbeat.").or("600");

pub(super) const RINGFILE: Opt<AbsolutePath> = Opt::new("ringfile", "The ring: topics and their hosts, as JSON.")
    .in_group("matchmaker_ring")
    .formerly(&[("DEFAULT", "matchmaker_ringfile")]);

pub(super) const REDIS_HOST: Opt<String> =
    Opt::new("host", "Where Redis is.").in_group("matchmaker_redis").or("127.0.0.1");

pub(super) const REDIS_PORT: Opt<Port> = Opt::new("port", "Its port.").in_group("matchmaker_redis").or("6379");

pub(super) const REDIS_PASSWORD: Opt<String> =
    Opt::new("password", "Its password.").in_group("matchmaker_redis").secret();

pub(super) const ENVELOPE: Opt<bool> =
    Opt::new("envelope", "Send requests in the enveloped style, impl_zmq_v2.").in_group(OURS).or("false");

pub(super) const MESSAGEPACK: Opt<bool> =
    Opt::new("messagepack", "Send arguments as MessagePack, which no original understands.").in_group(OURS).or("false");

pub(super) const FAIL_WITHOUT_HOST: Opt<bool> =
    Opt::new("fail_without_host", "Whether a cast that nobody serves is an error.").in_group(OURS).or("false");

pub(super) const MAX_MESSAGE_SIZE: Opt<Octets> =
    Opt::new("max_message_size", "Octets of the largest message taken.").in_group(OURS).or("64 MiB");

pub(super) const LISTEN: Opt<String> =
    Opt::new("listen", "Do without a receiver: HOST:PORT to listen on, as matchmaker data has it.").in_group(OURS);

/// All of them: what a [`Config`](oslo_config::Config) for [`Settings::from_config`](super::Settings::from_config)
/// must declare.
pub const DECLARED: &[Declaration] = &[
    *TRANSPORT_URL.declaration(),
    *RPC_BACKEND.declaration(),
    *HOST.declaration(),
    *PORT.declaration(),
    *IPC_DIR.declaration(),
    *MATCHMAKER.declaration(),
    *RESPONSE_TIMEOUT.declaration(),
    *CAST_TIMEOUT.declaration(),
    *CONCURRENCY.declaration(),
    *HEARTBEAT_FREQ.declaration(),
    *HEARTBEAT_TTL.declaration(),
    *RINGFILE.declaration(),
    *REDIS_HOST.declaration(),
    *REDIS_PORT.declaration(),
    *REDIS_PASSWORD.declaration(),
    *ENVELOPE.declaration(),
    *MESSAGEPACK.declaration(),
    *FAIL_WITHOUT_HOST.declaration(),
    *MAX_MESSAGE_SIZE.declaration(),
    *LISTEN.declaration(),
];

const OURS: &str = "zmq_rpc";
