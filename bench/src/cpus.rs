//! On which CPUs a turn runs: daemon, feeder and sinks alike.
//!
//! On all of them, threads that hand work to one another are sometimes awake at the same time and sometimes wake each
//! other; a turn's cost then varies by a factor of two for the same daemon, most of all for libzmq with its two threads.
//! On one CPU there is nothing to vary: the same turn costs the same within a few percent. So the first tells what to
//! expect, and the second what the work is.

use std::fmt;
use std::io;

use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cpus {
    /// All that this program may use: what users see, with the noise they see
    All,
    /// One for everything: what the work costs, steadily
    One,
}

/// The calling thread, and whatever it starts, confined until this is dropped.
#[derive(Debug)]
pub(crate) struct Confined {
    before: CpuSet,
}

impl Cpus {
    /// Confines the calling thread and the threads and processes it starts from now on.
    pub(crate) fn confine(self) -> io::Result<Confined> {
        match self {
            Self::All => Ok(Confined { before: sched_getaffinity(None)? }),
            Self::One => Confined::to_one(0),
        }
    }
}

impl Confined {
    /// As [`Cpus::confine`], to the `n`th CPU, counted from the last, for device interrupts mostly go to the first.
    /// Where there are not so many, counting goes on from the last.
    pub(crate) fn to_one(n: usize) -> io::Result<Self> {
        let before = sched_getaffinity(None)?;
        let allowed: Vec<_> = (0..CpuSet::MAX_CPU).rev().filter(|&cpu| before.is_set(cpu)).collect();
        let mut one = CpuSet::new();
        one.set(allowed.get(n % allowed.len().max(1)).copied().unwrap_or(0));
        sched_setaffinity(None, &one)?;
        Ok(Self { before })
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all CPUs",
            Self::One => "one CPU",
        })
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // What was allowed before stays allowed, unless an administrator has taken it away; then nothing can be done.
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;

    /// CPUs a child process of this thread may use.
    fn nproc() -> String {
        let output = Command::new("nproc").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn children_are_confined_too_and_only_for_a_time() {
        let before = nproc();
        let confined = Cpus::One.confine().unwrap();
        assert_eq!(nproc(), "1\n");
        assert_eq!(thread::spawn(nproc).join().unwrap(), "1\n");
        drop(confined);
        assert_eq!(nproc(), before);
        let confined = Cpus::All.confine().unwrap();
        assert_eq!(nproc(), before);
        drop(confined);
    }
}
