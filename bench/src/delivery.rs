//! Where a report goes: to the file asked for, and beside this program's source to be committed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::report::Report;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// A file or directory.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A figure that JSON cannot express.
    #[error("the report is not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes the report as JSON to `json`, and to results/NAME.json with its `text` in results/NAME.md, where asked.
pub(crate) fn deliver(
    report: &Report,
    text: &str,
    json: Option<&Path>,
    name: Option<&str>,
) -> Result<(), DeliveryError> {
    if let Some(path) = json {
        write(path, &report.json()?)?;
    }
    if let Some(name) = name {
        save(&format!("{name}.json"), &report.json()?)?;
        save(&format!("{name}.md"), text)?;
    }
    Ok(())
}

/// Writes results/NAME.
pub(crate) fn save(name: &str, text: &str) -> Result<(), DeliveryError> {
    let directory = Path::new(RESULTS);
    fs::create_dir_all(directory).map_err(|source| DeliveryError::Write { path: directory.to_owned(), source })?;
    write(&directory.join(name), text)
}

fn write(path: &Path, text: &str) -> Result<(), DeliveryError> {
    fs::write(path, text).map_err(|source| DeliveryError::Write { path: path.to_owned(), source })
}

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");
