//! Writes what tells of the programs, from what the programs themselves parse: `pages DIRECTORY DATE`.
//!
//! Below DIRECTORY: `man/` (manual pages), `completions/` (bash, zsh, fish), `zmq_receiver.conf` (a configuration of comments)
//! and `configure.md` (every option, which `docs/` has a copy of). DATE is the day that the manual pages bear. A flag or an
//! option that is added to a program is in the next run's pages. It is run where packages are made; what is shipped has
//! neither roff nor shell in it.

mod manual;
mod options;
mod programs;
mod reference;
mod sync;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::Shell;
use oslo_messaging_zmq_receiver::sample::Sample;
use oslo_messaging_zmq_receiver::settings::DECLARED;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, date] = arguments.as_slice() else {
        eprintln!("usage: pages DIRECTORY DATE");
        return ExitCode::from(2);
    };
    match write(directory.as_ref(), date) {
        Ok(()) => ExitCode::SUCCESS,
        Err((path, error)) => {
            eprintln!("pages: cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Writes all of it; the error has the path that could not be written.
fn write(directory: &Path, date: &str) -> Result<(), (PathBuf, io::Error)> {
    let put = |path: &str, text: &[u8]| {
        let path = directory.join(path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text)).map_err(|error| (path, error))
    };
    for program in programs::all() {
        for page in manual::pages(&program, date) {
            put(&format!("man/man{}/{}.{0}", program.section, page.name), page.text.as_bytes())?;
        }
        for (shell, file) in program.completions() {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut program.command.clone(), program.name(), &mut text);
            put(&format!("completions/{shell}/{file}"), &text)?;
        }
    }
    put("man/man5/zmq_receiver.conf.5", options::page(DECLARED, date).as_bytes())?;
    put("zmq_receiver.conf", Sample(DECLARED).to_string().as_bytes())?;
    put("configure.md", reference::text().as_bytes())
}

/// The shells that completions are for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_page_and_completions_for_each_shell() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "2026-01-02").unwrap();
        for path in [
            "man/man8/oslo-messaging-zmq-receiver.8",
            "man/man1/matchmaker.1",
            "man/man1/matchmaker-sync.1",
            "man/man1/zrpc.1",
            "man/man1/zrpc-call.1",
            "man/man5/zmq_receiver.conf.5",
            "completions/bash/oslo-messaging-zmq-receiver",
            "completions/zsh/_matchmaker",
            "completions/fish/zrpc.fish",
            "zmq_receiver.conf",
            "configure.md",
        ] {
            assert!(fs::metadata(directory.path().join(path)).is_ok_and(|file| file.len() > 100), "{path}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (path, _) = write(file.path(), "2026-01-02").unwrap_err();
        assert!(path.starts_with(file.path()), "{}", path.display());
    }
}
