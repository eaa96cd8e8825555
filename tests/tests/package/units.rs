//! systemd's files: units, users, directories. There is no systemd at work here, so what is tried is what its tools tell of the
//! files: units are verified and scored, users and directories made in a directory of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use tests::dist;

use crate::run;

const UNITS: [&str; 3] =
    ["oslo-messaging-zmq-receiver.service", "oslo-messaging-zmq-receiver.socket", "matchmaker-sync.service"];

/// The unit of a package, with the programs that it starts where they are now.
fn unit(root: &Path, name: &str, directory: &Path) -> anyhow::Result<std::path::PathBuf> {
    let text = fs::read_to_string(root.join("lib/systemd/system").join(name))?;
    let path = directory.join(name);
    fs::write(&path, text.replace("=/usr/bin/", &format!("={}/usr/bin/", root.display())))?;
    Ok(path)
}

#[test]
fn units_are_sound_and_confined() -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    run(Command::new("dpkg-deb").arg("--extract").arg(dist::file(".deb")?).arg(root.path()), "dpkg")?;
    let directory = tempfile::tempdir()?;
    let units = UNITS.map(|name| unit(root.path(), name, directory.path()));
    let units = units.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Without --man=no it looks for pages among those of this machine.
    let told = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units), "systemd")?;
    ensure!(told.trim().is_empty(), "{told}");
    for (unit, threshold) in [(&units[0], 15), (&units[2], 20)] {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager"]).arg(format!("--threshold={threshold}")).arg(unit);
        let told = run(&mut security, "systemd")?;
        println!("{}", told.lines().last().unwrap_or_default());
    }
    Ok(())
}

#[test]
fn the_user_the_group_and_the_directories_are_made() -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    fs::create_dir_all(root.path().join("etc"))?;
    let root_option = format!("--root={}", root.path().display());
    let sysusers = dist::packaging().join("sysusers.conf");
    run(Command::new("systemd-sysusers").arg(&root_option).arg(&sysusers), "systemd")?;
    let groups = fs::read_to_string(root.path().join("etc/group"))?;
    let users = fs::read_to_string(root.path().join("etc/passwd"))?;
    ensure!(groups.lines().any(|line| line.starts_with("openstack:") && line.ends_with(":oslozmq")), "{groups}");
    let user = users.lines().find(|line| line.starts_with("oslozmq:")).unwrap_or_default();
    ensure!(user.contains(":/nonexistent:") && user.ends_with("nologin"), "{users}");
    // Once more changes nothing.
    run(Command::new("systemd-sysusers").arg(&root_option).arg(&sysusers), "systemd")?;
    ensure!(fs::read_to_string(root.path().join("etc/passwd"))? == users);
    Ok(())
}

#[test]
fn logrotate_rotates_by_its_file() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("oslo-messaging-zmq-receiver.log");
    fs::write(&log, "a line\n")?;
    // The user of the package is not on this machine, nor is its directory.
    let text = fs::read_to_string(dist::packaging().join("logrotate"))?;
    let text = text.replace("/var/log/oslo", &directory.path().display().to_string());
    let text = text.replace("create 0640 oslozmq adm", "create 0640");
    let file = directory.path().join("rules");
    fs::write(&file, text)?;
    let mut logrotate = Command::new("logrotate");
    logrotate.arg("--force").arg("--state").arg(directory.path().join("state")).arg(&file);
    let told = run(&mut logrotate, "logrotate")?;
    ensure!(!told.contains("error"), "{told}");
    // Compressed a week later, since the daemon may still have it open.
    ensure!(fs::read_to_string(log.with_extension("log.1"))? == "a line\n" && fs::read_to_string(&log)?.is_empty());
    Ok(())
}

#[test]
fn lintian_has_nothing_to_say() -> anyhow::Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(dist::file(".deb")?);
    let told = run(&mut lintian, "lintian")?;
    ensure!(!told.lines().any(|line| line.starts_with("E:") || line.starts_with("W:")), "{told}");
    Ok(())
}
