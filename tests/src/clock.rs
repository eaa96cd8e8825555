//! A wall clock that a test can step, for one program: libfaketime before the C library. The monotonic clock goes on as
//! it does when an operator steps the machine's.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A clock that is right until it is [stepped](Clock::step).
#[derive(Debug)]
pub struct Clock {
    directory: TempDir,
}

impl Clock {
    /// A right one.
    pub fn new() -> io::Result<Self> {
        let clock = Self { directory: tempfile::tempdir()? };
        clock.step(0)?;
        Ok(clock)
    }

    /// Makes it wrong by so many seconds, now.
    pub fn step(&self, seconds: i64) -> io::Result<()> {
        // By rename: who reads it in between sees the one or the other.
        let next = self.directory.path().join("next");
        std::fs::write(&next, format!("{seconds:+}\n"))?;
        std::fs::rename(next, self.file())
    }

    /// Has a program, dynamically linked, tell the time by it.
    pub fn set_for(&self, command: &mut Command) {
        // The loader knows where libraries are on this machine.
        command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1");
        command.env("FAKETIME_TIMESTAMP_FILE", self.file()).env("FAKETIME_NO_CACHE", "1");
        // The second is its name in older versions.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_program_sees_the_step() {
        let clock = Clock::new().unwrap();
        let seconds = || {
            let mut date = Command::new("date");
            clock.set_for(&mut date);
            let output = date.arg("+%s").stderr(Stdio::null()).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(seconds().abs_diff(now) < 60);
        clock.step(86_400).unwrap();
        let help = "is libfaketime there? `cargo xtask test` installs it (Debian package faketime)";
        assert!(seconds().abs_diff(now + 86_400) < 60, "{help}");
        clock.step(-86_400).unwrap();
        assert!(seconds().abs_diff(now - 86_400) < 60);
    }
}
