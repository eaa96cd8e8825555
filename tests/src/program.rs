//! A child program: started with its output captured, waited for with a deadline, ended by its process id.
//!
//! Lines of standard output are for the test, in order, by [`Program::next_line`]. Both outputs also go to a transcript,
//! shown with every error and, when the program is dropped, in the output of the test: cargo shows that of failed tests.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    lines: Receiver<String>,
    transcript: Arc<Transcript>,
}

/// A program that did not do what was waited for. The text ends with the last lines it printed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The executable could not be started.
    #[error("cannot start {name} ({program})")]
    Start {
        /// What the test calls it.
        name: String,
        /// The executable.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ended before the thing waited for.
    #[error("{name} ended while {waiting_for}\n{transcript}")]
    Ended {
        /// What the test calls it.
        name: String,
        /// What the test was waiting for.
        waiting_for: String,
        /// Its last lines.
        transcript: String,
    },
    /// The deadline passed.
    #[error("{name}: after {waited:?} still {waiting_for}\n{transcript}")]
    Deadline {
        /// What the test calls it.
        name: String,
        /// What the test was waiting for.
        waiting_for: String,
        /// How long it waited.
        waited: Duration,
        /// Its last lines.
        transcript: String,
    },
    /// The system refused.
    #[error("cannot {action} {name}")]
    System {
        /// What the test calls it.
        name: String,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Program {
    /// Starts `command` under `name`, with all three standard streams held by us.
    pub fn start(name: &str, command: &mut Command) -> Result<Self, ProgramError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ProgramError::Start { name: name.to_owned(), program, source })?;
        let transcript = Arc::new(Transcript::default());
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, Arc::clone(&transcript), move |line| drop(sender.send(line)));
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, Arc::clone(&transcript), drop);
        }
        Ok(Self { name: name.to_owned(), child, lines, transcript })
    }

    /// What the test calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output, without its end. Lines arrive in order, each once.
    pub fn next_line(&mut self, limit: Duration) -> Result<String, ProgramError> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(self.deadline("waiting for a line", limit)),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended("waiting for a line")),
        }
    }

    /// Writes `line` and a line end to standard input.
    pub fn send_line(&mut self, line: &str) -> Result<(), ProgramError> {
        let Some(stdin) = self.child.stdin.as_mut() else { return Err(self.ended("writing to it")) };
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).map_err(self.system("write to"))
    }

    /// Returns once `address` accepts connections, which it must not have done before the program started.
    pub fn wait_until_listening(&mut self, address: SocketAddr, limit: Duration) -> Result<(), ProgramError> {
        let waiting_for = format!("not listening on {address}");
        self.wait(&waiting_for, limit, |_| TcpStream::connect(address).is_ok().then_some(()))
    }

    /// Polls `found` until it returns something. Ends early when the program does.
    pub fn wait<T>(
        &mut self,
        waiting_for: &str,
        limit: Duration,
        mut found: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, ProgramError> {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            if self.child.try_wait().map_err(self.system("wait for"))?.is_some() {
                return Err(self.ended(waiting_for));
            }
            if Instant::now() >= end {
                return Err(self.deadline(waiting_for, limit));
            }
            thread::sleep(POLL);
        }
    }

    /// Asks it to end (SIGTERM) and waits for that. A program that does not obey is left to [`Drop`].
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus, ProgramError> {
        // Once it is collected, its id may be another process's.
        if let Some(status) = self.child.try_wait().map_err(self.system("wait for"))? {
            return Ok(status);
        }
        let sent = kill_process(Pid::from_child(&self.child), Signal::TERM);
        sent.map_err(|errno| self.system("stop")(errno.into()))?;
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().map_err(self.system("wait for"))? {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(self.deadline("not stopping on SIGTERM", limit));
            }
            thread::sleep(POLL);
        }
    }

    /// Ends it at once (SIGKILL) and collects it.
    pub fn kill(&mut self) -> Result<(), ProgramError> {
        self.child.kill().map_err(self.system("kill"))?;
        self.child.wait().map_err(self.system("wait for"))?;
        Ok(())
    }

    /// Stops it in its tracks: connections stay, nothing is answered.
    pub fn pause(&self) -> Result<(), ProgramError> {
        let sent = kill_process(Pid::from_child(&self.child), Signal::STOP);
        sent.map_err(|errno| self.system("pause")(errno.into()))
    }

    /// Lets it go on after [`Program::pause`].
    pub fn resume(&self) -> Result<(), ProgramError> {
        let sent = kill_process(Pid::from_child(&self.child), Signal::CONT);
        sent.map_err(|errno| self.system("resume")(errno.into()))
    }

    /// The last lines of both outputs, in the order they came, long ones cut.
    pub fn transcript(&self) -> String {
        self.transcript.to_string()
    }

    fn ended(&self, waiting_for: &str) -> ProgramError {
        // Its last words may still be on their way through the pipe.
        thread::sleep(LAST_WORDS);
        let (name, waiting_for) = (self.name.clone(), waiting_for.to_owned());
        ProgramError::Ended { name, waiting_for, transcript: self.transcript() }
    }

    fn deadline(&self, waiting_for: &str, waited: Duration) -> ProgramError {
        let (name, waiting_for) = (self.name.clone(), waiting_for.to_owned());
        ProgramError::Deadline { name, waiting_for, waited, transcript: self.transcript() }
    }

    fn system(&self, action: &'static str) -> impl FnOnce(io::Error) -> ProgramError + use<> {
        let name = self.name.clone();
        move |source| ProgramError::System { name, action, source }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing can be done about a child that cannot be ended, and one that has ended already is no news.
        let _ = self.child.kill();
        let _ = self.child.wait();
        eprintln!("{}:\n{}", self.name, self.transcript());
    }
}

/// The last lines a program printed.
#[derive(Debug, Default)]
struct Transcript(Mutex<VecDeque<String>>);

impl Transcript {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TRANSCRIPT_LINES {
            lines.pop_front();
        }
        let cut: String = line.chars().take(TRANSCRIPT_COLUMNS).collect();
        lines.push_back(if cut.len() < line.len() { format!("{cut} … ({} bytes)", line.len()) } else { cut });
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().try_for_each(|line| writeln!(f, "    | {line}"))
    }
}

/// Reads `stream` to its end on a thread of its own: a child whose pipe is full would stop.
fn read_lines(
    stream: impl Read + Send + 'static,
    transcript: Arc<Transcript>,
    mut take: impl FnMut(String) + Send + 'static,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            transcript.push(&line);
            take(line);
        }
    });
}

/// How often a state is looked at that sends no notice. Short beside any deadline, long beside the look.
const POLL: Duration = Duration::from_millis(10);

/// How long a reader thread may need for what a dead program left in its pipe.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Two screens: enough for a traceback and what led to it.
const TRANSCRIPT_LINES: usize = 100;

/// Longer lines are payloads, of which the beginning tells enough.
const TRANSCRIPT_COLUMNS: usize = 500;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Program {
        Program::start("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn lines_go_in_and_come_out_in_order() {
        let mut cat = Program::start("cat", &mut Command::new("cat")).unwrap();
        for line in ["one", "two", "drei ☃"] {
            cat.send_line(line).unwrap();
            assert_eq!(cat.next_line(LIMIT).unwrap(), line);
        }
    }

    #[test]
    fn an_end_is_told_with_the_last_words_of_both_outputs() {
        let mut program = shell("echo out; echo err >&2; exit 3");
        assert_eq!(program.next_line(LIMIT).unwrap(), "out");
        let error = program.next_line(LIMIT).unwrap_err();
        assert!(matches!(error, ProgramError::Ended { .. }));
        assert!(error.to_string().contains("    | err"), "{error}");
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let mut program = shell("exec sleep 60");
        let limit = Duration::from_millis(50);
        let error = program.next_line(limit).unwrap_err();
        assert!(matches!(error, ProgramError::Deadline { waited, .. } if waited == limit));
    }

    #[test]
    fn waiting_for_a_port_notices_a_program_that_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        shell("exec sleep 60").wait_until_listening(address, LIMIT).unwrap();
        drop(listener);
        let error = shell("exit 0").wait_until_listening(address, LIMIT).unwrap_err();
        assert!(matches!(error, ProgramError::Ended { .. }), "{error}");
    }

    #[test]
    fn stop_lets_a_program_end_in_its_own_way() {
        let mut program = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        program.next_line(LIMIT).unwrap();
        assert_eq!(program.stop(LIMIT).unwrap().code(), Some(7));
    }

    #[test]
    fn dropping_kills_the_process() {
        let program = shell("trap '' TERM; exec sleep 60");
        let process = format!("/proc/{}", program.id());
        assert!(std::fs::exists(&process).unwrap());
        drop(program);
        assert!(!std::fs::exists(&process).unwrap());
    }

    #[test]
    fn a_transcript_keeps_the_end_and_cuts_long_lines() {
        let transcript = Transcript::default();
        (0..TRANSCRIPT_LINES + 5).for_each(|number| transcript.push(&format!("line {number}")));
        transcript.push(&"ü".repeat(10_000));
        let text = transcript.to_string();
        assert_eq!(text.lines().count(), TRANSCRIPT_LINES);
        assert!(text.starts_with("    | line 6\n"));
        assert!(text.ends_with("ü … (20000 bytes)\n"));
    }
}
