//! `cargo xtask miri`: zmtp's tests of protocol, patterns and sockets in an interpreter that finds undefined behaviour, data
//! races and what is never freed.
//!
//! Our crates have no `unsafe`; what is looked for is ours to call in `bytes`, `tokio` and `spin`, and sums that overflow
//! where only a debug build says so. Tests are smaller there (`cfg!(miri)`), for each step of a program is a thousand.
//! 97 unit tests, the 4 of the patterns and the 2 of sockets in November 2026, all green; on a busy machine in ten minutes.

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

/// Runs the unit tests of `zmtp`, those of the patterns against their models, and those of sockets in one process.
pub(crate) fn run() -> Result<(), MiriError> {
    if !command::succeeds(nightly().arg("--version")) {
        return Err(MiriError::NoNightly);
    }
    if !command::succeeds(nightly().args(["miri", "--version"])) {
        return Err(MiriError::NoMiri);
    }
    let mut miri = nightly();
    miri.args(["miri", "test", "--package", "zmtp", "--lib", "--test", "patterns", "--test", "in_process", "--"]);
    miri.args(SYSTEM.iter().flat_map(|tests| ["--skip", tests]));
    Ok(command::run(&mut miri)?)
}

/// rustup's proxy, for only it understands `+nightly`; the cargo that runs us speaks for one toolchain.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(workspace::root()).env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// Tests of the system's own sockets, files and network interfaces, which the interpreter does not have.
const SYSTEM: &[&str] = &["transport::ipc", "transport::tcp"];
