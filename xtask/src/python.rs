//! The Python interpreters the tests need: any Python 3, and a Python 2.7 for the old driver.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;

/// No usable Python 2.7.
#[derive(Debug, thiserror::Error)]
#[error(
    "no Python 2.7, which the original oslo.messaging needs: put python2.7 on the PATH, or run `pyenv install 2.7.18`, \
     or set PYTHON27=/path/to/python2.7"
)]
pub(crate) struct NoPython27;

/// Python 2.7: what `PYTHON27` names, else `python2.7` on the path, else the newest one pyenv keeps.
///
/// Each candidate is tried out: pyenv's shim of a version that is not selected exists and fails.
pub(crate) fn python27() -> Result<PathBuf, NoPython27> {
    let named = std::env::var_os("PYTHON27").map(PathBuf::from);
    let candidates = named.into_iter().chain([PathBuf::from("python2.7")]).chain(pyenv_versions());
    candidates.into_iter().find(|path| is_python27(path)).ok_or(NoPython27)
}

fn is_python27(path: &Path) -> bool {
    command::succeeds(Command::new(path).args(["-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]))
}

/// pyenv's 2.7 interpreters, the newest first.
fn pyenv_versions() -> Vec<PathBuf> {
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let Some(pyenv) = pyenv.or_else(|| std::env::home_dir().map(|home| home.join(".pyenv"))) else {
        return Vec::new();
    };
    let versions = std::fs::read_dir(pyenv.join("versions")).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let patch = version.file_name().to_str()?.strip_prefix("2.7.")?.parse().ok()?;
            Some((patch, version.path().join("bin/python2.7")))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}
