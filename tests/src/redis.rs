//! A real redis-server, and Sentinels, on loopback ports of their own.
//!
//! A server is started empty and keeps nothing on disk; after [`RedisServer::kill`] it can be started
//! again on the same port, as empty as before. [`RedisServer::ask`] is a client that shares no code
//! with what is tested: the server's own inline commands and replies.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::loopback::{self, NoFreePort};
use crate::program::{Program, ProgramError};

/// A redis-server, running or not. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    directory: TempDir,
    port: u16,
    options: Vec<String>,
    program: Option<Program>,
}

/// A reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status, or a text.
    Text(String),
    /// A number.
    Number(i64),
    /// Several.
    List(Vec<Self>),
    /// Nothing.
    Nil,
    /// It says no.
    Error(String),
}

/// A server that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// It is not installed, or does not run.
    #[error("redis-server does not run; `cargo xtask test` installs it (Debian package redis-server)")]
    Program(#[from] ProgramError),
    /// No port.
    #[error(transparent)]
    Port(#[from] NoFreePort),
    /// The system refused.
    #[error("cannot {action} redis-server")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It replied something that is no reply.
    #[error("redis-server replied {0:?}")]
    Reply(String),
}

impl RedisServer {
    /// Starts one with no data and no password.
    pub fn start() -> Result<Self, RedisError> {
        Self::with(&[])
    }

    /// Starts one with these arguments more.
    pub fn with(options: &[&str]) -> Result<Self, RedisError> {
        let directory = tempfile::tempdir().map_err(failed("make a directory for"))?;
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let port = loopback::free_port()?;
        let mut server = Self { directory, port, options, program: None };
        server.restart()?;
        Ok(server)
    }

    /// Starts a Sentinel that watches `primary` under the name `main` and takes it for dead after a second.
    pub fn sentinel(primary: u16, quorum: usize) -> Result<Self, RedisError> {
        let directory = tempfile::tempdir().map_err(failed("make a directory for"))?;
        // A Sentinel writes to its configuration file.
        let file = directory.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor main 127.0.0.1 {primary} {quorum}\n\
             sentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 4000\n"
        );
        std::fs::write(&file, text).map_err(failed("configure"))?;
        let options = vec![file.display().to_string(), "--sentinel".to_owned()];
        let port = loopback::free_port()?;
        let mut server = Self { directory, port, options, program: None };
        server.restart()?;
        Ok(server)
    }

    /// Starts it again after [`RedisServer::kill`], on the same port, empty.
    pub fn restart(&mut self) -> Result<(), RedisError> {
        let mut command = Command::new("redis-server");
        let (mut leading, options) = match self.options.split_first() {
            Some((file, options)) if file.ends_with(".conf") => (vec![file.clone()], options),
            _ => (Vec::new(), self.options.as_slice()),
        };
        leading.extend(options.iter().cloned());
        command.args(leading);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"]).arg(self.directory.path());
        command.args(["--save", "", "--appendonly", "no"]);
        let mut program = Program::start("redis-server", &mut command)?;
        program.wait_until_listening(self.address(), START)?;
        self.program = Some(program);
        Ok(())
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<(), RedisError> {
        match self.program.take() {
            Some(mut program) => Ok(program.kill()?),
            None => Ok(()),
        }
    }

    /// Stops it in its tracks: connections stay, nothing is answered.
    pub fn pause(&self) -> Result<(), RedisError> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`RedisServer::pause`].
    pub fn resume(&self) -> Result<(), RedisError> {
        self.signal(Signal::CONT)
    }

    /// Its port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its URL, without a login.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Asks it one thing: the words of a command.
    pub fn ask(&self, words: &[&str]) -> Result<Reply, RedisError> {
        let mut stream = TcpStream::connect(self.address()).map_err(failed("connect to"))?;
        stream.set_read_timeout(Some(ANSWER)).map_err(failed("set a deadline for"))?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(command.as_bytes()).map_err(failed("write to"))?;
        reply(&mut BufReader::new(stream))
    }

    /// The members of a set, sorted; none if there is no such set.
    pub fn set(&self, key: &str) -> Result<Vec<String>, RedisError> {
        let mut members = match self.ask(&["SMEMBERS", key])? {
            Reply::List(items) => items.into_iter().map(text).collect::<Result<Vec<_>, _>>()?,
            other => return Err(RedisError::Reply(format!("{other:?}"))),
        };
        members.sort();
        Ok(members)
    }

    /// Every key with its type, sorted.
    pub fn keys(&self) -> Result<BTreeMap<String, String>, RedisError> {
        let Reply::List(keys) = self.ask(&["KEYS", "*"])? else { return Err(RedisError::Reply("KEYS".to_owned())) };
        let typed = keys.into_iter().map(|key| {
            let key = text(key)?;
            let kind = text(self.ask(&["TYPE", &key])?)?;
            Ok((key, kind))
        });
        typed.collect()
    }

    /// Seconds a key has to live: -1 for ever, -2 not there.
    pub fn ttl(&self, key: &str) -> Result<i64, RedisError> {
        match self.ask(&["TTL", key])? {
            Reply::Number(seconds) => Ok(seconds),
            other => Err(RedisError::Reply(format!("{other:?}"))),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), RedisError> {
        let id = self.program.as_ref().and_then(|program| i32::try_from(program.id()).ok()).and_then(Pid::from_raw);
        let sent = id.ok_or(rustix::io::Errno::SRCH).and_then(|id| kill_process(id, signal));
        sent.map_err(|errno| failed("signal")(errno.into()))
    }
}

fn text(reply: Reply) -> Result<String, RedisError> {
    match reply {
        Reply::Text(text) => Ok(text),
        other => Err(RedisError::Reply(format!("{other:?}"))),
    }
}

/// One reply of RESP2, which nests no deeper than the commands of the tests make it.
fn reply(stream: &mut impl BufRead) -> Result<Reply, RedisError> {
    let mut line = String::new();
    stream.read_line(&mut line).map_err(failed("read from"))?;
    let strange = || RedisError::Reply(line.clone());
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(strange)?;
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => rest.parse().map(Reply::Number).map_err(|_| strange()),
        "$" | "*" if rest == "-1" => Ok(Reply::Nil),
        "$" => {
            let mut octets = vec![0; rest.parse::<usize>().map_err(|_| strange())? + 2];
            stream.read_exact(&mut octets).map_err(failed("read from"))?;
            octets.truncate(octets.len() - 2);
            Ok(Reply::Text(String::from_utf8_lossy(&octets).into_owned()))
        }
        "*" => {
            let count: usize = rest.parse().map_err(|_| strange())?;
            (0..count).map(|_| reply(stream)).collect::<Result<_, _>>().map(Reply::List)
        }
        _ => Err(strange()),
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> RedisError {
    move |source| RedisError::System { action, source }
}

/// An empty server listens after some ten milliseconds; other tests may hold both cores.
const START: Duration = Duration::from_secs(10);

/// Far more than a server needs that runs.
const ANSWER: Duration = Duration::from_secs(5);
