//! A service manager around the receiver: notifications, watchdog, sockets that outlive it (sd_notify(3),
//! sd_listen_fds(3)).

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;
use tests::site::Site;
use tests::wire;

/// The manager's end: what it is told, in order.
struct Manager(UnixDatagram);

impl Manager {
    fn around(site: &Site, command: &mut Command) -> anyhow::Result<Self> {
        let path = site.config_file().with_extension("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        command.env("NOTIFY_SOCKET", path);
        Ok(Self(socket))
    }

    /// The next notification that has a line which begins so.
    fn told(&self, begin: &str) -> anyhow::Result<String> {
        let mut octets = [0; 4096];
        loop {
            let len = self.0.recv(&mut octets).with_context(|| format!("never told {begin}"))?;
            let text = std::str::from_utf8(&octets[..len])?;
            if text.lines().any(|line| line.starts_with(begin)) {
                return Ok(text.to_owned());
            }
        }
    }
}

#[test]
fn systemd_is_told_of_start_reload_and_end() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut command = site.command();
    let manager = Manager::around(&site, &mut command)?;
    let mut receiver = site.start_by(&mut command)?;
    let ready = manager.told("READY=1")?;
    ensure!(ready.contains("STATUS=serving 1 topics, 0 peers, 0 queued"), "{ready}");
    receiver.signal(Signal::HUP)?;
    let reloading = manager.told("RELOADING=1")?;
    ensure!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.told("READY=1")?;
    receiver.signal(Signal::TERM)?;
    manager.told("STOPPING=1")?;
    receiver.report()?;
    Ok(())
}

#[test]
fn the_watchdog_is_fed_while_messages_can_be_forwarded() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut command = site.command();
    let manager = Manager::around(&site, &mut command)?;
    command.env("WATCHDOG_USEC", "200000");
    let mut receiver = site.start_by(&mut command)?;
    for _ in 0..3 {
        manager.told("WATCHDOG=1")?;
    }
    // A process that does not run feeds nobody.
    receiver.signal(Signal::STOP)?;
    manager.0.set_read_timeout(Some(Duration::from_millis(500)))?;
    while manager.0.recv(&mut [0; 4096]).is_ok() {}
    receiver.signal(Signal::CONT)?;
    manager.told("WATCHDOG=1")?;
    receiver.stop()?;
    Ok(())
}

#[test]
fn a_restart_on_a_handed_over_socket_refuses_no_connection() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let endpoint = site.endpoint();
    let listener = TcpListener::bind(endpoint.strip_prefix("tcp://").context("endpoint")?)?;
    let descriptor = listener.as_raw_fd();
    fcntl_setfd(&listener, FdFlags::empty())?;
    // As systemd does it: descriptor 3, for exactly this process.
    let command = || {
        let mut command = Command::new("bash");
        let script = format!("exec 3<&{descriptor}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"");
        command.args(["-c", &script, "bash"]).arg(site.executable()).arg("--config-file").arg(site.config_file());
        command
    };
    let mut receiver = site.start_by(&mut command())?;
    let mut first = site.client()?;
    first.write_all(&wire::cast(b"compute.host1", b"first"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"first");
    receiver.stop()?;

    // Nobody runs, and nobody is refused.
    let mut second = site.stranger()?;
    let mut receiver = site.start_by(&mut command())?;
    wire::handshake(&mut second, "PUSH")?;
    second.write_all(&wire::cast(b"compute.host1", b"second"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"second");
    receiver.stop()?;
    Ok(())
}
