//! The daemons measured: where each comes from, and how it is started.
//!
//! All do one thing: take messages from tcp://127.0.0.1:PORT (PULL, bound) and hand each to ipc://DIR/zmq_topic_<frame 1>
//! (PUSH, bound when the topic is first seen). A peer that cannot be had is an error that says what to install: a table
//! with a line missing looks like a result.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::cargo::{self, BuildError};
use crate::proc::{ProcError, Process};

/// A daemon ready to be started.
#[derive(Debug)]
pub(crate) struct Peer {
    /// As the report calls it.
    pub(crate) name: String,
    /// Of the daemon or of what it is built on.
    pub(crate) version: String,
    program: PathBuf,
    arguments: Arguments,
}

/// How a daemon is told its port and directory.
#[derive(Debug)]
enum Arguments {
    /// These words, then PORT DIR.
    Positional(&'static [&'static str]),
    /// `--config-file`, naming an oslo INI file.
    ConfigFile,
}

/// Why a peer is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// A program needed to obtain it does not start.
    #[error("{peer}: cannot run {program} ({source}); {remedy}")]
    Run {
        /// The peer wanted.
        peer: &'static str,
        /// What was to obtain it.
        program: String,
        /// The system's answer.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// That program ran and failed.
    #[error("{peer}: {program} failed with {status}; {remedy}\n{printed}")]
    Failed {
        /// The peer wanted.
        peer: &'static str,
        /// What was to obtain it.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What to do about it.
        remedy: &'static str,
        /// What it printed as errors.
        printed: String,
    },
    /// The receiver does not build.
    #[error("ours: {0}; mend the build, or pass --daemon PATH")]
    Build(#[from] BuildError),
    /// The directory for the daemon's files or its configuration cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It does not start.
    #[error(transparent)]
    Start(#[from] ProcError),
}

impl Peer {
    /// The C proxy on the system's libzmq, compiled now into `directory`.
    pub(crate) fn c_proxy(directory: &Path) -> Result<Self, PeerError> {
        let obtain = Obtain { peer: "c-proxy", remedy: "apt-get install gcc libzmq3-dev" };
        let program = directory.join("c-proxy");
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-o"]).arg(&program).arg(C_PROXY).arg("-lzmq");
        obtain.run(&mut compiler)?;
        let version = obtain.run(Command::new(&program).arg("--version"))?;
        Ok(Self::new("c-proxy", first_line(&version.stdout), program, Arguments::Positional(&[])))
    }

    /// The receiver of this workspace, built now as it is released.
    pub(crate) fn ours() -> Result<Self, PeerError> {
        let program = cargo::build(WORKSPACE, PACKAGE)?.executable;
        Self::daemon("ours".to_owned(), program)
    }

    /// A receiver at `program`, with the command line of ours.
    pub(crate) fn daemon(name: String, program: PathBuf) -> Result<Self, PeerError> {
        let obtain = Obtain { peer: "a receiver", remedy: "give the path of an oslo-messaging-zmq-receiver" };
        let version = obtain.run(Command::new(&program).arg("--version"))?;
        Ok(Self::new(name, first_line(&version.stdout), program, Arguments::ConfigFile))
    }

    /// Plain sockets: this very program, started with another verb.
    pub(crate) fn raw_std() -> Result<Self, PeerError> {
        let program = std::env::current_exe().map_err(|source| PeerError::Run {
            peer: "raw-std",
            program: "this program".to_owned(),
            source,
            remedy: "start the benchmark by its path",
        })?;
        let version = concat!("bench ", env!("CARGO_PKG_VERSION"));
        Ok(Self::new("raw-std", version.to_owned(), program, Arguments::Positional(&["raw-std"])))
    }

    /// The original daemon in the Python environment at `directory`.
    pub(crate) fn python(directory: &Path) -> Result<Self, PeerError> {
        let obtain = Obtain {
            peer: "python",
            remedy: "give a virtualenv of Python 2.7 holding oslo.messaging 1.4.1 or 1.8.3 and pyzmq",
        };
        let script = "import pkg_resources as p, zmq; print('oslo.messaging %s, libzmq %s' % \
                      (p.get_distribution('oslo.messaging').version, zmq.zmq_version()))";
        let interpreter = directory.join("bin/python");
        let version = obtain.run(Command::new(interpreter).args(["-W", "ignore", "-c", script]))?;
        let program = directory.join("bin/oslo-messaging-zmq-receiver");
        Ok(Self::new("python", first_line(&version.stdout), program, Arguments::ConfigFile))
    }

    fn new(name: impl Into<String>, version: String, program: PathBuf, arguments: Arguments) -> Self {
        Self { name: name.into(), version, program, arguments }
    }

    /// Starts it to serve `port` and to bind topics in `directory`, where its log and configuration go too.
    pub(crate) fn start(&self, port: u16, directory: &Path) -> Result<Process, PeerError> {
        let mut command = Command::new(&self.program);
        match self.arguments {
            Arguments::Positional(words) => {
                command.args(words).arg(port.to_string()).arg(directory);
            }
            Arguments::ConfigFile => {
                let path = directory.join("receiver.conf");
                let text = format!(
                    "[DEFAULT]\nrpc_zmq_port = {port}\nrpc_zmq_bind_address = 127.0.0.1\nrpc_zmq_ipc_dir = {}\n",
                    directory.display()
                );
                fs::write(&path, text).map_err(|source| PeerError::Write { path: path.clone(), source })?;
                command.arg("--config-file").arg(path);
            }
        }
        Ok(Process::start(&mut command, directory.join("log"))?)
    }
}

/// What is being obtained, and what to say if it cannot be.
struct Obtain {
    peer: &'static str,
    remedy: &'static str,
}

impl Obtain {
    fn run(&self, command: &mut Command) -> Result<Output, PeerError> {
        let program = command.get_program().display().to_string();
        let &Self { peer, remedy } = self;
        let output = match command.stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(source) => return Err(PeerError::Run { peer, program, source, remedy }),
        };
        if output.status.success() {
            return Ok(output);
        }
        let printed = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        Err(PeerError::Failed { peer, program, status: output.status, remedy, printed })
    }
}

fn first_line(output: &[u8]) -> String {
    String::from_utf8_lossy(output).lines().next().unwrap_or_default().to_owned()
}

/// The package of our daemon.
const PACKAGE: &str = "oslo-messaging-zmq-receiver";

/// Its workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// The source of the C proxy.
const C_PROXY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/c-proxy.c");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_daemon_is_an_error_with_a_next_step() {
        let error = Peer::daemon("ours".to_owned(), "/nonexistent/receiver".into()).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/receiver") && error.contains("give the path"), "{error}");
    }

    #[test]
    fn an_environment_without_the_driver_is_an_error_with_a_next_step() {
        let directory = tempfile::tempdir().unwrap();
        let error = Peer::python(directory.path()).unwrap_err().to_string();
        assert!(error.contains("Python 2.7 holding oslo.messaging"), "{error}");
    }
}
