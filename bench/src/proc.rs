//! A child process under measurement: its output kept, its CPU time and memory read from `/proc`, its end certain.
//!
//! CPU time is the larger of two figures. `schedstat` of each thread counts nanoseconds but forgets threads that have
//! ended; `stat` remembers them but counts hundredths of a second (proc(5)). Both only ever err on the low side.
//!
//! Always true: a [`Process`] that is dropped has been killed, by its own id, and reaped.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process has used since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// The most memory it ever held resident, in octets.
    pub(crate) peak_rss: u64,
}

impl Usage {
    /// CPU time used after `before`; none if the two readings disagree by more than was used.
    pub(crate) fn cpu_since(&self, before: &Self) -> Duration {
        self.cpu.saturating_sub(before.cpu)
    }
}

/// Why a process could not be started or measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcError {
    /// The program is absent or not executable, or its log cannot be written.
    #[error("cannot start {program}: {source}")]
    Start {
        /// As given to the system.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// `/proc` has no such process, or not this kernel's format.
    #[error("cannot read {path}: {reason}; this benchmark needs Linux with /proc mounted and the process alive")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer, or the field that was not found.
        reason: String,
    },
}

impl Process {
    /// Starts `command` with its output going to the file `log`.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Result<Self, ProcError> {
        let spawn = |command: &mut Command| {
            let out = File::create(&log)?;
            let err = out.try_clone()?;
            command.stdin(Stdio::null()).stdout(out).stderr(err).spawn()
        };
        match spawn(command) {
            Ok(child) => Ok(Self { child, log }),
            Err(source) => Err(ProcError::start(command, source)),
        }
    }

    /// Starts `command` to be talked with; only what it prints as errors goes to the file `log`.
    pub(crate) fn converse(command: &mut Command, log: PathBuf) -> Result<(Self, ChildStdin, ChildStdout), ProcError> {
        let spawn = |command: &mut Command| {
            let err = File::create(&log)?;
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(err).spawn()?;
            // Both are there, for both were asked for.
            let pipes = child.stdin.take().zip(child.stdout.take());
            pipes.map(|(input, output)| (child, input, output)).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
        };
        match spawn(command) {
            Ok((child, input, output)) => Ok((Self { child, log }, input, output)),
            Err(source) => Err(ProcError::start(command, source)),
        }
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, ProcError> {
        usage(self.child.id())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        // An error means that somebody else reaped it; there is nothing left to wait for and no status to tell.
        self.child.try_wait().ok().flatten()
    }

    /// Whether it runs, and what it said last.
    pub(crate) fn state(&mut self) -> String {
        // One that has just hung up is not gone at once.
        let deadline = Instant::now() + LEAVE_WITHIN;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        let state = match self.ended() {
            Some(status) => format!("ended with {status}"),
            None => "still runs".to_owned(),
        };
        let words = self.last_words();
        if words.is_empty() { state + " and printed nothing" } else { format!("{state} and printed at last:{words}") }
    }

    /// The last lines it printed, each indented on a line of its own.
    fn last_words(&self) -> String {
        let printed = end_of(&self.log).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<_> = printed.lines().rev().take(LAST_LINES).collect();
        lines.iter().rev().flat_map(|line| ["\n    ", line]).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and been reaped already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ProcError {
    fn start(command: &Command, source: io::Error) -> Self {
        Self::Start { program: command.get_program().display().to_string(), source }
    }
}

/// The last octets of a log of any size.
fn end_of(log: &Path) -> io::Result<Vec<u8>> {
    let mut log = File::open(log)?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(LAST_OCTETS)))?;
    let mut end = Vec::new();
    log.take(LAST_OCTETS).read_to_end(&mut end)?;
    Ok(end)
}

/// What this very process has used so far.
pub(crate) fn own_usage() -> Result<Usage, ProcError> {
    usage(std::process::id())
}

fn usage(pid: u32) -> Result<Usage, ProcError> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let stat = directory.join("stat");
    let ticks = cpu_ticks(&read(&stat)?).ok_or_else(|| missing(&stat, "utime and stime"))?;
    let status = directory.join("status");
    let peak_rss = peak_rss(&read(&status)?).ok_or_else(|| missing(&status, "VmHWM"))?;

    let tasks = directory.join("task");
    let mut nanoseconds = 0;
    for task in fs::read_dir(&tasks).map_err(|error| missing(&tasks, error))? {
        let task = task.map_err(|error| missing(&tasks, error))?;
        // A thread may end between the listing and the reading; `stat` has its time.
        if let Ok(text) = fs::read_to_string(task.path().join("schedstat")) {
            nanoseconds += running_time(&text).unwrap_or(0);
        }
    }
    let cpu = Duration::from_nanos(nanoseconds).max(Duration::from_millis(ticks * TICK_MILLISECONDS));
    Ok(Usage { cpu, peak_rss })
}

fn read(path: &Path) -> Result<String, ProcError> {
    fs::read_to_string(path).map_err(|error| missing(path, error))
}

fn missing(path: &Path, reason: impl ToString) -> ProcError {
    ProcError::Read { path: path.to_owned(), reason: reason.to_string() }
}

/// utime + stime, fields 14 and 15. Field 2, the name, may hold blanks and brackets: counting starts behind its last one.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn peak_rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Nanoseconds on a CPU, the first of three fields.
fn running_time(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// Linux shows times in `stat` in units of 1/100 s on every architecture libzmq and this workspace are built for.
const TICK_MILLISECONDS: u64 = 10;

/// From a process's last socket closing to its end being told.
const LEAVE_WITHIN: Duration = Duration::from_millis(200);

/// Between looks at whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Enough to hold the complaint and what led to it.
const LAST_LINES: usize = 8;

/// Enough for that many lines of the usual length.
const LAST_OCTETS: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::start(&mut command, directory.path().join("log")).unwrap();
        (directory, process)
    }

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "812 (a (b) c) S 1 1 1 0 -1 4194304 100 0 0 0 70 30 5 5 20 0 1 0 92561 3133440 358";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(cpu_ticks("812 (x) S 1"), None);
        assert_eq!(peak_rss("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(running_time("206882 0 2\n"), Some(206_882));
    }

    #[test]
    fn burnt_time_is_seen_also_from_threads_that_have_ended() {
        let before = own_usage().unwrap();
        let burner = thread::spawn(|| {
            let burnt = || running_time(&fs::read_to_string("/proc/thread-self/schedstat").unwrap()).unwrap();
            while burnt() < 100_000_000 {}
        });
        burner.join().unwrap();
        let burnt = own_usage().unwrap().cpu_since(&before);
        // What the kernel's ticks may hide before and after: twice two of them.
        assert!(burnt >= Duration::from_millis(100 - 4 * TICK_MILLISECONDS), "{burnt:?}");
    }

    #[test]
    fn the_end_of_a_child_tells_its_status_and_last_words() {
        let (_directory, mut process) = shell("seq 1 5000; echo cannot bind >&2; exit 3");
        let status = loop {
            if let Some(status) = process.ended() {
                break status;
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(3));
        assert_eq!(
            process.last_words(),
            "\n    4994\n    4995\n    4996\n    4997\n    4998\n    4999\n    5000\n    cannot bind"
        );
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let (_directory, process) = shell("exec sleep 600");
        assert!(process.usage().unwrap().peak_rss > 0);
        let pid = process.child.id();
        drop(process);
        assert!(matches!(usage(pid), Err(ProcError::Read { .. })));
    }

    #[test]
    fn an_absent_program_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("/nonexistent/daemon");
        let error = Process::start(&mut command, directory.path().join("log")).unwrap_err();
        assert!(error.to_string().starts_with("cannot start /nonexistent/daemon: "), "{error}");
    }
}
