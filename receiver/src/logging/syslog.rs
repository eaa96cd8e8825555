//! Lines for the machine's syslog daemon, as datagrams on its local socket (RFC 3164, section 4.1; syslog(3)).
//!
//! ```text
//! <14>Nov 21 02:34:59 oslo-messaging-zmq-receiver[4711]: INFO zmq_receiver.router [-] text key=value
//! ```
//!
//! It never waits: a daemon that is away or has no room is a line that was not written, which the caller writes elsewhere.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;
use tracing::Level;

/// The way to the daemon.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    facility: Facility,
    program: &'static str,
    socket: Mutex<Option<UnixDatagram>>,
}

/// Whose lines they are, to the daemon (RFC 3164, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// By one of its names, such as `LOG_USER`, `user`, `local0`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("log_").unwrap_or(&name);
        let code = FACILITIES.iter().position(|known| *known == name)?;
        u8::try_from(code).ok().map(Self)
    }
}

impl Syslog {
    pub(super) fn new(path: &Path, facility: Facility, program: &'static str) -> Self {
        Self { path: path.to_owned(), facility, program, socket: Mutex::new(None) }
    }

    /// Sends a line, without its end.
    ///
    /// # Errors
    /// There is no daemon, or it has no room.
    pub(super) fn send(&self, level: Level, line: &str) -> io::Result<()> {
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let priority = self.facility.0 * 8 + severity;
        let time = Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        let line = line.trim_end_matches('\n');
        let datagram = format!("<{priority}>{time} {}[{}]: {line}", self.program, process::id());
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = &*socket
            && socket.send(datagram.as_bytes()).is_ok()
        {
            return Ok(());
        }
        // It was not there yet, or has been started anew.
        *socket = None;
        let new = UnixDatagram::unbound()?;
        new.set_nonblocking(true)?;
        new.connect(&self.path)?;
        new.send(datagram.as_bytes())?;
        *socket = Some(new);
        Ok(())
    }
}

/// Where syslog daemons listen.
pub(crate) const SOCKET: &str = "/dev/log";

/// By code.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_priority_time_program_and_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let syslog = Syslog::new(&path, Facility::named("LOG_LOCAL0").unwrap(), "x");
        assert!(syslog.send(Level::INFO, "nobody is there").is_err());

        let daemon = UnixDatagram::bind(&path).unwrap();
        let receive = |daemon: &UnixDatagram| {
            let mut octets = [0; 1000];
            let n = daemon.recv(&mut octets).unwrap();
            String::from_utf8(octets[..n].to_vec()).unwrap()
        };
        syslog.send(Level::WARN, "text\n").unwrap();
        let line = receive(&daemon);
        // 16 * 8 + 4, then `Mmm dd hh:mm:ss`.
        assert!(line.starts_with("<132>") && line.ends_with(&format!(" x[{}]: text", process::id())), "{line}");
        assert_eq!(line.as_bytes()[8], b' ', "{line}");
        assert_eq!(line[5..].find(" x["), Some(15), "{line}");

        // A daemon that is started anew gets the next line.
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.send(Level::ERROR, "again").unwrap();
        assert!(receive(&daemon).starts_with("<131>"));
    }

    #[test]
    fn facilities_have_the_names_of_oslo_log() {
        for (name, code) in [("LOG_USER", 1), ("user", 1), ("LOG_DAEMON", 3), ("local7", 23), ("LOG_AUTHPRIV", 10)] {
            assert_eq!(Facility::named(name), Some(Facility(code)), "{name}");
        }
        assert_eq!(Facility::named("nonsense"), None);
    }
}
