//! The programs of this workspace, built when a test first asks for them.
//!
//! Cargo tells a test where the programs of its own package are, and no other's. So the package is built here, as it is
//! shipped: on its own, without the features that tests of other members switch on. Cargo reports where the executable is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// A program that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo did not start.
    #[error("cannot start cargo to build {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Cargo failed; what it said is in the test's output.
    #[error("cargo build -p {package} {kind} {program} failed ({status}):\n{output}")]
    Failed {
        /// The package.
        package: String,
        /// Cargo's option for such a program.
        kind: &'static str,
        /// The program.
        program: String,
        /// Cargo's exit status.
        status: ExitStatus,
        /// What cargo said.
        output: String,
    },
    /// Cargo succeeded without naming the executable.
    #[error("cargo built {program} and did not say where it is")]
    Unnamed {
        /// The program.
        program: String,
    },
}

/// The daemon `oslo-messaging-zmq-receiver`.
pub fn receiver() -> Result<PathBuf, BuildError> {
    program("oslo-messaging-zmq-receiver", "oslo-messaging-zmq-receiver")
}

/// The command `matchmaker`.
pub fn matchmaker() -> Result<PathBuf, BuildError> {
    program("matchmaker", "matchmaker")
}

/// The executable `program` of `package`, built with the profile of the test that asks, once per test program.
pub fn program(package: &str, program: &str) -> Result<PathBuf, BuildError> {
    build_once(package, "--bin", program, !cfg!(debug_assertions))
}

/// The example `program` of `package`, built with the profile of the test that asks.
pub fn example(package: &str, program: &str) -> Result<PathBuf, BuildError> {
    build_once(package, "--example", program, !cfg!(debug_assertions))
}

/// The example `program` of `package`, built as what is shipped is whatever the profile of the test: to be measured.
pub fn measured(package: &str, program: &str) -> Result<PathBuf, BuildError> {
    build_once(package, "--example", program, true)
}

fn build_once(package: &str, kind: &'static str, program: &str, release: bool) -> Result<PathBuf, BuildError> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // Held while building: the second to ask is to wait, and cargo would make it wait anyway.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(program) {
        return Ok(path.clone());
    }
    let path = build(package, kind, program, release)?;
    built.insert(program.to_owned(), path.clone());
    Ok(path)
}

fn build(package: &str, kind: &'static str, program: &str, release: bool) -> Result<PathBuf, BuildError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).stdin(Stdio::null());
    cargo.args(["build", "--message-format", "json-render-diagnostics", "--package", package, kind, program]);
    if release {
        cargo.arg("--release");
    }
    let output = cargo.output().map_err(|source| BuildError::Start { program: program.to_owned(), source })?;
    if !output.status.success() {
        let (package, program) = (package.to_owned(), program.to_owned());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::Failed { package, kind, program, status: output.status, output: said });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executable = messages
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == program)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.ok_or_else(|| BuildError::Unnamed { program: program.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_another_member_is_built_and_runs() {
        let path = program("xtask", "xtask").unwrap();
        assert!(Command::new(&path).arg("--help").stdout(Stdio::null()).status().unwrap().success());
        assert_eq!(program("xtask", "xtask").unwrap(), path);
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_with_what_cargo_said() {
        let error = program("xtask", "no-such-program").unwrap_err().to_string();
        assert!(error.contains("no bin target named `no-such-program`"), "{error}");
    }
}
