//! `cargo xtask bench`: the comparison programs in `bench/`, a workspace of its own, built for release.

use std::ffi::OsString;

use crate::command::{self, CommandError};
use crate::workspace;

/// Runs the benchmark program with `arguments`.
pub(crate) fn run(arguments: &[OsString]) -> Result<(), CommandError> {
    let mut command = workspace::cargo();
    command::run(command.args(["run", "--release", "--manifest-path", "bench/Cargo.toml", "--"]).args(arguments))
}
