//! The one door for developers: `cargo xtask COMMAND`.
//!
//! Reading order: `command` (run a program, name it in the error), `workspace` (where things are), then what `test`
//! needs installed (`package`, `python`, `environment`, `consul`), then one file per subcommand, with `elf` under `dist` and
//! `tree` and `msrv` under `lint`.
//!
//! It builds, checks and installs; it holds no test of the project's own.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod command;
mod consul;
mod dist;
mod elf;
mod environment;
mod fuzz;
mod lint;
mod miri;
mod msrv;
mod package;
mod python;
mod test;
mod tree;
mod workspace;

/// Tests, checks and builds the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need and lack, then run every test
    Test {
        /// Install nothing; a test whose peer is missing fails and says so
        #[arg(long)]
        no_install: bool,
        /// Arguments for `cargo test`, after `--`
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Check format, lints, docs, declared Rust versions, and that no C and no stray runtime gets in
    Lint,
    /// Build every program as a static Linux executable, and package, tarball and image of them, into target/dist
    Dist,
    /// Fuzz one target, or each of them in turn
    Fuzz {
        /// A name from `cargo fuzz list`; without it, all of them
        target: Option<String>,
        /// How long each target runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Run zmtp's tests of protocol, patterns and sockets in one process under miri, which needs a nightly compiler
    Miri,
    /// Run the benchmarks, built for release
    Bench {
        /// Arguments for the benchmark program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let outcome: Result<(), Box<dyn Error>> = match Arguments::parse().task {
        Task::Test { no_install, arguments } => test::run(no_install, &arguments).map_err(Into::into),
        Task::Lint => lint::run().map_err(Into::into),
        Task::Dist => dist::run().map_err(Into::into),
        Task::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds).map_err(Into::into),
        Task::Miri => miri::run().map_err(Into::into),
        Task::Bench { arguments } => bench::run(&arguments).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_goes_to_cargo_test() {
        let parsed = Arguments::try_parse_from(["xtask", "test", "--", "-p", "zmtp", "--", "--nocapture"]).unwrap();
        let Task::Test { no_install: false, arguments } = parsed.task else { panic!("not a test run") };
        assert_eq!(arguments, ["-p", "zmtp", "--", "--nocapture"]);
    }

    #[test]
    fn bench_forwards_flags_of_its_own() {
        let parsed = Arguments::try_parse_from(["xtask", "bench", "--peer", "libzmq", "-n", "3"]).unwrap();
        let Task::Bench { arguments } = parsed.task else { panic!("not a bench run") };
        assert_eq!(arguments, ["--peer", "libzmq", "-n", "3"]);
    }
}
