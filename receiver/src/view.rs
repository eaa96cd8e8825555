//! What can be seen of a receiver: the objects that the admin endpoint answers with, and that its commands read.
//!
//! Names of fields are stable: a later version adds some and takes none away. Counters count from the start of the
//! daemon and only grow; times are seconds, sizes octets, queues messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /varz`: the receiver as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// `rpc_zmq_host`.
    pub host: String,
    /// What it is doing.
    pub phase: Phase,
    /// Where senders connect, such as `tcp://0.0.0.0:9501`.
    pub endpoint: String,
    /// Where senders that encrypt connect, if they can.
    #[serde(default)]
    pub curve_endpoint: Option<String>,
    /// Where consumers connect.
    pub ipc_dir: String,
    /// Since the start.
    pub uptime_seconds: f64,
    /// Least severe level that is logged.
    pub log_level: String,
    /// Topics with a socket now.
    pub topics: usize,
    /// TCP peers now.
    pub connections: usize,
    /// TCP streams accepted, those that never became peers included.
    pub connections_total: u64,
    /// Messages that came in over TCP.
    pub received: u64,
    /// Octets of these, as on the wire.
    pub received_octets: u64,
    /// Messages written whole to a consumer; a fanout counts once for each.
    pub written: u64,
    /// Messages waiting now.
    pub queued: u64,
    /// Octets waiting now, those of large messages that are coming in included.
    pub queued_octets: usize,
    /// `memory_limit`.
    pub memory_limit: usize,
    /// Messages dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// TCP connections refused or cut for a fault of the peer, by reason.
    pub faults: BTreeMap<String, u64>,
    /// Configurations read anew and taken.
    pub reloads: u64,
    /// Configurations read anew and refused.
    pub reload_failures: u64,
    /// Options that were changed by a reload and count from the next start.
    #[serde(default)]
    pub needs_restart: Vec<String>,
    /// How often senders had to wait for room, by `topic_policy`.
    #[serde(default)]
    pub waits: u64,
    /// The spool, if there is one.
    #[serde(default)]
    pub spool: Option<SpoolTotals>,
    /// The process, as the system sees it.
    pub process: Process,
}

/// Counters of a spool. Messages unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpoolTotals {
    /// Read from disk at the start.
    pub restored: u64,
    /// Written down.
    pub stored: u64,
    /// Handed on without having been written down, because the spool was full or the disk failed.
    pub unprotected: u64,
    /// Failures of the disk.
    pub failures: u64,
    /// Octets that could not be read at the start.
    pub damaged_octets: u64,
    /// Octets kept now, 25 for each run of messages included.
    pub octets: u64,
}

/// What a receiver is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It serves.
    #[default]
    Serving,
    /// It takes no more connections, and serves those that are.
    LameDuck,
    /// It hands on what is queued, and ends.
    Draining,
}

impl Phase {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::LameDuck => "lame-duck",
            Self::Draining => "draining",
        }
    }
}

/// The process, as the system sees it. `None`: the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Octets of memory in use.
    pub resident_octets: Option<u64>,
    /// Processor time used.
    pub cpu_seconds: Option<f64>,
    /// File descriptors open.
    pub open_descriptors: Option<u64>,
    /// And how many may be.
    pub max_descriptors: Option<u64>,
}

/// `GET /topicz`: the topics, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Topics {
    /// One each.
    pub topics: Vec<TopicView>,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TopicView {
    /// The name of its socket, without the prefix: `compute.host1`, `fanout~compute`.
    pub topic: String,
    /// How it is served.
    pub kind: TopicKind,
    /// Consumers connected now.
    pub consumers: usize,
    /// Since when there is none.
    pub without_consumer_seconds: Option<f64>,
    /// Messages waiting; of fanouts and replies, one for each consumer that is to have it.
    pub queued: usize,
    /// Octets of these.
    pub queued_octets: usize,
    /// How long the first of these has waited, at most; of queues only.
    pub oldest_seconds: Option<f64>,
    /// Messages taken in.
    pub accepted: u64,
    /// Messages written whole to a consumer.
    pub written: u64,
    /// Messages taken back from a consumer that went away, for the next.
    pub returned: u64,
    /// Messages that were held for a consumer that came after them.
    pub late: u64,
    /// Messages dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// How a topic is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicKind {
    /// Each message to one consumer.
    #[default]
    Queue,
    /// Each message to every consumer.
    Fanout,
    /// Replies to callers on this host.
    Reply,
}

impl TopicKind {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Fanout => "fanout",
            Self::Reply => "reply",
        }
    }
}

/// `GET /connz`: who is connected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// TCP peers, in the order in which they came.
    pub senders: Vec<SenderView>,
    /// Consumers of local sockets, by topic.
    pub consumers: Vec<ConsumerView>,
}

/// A TCP peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SenderView {
    /// Address and port.
    pub peer: String,
    /// Since the end of its handshake.
    pub age_seconds: f64,
    /// Since its last message, or its handshake.
    pub idle_seconds: f64,
    /// Messages that came from it.
    pub messages: u64,
    /// Octets of these.
    pub octets: u64,
}

/// A process that is connected to a topic's socket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConsumerView {
    /// The topic.
    pub topic: String,
    /// Its process, if the system tells.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Since it connected.
    pub age_seconds: f64,
}

/// `GET /dropz`: what was dropped, and whose it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Messages by reason.
    pub reasons: BTreeMap<String, u64>,
    /// By reason and sender, the last one first.
    pub senders: Vec<DropView>,
    /// TCP connections refused or cut for a fault of the peer, by reason.
    pub faults: BTreeMap<String, u64>,
}

/// What was dropped of one sender for one reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DropView {
    /// Why.
    pub reason: String,
    /// Its address without the port.
    pub peer: String,
    /// How many.
    pub messages: u64,
    /// Since the last of these.
    pub seconds_ago: f64,
    /// What the log said of one of them.
    pub text: String,
}

/// `GET /tracez`: messages that passed lately.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Those that were asked for, the last one first.
    pub records: Vec<RecordView>,
    /// How many records there are.
    pub kept: usize,
    /// Since the first of them.
    pub since_seconds: Option<f64>,
    /// Messages since the start that came in bulk, of which there is no id.
    pub without_id: u64,
}

/// One message, or neighbours of one topic that came in bulk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordView {
    /// When it came, as in RFC 3339.
    pub time: String,
    /// Since then.
    pub seconds_ago: f64,
    /// Who sent it.
    pub peer: String,
    /// The topic; empty if it has none.
    pub topic: String,
    /// The style of its envelope, if it is one.
    pub style: Option<String>,
    /// Its id, if it has one; of several, that of the first.
    pub id: Option<String>,
    /// How many they are.
    pub messages: usize,
    /// Octets of all, as on the wire.
    pub octets: usize,
    /// What became of it: `waiting`, `handed-on` to a consumer's connection, `published` to those who subscribed, or
    /// `dropped`.
    pub outcome: String,
    /// Why it was dropped.
    pub reason: Option<String>,
}

/// `GET /readyz`: whether to send it work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether nothing is in the way.
    pub ready: bool,
    /// What is in the way.
    pub reasons: Vec<String>,
}

/// The answer to `POST /reload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Options that changed and count from now on.
    pub applied: Vec<String>,
    /// Options that changed and count from the next start.
    pub pending: Vec<String>,
    /// What is odd and works.
    pub warnings: Vec<String>,
}

/// Any answer that is not what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, and what to do.
    pub error: String,
}
