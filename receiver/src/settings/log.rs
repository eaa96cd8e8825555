//! Options of the log (`oslo.log`).

use std::time::Duration;

use oslo_config::{Setting, ValueError};
use tracing::Level;

use super::options;
use super::reader::Reader;
use crate::cli::PROGRAM;
use crate::logging::{Levels, LogSettings, RateLimit};

/// Reads them. `host` is this machine's name.
///
/// # Errors
/// A default that cannot be meant.
pub(super) fn log(reader: &mut Reader<'_>, host: &str) -> Result<LogSettings, ValueError> {
    let all = match (reader.require(&options::DEBUG)?.value, reader.require(&options::VERBOSE)?.value) {
        (true, _) => Level::DEBUG,
        (false, true) => Level::INFO,
        (false, false) => Level::WARN,
    };
    let modules = reader.get(&options::DEFAULT_LOG_LEVELS)?.value.map(|levels| levels.0).unwrap_or_default();
    let file = reader.get(&options::LOG_FILE)?.value.map(|path| path.0);
    let directory = reader.get(&options::LOG_DIR)?.value.map(|path| path.0);
    let file = match (directory, file) {
        (Some(directory), Some(file)) => Some(directory.join(file)),
        (Some(directory), None) => Some(directory.join(format!("{PROGRAM}.log"))),
        (None, file) => file,
    };
    let facility = reader.require(&options::SYSLOG_LOG_FACILITY)?.value.0;
    let syslog = reader.require(&options::USE_SYSLOG)?.value.then_some(facility);
    let journal = reader.require(&options::USE_JOURNAL)?.value;
    let wanted = reader.get(&options::USE_STDERR)?.value.unwrap_or(false);
    let stderr = wanted || file.is_none() && syslog.is_none() && !journal;
    let json = reader.require(&options::USE_JSON)?.value.then(|| host.to_owned());
    let rate = rate(reader)?;
    Ok(LogSettings { levels: Levels { all, modules }, file, stderr, json, syslog, journal, rate, program: PROGRAM })
}

/// A limit without an interval, or of no lines, is none, as in the original.
fn rate(reader: &mut Reader<'_>) -> Result<Option<RateLimit>, ValueError> {
    let Setting { value: interval, .. } = reader.require(&options::RATE_LIMIT_INTERVAL)?;
    let Setting { value: burst, .. } = reader.require(&options::RATE_LIMIT_BURST)?;
    let except = reader.get(&options::RATE_LIMIT_EXCEPT_LEVEL)?.value.map(|level| level.0);
    let seconds = u64::try_from(interval).ok().filter(|seconds| *seconds > 0);
    let burst = u64::try_from(burst).ok().filter(|burst| *burst > 0);
    let limit =
        seconds.zip(burst).map(|(seconds, burst)| RateLimit { interval: Duration::from_secs(seconds), burst, except });
    Ok(limit)
}
