//! The command line, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use oslo_rpc::json::{Text, Value};
use oslo_rpc::{Context, Priority};

/// Calls, casts and notifications over the zmq driver of oslo.messaging.
#[derive(Debug, Parser)]
#[command(name = "zrpc", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the other machines are.
#[derive(Debug, Args)]
pub(crate) struct SiteArgs {
    /// Read this file of oslo configuration; repeatable, a later one overrides
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config_file: Vec<PathBuf>,
    /// Read the *.conf of this directory; repeatable
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) config_dir: Vec<PathBuf>,
    /// zmq+ring:///PATH, zmq+redis://HOST:6379/0, zmq+consul://HOST:8500 or zmq+local://
    #[arg(long, global = true)]
    pub(crate) url: Option<String>,
    /// Run a receiver in this process: for a machine that has none
    #[arg(long, global = true)]
    pub(crate) embedded: bool,
    /// Log what goes on, never what is in it
    #[arg(short, long, global = true)]
    pub(crate) debug: bool,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call a method of one server and print its result
    Call {
        #[command(flatten)]
        request: RequestArgs,
        /// Seconds to wait [default: rpc_response_timeout, 60]
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
    },
    /// Have one server run a method, and wait for nothing
    Cast {
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Have every server of a topic run a method
    Fanout {
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Tell that something happened
    Notify {
        /// What happened, such as compute.instance.create.end
        event_type: String,
        /// What it is about, as JSON
        #[arg(default_value = "{}", value_parser = value)]
        payload: Value,
        /// To listeners of this topic; repeatable
        #[arg(long, value_name = "TOPIC", default_value = "notifications")]
        topic: Vec<String>,
        /// How urgent it is
        #[arg(long, value_enum, default_value = "info")]
        priority: Urgency,
        /// Who tells
        #[arg(long, default_value = "zrpc")]
        publisher: String,
        /// As the notification driver `messaging` sends it rather than `messagingv2`
        #[arg(long)]
        v1: bool,
        /// On whose behalf: a JSON object
        #[arg(long, value_name = "JSON", default_value = "{}", value_parser = context)]
        context: Context,
    },
    /// Serve a topic with the methods echo, add, fail and slow
    Serve {
        /// The topic
        topic: String,
        /// The name by which a target chooses this server [default: rpc_zmq_host]
        #[arg(long)]
        server: Option<String>,
    },
    /// Measure calls: latency one at a time, and throughput with many
    Bench(BenchArgs),
    /// Print a captured message with secrets masked
    Decode {
        /// Octets of ZMTP from a capture, frames as lines, or JSON with `frames_hex` [default: standard input]
        file: Option<PathBuf>,
    },
    /// Print a shell's completions
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// TOPIC or TOPIC.SERVER
    pub(crate) target: String,
    /// The method
    pub(crate) method: String,
    /// A keyword argument, as n=7 or name='"text"'; repeatable
    #[arg(long = "arg", value_name = "NAME=JSON", value_parser = argument)]
    pub(crate) args: Vec<(String, Value)>,
    /// The namespace of the method
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// The version of the interface
    #[arg(long, default_value = "1.0")]
    pub(crate) version: String,
    /// On whose behalf: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = context)]
    pub(crate) context: Context,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Call this topic's method `echo` rather than a service in this process
    pub(crate) target: Option<String>,
    /// Calls of each run
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) calls: u64,
    /// Calls at a time, a run for each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 64], value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) concurrency: Vec<u64>,
    /// Octets of the argument that is echoed
    #[arg(long, value_name = "OCTETS", default_value_t = 16)]
    pub(crate) size: usize,
}

/// A priority, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Urgency {
    Audit,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
    Sample,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Audit => Self::Audit,
            Urgency::Debug => Self::Debug,
            Urgency::Info => Self::Info,
            Urgency::Warn => Self::Warn,
            Urgency::Error => Self::Error,
            Urgency::Critical => Self::Critical,
            Urgency::Sample => Self::Sample,
        }
    }
}

fn argument(text: &str) -> Result<(String, Value), String> {
    let (name, json) = text.split_once('=').ok_or("expected NAME=JSON")?;
    Ok((name.to_owned(), value(json)?))
}

fn value(json: &str) -> Result<Value, String> {
    let text =
        Text::new(json.as_bytes()).map_err(|error| format!("{error}; a string needs quotes, as name='\"text\"'"))?;
    text.read().map_err(|error| error.to_string())
}

fn context(json: &str) -> Result<Context, String> {
    Context::new(&value(json)?).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 86400.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected seconds, as 5 or 0.2".to_owned())
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 the service raised an exception, 4 no reply in time or not sent in \
time, 5 nobody serves the topic.

Without --config-file the files oslo.conf and zrpc.conf are read from ~/.oslo, ~, /etc/oslo and /etc.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_are_json() {
        assert_eq!(argument("n=7"), Ok(("n".to_owned(), Value::Int(7))));
        assert_eq!(argument("s=\"a=b\""), Ok(("s".to_owned(), "a=b".into())));
        assert!(argument("host=host1").unwrap_err().contains("a string needs quotes"));
        assert!(argument("x").is_err());
        assert!(context("[1]").is_err());
        assert!(seconds("0").is_err() && seconds("nan").is_err());
    }
}
