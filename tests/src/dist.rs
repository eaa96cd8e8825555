//! What is released, made by `cargo xtask dist` when a test first asks: the programs as they are shipped, and the packages.
//!
//! Building them takes minutes and is done once; `cargo xtask dist` after the tests finds them built.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// Nothing is released.
#[derive(Debug, thiserror::Error)]
pub enum DistError {
    /// Cargo did not start.
    #[error("cannot start cargo xtask dist")]
    Start(#[source] io::Error),
    /// Cargo failed.
    #[error("cargo xtask dist failed ({status}):\n{output}")]
    Failed {
        /// How.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// It succeeded and made no such file.
    #[error("cargo xtask dist made no {suffix}")]
    Missing {
        /// How the name of the file ends.
        suffix: String,
    },
}

/// The directory of what is released, made once per test program.
pub fn directory() -> Result<PathBuf, DistError> {
    static MADE: Mutex<bool> = Mutex::new(false);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if !*made {
        make()?;
        *made = true;
    }
    Ok(workspace().join("target/dist"))
}

/// Makes it anew. Programs are not built again, packages are.
pub fn make() -> Result<(), DistError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).stdin(Stdio::null()).args(["run", "--quiet", "--package", "xtask", "--", "dist"]);
    let output = cargo.output().map_err(DistError::Start)?;
    if output.status.success() {
        return Ok(());
    }
    let output_of = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(DistError::Failed { status: output.status, output: output_of.into_owned() })
}

/// The file of what is released whose name ends so: `.deb`, `.tar.gz`, `-oci.tar`.
pub fn file(suffix: &str) -> Result<PathBuf, DistError> {
    let entries = std::fs::read_dir(directory()?).map_err(DistError::Start)?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found = paths.find(|path| path.to_string_lossy().ends_with(suffix));
    found.ok_or_else(|| DistError::Missing { suffix: suffix.to_owned() })
}

/// The daemon, static, as it is shipped.
pub fn program() -> Result<PathBuf, DistError> {
    Ok(directory()?.join("oslo-messaging-zmq-receiver"))
}

/// The sources of packages.
pub fn packaging() -> PathBuf {
    workspace().join("packaging")
}

fn workspace() -> &'static Path {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member)
}
