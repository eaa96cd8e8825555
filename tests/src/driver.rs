//! Services and clients on the original driver: the scripts `driver_service.py` and `driver_client.py`, over JSON lines.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::oslo::Host;
use crate::program::{Program, ProgramError};
use crate::python::{self, NoEnvironment};

/// A service process with a topic.
#[derive(Debug)]
pub struct Service(Program);

/// A client process for one topic.
#[derive(Debug)]
pub struct Client(Program);

/// What a service and a client are to talk about: a topic for calls, and one for notifications.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a> {
    /// Of calls, casts and fanouts.
    pub rpc: &'a str,
    /// Of notifications.
    pub notifications: &'a str,
}

/// Whether a service reads notifications. Of several on one host each would get some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notifications {
    /// It does: by the release's listener, or frame by frame where that cannot be made.
    Read,
    /// It does not.
    Leave,
}

/// A service or client that failed, or the exception a client met.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The release is not installed.
    #[error(transparent)]
    Environment(#[from] NoEnvironment),
    /// The process failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A line is not what the scripts are to print.
    #[error("{program} printed {line}")]
    Line {
        /// Which process.
        program: String,
        /// The whole line.
        line: String,
    },
    /// The driver raised an exception in the client.
    #[error("the client raised {module}.{class}: {text}")]
    Raised {
        /// The exception's class.
        class: String,
        /// The module of the class.
        module: String,
        /// The exception as text; for one from the service its traceback too.
        text: String,
    },
}

impl DriverError {
    /// Whether a deadline passed and nothing worse.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Program(ProgramError::Deadline { .. }))
    }

    /// Whether the driver gave a call up for want of a reply. The class is its internal one (B29).
    pub fn is_rpc_timeout(&self) -> bool {
        matches!(self, Self::Raised { class, .. } if class == "Timeout")
    }
}

impl Service {
    /// Starts a service called `name` on `host` and waits until it consumes.
    pub fn start(
        host: &Host,
        name: &str,
        topics: Topics<'_>,
        notifications: Notifications,
    ) -> Result<Self, DriverError> {
        let mut command = command(host, "driver_service.py", topics)?;
        command.args(["--name", name]);
        Self::begin(command, name, host, notifications)
    }

    /// The same, for a service that listens as another server than the host's name.
    pub fn start_as(server: &str, host: &Host, name: &str, topics: Topics<'_>) -> Result<Self, DriverError> {
        let mut command = command(host, "driver_service.py", topics)?;
        command.args(["--name", name, "--server", server]);
        Self::begin(command, name, host, Notifications::Leave)
    }

    fn begin(mut command: Command, name: &str, host: &Host, notifications: Notifications) -> Result<Self, DriverError> {
        match notifications {
            Notifications::Read if host.release().can_listen_to_notifications() => {
                command.args(["--notifications", "listen"]);
            }
            Notifications::Read => {
                command.args(["--notifications", "raw"]);
            }
            Notifications::Leave => {}
        }
        let mut program = Program::start(&format!("service {name}"), &mut command)?;
        expect(&mut program, &json!({ "ready": name }))?;
        Ok(Self(program))
    }

    /// Ends it at once: the driver's own end may take for ever (B38).
    pub fn kill(&mut self) -> Result<(), DriverError> {
        Ok(self.0.kill()?)
    }

    /// The next thing it received that is not a call: see the script for the shapes.
    pub fn next(&mut self, limit: Duration) -> Result<Value, DriverError> {
        line(&mut self.0, limit)
    }
}

impl Client {
    /// Starts a client on `host`.
    pub fn start(host: &Host, topics: Topics<'_>) -> Result<Self, DriverError> {
        let mut program = Program::start("client", &mut command(host, "driver_client.py", topics)?)?;
        expect(&mut program, &json!({ "ready": true }))?;
        Ok(Self(program))
    }

    /// Calls `method` on any service of the topic.
    pub fn call(&mut self, method: &str, args: Value) -> Result<Value, DriverError> {
        self.request(&json!({ "do": "call", "method": method, "args": args, "context": context() }))
    }

    /// Calls `method` on the service of the topic on `server`.
    pub fn call_on(&mut self, server: &str, method: &str, args: Value) -> Result<Value, DriverError> {
        self.request(&json!({ "do": "call", "server": server, "method": method, "args": args, "context": context() }))
    }

    /// Casts. Success says that the driver took it, no more.
    pub fn cast(&mut self, method: &str, args: Value) -> Result<(), DriverError> {
        self.request(&json!({ "do": "cast", "method": method, "args": args, "context": context() })).map(drop)
    }

    /// Casts to every service of the topic.
    pub fn fanout(&mut self, method: &str, args: Value) -> Result<(), DriverError> {
        self.request(&json!({ "do": "fanout", "method": method, "args": args, "context": context() })).map(drop)
    }

    /// Sends a notification of priority info by the notification driver `messaging` or `messagingv2`.
    pub fn notify(&mut self, driver: &str, event_type: &str, payload: Value) -> Result<(), DriverError> {
        let request = json!({
            "do": "notify", "driver": driver, "event_type": event_type, "payload": payload, "context": context(),
        });
        self.request(&request).map(drop)
    }

    fn request(&mut self, request: &Value) -> Result<Value, DriverError> {
        self.0.send_line(&request.to_string())?;
        let mut answer = line(&mut self.0, ANSWER)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match (answer.get_mut("result").map(Value::take), answer.get("error")) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(DriverError::Raised {
                class: text(&error["class"]),
                module: text(&error["module"]),
                text: text(&error["text"]),
            }),
            _ => Err(DriverError::Line { program: self.0.name().to_owned(), line: answer.to_string() }),
        }
    }
}

/// The context every request carries.
pub fn context() -> Value {
    json!({ "user_id": "ünï", "is_admin": false, "roles": ["member"], "quota": { "cores": 20 } })
}

fn command(host: &Host, script: &str, topics: Topics<'_>) -> Result<Command, DriverError> {
    let mut command = Command::new(host.release().interpreter()?);
    // -B: the scripts lie in the sources, where compiled copies have no place.
    command.args(["-B", "-W", "ignore"]).arg(python::script(script)).arg("--config-file").arg(host.config_file());
    command.args(["--topic", topics.rpc, "--notification-topic", topics.notifications]);
    Ok(command)
}

fn expect(program: &mut Program, expected: &Value) -> Result<(), DriverError> {
    let found = line(program, START)?;
    if found == *expected {
        Ok(())
    } else {
        Err(DriverError::Line { program: program.name().to_owned(), line: found.to_string() })
    }
}

fn line(program: &mut Program, limit: Duration) -> Result<Value, DriverError> {
    let line = program.next_line(limit)?;
    serde_json::from_str(&line).map_err(|_| DriverError::Line { program: program.name().to_owned(), line })
}

/// A Python 2.7 with eventlet and the driver loads in half a second on a quiet machine.
const START: Duration = Duration::from_secs(20);

/// Longer than a call waits for its reply, so that the driver's own timeout is what a test sees.
const ANSWER: Duration = Duration::from_secs(20);
