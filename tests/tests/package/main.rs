//! What `cargo xtask dist` releases: the archives themselves, what is in them, and a host that has nothing but the package.
//!
//! Reading order: [`archives`] (the same files in each, the same octets each time), [`pages`] (manual pages and completions),
//! [`units`] (systemd's files, as far as they can be tried without it), [`host`] (a life from installing to purging), [`systemd`]
//! (the same on a host that it runs), [`footprint`] (what the shipped daemon takes of its machine), [`fresh`] (any order of
//! starts), [`python`] (beside the Python receiver, and in its place), [`contrib`] (the examples).

mod archives;
mod contrib;
mod footprint;
mod fresh;
mod host;
mod pages;
mod python;
mod systemd;
mod units;

use std::process::Command;

use anyhow::{Context, ensure};

/// What a command prints, if it succeeds. `package` is the Debian package that brings it.
fn run(command: &mut Command, package: &str) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}: apt-get install {package}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}\n{said}{complaint}");
    Ok(said + &complaint)
}
