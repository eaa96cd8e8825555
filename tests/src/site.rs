//! One receiver of this workspace as a program: its directory, configuration, process and log, and peers that speak for
//! themselves.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binary::{self, BuildError};
use crate::loopback::{self, NoFreePort};
use crate::program::{Program, ProgramError};
use crate::report::{LISTENING, NoReport, Report};
use crate::wire;

/// A place for a receiver, which may run there more than once. Its directory goes when it is dropped.
#[derive(Debug)]
pub struct Site {
    executable: PathBuf,
    address: SocketAddr,
    directory: TempDir,
}

/// A running receiver. Dropping it kills it.
#[derive(Debug)]
pub struct Receiver {
    program: Program,
    log: PathBuf,
}

/// A receiver that did not do what a test waits for.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Not built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Nowhere to listen.
    #[error(transparent)]
    Port(#[from] NoFreePort),
    /// Its process failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// It reports nothing.
    #[error(transparent)]
    Report(#[from] NoReport),
    /// The system refused.
    #[error("cannot {action} {what}")]
    System {
        /// What was tried.
        action: &'static str,
        /// On which file, address or process.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// It ended with a code that says that something is wrong.
    #[error("the receiver ended with {status}; its log:\n{log}")]
    Status {
        /// How it ended.
        status: ExitStatus,
        /// All it logged.
        log: String,
    },
}

impl Site {
    /// A place on the loopback interface. `options` follow ours in the configuration file, in the group `DEFAULT` until
    /// they name another.
    pub fn new(options: &str) -> Result<Self, SiteError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, loopback::free_port()?));
        let directory = tempfile::tempdir().map_err(failed("make a directory in", std::env::temp_dir().display()))?;
        let site = Self { executable: binary::receiver()?, address, directory };
        std::fs::create_dir(site.ipc_dir()).map_err(failed("make", site.ipc_dir().display()))?;
        let config = format!(
            "[DEFAULT]\n\
             debug = true\n\
             log_file = {}\n\
             rpc_zmq_bind_address = {}\n\
             rpc_zmq_port = {}\n\
             rpc_zmq_ipc_dir = {}\n\
             rpc_zmq_host = host1\n\
             {options}\n",
            site.log().display(),
            address.ip(),
            address.port(),
            site.ipc_dir().display(),
        );
        // A stop waits for consumers that do not end their connections, as peers of octets do not.
        let base = "[zmq_receiver]\ndrain_timeout = 2\n";
        std::fs::write(site.base_file(), base).map_err(failed("write", site.base_file().display()))?;
        std::fs::write(site.config_file(), config).map_err(failed("write", site.config_file().display()))?;
        Ok(site)
    }

    /// The receiver, not yet running.
    pub fn command(&self) -> Command {
        self.command_of(&self.executable)
    }

    /// Another build of the receiver, not yet running.
    pub fn command_of(&self, executable: &Path) -> Command {
        let mut command = Command::new(executable);
        command.arg("--config-file").arg(self.base_file()).arg("--config-file").arg(self.config_file());
        // Sites run beside one another; the default is one for the machine.
        command.env("OS_ZMQ_RECEIVER__ADMIN_SOCKET", self.admin_socket());
        command
    }

    /// The receiver, listening.
    pub fn start(&self) -> Result<Receiver, SiteError> {
        self.start_by(&mut self.command())
    }

    /// The receiver, listening, started by another command.
    pub fn start_by(&self, command: &mut Command) -> Result<Receiver, SiteError> {
        let before = occurrences(&self.log(), LISTENING);
        let mut receiver = Receiver { program: Program::start("receiver", command)?, log: self.log() };
        // Not found out by connecting, which would show in its counters.
        receiver.wait_for_log(LISTENING, before + 1)?;
        Ok(receiver)
    }

    /// The executable.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Where it listens, for a socket of ZeroMQ.
    pub fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// What `--config-file` takes.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("receiver.conf")
    }

    /// What tests have in common, and read before that.
    fn base_file(&self) -> PathBuf {
        self.directory.path().join("base.conf")
    }

    /// Its log, which is one for all that run here.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("receiver.log")
    }

    /// The socket of its admin endpoint.
    pub fn admin_socket(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    /// Where it makes its sockets.
    pub fn ipc_dir(&self) -> PathBuf {
        self.directory.path().join("ipc")
    }

    /// The socket of a key: a topic, or of a fanout the part before the dot.
    pub fn socket(&self, key: &str) -> PathBuf {
        self.ipc_dir().join(format!("zmq_topic_{key}"))
    }

    /// A client. It reads and writes octets, with a deadline.
    pub fn client(&self) -> Result<TcpStream, SiteError> {
        let mut stream = self.stranger()?;
        wire::handshake(&mut stream, "PUSH").map_err(failed("greet", self.address))?;
        Ok(stream)
    }

    /// A connection on which nothing was said.
    pub fn stranger(&self) -> Result<TcpStream, SiteError> {
        let connect = || {
            let stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            // What is written has arrived, as far as there is room.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        connect().map_err(failed("connect to", self.address))
    }

    /// A service, once the socket of `key` is there. `socket_type` is `PULL` or `SUB`.
    pub fn consumer(&self, key: &str, socket_type: &str) -> Result<UnixStream, SiteError> {
        let path = self.socket(key);
        let end = Instant::now() + PATIENCE;
        let mut stream = loop {
            match UnixStream::connect(&path) {
                Err(_) if Instant::now() < end => thread::sleep(POLL),
                stream => break stream.map_err(failed("connect to", path.display()))?,
            }
        };
        let mut greet = || {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            wire::handshake(&mut stream, socket_type)
        };
        greet().map_err(failed("greet", path.display()))?;
        Ok(stream)
    }
}

impl Receiver {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// What receivers of this site have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until receivers of this site have logged `text` so many times.
    pub fn wait_for_log(&mut self, text: &str, times: usize) -> Result<(), SiteError> {
        let log = self.log.clone();
        let found = |_: &mut Program| (occurrences(&log, text) >= times).then_some(());
        Ok(self.program.wait(&format!("without {text:?} in its log"), PATIENCE, found)?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), SiteError> {
        let id = self.program.id();
        let process = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH);
        let sent = process.and_then(|process| kill_process(process, signal));
        sent.map_err(|errno| failed("signal process", id)(errno.into()))
    }

    /// Ends it with SIGTERM. What it then reports.
    pub fn stop(&mut self) -> Result<Report, SiteError> {
        self.signal(Signal::TERM)?;
        self.report()
    }

    /// Waits until it has ended in order. What it reports.
    pub fn report(&mut self) -> Result<Report, SiteError> {
        let status = self.status()?;
        if !status.success() {
            return Err(SiteError::Status { status, log: self.log() });
        }
        Ok(Report::last_in(&self.log())?)
    }

    /// Waits until it has ended.
    pub fn status(&mut self) -> Result<ExitStatus, SiteError> {
        match self.program.wait("running", PATIENCE, |_| None::<()>) {
            Err(ProgramError::Ended { .. }) | Ok(()) => Ok(self.program.stop(PATIENCE)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends it at once with SIGKILL.
    pub fn kill(&mut self) -> Result<(), SiteError> {
        Ok(self.program.kill()?)
    }

    /// KiB that it has in memory now.
    pub fn memory(&self) -> Result<u64, SiteError> {
        self.memory_by("VmRSS:")
    }

    /// KiB that it ever had in memory at most.
    pub fn peak_memory(&self) -> Result<u64, SiteError> {
        self.memory_by("VmHWM:")
    }

    /// A field of proc_pid_status(5).
    fn memory_by(&self, field: &str) -> Result<u64, SiteError> {
        let path = format!("/proc/{}/status", self.program.id());
        let status = std::fs::read_to_string(&path).map_err(failed("read", &path))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| failed("find VmRSS and VmHWM in", &path)(io::ErrorKind::InvalidData.into()))
    }
}

/// How often a text is in a log.
fn occurrences(log: &Path, text: &str) -> usize {
    // It is made by the receiver, before it listens.
    std::fs::read_to_string(log).map_or(0, |log| log.matches(text).count())
}

fn failed(action: &'static str, what: impl ToString) -> impl FnOnce(io::Error) -> SiteError {
    let what = what.to_string();
    move |source| SiteError::System { action, what, source }
}

/// Longer than the receiver's own longest wait by default, its drain timeout of 10 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a socket is looked for.
const POLL: Duration = Duration::from_millis(2);
