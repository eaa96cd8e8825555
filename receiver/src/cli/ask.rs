//! What the commands take that ask a running receiver.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What is asked, beyond the command.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
pub struct Ask {
    /// keygen: the file to make. who: a topic. where: a message's id, or its beginning. topics, watch: a pattern such as
    /// compute.*. signal: reload, reopen, lame-duck or drain
    pub subject: Option<String>,

    /// health: whether it is ready for work, not only alive
    #[arg(long)]
    pub ready: bool,

    /// topics: what comes first
    #[arg(long, value_enum, value_name = "BY")]
    pub sort: Option<Sort>,

    /// watch: show what messages say too, secrets masked
    #[arg(long)]
    pub body: bool,

    /// watch: only messages that call this method; a pattern such as live_*
    #[arg(long, value_name = "PATTERN")]
    pub method: Option<String>,

    /// watch: end after so many messages. top: after so many looks
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// top: seconds from look to look; by default 2
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub interval: Option<Duration>,

    /// Ask the receiver at this socket; by default that of the configuration
    #[arg(long, value_name = "PATH")]
    pub admin_socket: Option<PathBuf>,
}

/// An order of topics; numbers begin with the largest.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By name
    #[default]
    Name,
    /// By messages that wait
    Depth,
    /// By octets that wait
    Octets,
    /// By how long the oldest message has waited
    Age,
    /// By messages taken in
    Accepted,
    /// By messages dropped
    Dropped,
}

/// What `signal` tells a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As SIGHUP.
    Reload,
    /// As SIGUSR1.
    Reopen,
    /// As SIGUSR2.
    LameDuck,
    /// As SIGTERM.
    Drain,
}

impl Order {
    /// The order of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "reload" => Self::Reload,
            "reopen" => Self::Reopen,
            "lame-duck" => Self::LameDuck,
            "drain" | "stop" => Self::Drain,
            _ => return None,
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds from 0.1 to 3600".to_owned())
}
