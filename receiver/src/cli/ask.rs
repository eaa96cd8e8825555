//! What the commands take that ask a running receiver.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is asked, beyond the command.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
pub struct Ask {
    /// who: a topic. topics: a pattern such as compute.*
    pub subject: Option<String>,

    /// health: whether it is ready for work, not only alive
    #[arg(long)]
    pub ready: bool,

    /// topics: what comes first
    #[arg(long, value_enum, value_name = "BY")]
    pub sort: Option<Sort>,

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
