//! Levels by module: one for all, and others for modules named as log lines name them (`default_log_levels` of
//! `oslo.log`).

use std::fmt;

use tracing::Level;
use tracing_subscriber::filter::Targets;

/// The least severe levels that are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// Of modules that are not named.
    pub all: Level,
    /// Of modules and what is in them, by the names in log lines: `zmq_receiver.router`, `zmtp`.
    pub modules: Vec<(String, Level)>,
}

impl Levels {
    /// The same for all.
    #[must_use]
    pub fn of(all: Level) -> Self {
        Self { all, modules: Vec::new() }
    }

    /// Reads `debug`, or pairs such as `zmtp=debug,zmq_receiver.drops=error`, which leave what they do not name; `None`:
    /// neither.
    #[must_use]
    pub fn changed_by(&self, text: &str) -> Option<Self> {
        let mut levels = self.clone();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => levels = Self { all: level(part)?, modules: levels.modules },
                Some((module, name)) => {
                    let (module, level) = (module.trim().to_owned(), level(name.trim())?);
                    levels.modules.retain(|(known, _)| *known != module);
                    levels.modules.push((module, level));
                }
            }
        }
        Some(levels)
    }

    /// Whether anything of this level is logged.
    pub(super) fn filter(&self) -> Targets {
        let modules = self.modules.iter().map(|(module, level)| (target(module), *level));
        Targets::new().with_default(self.all).with_targets(modules)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self.all))?;
        self.modules.iter().try_for_each(|(module, level)| write!(f, ",{module}={}", name(*level)))
    }
}

/// A level by one of its names in Python's `logging`; the most severe ones, which this program does not tell apart, are
/// errors.
pub(crate) fn level(name: &str) -> Option<Level> {
    match name.to_ascii_uppercase().as_str() {
        "CRITICAL" | "FATAL" | "ERROR" => Some(Level::ERROR),
        "WARNING" | "WARN" => Some(Level::WARN),
        "INFO" => Some(Level::INFO),
        "DEBUG" => Some(Level::DEBUG),
        "NOTSET" | "TRACE" => Some(Level::TRACE),
        _ => None,
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Where events of a module come from: the other way round than a log line names it.
fn target(module: &str) -> String {
    let path = module.replace('.', "::");
    if path.split("::").next() == Some("zmq_receiver") { format!("oslo_messaging_{path}") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_in_log_lines() {
        let levels = Levels::of(Level::INFO).changed_by("zmtp=DEBUG, zmq_receiver.drops = error").unwrap();
        assert_eq!(levels.to_string(), "info,zmtp=debug,zmq_receiver.drops=error");
        let filter = levels.filter();
        assert!(filter.would_enable("zmtp::session", &Level::DEBUG));
        assert!(!filter.would_enable("oslo_messaging_zmq_receiver::drops", &Level::WARN));
        assert!(filter.would_enable("oslo_messaging_zmq_receiver::router", &Level::INFO));
        assert!(!filter.would_enable("oslo_messaging_zmq_receiver::router", &Level::DEBUG));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let levels = Levels::of(Level::INFO).changed_by("zmtp=debug").unwrap();
        assert_eq!(levels.changed_by("warning").unwrap().to_string(), "warning,zmtp=debug");
        assert_eq!(levels.changed_by("zmtp=error,amqp=WARN").unwrap().to_string(), "info,zmtp=error,amqp=warning");
        for wrong in ["", "loud", "zmtp=", "zmtp=loud", "a,b"] {
            assert_eq!(levels.changed_by(wrong), None, "{wrong}");
        }
    }
}
