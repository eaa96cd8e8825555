//! The Python environments the tests talk to, under `target/pyenv`.
//!
//! An environment is complete when its stamp holds the recipe it would be made by today: a second run costs one file
//! read each, a changed pin makes it anew, and so does a run that stopped half way, for the stamp is written last. The
//! harness in `tests/` looks for the same directories and the same stamp.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rustix::fs::{FlockOperation, flock};

use crate::command::{self, CommandError};
use crate::python::{self, NoPython27};
use crate::workspace;

/// One Python environment.
struct Environment {
    /// Its directory under `target/pyenv`.
    name: &'static str,
    what: &'static str,
    contents: Contents,
    /// The libzmq it must turn out to run on.
    libzmq: &'static str,
}

enum Contents {
    /// Python 3 and this pyzmq, with the libzmq its wheel brings.
    Wheel(&'static str),
    /// Python 3 and this pyzmq, compiled against the system's libzmq.
    System(&'static str),
    /// Python 2.7 and the pins of this file in `tests/real-driver`, compiled against the system's libzmq.
    Pins(&'static str),
}

/// An environment that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("cannot make the Python environment {name}")]
    Install { name: &'static str, source: CommandError },
    #[error(
        "the Python environment {name} runs on libzmq {found}, and the tests need {expected}: Debian 12's libzmq3-dev is \
         that version"
    )]
    Libzmq { name: &'static str, found: String, expected: &'static str },
    #[error(transparent)]
    Python(#[from] NoPython27),
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Makes every environment that is not complete, saying so.
pub(crate) fn install() -> Result<(), EnvironmentError> {
    let home = home();
    fs::create_dir_all(&home).map_err(at(&home))?;
    // Two runs at once would build in one another's directories; the second waits here and finds the work done.
    let path = home.join(".lock");
    let lock = File::create(&path).map_err(at(&path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| at(&path)(errno.into()))?;
    for environment in ENVIRONMENTS {
        if !environment.is_complete(&home)? {
            environment.make(&home)?;
        }
    }
    Ok(())
}

/// What is missing, for a person to read; empty when nothing is.
pub(crate) fn lacking() -> Result<Vec<String>, EnvironmentError> {
    let home = home();
    let mut lacking = Vec::new();
    for environment in ENVIRONMENTS {
        if !environment.is_complete(&home)? {
            lacking.push(format!("the Python environment {} ({})", environment.name, environment.what));
        }
    }
    Ok(lacking)
}

impl Environment {
    fn is_complete(&self, home: &Path) -> Result<bool, EnvironmentError> {
        let directory = home.join(self.name);
        let recipe = self.recipe()?;
        // The interpreter is a link to one that may have been uninstalled since.
        let stamped = fs::read_to_string(directory.join(STAMP)).is_ok_and(|stamp| stamp == recipe);
        Ok(stamped && python(&directory).exists())
    }

    /// Everything that decides what the environment holds.
    fn recipe(&self) -> Result<String, EnvironmentError> {
        match self.contents {
            Contents::Wheel(pyzmq) => Ok(format!("{pyzmq} as a wheel\n")),
            Contents::System(pyzmq) => Ok(format!("{pyzmq} on the system's libzmq\n")),
            Contents::Pins(file) => {
                let path = pins(file);
                fs::read_to_string(&path).map_err(at(&path))
            }
        }
    }

    fn make(&self, home: &Path) -> Result<(), EnvironmentError> {
        let directory = home.join(self.name);
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(at(&directory))?;
        }
        println!("installing: Python environment {} ({})", self.name, self.what);
        let started = Instant::now();
        let spinner = ProgressBar::new_spinner().with_message(self.name);
        spinner.enable_steady_tick(TICK);
        let outcome = self.fill(home, &directory);
        spinner.finish_and_clear();
        outcome?;
        let stamp = directory.join(STAMP);
        fs::write(&stamp, self.recipe()?).map_err(at(&stamp))?;
        println!("installed: Python environment {} in {} s", self.name, started.elapsed().as_secs());
        Ok(())
    }

    fn fill(&self, home: &Path, directory: &Path) -> Result<(), EnvironmentError> {
        let run = |command: &mut Command| {
            command::capture(command).map_err(|source| EnvironmentError::Install { name: self.name, source })
        };
        match self.contents {
            Contents::Wheel(pyzmq) => {
                run(&mut venv(directory))?;
                run(pip(directory).args(["--only-binary", ":all:", pyzmq]))?;
            }
            Contents::System(pyzmq) => {
                run(&mut venv(directory))?;
                // Where it finds no libzmq in the system it is to fail, not to build one of its own; nor
                // is a wheel of either kind to be taken from pip's cache.
                let mut pip = pip(directory);
                pip.env("PYZMQ_NO_BUNDLE", "1").arg("--no-cache-dir");
                run(pip.args(["--no-binary", "pyzmq", pyzmq]))?;
            }
            Contents::Pins(file) => {
                let python27 = python::python27()?;
                let maker = home.join("virtualenv");
                run(&mut venv(&maker))?;
                run(pip(&maker).arg(VIRTUALENV))?;
                run(Command::new(maker.join("bin/virtualenv")).arg("--python").arg(python27).arg(directory))?;
                // The pins are complete; the packages' own ranges would draw in releases that never met this driver.
                run(pip(directory).args(["--no-deps", "-r"]).arg(pins(file)))?;
            }
        }
        let found = run(Command::new(python(directory)).args(["-c", LIBZMQ_VERSION]))?;
        if found.trim() == self.libzmq {
            Ok(())
        } else {
            let found = found.trim().to_owned();
            Err(EnvironmentError::Libzmq { name: self.name, found, expected: self.libzmq })
        }
    }
}

/// `target/pyenv` of the workspace, wherever cargo was told to build.
fn home() -> PathBuf {
    workspace::root().join("target/pyenv")
}

fn pins(file: &str) -> PathBuf {
    workspace::root().join("tests/real-driver").join(file)
}

fn python(directory: &Path) -> PathBuf {
    directory.join("bin/python")
}

fn venv(directory: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(directory);
    command
}

/// The environment's own pip, about to install. Python 2.7's would otherwise warn of its age.
fn pip(directory: &Path) -> Command {
    let mut command = Command::new(python(directory));
    command.args(["-W", "ignore", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

fn at(path: &Path) -> impl Fn(io::Error) -> EnvironmentError {
    move |source| EnvironmentError::File { path: path.to_owned(), source }
}

const STAMP: &str = ".complete";

/// One pyzmq on two versions of libzmq, so that a difference between them is libzmq's. The pins of the original driver
/// hold a pyzmq of its time, on the system's libzmq.
const ENVIRONMENTS: &[Environment] = &[
    Environment {
        name: "py3-4.3.5",
        what: "pyzmq on the libzmq 4.3.5 it brings",
        contents: Contents::Wheel("pyzmq==27.3.0"),
        libzmq: "4.3.5",
    },
    Environment {
        name: "py3-4.3.4",
        what: "pyzmq on the system's libzmq 4.3.4",
        contents: Contents::System("pyzmq==27.3.0"),
        libzmq: "4.3.4",
    },
    Environment {
        name: "oslo-1.4.1",
        what: "the original oslo.messaging of Juno, Python 2.7",
        contents: Contents::Pins("1.4.1.txt"),
        libzmq: "4.3.4",
    },
    Environment {
        name: "oslo-1.8.3",
        what: "the original oslo.messaging of Kilo, Python 2.7",
        contents: Contents::Pins("1.8.3.txt"),
        libzmq: "4.3.4",
    },
    Environment {
        name: "oslo-2.5.0",
        what: "the original oslo.messaging of Liberty, Python 2.7",
        contents: Contents::Pins("2.5.0.txt"),
        libzmq: "4.3.4",
    },
];

/// The last releases that make environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.21.1";

const LIBZMQ_VERSION: &str = "import sys, zmq; sys.stdout.write(zmq.zmq_version())";

/// How often the spinner turns; the eye takes it for motion.
const TICK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_can_be_read_and_no_two_share_a_directory() {
        let mut names: Vec<_> = ENVIRONMENTS.iter().map(|environment| environment.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ENVIRONMENTS.len());
        for environment in ENVIRONMENTS {
            assert!(environment.recipe().unwrap().contains("pyzmq=="), "{}", environment.name);
        }
    }

    #[test]
    fn an_environment_is_complete_when_its_stamp_is_todays_recipe() {
        let home = tempfile::tempdir().unwrap();
        let environment = &ENVIRONMENTS[0];
        let complete = || environment.is_complete(home.path()).unwrap();
        assert!(!complete());
        let directory = home.path().join(environment.name);
        fs::create_dir_all(directory.join("bin")).unwrap();
        fs::write(directory.join(STAMP), "pyzmq==1.0 as a wheel\n").unwrap();
        fs::write(python(&directory), "").unwrap();
        assert!(!complete());
        fs::write(directory.join(STAMP), environment.recipe().unwrap()).unwrap();
        assert!(complete());
        fs::remove_file(python(&directory)).unwrap();
        assert!(!complete());
    }
}
