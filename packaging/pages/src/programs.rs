//! The command lines of the programs.
//!
//! The receiver's is in its library. `matchmaker` and `zrpc` keep theirs to themselves, so their sources are compiled in here:
//! what is described is what is parsed.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use oslo_messaging_zmq_receiver::cli::Cli as Receiver;

use crate::SHELLS;

#[path = "../../../matchmaker/src/bin/matchmaker/options.rs"]
#[allow(dead_code, reason = "nothing is parsed here")]
mod matchmaker_options;

#[path = "../../../zrpc/src/cli.rs"]
#[allow(dead_code, reason = "nothing is parsed here")]
mod zrpc_cli;

/// One program.
pub(crate) struct Program {
    pub(crate) command: Command,
    /// Of the manual: 8 is for administrators, 1 for everybody.
    pub(crate) section: u8,
    /// Other pages, as `name(section)`.
    pub(crate) see_also: &'static [&'static str],
}

impl Program {
    pub(crate) fn name(&self) -> &str {
        self.command.get_name()
    }

    /// The file that each shell looks for.
    pub(crate) fn completions(&self) -> Vec<(Shell, String)> {
        let file = |shell| match shell {
            Shell::Zsh => format!("_{}", self.name()),
            Shell::Fish => format!("{}.fish", self.name()),
            _ => self.name().to_owned(),
        };
        SHELLS.map(|shell| (shell, file(shell))).into()
    }
}

/// All of them.
pub(crate) fn all() -> [Program; 3] {
    [
        Program {
            command: Receiver::definition(),
            section: 8,
            see_also: &["zmq_receiver.conf(5)", "matchmaker(1)", "zrpc(1)"],
        },
        Program {
            command: matchmaker_options::Options::command(),
            section: 1,
            see_also: &["zrpc(1)", "oslo-messaging-zmq-receiver(8)"],
        },
        Program {
            command: zrpc_cli::Cli::command(),
            section: 1,
            see_also: &["matchmaker(1)", "oslo-messaging-zmq-receiver(8)"],
        },
    ]
}
