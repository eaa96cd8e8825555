//! The Debian package: what is in it, that it is the same each time, and that installing and purging it leave nothing.
//!
//! It is packed from the executable under test. The maintainer scripts run on a root of their own (dpkg(1), `--root`), in a
//! user namespace, so that nothing of this machine is touched and nobody has to be root.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tests::binary;

const NAME: &str = "oslo-messaging-zmq-receiver";

#[test]
fn the_unit_is_sound_and_confined() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    for unit in [format!("{NAME}.service"), format!("{NAME}.socket")] {
        let text = std::fs::read_to_string(packaging().join(&unit))?;
        // What it starts need not be installed here.
        let text = text.replace(&format!("/usr/bin/{NAME}"), &binary::receiver()?.display().to_string());
        std::fs::write(directory.path().join(&unit), text)?;
    }
    let service = directory.path().join(format!("{NAME}.service"));
    let socket = directory.path().join(format!("{NAME}.socket"));
    let told = run(Command::new("systemd-analyze").arg("verify").args([&service, &socket]), "systemd")?;
    ensure!(told.trim().is_empty(), "{told}");
    run(
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=15"]).arg(&service),
        "systemd",
    )?;
    Ok(())
}

#[test]
fn the_package_is_the_same_each_time_and_leaves_nothing() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let first = pack(&directory.path().join("first"))?;
    let again = pack(&directory.path().join("again"))?;
    ensure!(std::fs::read(&first)? == std::fs::read(&again)?, "packed twice, the octets differ");

    let root = directory.path().join("root");
    for path in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "usr/bin", "etc"] {
        std::fs::create_dir_all(root.join(path))?;
    }
    for file in ["status", "available"] {
        std::fs::write(root.join("var/lib/dpkg").join(file), "")?;
    }
    let program = root.join("usr/bin").join(NAME);
    std::fs::write(&program, "the Python program")?;
    let diverted = program.with_extension("python");

    dpkg(&root, "--install", &first)?;
    ensure!(std::fs::read(&program)? == std::fs::read(binary::receiver()?)?, "the program is not in its place");
    ensure!(std::fs::read_to_string(&diverted)? == "the Python program");
    for file in ["etc/oslo/zmq_receiver.conf", "lib/systemd/system/oslo-messaging-zmq-receiver.service"] {
        ensure!(root.join(file).exists(), "{file} is missing");
    }
    // An upgrade to itself keeps the Python program where it is.
    dpkg(&root, "--install", &again)?;
    ensure!(std::fs::read_to_string(&diverted)? == "the Python program");
    dpkg(&root, "--remove", Path::new(NAME))?;
    ensure!(std::fs::read_to_string(&program)? == "the Python program" && !diverted.exists());
    ensure!(root.join("etc/oslo/zmq_receiver.conf").exists(), "removing keeps the configuration");
    dpkg(&root, "--purge", Path::new(NAME))?;
    ensure!(!root.join("etc/oslo").exists(), "purging leaves the configuration");
    Ok(())
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

fn pack(directory: &Path) -> anyhow::Result<PathBuf> {
    let mut deb = Command::new(packaging().join("deb"));
    // A debug build is large: what compresses it is not tested here.
    deb.arg(binary::receiver()?).arg("0.1.0").arg(directory).env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    Ok(run(&mut deb, "dpkg")?.trim().into())
}

/// An action of dpkg on a root of its own. The scripts are told that root (`DPKG_ROOT`) instead of being locked into it,
/// where there is no shell.
fn dpkg(root: &Path, action: &str, what: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--", "dpkg", "--force-script-chrootless", "--force-depends"]);
    command.arg(format!("--root={}", root.display())).arg("--log=/dev/null").arg(action).arg(what);
    // Users and directories for them are made by systemd's own tools, which this namespace could not give them to.
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    run(&mut command, "dpkg and util-linux")?;
    Ok(())
}

/// What a command says, if it succeeds. `package` is the Debian package that brings it.
fn run(command: &mut Command, package: &str) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}: apt-get install {package}"))?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}\n{said}");
    Ok(said.into_owned())
}
