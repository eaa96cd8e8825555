//! Running other programs. Every error shows the command line, so that it can be repeated by hand.

use std::io;
use std::process::{Command, ExitStatus, Output, Stdio};

/// A program that could not be started or that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("`{line}` does not start")]
    Start { line: String, source: io::Error },
    #[error("`{line}` failed ({status})")]
    Failed { line: String, status: ExitStatus },
    #[error("`{line}` failed ({status}):\n{output}")]
    FailedSaying { line: String, status: ExitStatus, output: String },
    #[error("lost the output of `{line}`")]
    Output { line: String, source: io::Error },
}

/// Runs `command` with its output where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<(), CommandError> {
    let status = command.status().map_err(|source| CommandError::Start { line: line_of(command), source })?;
    if status.success() { Ok(()) } else { Err(CommandError::Failed { line: line_of(command), status }) }
}

/// Runs `command` and returns its standard output. What it says otherwise is shown only when it fails.
pub(crate) fn capture(command: &mut Command) -> Result<String, CommandError> {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::Start { line: line_of(command), source })?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let output = format!("{stdout}{}", String::from_utf8_lossy(&stderr));
    Err(CommandError::FailedSaying { line: line_of(command), status, output: output.trim_end().to_owned() })
}

/// Whether `command` starts and succeeds, in silence.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = !word.is_empty() && !word.contains([' ', '\'', '"', '$', '*', '\n']);
        if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_and_what_it_said() {
        let error = capture(Command::new("sh").args(["-c", "echo said; echo why >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'echo said; echo why >&2; exit 3'` failed (exit status: 3):\nsaid\nwhy");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` does not start");
        assert!(!succeeds(&mut Command::new("no-such-program")));
    }
}
