//! The original oslo.messaging: its releases, and one host of a deployment with its configuration file.
//!
//! A host is a directory with a configuration file and a directory of IPC sockets. The daemon, the services and the
//! clients of that host all read the one file, as they do at a real site. Several hosts live on one machine, each on an
//! address of its own in 127.0.0.0/8: they share the port number, which the driver knows only one of.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::python::{self, NoEnvironment};

/// A release of oslo.messaging that `cargo xtask test` installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 1.4.1.
    Juno,
    /// 1.8.3.
    Kilo,
    /// 2.5.0, the last with this driver. Its daemon does not start (B28).
    Liberty,
}

/// How a host finds the hosts of a topic.
#[derive(Debug, Clone, Copy)]
pub enum Matchmaker<'a> {
    /// Everything is on `localhost`, which must be the host's name then (B30).
    Local,
    /// This topic is on these hosts.
    Ring(&'a str, &'a [&'a str]),
    /// A Redis on this port of 127.0.0.1 knows, as long as the services' hearts beat: every second, for three.
    Redis(u16),
}

/// One host. Its directory goes when it is dropped.
#[derive(Debug)]
pub struct Host {
    release: Release,
    address: SocketAddr,
    directory: TempDir,
}

/// A host whose files could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the files of host {name}")]
pub struct HostError {
    name: String,
    source: io::Error,
}

impl Release {
    /// The version number.
    pub fn version(self) -> &'static str {
        match self {
            Self::Juno => "1.4.1",
            Self::Kilo => "1.8.3",
            Self::Liberty => "2.5.0",
        }
    }

    /// Whether its notification listener can be made at all (B32).
    pub fn can_listen_to_notifications(self) -> bool {
        self != Self::Juno
    }

    /// Whether it sends to the server that a target names, rather than to any (B20).
    pub fn heeds_server(self) -> bool {
        self != Self::Juno
    }

    /// Its Python 2.7, with the driver installed.
    pub fn interpreter(self) -> Result<PathBuf, NoEnvironment> {
        python::interpreter(&format!("oslo-{}", self.version()))
    }

    fn matchmaker(self, matchmaker: Matchmaker<'_>) -> &'static str {
        match (self, matchmaker) {
            (Self::Juno, Matchmaker::Local) => "oslo.messaging._drivers.matchmaker.MatchMakerLocalhost",
            (Self::Juno, Matchmaker::Ring(..)) => "oslo.messaging._drivers.matchmaker_ring.MatchMakerRing",
            (Self::Juno, Matchmaker::Redis(_)) => "oslo.messaging._drivers.matchmaker_redis.MatchMakerRedis",
            (_, Matchmaker::Local) => "local",
            (_, Matchmaker::Ring(..)) => "ring",
            (_, Matchmaker::Redis(_)) => "redis",
        }
    }
}

impl Host {
    /// The host `localhost`, whose daemon listens everywhere.
    ///
    /// The driver dials the name `localhost`, which is 127.0.0.1 on one machine and ::1 on the next; the default bind
    /// address takes both.
    pub fn localhost(release: Release, port: u16) -> Result<Self, HostError> {
        Self::new(release, "localhost", "*", Ipv4Addr::LOCALHOST, port, Matchmaker::Local)
    }

    /// A host named by its own loopback address, with a ring file or a Redis.
    pub fn on_ring(
        release: Release,
        address: Ipv4Addr,
        port: u16,
        matchmaker: Matchmaker<'_>,
    ) -> Result<Self, HostError> {
        let name = address.to_string();
        Self::new(release, &name, &name, address, port, matchmaker)
    }

    fn new(
        release: Release,
        name: &str,
        bind_address: &str,
        address: Ipv4Addr,
        port: u16,
        matchmaker: Matchmaker<'_>,
    ) -> Result<Self, HostError> {
        let failed = |source| HostError { name: name.to_owned(), source };
        let directory = tempfile::tempdir().map_err(failed)?;
        let host = Self { release, address: SocketAddr::from((address, port)), directory };
        std::fs::create_dir(host.ipc_dir()).map_err(failed)?;
        let mut config = format!(
            "[DEFAULT]\n\
             rpc_backend = zmq\n\
             rpc_zmq_bind_address = {bind_address}\n\
             rpc_zmq_port = {port}\n\
             rpc_zmq_ipc_dir = {}\n\
             rpc_zmq_host = {name}\n\
             rpc_zmq_matchmaker = {}\n\
             rpc_response_timeout = {RESPONSE_TIMEOUT}\n",
            host.ipc_dir().display(),
            release.matchmaker(matchmaker),
        );
        if let Matchmaker::Ring(topic, hosts) = matchmaker {
            let ring = host.directory.path().join("ring.json");
            std::fs::write(&ring, serde_json::json!({ topic: hosts }).to_string()).map_err(failed)?;
            let _ = writeln!(config, "[matchmaker_ring]\nringfile = {}", ring.display());
        }
        if let Matchmaker::Redis(port) = matchmaker {
            config += "matchmaker_heartbeat_freq = 1\nmatchmaker_heartbeat_ttl = 3\n";
            let _ = writeln!(config, "[matchmaker_redis]\nhost = 127.0.0.1\nport = {port}");
        }
        std::fs::write(host.config_file(), config).map_err(failed)?;
        Ok(host)
    }

    /// The release whose services and clients run here.
    pub fn release(&self) -> Release {
        self.release
    }

    /// What `--config-file` takes.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("oslo.conf")
    }

    /// Where the daemon makes its IPC sockets.
    pub fn ipc_dir(&self) -> PathBuf {
        self.directory.path().join("ipc")
    }

    /// Where the daemon can be reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The release's own daemon, for this host.
    pub fn original_receiver(&self) -> Result<Command, NoEnvironment> {
        let interpreter = self.release.interpreter()?;
        // Called by the interpreter: the path in the script's first line may be longer than the kernel reads.
        let script = interpreter.with_file_name("oslo-messaging-zmq-receiver");
        let mut command = Command::new(interpreter);
        command.arg(script).arg("--config-file").arg(self.config_file());
        Ok(command)
    }

    /// This workspace's daemon, or whatever takes the same command line, for this host.
    pub fn receiver(&self, executable: &Path) -> Command {
        let mut command = Command::new(executable);
        command.arg("--config-file").arg(self.config_file());
        command
    }
}

/// Seconds a call waits. The originals need half a second before a first reply; a lost one should not cost the test much.
const RESPONSE_TIMEOUT: u32 = 5;
