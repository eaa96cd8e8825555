//! The command line, from texts to what they mean.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use matchmaker::{Host, Topic};

use crate::sync::pace::Pace;

/// Which hosts serve a topic, and how a message for it would be routed.
#[derive(Debug, Parser)]
#[command(name = "matchmaker", version, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Where to look: ring:FILE, redis://HOST:PORT/DB, consul://HOST:PORT, localhost or stub
    // Parsed later, because clap repeats a value that it refuses, and a URL can hold a password.
    #[arg(short, long, global = true, value_name = "BACKEND", env = "MATCHMAKER", hide_env_values = true)]
    pub(crate) backend: Option<String>,

    /// An OpenStack configuration file that says where to look, in place of -b; may be repeated
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config_file: Vec<PathBuf>,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The rpc_zmq_host of this machine, for -b localhost [default: its host name]
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) node: Option<Host>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to tell or do.
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
    /// List HOST under TOPIC: a ring keeps it, a server until its TTL has passed
    Register {
        /// The topic
        topic: Topic,
        /// The rpc_zmq_host of the machine that serves it
        host: Host,
        /// Keep it alive until this command is ended, and take it back then
        #[arg(long)]
        keep: bool,
    },
    /// Remove HOST from TOPIC
    Unregister {
        /// The topic
        topic: Topic,
        /// The host
        host: Host,
    },
    /// Remove hosts whose announcement has expired
    Expire {
        /// Only show them
        #[arg(long)]
        dry_run: bool,
    },
    /// Show topics and hosts as they come and go: a table on a terminal, else a line for each
    Watch {
        /// Only this topic
        topic: Option<Topic>,
        /// How often to look
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::sync::pace::time)]
        interval: std::time::Duration,
    },
    /// What is wrong or unwise in a ring file
    Lint {
        /// [default: the backend's]
        file: Option<PathBuf>,
    },
    /// What A lists and B does not, and the reverse; exit code 1 if there is anything
    Diff {
        /// A backend
        a: String,
        /// Another
        b: String,
    },
    /// List in B what A lists; what else B lists stays
    Copy {
        /// A backend
        a: String,
        /// Another, that can be written to
        b: String,
    },
    /// A picture of topics and hosts
    Graph {
        /// What kind
        #[arg(long, value_enum, default_value_t = Format::Dot)]
        format: Format,
    },
    /// Keep a ring file in step with a Redis or Consul
    Sync(Sync),
}

/// The kinds of picture.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// For programs
    Json,
    /// A drawing
    Svg,
}

/// How a ring file is kept in step.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// The backend that is right
    #[arg(long, value_name = "BACKEND")]
    pub(crate) from: String,
    /// The ring file
    #[arg(long, value_name = "FILE", default_value = matchmaker::DEFAULT_RING_FILE)]
    pub(crate) to: PathBuf,
    /// Do it once, the default
    #[arg(long, conflicts_with = "watch")]
    pub(crate) once: bool,
    /// Go on doing it
    #[arg(long)]
    pub(crate) watch: bool,
    /// Change nothing; show what would change, and exit with 1 if anything would
    #[arg(long, conflicts_with = "watch")]
    pub(crate) dry_run: bool,
    /// How often to look, with --watch
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = crate::sync::pace::time)]
    pub(crate) interval: std::time::Duration,
    /// How long the catalogue has to rest before a change of it is written, and for how long to wait for that
    #[arg(long, value_name = "MIN:MAX", default_value = "2s:10s")]
    pub(crate) wait: Pace,
    /// A shell command to run after each change
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,
    /// The file's owner, a name or number [default: as it is]
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// The file's group, a name or number [default: as it is]
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// The file's mode, octal [default: as it is, or 0644]
    #[arg(long, value_parser = mode)]
    pub(crate) mode: Option<u32>,
    /// How many earlier versions to keep, as FILE.1 and so on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) backup: u32,
    /// List hosts under their full names
    #[arg(long)]
    pub(crate) full_names: bool,
    /// A ring file with topics that the ring is to hold as well
    #[arg(long, value_name = "FILE")]
    pub(crate) keep_static: Option<PathBuf>,
    /// Refuse a catalogue of fewer hosts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_hosts: usize,
    /// Refuse a catalogue that has lost this share of its topics or hosts, or more
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = percent)]
    pub(crate) max_remove: u8,
}

fn mode(text: &str) -> Result<u32, &'static str> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or("a mode is an octal number such as 0644")
}

fn percent(text: &str) -> Result<u8, &'static str> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|percent| (1..=100).contains(percent)).ok_or("a share is 1% to 100%")
}

const AFTER_HELP: &str = "\
Examples:
  matchmaker topics
  matchmaker resolve compute.host1
  matchmaker -b ring:./ring.json resolve fanout~compute
  matchmaker -b redis://:PASSWORD@10.0.0.5:6379/0 topics
  matchmaker --config-file /etc/nova/nova.conf hosts compute
  matchmaker lint ./ring.json
  matchmaker diff ring:/etc/oslo/matchmaker_ring.json consul://127.0.0.1:8500
  matchmaker sync --from consul://127.0.0.1:8500 --watch --exec 'systemctl try-restart nova-api'

The environment variable MATCHMAKER stands for -b, so that a password need not be on a command line;
without both the backend is the ring /etc/oslo/matchmaker_ring.json.

Exit codes:
  0   done; a linted ring has no findings; there is no difference
  1   no host for the topic; a linted ring has warnings; there are differences
  2   the command line is wrong
  5   a catalogue was refused, and the ring left as it was
  6   the command of --exec failed
  65  the ring is refused: it does not parse, or has a name that cannot be one
  66  the ring cannot be read
  69  the backend does not answer
  71  the system refuses to start a runtime
  73  the ring cannot be written
  74  the output cannot be written
  78  a configuration file is wrong";
