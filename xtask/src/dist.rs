//! `cargo xtask dist`: every program of the workspace as one static, stripped Linux executable, in `target/dist`.
//!
//! A program is proved static by its own headers, the receiver is held to its size, and no dependency may compile C: what
//! is in `target/dist` has passed all three. `SHA256SUMS` beside the programs is in the form `sha256sum -c` reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::command::{self, CommandError};
use crate::elf::{self, ElfError};
use crate::tree::{self, TreeError};
use crate::workspace::{self, STATIC_TARGET};

/// A distribution that is not fit to ship.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DistError {
    #[error("the standard library for {STATIC_TARGET} is missing, and rustup cannot add it")]
    Target(#[source] CommandError),
    #[error("{program} is not static")]
    Dynamic { program: String, source: ElfError },
    #[error("{program} takes {size} bytes, over its limit of {limit} (LIMITS in xtask/src/dist.rs)")]
    TooLarge { program: String, size: usize, limit: usize },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Metadata(#[from] cargo_metadata::Error),
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Builds, checks and collects the programs.
pub(crate) fn run() -> Result<(), DistError> {
    tree::check_no_c()?;
    let metadata = workspace::metadata()?;
    let programs = workspace::programs(&metadata);
    have_target()?;
    build(programs.iter().map(|(package, _)| package.name.as_str()))?;

    let built = metadata.target_directory.as_std_path().join(STATIC_TARGET).join("release");
    let dist = workspace::root().join("target/dist");
    if dist.exists() {
        // A program that is gone from the workspace must not stay behind.
        fs::remove_dir_all(&dist).map_err(at(&dist))?;
    }
    fs::create_dir_all(&dist).map_err(at(&dist))?;
    let mut sums = String::new();
    for name in programs.iter().flat_map(|(_, names)| names) {
        let path = built.join(name);
        let data = fs::read(&path).map_err(at(&path))?;
        check(name, &data)?;
        let shipped = dist.join(name);
        fs::copy(&path, &shipped).map_err(at(&shipped))?;
        println!("{:>9} bytes  target/dist/{name}", data.len());
        let digest: String = Sha256::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
        sums.push_str(&format!("{digest}  {name}\n"));
    }
    let path = dist.join("SHA256SUMS");
    fs::write(&path, sums).map_err(at(&path))
}

fn check(name: &str, data: &[u8]) -> Result<(), DistError> {
    elf::check_static(data).map_err(|source| DistError::Dynamic { program: name.to_owned(), source })?;
    match LIMITS.iter().find(|(limited, _)| *limited == name) {
        Some(&(_, limit)) if data.len() > limit => {
            Err(DistError::TooLarge { program: name.to_owned(), size: data.len(), limit })
        }
        _ => Ok(()),
    }
}

/// Adds the target to the toolchain that runs us, unless it is there.
fn have_target() -> Result<(), DistError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = command::capture(Command::new(rustc).current_dir(workspace::root()).args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(STATIC_TARGET).exists() {
        return Ok(());
    }
    println!("installing: rustup target add {STATIC_TARGET}");
    let mut rustup = Command::new("rustup");
    command::capture(rustup.current_dir(workspace::root()).args(["target", "add", STATIC_TARGET]))
        .map_err(DistError::Target)?;
    Ok(())
}

/// Each package on its own: built together they would share the features that any of them asks for, and the receiver would
/// get a matchmaker.
fn build<'a>(packages: impl Iterator<Item = &'a str>) -> Result<(), CommandError> {
    for package in packages {
        let mut build = workspace::cargo();
        build.args(["build", "--release", "--locked", "--bins", "--target", STATIC_TARGET, "--package", package]);
        // Names and lines are for profiles; nobody profiles what is shipped.
        build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols").env("CARGO_PROFILE_RELEASE_DEBUG", "none");
        command::run(&mut build)?;
    }
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> DistError {
    move |source| DistError::File { path: path.to_owned(), source }
}

/// Programs with a size in bytes they may not pass. The receiver is to fit where a Python is too large.
const LIMITS: &[(&str, usize)] = &[("oslo-messaging-zmq-receiver", 3_000_000)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_not_shipped() {
        let data = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(check("any", &data), Err(DistError::Dynamic { .. })));
    }
}
