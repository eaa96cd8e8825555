//! The log: lines as `oslo.log` writes them, as text or JSON, to standard error, a file, syslog, or some of these; and
//! events with their fields to systemd's journal.
//!
//! ```text
//! 2026-11-21 02:34:59.123 4711 INFO zmq_receiver.router [-] text key=value
//! ```
//!
//! Local time, process, level, the module that speaks, an empty request context, then the text
//! and its fields. What always holds: an event is one line of bounded length, whatever a peer
//! put into it, because control characters are escaped; and it reaches a file in one write, so
//! that lines never mix.
//!
//! Payloads are not logged by anyone; this file could not tell them apart. Nor are spans.

mod once_per;
mod line;
mod json;
mod levels;
mod syslog;
mod rate;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use thiserror::Error;
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

pub use self::levels::Levels;
pub(crate) use self::levels::level;
use self::line::{Line, module};
pub use self::once_per::OncePer;
pub use self::rate::RateLimit;
use self::rate::{Rate, Verdict};
pub use self::syslog::Facility;
pub(crate) use self::syslog::SOCKET as SYSLOG;
use self::syslog::Syslog;

/// What is logged, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe levels that are logged.
    pub levels: Levels,
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// Whether standard error gets the lines.
    pub stderr: bool,
    /// The host name that lines tell, if they are JSON.
    pub json: Option<String>,
    /// Whose lines they are to syslog, if that gets them.
    pub syslog: Option<Facility>,
    /// Whether systemd's journal gets the events.
    pub journal: bool,
    /// How many lines there may be.
    pub rate: Option<RateLimit>,
    /// The name of the program, for syslog and the journal.
    pub program: &'static str,
}

/// The log of this process, to be changed while it runs. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<Targets, Registry>,
    levels: Arc<RwLock<Levels>>,
    file: Option<Arc<LogFile>>,
}

impl Log {
    /// Opens the log and makes it the one that `tracing` events of the whole process go to.
    ///
    /// # Errors
    /// The file cannot be opened, or there is a log already.
    pub fn init(settings: &LogSettings) -> Result<Self, LogError> {
        let (log, subscriber) = Self::open(settings)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadyOpen)?;
        Ok(log)
    }

    /// Sets the least severe levels that are logged.
    pub fn set_levels(&self, levels: Levels) {
        // It fails only once the subscriber is gone, and with it all who could log.
        let _ = self.filter.modify(|filter| *filter = levels.filter());
        *self.levels.write().unwrap_or_else(PoisonError::into_inner) = levels;
    }

    /// The least severe levels that are logged.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the file anew, by its name, after it has been moved away.
    ///
    /// # Errors
    /// The file cannot be opened; lines then go on to the old one.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), |file| file.reopen())
    }

    fn open(settings: &LogSettings) -> Result<(Self, impl Subscriber + use<>), LogError> {
        let file = settings.file.as_deref().map(LogFile::open).transpose()?.map(Arc::new);
        let (filter, handle) = reload::Layer::new(settings.levels.filter());
        // Without a journal the lines go where they go without being asked to.
        let journal = settings.journal.then(|| tracing_journald::layer().ok()).flatten();
        let journal = journal.map(|layer| {
            layer.with_priority_mappings(priorities()).with_syslog_identifier(settings.program.to_owned())
        });
        let lines = Lines {
            stderr: settings.stderr || settings.journal && journal.is_none(),
            file: file.clone(),
            syslog: settings.syslog.map(|facility| Syslog::new(Path::new(SYSLOG), facility, settings.program)),
            elsewhere: journal.is_some(),
            json: settings.json.clone(),
            rate: settings.rate.clone().map(Rate::new),
        };
        let levels = Arc::new(RwLock::new(settings.levels.clone()));
        Ok((Self { filter: handle, levels, file }, Registry::default().with(filter).with(journal).with(lines)))
    }
}

/// As Python's `logging` and syslog have them.
fn priorities() -> PriorityMappings {
    PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    }
}

/// The log cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened for appending.
    #[error(
        "cannot open the log file {}: {source}; let this user write there, or change log_file and log_dir",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The process has a log already.
    #[error("the log is open already; a process has one")]
    AlreadyOpen,
}

/// Writes events as lines.
struct Lines {
    stderr: bool,
    file: Option<Arc<LogFile>>,
    syslog: Option<Syslog>,
    /// Whether events are written without us.
    elsewhere: bool,
    /// This machine's name, if lines are JSON.
    json: Option<String>,
    rate: Option<Rate>,
}

impl Lines {
    fn write(&self, level: Level, line: &str) {
        let mut written = self.elsewhere;
        if let Some(file) = &self.file {
            written |= file.write(line.as_bytes()).is_ok();
        }
        if let Some(syslog) = &self.syslog {
            // It has a time and the process of its own.
            let words = if self.json.is_some() { line } else { line.splitn(4, ' ').nth(3).unwrap_or(line) };
            written |= syslog.send(level, words).is_ok();
        }
        // A full disk or an absent daemon must not silence this one.
        if self.stderr || !written {
            // Where standard error is closed there is nobody left to tell.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        match self.rate.as_ref().map(|rate| rate.judge(level, Instant::now())) {
            None | Some(Verdict::Write) => {}
            Some(Verdict::LeaveOut) => return,
            Some(Verdict::WriteAfter(left_out)) => {
                let text = format!("{left_out} lines were left out (rate_limit_burst)");
                self.write(Level::WARN, &Line::own(&text));
            }
        }
        let line = match &self.json {
            Some(host) => json::line(event, &module(event), host),
            None => Line::of(event),
        };
        self.write(level, &line);
    }
}

/// A file that is appended to, and can be replaced under its writers.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: RwLock<File>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self { path: path.to_owned(), file: RwLock::new(append_to(path)?) })
    }

    fn reopen(&self) -> Result<(), LogError> {
        let file = append_to(&self.path)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        (&*file).write_all(line)
    }
}

fn append_to(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|source| LogError::Open { path: path.to_owned(), source })
}

/// Where systemd's journal listens (systemd-journald.service(8)).
pub(crate) const JOURNAL: &str = "/run/systemd/journal/socket";

/// The owner writes, the group (`adm`, usually) reads.
const FILE_MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use std::process;

    use tracing::{debug, error, info, warn};

    use super::line::MAX_LINE;
    use super::*;

    /// A log in a file.
    fn settings(level: Level, path: &Path) -> LogSettings {
        LogSettings {
            levels: Levels::of(level),
            file: Some(path.to_owned()),
            stderr: false,
            json: None,
            syslog: None,
            journal: false,
            rate: None,
            program: "x",
        }
    }

    /// What `speak` logs to a file at a level.
    fn logged(level: Level, speak: impl FnOnce(&Log)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let settings = settings(level, &path);
        let (log, subscriber) = Log::open(&settings).unwrap();
        tracing::subscriber::with_default(subscriber, || speak(&log));
        fs::read_to_string(path).unwrap()
    }

    /// The part after the time, which it checks for shape.
    fn without_time(line: &str) -> &str {
        let shape: String = line.chars().take(24).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000 ");
        &line[24..]
    }

    #[test]
    fn lines_have_the_form_of_oslo_log() {
        let text = logged(Level::INFO, |_| {
            let peer = "10.0.0.7";
            info!(target: "oslo_messaging_zmq_receiver::router", %peer, size = 3, name = "a b", "text {}", 1);
            warn!(target: "zmtp", "plain");
        });
        let process = process::id();
        let lines: Vec<_> = text.lines().map(without_time).collect();
        let first = format!("{process} INFO zmq_receiver.router [-] text 1 peer=10.0.0.7 size=3 name=\"a b\"");
        assert_eq!(lines, [first, format!("{process} WARNING zmtp [-] plain")]);
    }

    #[test]
    fn a_peer_cannot_forge_lines_or_fill_the_log() {
        let text = logged(Level::INFO, |_| {
            let name = "x\n2026-11-21 00:00:00.000 1 INFO a [-] forged\r\u{1b}[2J\u{85}\u{2028}\u{202e}é\0";
            info!(%name, "topic {name}");
            info!("{}", "é".repeat(1 << 20));
        });
        let lines: Vec<_> = text.lines().map(without_time).collect();
        assert_eq!(lines.len(), 2);
        let escaped = "forged\\r\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}é\\u{0}";
        assert_eq!(lines[0].matches(escaped).count(), 2, "{}", lines[0]);
        assert!(text.len() < MAX_LINE + 1024);
        assert!(lines[1].ends_with("éé…"));
    }

    #[test]
    fn json_has_the_keys_of_oslo_log_and_our_fields_on_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let json = Some("node7".to_owned());
        let settings = LogSettings { json, ..settings(Level::INFO, &path) };
        let (_, subscriber) = Log::open(&settings).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let (reason, name) = ("topic-backlog", "x\ny");
            warn!(target: "oslo_messaging_zmq_receiver::drops", reason, messages = 3, name, "dropped: {name}");
            info!(long = "é".repeat(1 << 20), "short");
        });
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = &lines[0];
        assert_eq!((&told["levelname"], &told["name"]), (&"WARNING".into(), &"zmq_receiver.drops".into()));
        assert_eq!((&told["hostname"], &told["process"]), (&"node7".into(), &process::id().into()));
        assert_eq!((&told["message"], &told["name_"]), (&"dropped: x\ny".into(), &"x\ny".into()));
        assert_eq!((&told["reason"], &told["messages"]), (&"topic-backlog".into(), &3.into()));
        assert_eq!((lines.len(), &lines[1]["message"]), (2, &"short".into()));
        assert!(text.len() < MAX_LINE + 1024 && lines[1]["long"].as_str().unwrap().ends_with("é…"));
    }

    #[test]
    fn the_level_holds_and_can_be_changed() {
        let text = logged(Level::INFO, |log| {
            debug!("hidden");
            log.set_levels(Levels::of(Level::DEBUG));
            debug!("shown");
            log.set_levels(Levels::of(Level::WARN));
            info!("hidden");
            error!("shown");
        });
        let texts: Vec<_> = text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(texts, ["shown", "shown"]);
    }

    #[test]
    fn modules_have_levels_of_their_own_and_the_log_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut settings = settings(Level::INFO, &path);
        settings.levels = settings.levels.changed_by("zmq_receiver.drops=error,zmtp=debug").unwrap();
        settings.rate =
            Some(RateLimit { interval: std::time::Duration::from_secs(60), burst: 2, except: Some(Level::ERROR) });
        let (_, subscriber) = Log::open(&settings).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            warn!(target: "oslo_messaging_zmq_receiver::drops", "hidden");
            debug!(target: "zmtp::session", "one");
            debug!(target: "other", "hidden");
            info!("two");
            info!("beyond the limit");
            error!("three");
        });
        let text = fs::read_to_string(path).unwrap();
        let texts: Vec<_> = text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(texts, ["one", "two", "three"], "{text}");
    }

    #[test]
    fn a_file_that_was_moved_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let moved = directory.path().join("x.log.1");
        let settings = settings(Level::INFO, &path);
        let (log, subscriber) = Log::open(&settings).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777 & !FILE_MODE, 0);
        tracing::subscriber::with_default(subscriber, || {
            info!("one");
            fs::rename(&path, &moved).unwrap();
            info!("two");
            log.reopen().unwrap();
            info!("three");
        });
        assert_eq!(fs::read_to_string(moved).unwrap().lines().count(), 2);
        assert!(fs::read_to_string(path).unwrap().ends_with("[-] three\n"));
    }

    #[test]
    fn an_existing_file_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        fs::write(&path, "before\n").unwrap();
        let settings = settings(Level::INFO, &path);
        let (_, subscriber) = Log::open(&settings).unwrap();
        tracing::subscriber::with_default(subscriber, || info!("after"));
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("after\n"), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let settings = settings(Level::INFO, Path::new("/nonexistent/x.log"));
        let told = Log::open(&settings).map(|(log, _)| log).unwrap_err().to_string();
        let begin = "cannot open the log file /nonexistent/x.log: No such file or directory (os error 2); ";
        assert!(told.starts_with(begin), "{told}");
    }
}
