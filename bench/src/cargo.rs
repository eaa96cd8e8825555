//! Programs built by cargo, now, as they are released.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use serde::Deserialize;

/// A program, and what it was built of.
#[derive(Debug)]
pub(crate) struct Built {
    /// Where it is.
    pub(crate) executable: PathBuf,
    /// Each crate in it, by its name in source code, with its version.
    crates: Vec<(String, String)>,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// No cargo.
    #[error("cannot run cargo: {0}")]
    Run(#[from] io::Error),
    /// The package does not build.
    #[error("cargo cannot build package {package} ({status}):\n{printed}")]
    Failed {
        /// The package.
        package: String,
        /// How cargo ended.
        status: ExitStatus,
        /// What it printed as errors.
        printed: String,
    },
    /// The build said nothing of an executable.
    #[error("cargo named no executable for package {0}")]
    NoExecutable(String),
}

impl Built {
    /// The version of the crate known in source code as `name`.
    pub(crate) fn version_of(&self, name: &str) -> Option<&str> {
        self.crates.iter().find(|(found, _)| found == name).map(|(_, version)| version.as_str())
    }
}

/// Builds the program of `package` in the workspace of `manifest`.
pub(crate) fn build(manifest: &str, package: &str) -> Result<Built, BuildError> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", package, "--manifest-path", manifest]);
    cargo.arg("--message-format=json-render-diagnostics");
    let output = cargo.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(BuildError::Failed { package: package.to_owned(), status: output.status, printed });
    }
    built(&output.stdout).ok_or_else(|| BuildError::NoExecutable(package.to_owned()))
}

/// What cargo's stream of JSON messages tells; the last executable is the package's.
fn built(messages: &[u8]) -> Option<Built> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        package_id: Option<String>,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let (mut executable, mut crates) = (None, Vec::new());
    for line in messages.split(|&octet| octet == b'\n') {
        let Ok(message) = serde_json::from_slice::<Message>(line) else {
            continue;
        };
        executable = message.executable.or(executable);
        if let Some((id, target)) = message.package_id.zip(message.target) {
            // SOURCE#NAME@VERSION, or SOURCE#VERSION where the name is the last part of the source.
            let version = id.rsplit(['#', '@']).next().unwrap_or_default().to_owned();
            crates.push((target.name, version));
        }
    }
    executable.map(|executable| Built { executable, crates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_and_versions_are_found_among_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","package_id":"registry+https://index#tokio@1.54.1","target":{"name":"tokio"},"executable":null}
{"reason":"compiler-artifact","package_id":"path+file:///src/zmtp#0.1.0","target":{"name":"zmtp"},"executable":null}
{"reason":"compiler-artifact","package_id":"path+file:///src/receiver#0.1.0","target":{"name":"receiver"},"executable":"/target/release/receiver"}
{"reason":"build-finished","success":true}
"#;
        let built = built(messages).unwrap();
        assert_eq!(built.executable, PathBuf::from("/target/release/receiver"));
        assert_eq!([built.version_of("tokio"), built.version_of("zmtp")], [Some("1.54.1"), Some("0.1.0")]);
        assert_eq!(built.version_of("nothing"), None);
        assert!(super::built(b"{\"reason\":\"build-finished\"}\n").is_none());
    }

    #[test]
    fn a_package_that_does_not_build_is_named() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = build(manifest, "no-such-package").unwrap_err().to_string();
        assert!(error.starts_with("cargo cannot build package no-such-package (exit status: "), "{error}");
    }
}
