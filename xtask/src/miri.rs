//! `cargo xtask miri`: the tests of the protocol core and of the patterns in an interpreter that finds undefined behaviour.
//!
//! Our crates have no `unsafe`; what is looked for is ours to call in `bytes`, and sums that overflow where only a debug
//! build says so. It takes minutes, for each step of a program is a thousand.

use std::process::Command;

use crate::command::{self, CommandError};
use crate::workspace;

/// A run that did not start or that found something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MiriError {
    #[error("miri needs a nightly compiler. Run: rustup toolchain install nightly --profile minimal")]
    NoNightly,
    #[error("miri is missing. Run: rustup component add miri rust-src --toolchain nightly")]
    NoMiri,
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Runs the unit tests of `zmtp` without its sockets, and those of the patterns against their models.
pub(crate) fn run() -> Result<(), MiriError> {
    if !command::succeeds(nightly().arg("--version")) {
        return Err(MiriError::NoNightly);
    }
    if !command::succeeds(nightly().args(["miri", "--version"])) {
        return Err(MiriError::NoMiri);
    }
    let mut miri = nightly();
    // The tests read vectors and the clock.
    miri.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    miri.args(["miri", "test", "--package", "zmtp", "--no-default-features", "--lib", "--test", "patterns", "--"]);
    miri.args(SLOW.iter().flat_map(|test| ["--skip", test]));
    Ok(command::run(&mut miri)?)
}

/// rustup's proxy, for only it understands `+nightly`; the cargo that runs us speaks for one toolchain.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(workspace::root()).env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// Tests of ten thousand subscriptions, of megabytes, of each cut of many streams, and one of time: hours here, and nothing
/// that the others do not do.
const SLOW: &[&str] = &[
    "a_flood_of_subscriptions_is_an_error",
    "a_long_topic_takes_no_stack",
    "any_cut_gives_the_same_items",
    "any_partial_write_goes_on_where_it_stopped",
    "each_kind_is_the_same_octets",
    "what_is_referred_to_is_not_written_again",
    "it_equals_a_naive_set",
    "how_long_a_comparison_takes",
];
