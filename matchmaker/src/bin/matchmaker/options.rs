//! The command line, from texts to what they mean.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand};
use matchmaker::{DEFAULT_RING_FILE, Host, Kind, KindError, Topic};
use thiserror::Error;

/// Which hosts serve a topic, and how a message for it would be routed.
#[derive(Debug, Parser)]
#[command(name = "matchmaker", version, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Where to look: ring:FILE, ring, localhost or stub
    // Parsed later, because clap repeats a value that it refuses, and a URL can hold a password.
    #[arg(short, long, global = true, value_name = "BACKEND", default_value_t = Source::default().to_string())]
    pub(crate) backend: String,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The rpc_zmq_host of this machine, for -b localhost [default: its host name]
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) node: Option<Host>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to tell.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Where a message for KEY goes
    Resolve {
        /// TOPIC (the host whose turn is first), TOPIC.HOST, or fanout~TOPIC (every host)
        key: Topic,
    },
    /// All topics
    Topics,
    /// The hosts of one topic, in the order of their turns
    Hosts {
        /// A topic of the backend, without a host
        topic: Topic,
    },
    /// What is wrong or unwise in a ring file
    Lint {
        /// [default: the backend's]
        file: Option<PathBuf>,
    },
}

/// A backend as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Ring(PathBuf),
    Localhost,
    Stub,
}

impl Default for Source {
    fn default() -> Self {
        Self::Ring(DEFAULT_RING_FILE.into())
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind.parse()?, rest) {
            (Kind::Ring, None) => Ok(Self::default()),
            (Kind::Ring, Some("")) => Err(SourceError::NoFile),
            (Kind::Ring, Some(file)) => Ok(Self::Ring(file.into())),
            (Kind::Localhost, None) => Ok(Self::Localhost),
            (Kind::Stub, None) => Ok(Self::Stub),
            (_, Some(_)) | (_, None) => Err(SourceError::Surplus { kind: kind.to_owned() }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(file) => write!(f, "ring:{}", file.display()),
            Self::Localhost => f.write_str("localhost"),
            Self::Stub => f.write_str("stub"),
        }
    }
}

/// Why a text names no backend.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Kind(#[from] KindError),
    #[error("a file has to follow the colon: ring:/etc/oslo/matchmaker_ring.json")]
    NoFile,
    #[error("{kind} has no file: leave out the colon and what follows")]
    Surplus { kind: String },
}

const AFTER_HELP: &str = "\
Examples:
  matchmaker topics
  matchmaker resolve compute.host1
  matchmaker -b ring:./ring.json resolve fanout~compute
  matchmaker -b localhost --node host1 resolve scheduler
  matchmaker lint ./ring.json

Exit codes:
  0   done; a linted ring has no findings
  1   no host for the topic, or a linted ring has warnings
  2   the command line is wrong
  65  the ring is refused: it does not parse, or has a name that cannot be one
  66  the ring cannot be read
  69  the backend does not answer
  71  the system refuses to start a runtime
  74  the output cannot be written";
