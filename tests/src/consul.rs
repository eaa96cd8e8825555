//! A real Consul, on loopback ports of its own: `target/consul/consul`, where `cargo xtask test` puts it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::loopback::{self, NoFreePort};
use crate::program::{Program, ProgramError};

/// A Consul server, running or not. Dropping it kills it. What it knows stays over a [`ConsulServer::kill`].
#[derive(Debug)]
pub struct ConsulServer {
    directory: TempDir,
    node: String,
    /// For HTTP, servers, and gossip.
    ports: [u16; 3],
    servers: usize,
    join: Vec<u16>,
    program: Option<Program>,
}

/// A Consul that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    /// It is not there.
    #[error("Consul is missing (looked for {}); run: cargo xtask test", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It does not run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// No port.
    #[error(transparent)]
    Port(#[from] NoFreePort),
    /// The system refused.
    #[error("cannot {action} consul")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It did not elect a leader.
    #[error("consul has no leader after {waited:?}: {said}")]
    NoLeader {
        /// How long that took.
        waited: Duration,
        /// Its last answer.
        said: String,
    },
}

impl ConsulServer {
    /// Starts one that is its own leader, and waits until it is.
    pub fn start() -> Result<Self, ConsulError> {
        let mut server = Self::new("node1", 1, &[])?;
        server.restart()?;
        server.wait_for_leader()?;
        Ok(server)
    }

    /// Starts three, and waits until they have a leader.
    pub fn cluster() -> Result<[Self; 3], ConsulError> {
        let mut first = Self::new("node1", 3, &[])?;
        let gossip = first.ports[2];
        let mut others = [Self::new("node2", 3, &[gossip])?, Self::new("node3", 3, &[gossip])?];
        first.restart()?;
        for other in &mut others {
            other.restart()?;
        }
        first.wait_for_leader()?;
        let [second, third] = others;
        Ok([first, second, third])
    }

    fn new(node: &str, servers: usize, join: &[u16]) -> Result<Self, ConsulError> {
        let directory = tempfile::tempdir().map_err(failed("make a directory for"))?;
        let ports = [loopback::free_port()?, loopback::free_port()?, loopback::free_port()?];
        Ok(Self { directory, node: node.to_owned(), ports, servers, join: join.to_vec(), program: None })
    }

    /// Starts it again after [`ConsulServer::kill`], with what it knew.
    pub fn restart(&mut self) -> Result<(), ConsulError> {
        let path = binary();
        if !path.exists() {
            return Err(ConsulError::Missing { path });
        }
        let [http, server, gossip] = self.ports.map(|port| port.to_string());
        let mut command = Command::new(path);
        command.args(["agent", "-server", "-node", &self.node, "-bind", "127.0.0.1", "-client", "127.0.0.1"]);
        command.args(["-http-port", &http, "-server-port", &server, "-serf-lan-port", &gossip]);
        command.args(["-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1"]);
        command.args(["-bootstrap-expect", &self.servers.to_string(), "-data-dir"]).arg(self.directory.path());
        // Elections as fast as they go; outputs of checks not held back.
        command.args(["-hcl", "performance { raft_multiplier = 1 }", "-hcl", "disable_update_check = true"]);
        for port in &self.join {
            command.args(["-retry-join", &format!("127.0.0.1:{port}"), "-retry-interval", "1s"]);
        }
        let mut program = Program::start(&self.node, &mut command)?;
        program.wait_until_listening(self.address(), START)?;
        self.program = Some(program);
        Ok(())
    }

    /// Waits until a leader answers for it.
    pub fn wait_for_leader(&self) -> Result<(), ConsulError> {
        let end = Instant::now() + START;
        loop {
            // A catalogue with a node is one that a leader has written to.
            let said = self.get("/v1/catalog/nodes").map_or_else(|error| error.to_string(), |nodes| nodes.to_string());
            if said.contains("\"Node\"") {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(ConsulError::NoLeader { waited: START, said });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<(), ConsulError> {
        match self.program.take() {
            Some(mut program) => Ok(program.kill()?),
            None => Ok(()),
        }
    }

    /// Stops it in its tracks: connections stay, nothing is answered.
    pub fn pause(&self) -> Result<(), ConsulError> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`ConsulServer::pause`].
    pub fn resume(&self) -> Result<(), ConsulError> {
        self.signal(Signal::CONT)
    }

    /// Where it answers HTTP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[0]).into()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("consul://{}", self.address())
    }

    /// Asks it, in a way that shares no code with what is tested.
    pub fn get(&self, path: &str) -> Result<Value, ConsulError> {
        self.request("GET", path, "").map(|body| serde_json::from_str(&body).unwrap_or_default())
    }

    /// Tells it. What it answers.
    pub fn put(&self, path: &str, body: &Value) -> Result<String, ConsulError> {
        self.request("PUT", path, &body.to_string())
    }

    /// Registers a node of the catalogue that runs no agent, with a service and its health: `passing` or `critical`.
    pub fn register(&self, node: &str, service: &str, health: &str, tags: &[&str]) -> Result<(), ConsulError> {
        let registration = serde_json::json!({
            "Node": node,
            "Address": "127.0.0.9",
            "Service": { "Service": service, "Tags": tags },
            "Check": { "Name": "up", "ServiceID": service, "Status": health },
        });
        self.put("/v1/catalog/register", &registration).map(drop)
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Result<String, ConsulError> {
        let mut stream = TcpStream::connect(self.address()).map_err(failed("connect to"))?;
        stream.set_read_timeout(Some(ANSWER)).map_err(failed("set a deadline for"))?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed("write to"))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed("read from"))?;
        Ok(answer.split_once("\r\n\r\n").map_or_else(|| answer.clone(), |(_, body)| body.to_owned()))
    }

    fn signal(&self, signal: Signal) -> Result<(), ConsulError> {
        let id = self.program.as_ref().and_then(|program| i32::try_from(program.id()).ok()).and_then(Pid::from_raw);
        let sent = id.ok_or(rustix::io::Errno::SRCH).and_then(|id| kill_process(id, signal));
        sent.map_err(|errno| failed("signal")(errno.into()))
    }
}

fn binary() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).join("target/consul/consul")
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> ConsulError {
    move |source| ConsulError::System { action, source }
}

/// An election takes two seconds; other tests may hold both cores.
const START: Duration = Duration::from_secs(40);

/// Far more than a server needs that runs.
const ANSWER: Duration = Duration::from_secs(5);

/// How often a state is looked at that sends no notice.
const POLL: Duration = Duration::from_millis(100);
