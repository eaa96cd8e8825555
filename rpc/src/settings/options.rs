//! The options a transport reads, declared.
//!
//! Those of `oslo.messaging` keep their names, groups and defaults; the matchmaker reads its own. Ours are in the group `zmq_rpc`,
//! which the originals do not know and pass over, so that one file can serve both.

use oslo_config::{Declaration, Opt};

use super::types::{AbsolutePath, Count, Octets, Port, Time};

pub(super) const TRANSPORT_URL: Opt<String> =
    Opt::new("transport_url", "zmq:// with the options below, or zmq+MATCHMAKER://…, which overrides them.").secret();

pub(super) const RPC_BACKEND: Opt<String> = Opt::new("rpc_backend", "The driver; this one is zmq.");

pub(super) const PORT: Opt<Port> =
    Opt::new("rpc_zmq_port", "TCP port of the receivers, the same on every machine.").or("9501");

pub(super) const IPC_DIR: Opt<AbsolutePath> =
    Opt::new("rpc_zmq_ipc_dir", "Directory of this machine's receiver's sockets.").or("/var/run/openstack");

pub(super) const RESPONSE_TIMEOUT: Opt<Time> =
    Opt::new("rpc_response_timeout", "Seconds a call waits for its reply.").or("60");

pub(super) const CAST_TIMEOUT: Opt<Time> =
    Opt::new("rpc_cast_timeout", "Seconds a message may wait to be sent before it is dropped.").or("30");

pub(super) const CONCURRENCY: Opt<Count> =
    Opt::new("executor_thread_pool_size", "Most requests that a server handles at once.")
        .or("64")
        .formerly(&[("DEFAULT", "rpc_thread_pool_size")]);

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

/// All of them, and the matchmaker's: what a [`Config`](oslo_config::Config) for
/// [`Settings::from_config`](super::Settings::from_config) must declare.
pub const DECLARED: &[Declaration] = &{
    let theirs = matchmaker::Settings::OPTIONS;
    let mut all = [OWN[0]; OWN.len() + matchmaker::Settings::OPTIONS.len()];
    let mut n = 0;
    while n < all.len() {
        all[n] = if n < OWN.len() { OWN[n] } else { theirs[n - OWN.len()] };
        n += 1;
    }
    all
};

const OWN: &[Declaration] = &[
    *TRANSPORT_URL.declaration(),
    *RPC_BACKEND.declaration(),
    *PORT.declaration(),
    *IPC_DIR.declaration(),
    *RESPONSE_TIMEOUT.declaration(),
    *CAST_TIMEOUT.declaration(),
    *CONCURRENCY.declaration(),
    *ENVELOPE.declaration(),
    *MESSAGEPACK.declaration(),
    *FAIL_WITHOUT_HOST.declaration(),
    *MAX_MESSAGE_SIZE.declaration(),
    *LISTEN.declaration(),
];

const OURS: &str = "zmq_rpc";
