//! A Consul server for the tests: Debian's package, unpacked into `target/consul`.
//!
//! Debian 11 is the last release that has one, and its binary is static, so it runs anywhere. apt fetches it with lists
//! of its own, checked by the keys of the machine's archive; the machine's package sources stay as they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{self, CommandError};
use crate::workspace;

/// No Consul for the tests.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsulError {
    #[error(
        "cannot fetch Consul from Debian's archive; put any consul from 1.8 on into {} instead",
        binary().display()
    )]
    Fetch(#[from] CommandError),
    #[error("apt knows no Debian archive here; put any consul from 1.8 on into {}", binary().display())]
    NoArchive,
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Fetches it unless it is there, saying so.
pub(crate) fn install() -> Result<(), ConsulError> {
    if is_there() {
        return Ok(());
    }
    println!("installing: Consul, into {}", binary().display());
    let work = home().join("work");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(at(&work))?;
    }
    for directory in ["lists/partial", "cache/archives/partial", "unpacked"] {
        let directory = work.join(directory);
        fs::create_dir_all(&directory).map_err(at(&directory))?;
    }
    let sources = work.join("sources.list");
    fs::write(&sources, format!("deb [signed-by={KEYS}] {} {RELEASE} main\n", archive()?)).map_err(at(&sources))?;
    command::capture(apt_get(&work, &sources).arg("update"))?;
    command::capture(apt_get(&work, &sources).args(["download", "consul"]))?;
    let unpack = "dpkg-deb --extract consul_*.deb unpacked";
    command::capture(Command::new("sh").args(["-c", unpack]).current_dir(&work))?;
    // Last, so that what is there is whole.
    fs::rename(work.join("unpacked/usr/bin/consul"), binary()).map_err(at(&binary()))?;
    fs::remove_dir_all(&work).map_err(at(&work))?;
    println!("installed: Consul");
    Ok(())
}

/// What is missing, for a person to read.
pub(crate) fn lacking() -> Option<String> {
    (!is_there()).then(|| "Consul (from Debian's archive)".to_owned())
}

fn is_there() -> bool {
    command::succeeds(Command::new(binary()).arg("version"))
}

/// The address of the Debian archive that this machine takes its packages from.
fn archive() -> Result<String, ConsulError> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]);
    let targets = command::capture(&mut targets)?;
    let mut archives = targets.lines().filter_map(|line| line.strip_prefix("Debian main ")).map(str::trim);
    // Updates and security fixes lie apart, and have no packages of an older release.
    let archive = archives.find(|address| !address.contains("security"));
    archive.map(str::to_owned).ok_or(ConsulError::NoArchive)
}

/// apt-get with lists and a cache of its own, in a directory that its sandbox's user need not be able to write.
fn apt_get(work: &Path, sources: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    for option in [
        option("Dir::Etc::sourcelist", sources),
        "Dir::Etc::sourceparts=-".to_owned(),
        option("Dir::State::Lists", &work.join("lists")),
        option("Dir::Cache", &work.join("cache")),
        format!("APT::Sandbox::User={}", std::env::var("USER").unwrap_or_else(|_| "root".to_owned())),
    ] {
        command.args(["-o", &option]);
    }
    command.arg("-q").current_dir(work);
    command
}

fn home() -> PathBuf {
    workspace::root().join("target/consul")
}

/// Where the tests look.
fn binary() -> PathBuf {
    home().join("consul")
}

fn at(path: &Path) -> impl Fn(io::Error) -> ConsulError {
    move |source| ConsulError::File { path: path.to_owned(), source }
}

/// The last release of Debian with the package.
const RELEASE: &str = "bullseye";

/// The keys of Debian's archive, on every Debian.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
