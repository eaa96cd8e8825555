//! `cargo xtask fuzz`: libFuzzer through cargo-fuzz, which needs a nightly compiler.
//!
//! The bodies of the targets are plain functions that `cargo xtask test` replays on stable; this is the long search. It
//! starts from the committed corpus and leaves that as it is: what it finds worth keeping goes to `target/fuzz`, what fails
//! to `fuzz/artifacts`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::command::{self, CommandError};
use crate::workspace;

/// A fuzz run that did not start or that found something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FuzzError {
    #[error("fuzzing needs a nightly compiler. Run: rustup toolchain install nightly --profile minimal")]
    NoNightly,
    #[error("fuzzing needs cargo-fuzz. Run: cargo install --locked cargo-fuzz")]
    NoCargoFuzz,
    #[error("no fuzz target {wanted:?}; there are: {targets}")]
    NoTarget { wanted: String, targets: String },
    #[error("{target}: a failing input is under fuzz/artifacts")]
    Found { target: String, source: CommandError },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Runs `target`, or all of them, for `seconds` each. The first failure ends the run.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<(), FuzzError> {
    if !command::succeeds(nightly().arg("--version")) {
        return Err(FuzzError::NoNightly);
    }
    if !command::succeeds(nightly().args(["fuzz", "--version"])) {
        return Err(FuzzError::NoCargoFuzz);
    }
    let listed = command::capture(nightly().args(["fuzz", "list"]))?;
    let targets: Vec<_> =
        listed.split_whitespace().filter(|name| target.is_none_or(|wanted| wanted == *name)).collect();
    if let (Some(wanted), []) = (target, targets.as_slice()) {
        let targets = listed.split_whitespace().collect::<Vec<_>>().join(", ");
        return Err(FuzzError::NoTarget { wanted: wanted.to_owned(), targets });
    }
    // Apart from the run, so that a failure of the run is a finding.
    command::run(nightly().args(["fuzz", "build"]).args(target))?;
    for target in targets {
        println!("fuzzing: {target} for {seconds} s");
        let found = workspace::root().join("target/fuzz").join(target);
        fs::create_dir_all(&found).map_err(|source| FuzzError::File { path: found.clone(), source })?;
        let corpus = workspace::root().join("fuzz/corpus").join(target);
        let mut fuzz = nightly();
        // libFuzzer writes to the first directory and only reads the others.
        fuzz.args(["fuzz", "run", target]).args([found, corpus]);
        fuzz.arg("--").arg(format!("-max_total_time={seconds}"));
        command::run(&mut fuzz).map_err(|source| FuzzError::Found { target: target.to_owned(), source })?;
    }
    Ok(())
}

/// rustup's proxy, for only it understands `+nightly`; the cargo that runs us speaks for one toolchain.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(workspace::root()).env_remove("RUSTUP_TOOLCHAIN");
    // Whole-program optimisation drops symbols that the coverage counters refer to.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off");
    command
}
