//! What is logged, and where.

use std::path::PathBuf;

use oslo_config::ValueError;
use tracing::Level;

use super::options;
use super::reader::Reader;
use crate::cli::PROGRAM;

/// What is logged, and where. Standard error or a file or both, never neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe level that is logged.
    pub level: Level,
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// Whether standard error gets the lines.
    pub stderr: bool,
    /// The host name that lines tell, if they are JSON.
    pub json: Option<String>,
}

impl LogSettings {
    /// Reads the options.
    ///
    /// # Errors
    /// A default that cannot be meant.
    pub(super) fn read(reader: &mut Reader<'_>, host: &str) -> Result<Self, ValueError> {
        let level = match (reader.require(&options::DEBUG)?.value, reader.require(&options::VERBOSE)?.value) {
            (true, _) => Level::DEBUG,
            (false, true) => Level::INFO,
            (false, false) => Level::WARN,
        };
        let file = reader.get(&options::LOG_FILE)?.value.map(|path| path.0);
        let directory = reader.get(&options::LOG_DIR)?.value.map(|path| path.0);
        let file = match (directory, file) {
            (Some(directory), Some(file)) => Some(directory.join(file)),
            (Some(directory), None) => Some(directory.join(format!("{PROGRAM}.log"))),
            (None, file) => file,
        };
        let stderr = reader.get(&options::USE_STDERR)?.value.unwrap_or(false) || file.is_none();
        let json = reader.require(&options::USE_JSON)?.value.then(|| host.to_owned());
        Ok(Self { level, file, stderr, json })
    }
}
