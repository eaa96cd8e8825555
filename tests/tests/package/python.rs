//! Beside the Python receiver, and in its place: the program of the same path is diverted, and comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use tests::dist;
use tests::minimal::Host;

use crate::run;

const PROGRAM: &str = "/usr/bin/oslo-messaging-zmq-receiver";

/// A package like one of the distributions: `files` are paths and what is in them; those in /etc are configuration.
fn package(name: &str, version: &str, files: &[(&str, &str)], directory: &Path) -> anyhow::Result<PathBuf> {
    let root = directory.join(format!("{name}-{version}"));
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&root))?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    fs::create_dir_all(root.join("DEBIAN"))?;
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\nDescription: none\n"
    );
    fs::write(root.join("DEBIAN/control"), control)?;
    let conffiles = files.iter().filter(|(path, _)| path.starts_with("etc/")).map(|(path, _)| format!("/{path}\n"));
    fs::write(root.join("DEBIAN/conffiles"), conffiles.collect::<String>())?;
    let deb = directory.join(format!("{name}_{version}.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&root).arg(&deb), "dpkg")?;
    Ok(deb)
}

/// The library with its script, of a version.
fn library(version: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    let script = format!("#!/bin/sh\necho python {version}\n");
    let files = [("usr/bin/oslo-messaging-zmq-receiver", &*script), ("usr/lib/python2.7/oslo_messaging.py", "pass\n")];
    package("python-oslo.messaging", version, &files, directory)
}

fn install(host: &mut Host, deb: &Path) -> anyhow::Result<String> {
    host.bring(deb, "/tmp/it.deb")?;
    host.run("dpkg --install /tmp/it.deb && rm /tmp/it.deb")
}

/// What the program of that path says it is.
fn answer(host: &mut Host, program: &str) -> anyhow::Result<String> {
    host.run(&format!("{program} --version"))
}

#[test]
fn the_python_program_steps_aside_and_comes_back() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let (old, new) = (library("1.8.3", directory.path())?, library("1.8.4", directory.path())?);
    let ours = dist::file(".deb")?;
    let mut host = Host::new()?;
    install(&mut host, &old)?;
    ensure!(answer(&mut host, PROGRAM)? == "python 1.8.3");

    install(&mut host, &ours)?;
    ensure!(answer(&mut host, PROGRAM)?.starts_with("oslo-messaging-zmq-receiver "));
    ensure!(answer(&mut host, &format!("{PROGRAM}.python"))? == "python 1.8.3");
    // The library goes on, and its upgrades do not touch ours.
    install(&mut host, &new)?;
    ensure!(answer(&mut host, PROGRAM)?.starts_with("oslo-messaging-zmq-receiver "));
    ensure!(answer(&mut host, &format!("{PROGRAM}.python"))? == "python 1.8.4");
    host.run("dpkg --verify python-oslo.messaging && test -e /usr/lib/python2.7/oslo_messaging.py")?;
    // Ours anew, as an upgrade to the same: the diversion is there already.
    install(&mut host, &ours)?;
    ensure!(answer(&mut host, &format!("{PROGRAM}.python"))? == "python 1.8.4");

    host.run("dpkg --remove oslo-messaging-zmq-receiver")?;
    ensure!(answer(&mut host, PROGRAM)? == "python 1.8.4");
    let (code, _) = host.try_run(&format!("test -e {PROGRAM}.python"))?;
    ensure!(code == 1 && host.run("dpkg-divert --list '*zmq*'")?.is_empty());
    host.run("dpkg --purge oslo-messaging-zmq-receiver")?;
    ensure!(answer(&mut host, PROGRAM)? == "python 1.8.4");
    Ok(())
}

#[test]
fn a_python_program_that_comes_later_steps_aside_too() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut host = Host::new()?;
    install(&mut host, &dist::file(".deb")?)?;
    install(&mut host, &library("1.8.3", directory.path())?)?;
    ensure!(answer(&mut host, PROGRAM)?.starts_with("oslo-messaging-zmq-receiver "));
    ensure!(answer(&mut host, &format!("{PROGRAM}.python"))? == "python 1.8.3");
    host.run("dpkg --remove python-oslo.messaging")?;
    ensure!(answer(&mut host, PROGRAM)?.starts_with("oslo-messaging-zmq-receiver "));
    host.run("dpkg --purge oslo-messaging-zmq-receiver")?;
    let (code, _) = host.try_run(&format!("test -e {PROGRAM} || test -e {PROGRAM}.python"))?;
    ensure!(code == 1);
    Ok(())
}

/// The way of docs/migrate.md on a host whose file is a configuration tool's: there and back, the file is not touched.
#[test]
fn a_file_that_was_there_is_kept_there_and_back() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut host = Host::new()?;
    install(&mut host, &library("1.8.3", directory.path())?)?;
    let file = "/etc/oslo/zmq_receiver.conf";
    host.run("mkdir -p /etc/oslo && mkdir -m 2775 -p /var/run/openstack")?;
    let theirs = "[DEFAULT]\ndebug= False\nrpc_zmq_host = host1\nrpc_zmq_contexts = 1\n";
    fs::write(host.path(file), theirs)?;

    host.bring(&dist::file(".deb")?, "/tmp/it.deb")?;
    host.run("dpkg --force-confold --install /tmp/it.deb")?;
    ensure!(fs::read_to_string(host.path(file))? == theirs);
    host.run(&format!("oslo-messaging-zmq-receiver check-config --no-environment --config-file {file}"))?;
    // A directory of another owner becomes that of the group.
    ensure!(host.run("stat -c '%U:%G %a' /var/run/openstack")? == "root:openstack 2775");
    host.run("dpkg --force-confold --install /tmp/it.deb")?;
    host.run("dpkg --remove oslo-messaging-zmq-receiver")?;
    ensure!(fs::read_to_string(host.path(file))? == theirs);
    ensure!(answer(&mut host, PROGRAM)? == "python 1.8.3");
    Ok(())
}

/// Debian 10 has the boot script and the unit of the Python receiver in a package of our name, with version 8; its program is
/// the library's.
#[test]
fn the_package_of_the_same_name_of_an_old_debian_is_upgraded() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let files =
        [("etc/init.d/oslo-messaging-zmq-receiver", "#!/bin/sh\n"), ("etc/oslo/oslo-messaging.conf", "[DEFAULT]\n")];
    let theirs = package("oslo-messaging-zmq-receiver", "8.1.4-1+deb10u1", &files, directory.path())?;
    let mut host = Host::new()?;
    install(&mut host, &library("8.1.4-1+deb10u1", directory.path())?)?;
    install(&mut host, &theirs)?;
    let said = install(&mut host, &dist::file(".deb")?)?;
    ensure!(said.contains("over (8.1.4-1+deb10u1)") && !said.contains("downgrading"), "{said}");
    ensure!(answer(&mut host, PROGRAM)?.starts_with("oslo-messaging-zmq-receiver "));
    // Its configuration stays until the purge.
    host.run("test -e /etc/oslo/oslo-messaging.conf")?;
    host.run("dpkg --purge oslo-messaging-zmq-receiver")?;
    ensure!(answer(&mut host, PROGRAM)? == "python 8.1.4-1+deb10u1");
    let (code, _) = host.try_run("test -e /etc/oslo")?;
    ensure!(code == 1, "{}", host.run("ls -lR /etc/oslo")?);
    Ok(())
}
