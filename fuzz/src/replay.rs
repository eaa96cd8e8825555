//! What a target's binary is when nothing is fuzzed: a replay of the files that it is given.

use std::{env, fs, process::ExitCode};

use crate::Target;

/// Runs `target` on each file named on the command line. It panics like the target at the first finding; the exit
/// code tells of files that could not be read.
pub fn main(target: Target) -> ExitCode {
    let files: Vec<_> = env::args_os().skip(1).collect();
    if files.is_empty() {
        eprintln!("name the files to replay, or search for new ones: cargo +nightly fuzz run TARGET");
        return ExitCode::FAILURE;
    }
    for file in files {
        match fs::read(&file) {
            Ok(octets) => target(&octets),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
        println!("{}: nothing found", file.display());
    }
    ExitCode::SUCCESS
}
