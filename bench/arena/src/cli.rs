//! The command line that all targets have in common (zmq-arena, `targets/README.md`, Unified CLI).

use std::env;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// One end of a cell.
#[derive(Debug, Parser)]
#[command(name = "zmtp-arena-target", version, about)]
pub(crate) struct Cell {
    /// The end that sends, or the one that receives
    #[arg(long, value_enum)]
    pub(crate) role: Role,
    /// What is measured
    #[arg(long, value_enum)]
    pub(crate) kind: Kind,
    /// Told by the endpoint, too
    #[arg(long)]
    pub(crate) transport: Option<String>,
    /// tcp://HOST:PORT or ipc://PATH
    #[arg(long)]
    pub(crate) endpoint: String,
    /// Octets of each message
    #[arg(long)]
    pub(crate) payload_bytes: u32,
    /// Messages counted; where a time is given instead, not used
    #[arg(long)]
    pub(crate) messages: u64,
    /// Messages received before the clock starts
    #[arg(long, default_value_t = 0)]
    pub(crate) warmup: u64,
    /// Processes on the other side; each connects when it likes
    #[arg(long)]
    pub(crate) peers: Option<u32>,
    /// The runtime
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) variant: Variant,
    /// Seconds to count for, in cells that are not measured by a number of messages
    #[arg(long, default_value = "0", value_parser = parse_seconds)]
    pub(crate) duration_secs: Duration,
    /// Whether this end binds; it follows from kind and role, too
    #[arg(long)]
    pub(crate) bind: bool,
    /// Settings of a library; those not known here are passed over
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) knob: Vec<String>,
}

/// The ends of a cell, whatever their sockets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Sends
    Pub,
    /// Receives
    Sub,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// PUSH to PULL
    Throughput,
    /// REQ and REP, which this library does not have
    Latency,
    /// PUB to several SUB
    Pubsub,
    /// PUSH to several PULL
    Fanout,
    /// Several PUSH to one PULL
    Fanin,
}

/// The runtime that the library runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// tokio's, of one thread
    Default,
    /// tokio's, of several
    #[value(name = "multi_thread")]
    MultiThread,
}

impl Cell {
    /// A knob's value, if it is given and a number; else that of the environment, as in ARENA_KNOB_SNDHWM.
    pub(crate) fn knob(&self, key: &str) -> Option<usize> {
        let given = self.knob.iter().filter_map(|knob| knob.split_once('=')).rfind(|(name, _)| *name == key);
        let value = given.map(|(_, value)| value.to_owned());
        value.or_else(|| env::var(format!("ARENA_KNOB_{}", key.to_uppercase())).ok())?.parse().ok()
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "give seconds, such as 3 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_of_the_harness_is_understood() {
        let words = "target --role sub --kind fanin --transport tcp --endpoint tcp://127.0.0.1:1 --payload-bytes 16 \
                     --messages 0 --warmup 0 --peers 4 --variant multi_thread --knob io_threads=1 --knob sndhwm=x \
                     --knob unknown=1 --bind --duration-secs 0.5";
        let cell = Cell::parse_from(words.split_whitespace());
        assert_eq!((cell.role, cell.kind, cell.variant), (Role::Sub, Kind::Fanin, Variant::MultiThread));
        assert_eq!((cell.knob("io_threads"), cell.knob("sndhwm"), cell.knob("rcvhwm")), (Some(1), None, None));
        assert_eq!(cell.duration_secs, Duration::from_millis(500));
        assert!(parse_seconds("-1").is_err() && parse_seconds("NaN").is_err());
    }
}
