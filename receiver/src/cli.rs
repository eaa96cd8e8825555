//! The command line, as typed (oslo-zmq, section 10, "Command line of the daemon").
//!
//! The flags are those of the original daemon and, where it had none, of the OpenStack services,
//! so that existing init scripts go on working. Long flags take `--x=v` and `--x v`; of a flag
//! given twice the last counts, but for the two that name configuration: these keep their order
//! across both flags, since each file overrides what came before it.
//!
//! What to do is one word, which may stand before, between or behind the flags: without it the
//! daemon runs, as the original does.
//!
//! Nothing is checked or read here beyond the shape of the line.

mod ask;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use oslo_config::Source;

pub use self::ask::{Ask, Order, Sort};

/// What the command line says; a field is `None` or empty where it says nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cli {
    /// What to do.
    pub command: Command,
    /// `--config-file` and `--config-dir`, in the order given.
    pub sources: Vec<Source>,
    /// `--debug` or `--nodebug`, whichever came last.
    pub debug: Option<bool>,
    /// `--verbose` or `--noverbose`, whichever came last.
    pub verbose: Option<bool>,
    /// `--log-file`.
    pub log_file: Option<String>,
    /// `--log-dir`.
    pub log_dir: Option<String>,
    /// `--use-syslog`.
    pub use_syslog: Option<bool>,
    /// `--log-config-append`.
    pub log_config_append: Option<String>,
    /// `--json`: answers are one JSON object.
    pub json: bool,
    /// `--strict`: warnings of a check make it fail.
    pub strict: bool,
    /// `--no-environment`: a check looks at the configuration only.
    pub no_environment: bool,
    /// What is asked of a running receiver.
    pub ask: Ask,
}

/// What the program is to do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Serve until told to stop: the default
    #[default]
    Run,
    /// Tell what is wrong with the configuration, or with this machine for it
    CheckConfig,
    /// Show every option's value, and who set it
    ConfigShow,
    /// Print a configuration file with every option explained
    ConfigSample,
    /// Make a key for curve_port: the secret one goes to FILE, the public one is printed
    Keygen,
    /// Ask a running receiver whether it is alive, or with --ready whether it is ready for work
    Health,
    /// Show what a running receiver is doing
    Status,
    /// Show its topics: queues, consumers, what was dropped
    Topics,
    /// Show who is connected to it
    Connections,
    /// Show what it dropped, why, and whose it was
    Drops,
    /// Show who consumes a topic
    Who,
    /// Show messages as they pass, secrets masked
    Watch,
    /// Show what became of a message, by its id
    Where,
    /// Show the busiest topics, again and again
    Top,
    /// Tell a running receiver to reload, reopen its log, become a lame-duck, or drain and stop
    Signal,
}

impl Cli {
    /// The flags and commands as clap has them, for manual pages and completions.
    #[must_use]
    pub fn definition() -> clap::Command {
        Words::command()
    }

    /// Reads the words of a command line, the program's own name first.
    ///
    /// # Errors
    /// A line that is not understood, and `--help` and `--version`: [`clap::Error::exit`] prints
    /// the text where it belongs and ends with 2 or 0.
    pub fn parse_from(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let matches = Words::command().try_get_matches_from(words)?;
        let sources = sources(&matches);
        let words = Words::from_arg_matches(&matches)?;
        words.check_flags()?;
        Ok(Self {
            command: words.command.unwrap_or_default(),
            sources,
            debug: either(words.debug, words.nodebug),
            verbose: either(words.verbose, words.noverbose),
            log_file: words.log_file,
            log_dir: words.log_dir,
            use_syslog: words.use_syslog.then_some(true),
            log_config_append: words.log_config_append,
            json: words.json,
            strict: words.strict,
            no_environment: words.no_environment,
            ask: words.ask,
        })
    }
}

/// The name of the program: of its default configuration file, and of its log file in a
/// directory of logs.
pub const PROGRAM: &str = "oslo-messaging-zmq-receiver";

/// Hands RPC messages that arrive over TCP to the local sockets of their topics.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = AFTER_HELP, max_term_width = 100)]
struct Words {
    /// What to do
    #[arg(value_enum)]
    command: Option<Command>,

    /// Read this file; repeatable, a later one overrides
    #[arg(long, value_name = "PATH")]
    config_file: Vec<PathBuf>,

    /// Read the *.conf files of this directory, sorted by name; repeatable
    #[arg(long, value_name = "DIR")]
    config_dir: Vec<PathBuf>,

    /// Log everything, in detail
    #[arg(short, long, overrides_with_all = ["debug", "nodebug"])]
    debug: bool,

    /// Undo --debug, or debug in a file
    #[arg(long, overrides_with_all = ["debug", "nodebug"])]
    nodebug: bool,

    /// Log what goes on as well as what goes wrong: the default
    #[arg(short, long, overrides_with_all = ["verbose", "noverbose"])]
    verbose: bool,

    /// Log only what goes wrong
    #[arg(long, overrides_with_all = ["verbose", "noverbose"])]
    noverbose: bool,

    /// Log to this file instead of standard error
    #[arg(long, value_name = "PATH", alias = "logfile", overrides_with = "log_file")]
    log_file: Option<String>,

    /// Directory of --log-file; alone, log to a file named after the program in it
    #[arg(long, value_name = "DIR", alias = "logdir", overrides_with = "log_dir")]
    log_dir: Option<String>,

    /// Log to syslog
    #[arg(long, overrides_with = "use_syslog")]
    use_syslog: bool,

    /// Accepted without effect, with a warning
    #[arg(long, value_name = "PATH", alias = "log-config", overrides_with = "log_config_append")]
    log_config_append: Option<String>,

    /// Answer with one JSON object: check-config, config-show, and what asks a running receiver
    #[arg(long)]
    json: bool,

    /// check-config: fail on warnings too
    #[arg(long)]
    strict: bool,

    /// check-config: look at the configuration only, not at this machine
    #[arg(long)]
    no_environment: bool,

    #[command(flatten)]
    ask: Ask,
}

impl Words {
    /// Refuses flags that the command has no use for: whoever typed them expects something else to happen.
    fn check_flags(&self) -> Result<(), clap::Error> {
        let command = self.command.unwrap_or_default();
        let asking = &[
            Command::Health,
            Command::Status,
            Command::Topics,
            Command::Connections,
            Command::Drops,
            Command::Who,
            Command::Watch,
            Command::Where,
            Command::Top,
            Command::Signal,
        ];
        let answering = [&[Command::CheckConfig, Command::ConfigShow], &asking[..]].concat();
        let uses: [(bool, &str, &[Command]); 11] = [
            (self.json, "--json", &answering),
            (self.strict, "--strict", &[Command::CheckConfig]),
            (self.no_environment, "--no-environment", &[Command::CheckConfig]),
            (self.ask.ready, "--ready", &[Command::Health]),
            (self.ask.sort.is_some(), "--sort", &[Command::Topics]),
            (self.ask.admin_socket.is_some(), "--admin-socket", asking),
            (self.ask.body, "--body", &[Command::Watch]),
            (self.ask.method.is_some(), "--method", &[Command::Watch]),
            (self.ask.limit.is_some(), "--limit", &[Command::Watch, Command::Top]),
            (self.ask.interval.is_some(), "--interval", &[Command::Top]),
            (
                self.ask.subject.is_some(),
                "a word after the command",
                &[Command::Topics, Command::Who, Command::Watch, Command::Where, Command::Signal, Command::Keygen],
            ),
        ];
        if let Some((_, flag, _)) = uses.into_iter().find(|(given, _, users)| *given && !users.contains(&command)) {
            let text = format!("{flag} does not go with this command; --help tells which it goes with");
            return Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        }
        let missing = match command {
            Command::Who => "who needs a topic, as in who compute.host1",
            Command::Keygen => "keygen needs the name of the file to make, as in keygen /etc/oslo/zmq_receiver.key",
            Command::Where => "where needs a message's id, or its beginning, as in where 3f2a",
            Command::Signal => "signal needs one of reload, reopen, lame-duck and drain",
            _ => return Ok(()),
        };
        let is_unknown = |what: &str| command == Command::Signal && Order::of(what).is_none();
        if self.ask.subject.as_deref().is_none_or(is_unknown) {
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, missing));
        }
        Ok(())
    }
}

/// The two flags in their mutual order, which the parser keeps as an index per value.
fn sources(matches: &ArgMatches) -> Vec<Source> {
    let of = |flag: &str, source: fn(PathBuf) -> Source| {
        let paths = matches.get_many::<PathBuf>(flag).into_iter().flatten().cloned();
        let indices = matches.indices_of(flag).into_iter().flatten();
        indices.zip(paths.map(source)).collect::<Vec<_>>()
    };
    let mut sources = of("config_file", Source::File);
    sources.extend(of("config_dir", Source::Directory));
    sources.sort_by_key(|(index, _)| *index);
    sources.into_iter().map(|(_, source)| source).collect()
}

/// A flag and its opposite, of which the parser lets at most one stand.
fn either(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}

const AFTER_HELP: &str = "\
Configuration:
  One receiver serves all services of a machine, and may read their own files: what does not
  concern it is passed over. Without --config-file, oslo.conf and
  oslo-messaging-zmq-receiver.conf are read, each from the first of ~/.oslo, ~, /etc/oslo and
  /etc that has it. Flags override the environment (OS_<GROUP>__<OPTION>, as in
  OS_DEFAULT__RPC_ZMQ_PORT=9501), which overrides the files.

Signals:
  TERM, INT  hand on what is queued, then end; a second one ends at once
  USR2       take no more connections, and end as above after lame_duck_time
  HUP        read the configuration anew, and open the log file anew
  USR1       open the log file anew, for logrotate

Exit codes:
  0   stopped on request; the answer is yes
  1   could not start or go on, one line on standard error says why; check-config --strict: a warning;
      health: no; where: no such message; no receiver answers
  2   the command line is not understood
  78  the configuration is wrong

Examples:
  oslo-messaging-zmq-receiver --config-file /etc/nova/nova.conf --log-dir /var/log/oslo
  oslo-messaging-zmq-receiver check-config --config-file /etc/oslo/zmq_receiver.conf
  oslo-messaging-zmq-receiver topics --sort depth
  oslo-messaging-zmq-receiver who compute.host1
  oslo-messaging-zmq-receiver watch 'compute.*' --limit 10
  oslo-messaging-zmq-receiver signal reload
  oslo-messaging-zmq-receiver keygen /etc/oslo/zmq_receiver.key";

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn cli(words: &str) -> Result<Cli, clap::Error> {
        Cli::parse_from(std::iter::once(PROGRAM).chain(words.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Words::command().debug_assert();
    }

    #[test]
    fn an_empty_line_says_nothing() {
        assert_eq!(cli("").unwrap(), Cli::default());
    }

    #[test]
    fn files_and_directories_keep_their_mutual_order() {
        let line = "--config-file=a --config-dir b -d --config-file c --config-dir=d --config-file e";
        let expected = [
            Source::File("a".into()),
            Source::Directory("b".into()),
            Source::File("c".into()),
            Source::Directory("d".into()),
            Source::File("e".into()),
        ];
        assert_eq!(cli(line).unwrap().sources, expected);
    }

    #[test]
    fn the_last_of_a_flag_and_its_opposite_counts() {
        assert_eq!(cli("-d").unwrap().debug, Some(true));
        assert_eq!(cli("--debug --nodebug").unwrap().debug, Some(false));
        assert_eq!(cli("--nodebug -d -d").unwrap().debug, Some(true));
        assert_eq!(cli("-v --noverbose -v").unwrap().verbose, Some(true));
        assert_eq!(cli("-dv").unwrap(), cli("--verbose --debug").unwrap());
    }

    #[test]
    fn logging_flags_take_both_spellings_and_the_old_names() {
        let cli = cli("--log-file a --log-file=b --logdir c --log-config=d --use-syslog --use-syslog");
        let cli = cli.unwrap();
        assert_eq!(cli.log_file.as_deref(), Some("b"));
        assert_eq!(cli.log_dir.as_deref(), Some("c"));
        assert_eq!(cli.log_config_append.as_deref(), Some("d"));
        assert_eq!(cli.use_syslog, Some(true));
    }

    #[test]
    fn what_is_not_understood_ends_with_code_2() {
        for line in ["--nonsense", "stray", "who a b", "--config-file", "--debug=yes"] {
            let error = cli(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.use_stderr(), "{line}");
        }
    }

    #[test]
    fn the_command_stands_anywhere_and_is_to_serve_by_default() {
        assert_eq!(cli("-d").unwrap().command, Command::Run);
        assert_eq!(cli("run").unwrap(), Cli::default());
        for line in ["check-config --strict -d", "-d --strict check-config", "-d check-config --strict"] {
            let cli = cli(line).unwrap();
            assert_eq!((cli.command, cli.strict, cli.debug), (Command::CheckConfig, true, Some(true)));
        }
    }

    #[test]
    fn flags_of_other_commands_are_refused() {
        let lines = [
            "--json",
            "run --strict",
            "config-show --strict",
            "config-sample --json",
            "status --ready",
            "drops --sort age",
            "status compute",
            "run --admin-socket /x",
            "top --method x",
            "topics --body",
        ];
        for line in lines {
            let error = cli(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains("does not go with this command"), "{error}");
        }
    }

    #[test]
    fn what_is_asked_of_a_receiver_stands_behind_the_command() {
        let who = cli("who compute.host1 --json --admin-socket /x").unwrap();
        let ask = Ask { subject: Some("compute.host1".into()), admin_socket: Some("/x".into()), ..Ask::default() };
        assert_eq!((who.command, who.json, who.ask), (Command::Who, true, ask));
        assert_eq!(cli("topics --sort depth").unwrap().ask.sort, Some(Sort::Depth));
        assert!(cli("health --ready").unwrap().ask.ready);
        let ask = cli("top --interval 0.5 --limit 2").unwrap().ask;
        assert_eq!((ask.interval, ask.limit), (Some(std::time::Duration::from_millis(500)), Some(2)));
        assert!(cli("top --interval 0").is_err());
        assert_eq!(cli("signal stop").unwrap().ask.subject.as_deref().and_then(Order::of), Some(Order::Drain));
        for line in ["signal", "signal halt"] {
            let told = cli(line).unwrap_err().to_string();
            assert!(told.contains("signal needs one of reload, reopen, lame-duck and drain"), "{told}");
        }
        assert!(cli("who").unwrap_err().to_string().contains("who needs a topic, as in who compute.host1"));
    }

    #[test]
    fn version_and_help_end_with_code_0() {
        let version = cli("--version").unwrap_err();
        assert_eq!((version.kind(), version.exit_code()), (ErrorKind::DisplayVersion, 0));
        assert_eq!(version.to_string(), format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")));

        let help = cli("-h").unwrap_err();
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
        let help = help.to_string();
        let told = ["--config-file <PATH>", "-d, --debug", "Exit codes:\n  0  ", "Examples:\n  oslo-", "check-config"];
        for text in told {
            assert!(help.contains(text), "{text}\n{help}");
        }
    }
}
