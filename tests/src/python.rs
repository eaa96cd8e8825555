//! The Python environments that `cargo xtask test` makes, and the scripts beside the tests.

use std::path::{Path, PathBuf};

/// An environment that is not there.
#[derive(Debug, thiserror::Error)]
#[error("the Python environment {name} is missing or half made (looked in {}); run: cargo xtask test", directory.display())]
pub struct NoEnvironment {
    name: String,
    directory: PathBuf,
}

/// The directory of an environment: `py3-4.3.5`, `py3-4.3.4` (pyzmq on that libzmq), `oslo-1.4.1`, `oslo-1.8.3`,
/// `oslo-2.5.0` (the original driver on Python 2.7).
pub fn environment(name: &str) -> Result<PathBuf, NoEnvironment> {
    let directory = workspace().join("target/pyenv").join(name);
    // xtask writes the stamp last.
    if directory.join(".complete").exists() {
        Ok(directory)
    } else {
        Err(NoEnvironment { name: name.to_owned(), directory })
    }
}

/// The interpreter of an environment.
pub fn interpreter(name: &str) -> Result<PathBuf, NoEnvironment> {
    Ok(environment(name)?.join("bin/python"))
}

/// A script in `tests/python`.
pub fn script(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(file)
}

fn workspace() -> &'static Path {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_environment_says_what_to_run() {
        let error = interpreter("no-such").unwrap_err().to_string();
        assert!(error.starts_with("the Python environment no-such is missing"), "{error}");
        assert!(error.ends_with("run: cargo xtask test"), "{error}");
    }
}
