//! Why the program did not do what it was asked, and its exit code.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use oslo_config::LoadError;
use oslo_messaging_zmq_receiver::StartError as ReceiverError;
use oslo_messaging_zmq_receiver::settings::SettingsError as ReceiverSettingsError;
use oslo_rpc::json::{JsonError, Value};
use oslo_rpc::server::StartError;
use oslo_rpc::settings::{SettingsError, UrlError};
use oslo_rpc::transport::{OpenError, RouteError};
use oslo_rpc::{CallError, CastError, RemoteError, Stage, TimedOut};
use serde_json::json;
use thiserror::Error;

/// A failure, told by `main`.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("--url: {0}")]
    Url(#[from] UrlError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    ReceiverSettings(#[from] ReceiverSettingsError),
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Cast(#[from] CastError),
    #[error("{dropped} messages were not sent in time; see that the receivers of their hosts run")]
    NotSent { dropped: u64 },
    #[error("{}: not a message: {reason}", path.display())]
    NoMessage { path: PathBuf, reason: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("{0}")]
    System(#[from] io::Error),
}

impl Failure {
    /// What a script can tell failures apart by.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Call(CallError::Remote(_)) => 3,
            Self::Call(CallError::TimedOut(_)) | Self::NotSent { .. } => 4,
            Self::Call(error) if error.is_no_host() => 5,
            Self::Cast(CastError::Route(RouteError::Lookup(_))) => 5,
            _ => 1,
        }
    }

    /// For a person: what happened, and what to do next.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Call(CallError::Remote(error)) => remote(error),
            Self::Call(CallError::TimedOut(timed_out)) => journey(timed_out),
            _ => {
                let mut told = self.to_string();
                let mut cause = self.source();
                while let Some(error) = cause {
                    let text = error.to_string();
                    if !told.contains(&text) {
                        let _ = write!(told, ": {text}");
                    }
                    cause = error.source();
                }
                told
            }
        }
    }

    /// For a program.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Call(CallError::Remote(error)) => json!({ "error": "remote", "remote": &**error }),
            Self::Call(CallError::TimedOut(told)) => json!({
                "error": "timeout", "topic": told.topic, "method": told.method, "id": told.id,
                "waited": told.waited.as_secs_f64(), "stage": stage(&told.stage), "text": told.to_string(),
            }),
            _ => json!({ "error": if self.code() == 5 { "no-host" } else { "failed" }, "text": self.told() }),
        }
    }
}

fn stage(stage: &Stage) -> &'static str {
    match stage {
        Stage::Lookup => "lookup",
        Stage::Matched { .. } => "matched",
        Stage::Connected { .. } => "connected",
        Stage::Written { .. } => "written",
    }
}

/// An exception with its traceback, innermost last, as Python prints it.
fn remote(error: &RemoteError) -> String {
    let mut told = format!("the service raised {error}");
    let lines = error.traceback.iter().flat_map(|line| line.lines());
    lines.for_each(|line| {
        let _ = write!(told, "\n  {line}");
    });
    if !error.kwargs.is_empty() {
        let _ = write!(told, "\n  kwargs: {}", Value::Object((*error.kwargs).clone()));
    }
    let mut cause = error.cause.as_deref();
    while let Some(behind) = cause {
        let _ = write!(told, "\n  because of {behind}");
        cause = behind.cause.as_deref();
    }
    told
}

/// How far a request came, a line for each step.
fn journey(told: &TimedOut) -> String {
    let TimedOut { topic, method, id, waited, stage } = told;
    let no = || "no".to_owned();
    let (matched, connected, written, next) = match stage {
        Stage::Lookup => (no(), no(), "no", "see that the registry of the matchmaker runs".to_owned()),
        Stage::Matched { address, failure } => (
            address.clone(),
            format!("no ({})", failure.as_deref().unwrap_or("not yet")),
            "no",
            format!("see that the receiver runs at {address}, and rpc_zmq_port"),
        ),
        Stage::Connected { address } => {
            (address.clone(), "yes".to_owned(), "no", format!("the receiver at {address} does not read: see its log"))
        }
        Stage::Written { address } => (
            address.clone(),
            "yes".to_owned(),
            "yes",
            format!(
                "see that the service runs behind {address} under the rpc_zmq_host that ends the topic, and that the \
                 receiver of this machine runs"
            ),
        ),
    };
    format!(
        "no reply from {topic} to {method} within {:.1} s\n  id         {id}\n  matched    {matched}\n  connected  {connected}\n  \
         written    {written}\n  reply      no\n  next       {next}",
        waited.as_secs_f64(),
    )
}
