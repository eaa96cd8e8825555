//! What must not be in a dependency tree: C in the default build, a runtime in the sans-IO core.
//!
//! It asks `cargo tree`, which knows features, rather than the lock file, which holds everything.

use std::collections::BTreeSet;
use std::process::Command;

use crate::command::{self, CommandError};
use crate::workspace::{self, STATIC_TARGET};

/// A dependency where it does not belong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error(
        "{crates} in the default build, which is to compile no C. Who brings it: cargo tree -e normal,build -i {first}"
    )]
    CompilesC { crates: String, first: String },
    #[error(
        "{crates} in the sans-IO core. Who brings it: cargo tree -p zmtp --no-default-features -e normal -i {first}"
    )]
    RuntimeInCore { crates: String, first: String },
    #[error("zmtp with its default features brings {found} crates, itself included; {MOST} are the most that it may")]
    TooMany { found: usize },
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Fails when the default build of any member, or a build script of its dependencies, compiles C or links it.
pub(crate) fn check_no_c() -> Result<(), TreeError> {
    let mut tree = tree();
    tree.args(["--workspace", "--edges", "normal,build", "--target", STATIC_TARGET]);
    let found = among(&command::capture(&mut tree)?, C_COMPILERS);
    match found.first() {
        None => Ok(()),
        Some(first) => Err(TreeError::CompilesC { crates: found.join(", "), first: first.clone() }),
    }
}

/// Fails when `zmtp` without its default features depends on a runtime or on the system.
pub(crate) fn check_core_has_no_runtime() -> Result<(), TreeError> {
    let mut tree = tree();
    tree.args(["--package", "zmtp", "--no-default-features", "--edges", "normal"]);
    let found = among(&command::capture(&mut tree)?, RUNTIMES);
    match found.first() {
        None => Ok(()),
        Some(first) => Err(TreeError::RuntimeInCore { crates: found.join(", "), first: first.clone() }),
    }
}

/// Fails when `zmtp`, with tokio and without security, brings too many crates.
pub(crate) fn check_zmtp_is_small() -> Result<(), TreeError> {
    let mut tree = tree();
    tree.args(["--package", "zmtp", "--edges", "normal", "--target", STATIC_TARGET]);
    let found = crates(&command::capture(&mut tree)?);
    if found <= MOST { Ok(()) } else { Err(TreeError::TooMany { found }) }
}

/// How many crates are in `tree`, each counted once.
fn crates(tree: &str) -> usize {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    names.len()
}

/// `cargo tree` without the branches: a crate a line, its name first.
fn tree() -> Command {
    let mut command = workspace::cargo();
    command.args(["tree", "--prefix", "none"]);
    command
}

/// Those of `names` that are in `tree`.
fn among(tree: &str, names: &[&str]) -> Vec<String> {
    let in_tree = |name: &&&str| tree.lines().any(|line| line.split(' ').next() == Some(**name));
    names.iter().filter(in_tree).map(|name| (*name).to_owned()).collect()
}

/// Below 25, as those who choose a library count. 19 there are, five of them for macros.
const MOST: usize = 24;

/// Crates by which a build script compiles or finds C.
const C_COMPILERS: &[&str] = &["cc", "cmake", "bindgen", "pkg-config", "vcpkg", "autotools", "nasm-rs"];

/// What does input and output or drives those who do.
const RUNTIMES: &[&str] = &["tokio", "mio", "socket2", "async-io", "smol", "rustix", "libc"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_counted_once() {
        assert_eq!(crates("zmtp v0.1.0 (/here)\nbytes v1.12.1\nsyn v3.0.0\nsyn v3.0.0 (*)\n"), 3);
    }

    #[test]
    fn names_are_matched_whole() {
        let tree = "zmtp v0.1.0 (/somewhere/cc)\nbytes v1.12.1\ncc-like v1.0.0\nmio v1.1.0\n";
        assert_eq!(among(tree, C_COMPILERS), [""; 0]);
        assert_eq!(among(tree, RUNTIMES), ["mio"]);
        assert_eq!(among("a v1.0.0\ncc v1.2.0\n", C_COMPILERS), ["cc"]);
    }
}
