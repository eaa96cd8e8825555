//! `cargo xtask test`: installs what the tests' peers need, runs every test, and counts them at the end.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::panic;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{self, CommandError, line_of};
use crate::consul::{self, ConsulError};
use crate::environment::{self, EnvironmentError};
use crate::package::{self, PackageError};
use crate::workspace;

/// A test run that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Consul(#[from] ConsulError),
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Installs unless told not to, then runs `cargo test` with `arguments`, all tests even if some fail; without arguments also
/// those of `oslo-rpc` with fewer features.
pub(crate) fn run(no_install: bool, arguments: &[OsString]) -> Result<(), TestError> {
    if no_install {
        for lack in package::lacking().into_iter().chain(environment::lacking()?).chain(consul::lacking()) {
            println!("lacking: {lack}; the tests that need it will fail");
        }
    } else if arguments.is_empty() {
        if io::stdin().is_terminal() {
            // sudo may ask for a password, which cargo's lines would bury.
            package::install()?;
        }
        // Installing waits for the network, or for one file that is compiled: meanwhile the tests are built.
        thread::scope(|scope| {
            let installing = scope.spawn(install);
            let built = command::run(test().arg("--no-run"));
            installing.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?;
            Ok::<_, TestError>(built?)
        })?;
    } else {
        install()?;
    }

    let started = Instant::now();
    let mut counts = Counts::default();
    let mut outcome = run_counting(test().args(arguments), &mut counts);
    // Who names tests means those of the usual build.
    for build in workspace::other_builds().filter(|_| arguments.is_empty()) {
        let more = run_counting(test().args(build), &mut counts);
        outcome = outcome.and(more);
    }
    println!("{}", counts.summary(started.elapsed()));
    Ok(outcome?)
}

fn install() -> Result<(), TestError> {
    package::install()?;
    environment::install()?;
    consul::install()?;
    println!("installed: all that the tests need");
    Ok(())
}

/// `cargo test`, of all tests even if some fail.
fn test() -> Command {
    let mut command = workspace::cargo();
    command.args(["test", "--no-fail-fast"]);
    command
}

/// Passes the command's output through and counts what test programs report in it.
fn run_counting(command: &mut Command, counts: &mut Counts) -> Result<(), CommandError> {
    if io::stdout().is_terminal() {
        // A pipe would take the colours away.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let line = line_of(command);
    println!("running: {line}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|source| CommandError::Start { line: line.clone(), source })?;
    let stdout = child.stdout.take().into_iter().map(BufReader::new);
    for text in stdout.flat_map(|stdout| stdout.split(b'\n')) {
        let text = text.map_err(|source| CommandError::Output { line: line.clone(), source })?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        counts.read(&text);
    }
    let status = child.wait().map_err(|source| CommandError::Output { line: line.clone(), source })?;
    if status.success() { Ok(()) } else { Err(CommandError::Failed { line, status }) }
}

/// What the closing lines of the test programs add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Takes in one line; all but `test result: ok. 3 passed; 0 failed; 1 ignored; …` pass by.
    fn read(&mut self, line: &str) {
        let Some((_, figures)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        self.programs += 1;
        for figure in figures.split("; ") {
            let Some((number, name)) = figure.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match name {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn summary(&self, took: Duration) -> String {
        let Self { programs, passed, failed, ignored } = self;
        let (minutes, seconds) = (took.as_secs() / 60, took.as_secs() % 60);
        format!(
            "total: {passed} passed, {failed} failed, {ignored} ignored in {programs} programs; {minutes} min {seconds} s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_add_up_and_colours_do_not_matter() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: \u{1b}[31mFAILED\u{1b}[m. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s",
            "test result_of_parsing ... ok",
        ] {
            counts.read(line);
        }
        assert_eq!(counts, Counts { programs: 2, passed: 10, failed: 2, ignored: 1 });
        let summary = counts.summary(Duration::from_secs(75));
        assert_eq!(summary, "total: 10 passed, 2 failed, 1 ignored in 2 programs; 1 min 15 s");
    }

    #[test]
    fn a_failing_command_is_an_error_after_its_output_was_counted() {
        let mut counts = Counts::default();
        let script = "echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; exit 101";
        run_counting(Command::new("sh").args(["-c", script]), &mut counts).unwrap_err();
        assert_eq!(counts, Counts { programs: 1, passed: 1, failed: 1, ignored: 0 });
    }
}
