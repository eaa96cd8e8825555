//! A host with nothing but the package: no Python, no libzmq, no systemd at work.
//!
//! What the unit would do is done by start-stop-daemon, as the boot scripts of the time did; `systemd.rs` has a host with systemd.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::dist;
use tests::loopback;
use tests::minimal::Host;
use tests::report::{LISTENING, Report};
use tests::traffic::{Consumer, Sender};

use crate::run;

const TOPIC: &str = "compute.host1";

/// As the unit says it: user, group, umask and command line.
const START: &str = "start-stop-daemon --start --background --make-pidfile --pidfile /run/receiver.pid --umask 0002 \
                     --chuid oslozmq:openstack --exec /usr/bin/oslo-messaging-zmq-receiver -- \
                     --config-file /etc/oslo/zmq_receiver.conf --log-dir /var/log/oslo";

const STOP: &str = "start-stop-daemon --stop --pidfile /run/receiver.pid --retry TERM/30 --remove-pidfile";

const LOG: &str = "/var/log/oslo/oslo-messaging-zmq-receiver.log";

/// A host with the package, configured for a free port of this machine.
pub(crate) fn installed() -> anyhow::Result<(Host, u16)> {
    let mut host = Host::new()?;
    host.bring(&dist::file(".deb")?, "/tmp/receiver.deb")?;
    host.run("dpkg --install /tmp/receiver.deb")?;
    let port = loopback::free_port()?;
    configure(&mut host, port)?;
    Ok((host, port))
}

fn configure(host: &mut Host, port: u16) -> anyhow::Result<()> {
    let options = format!(
        "[DEFAULT]\\ndebug = true\\nrpc_zmq_host = localhost\\nrpc_zmq_bind_address = 127.0.0.1\\nrpc_zmq_port = {port}\\n"
    );
    host.run(&format!("printf '{options}' >>/etc/oslo/zmq_receiver.conf")).map(drop)
}

/// Starts the receiver and waits until it listens for the `times`th time.
pub(crate) fn start(host: &mut Host, times: usize) -> anyhow::Result<()> {
    host.run(START)?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let log = std::fs::read_to_string(host.path(LOG)).unwrap_or_default();
        if log.matches(LISTENING).count() >= times {
            return Ok(());
        }
        ensure!(Instant::now() < end, "it does not listen:\n{log}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Stops it. What it reported.
pub(crate) fn stop(host: &mut Host) -> anyhow::Result<Report> {
    host.run(STOP)?;
    Ok(Report::last_in(&std::fs::read_to_string(host.path(LOG))?)?)
}

#[test]
fn a_life_from_installing_to_purging() -> anyhow::Result<()> {
    let mut host = Host::new()?;
    let before = host.files()?;
    host.bring(&dist::file(".deb")?, "/tmp/receiver.deb")?;
    let said = host.run("dpkg --install /tmp/receiver.deb && rm /tmp/receiver.deb")?;
    ensure!(said.contains("usermod -a -G openstack nova"), "{said}");
    let port = loopback::free_port()?;
    configure(&mut host, port)?;
    for (line, expected) in [
        ("stat -c '%a %U %G' /run/openstack", "2775 root openstack"),
        ("stat -c '%a %U %G' /var/log/oslo", "750 oslozmq adm"),
        ("stat -c '%a %U %G' /var/lib/oslo-messaging-zmq-receiver", "700 oslozmq oslozmq"),
        ("id -nG oslozmq", "oslozmq openstack"),
        ("dpkg --verify oslo-messaging-zmq-receiver | grep -v ' c '", ""),
        ("test -e /usr/bin/python3", ""),
    ] {
        let (_, said) = host.try_run(line)?;
        ensure!(said == expected, "{line}: {said}");
    }
    let said = host.run("oslo-messaging-zmq-receiver check-config --config-file /etc/oslo/zmq_receiver.conf")?;
    ensure!(said.contains(&format!("{port}")), "{said}");

    start(&mut host, 1)?;
    // A service and its caller, both with no more rights than the group of the sockets gives.
    let as_service = "setpriv --reuid=nobody --regid=nogroup --groups=openstack";
    let zrpc = format!("{as_service} zrpc --config-file /etc/oslo/zmq_receiver.conf --url zmq+local://");
    host.run(&format!("{zrpc} serve demo >/tmp/serve.log 2>&1 & echo $! >/run/serve.pid"))?;
    let (code, said) = host.try_run(&format!("{zrpc} call demo echo --arg 'value=\"through\"' --timeout 20"))?;
    let served = std::fs::read_to_string(host.path("/tmp/serve.log"))?;
    ensure!(code == 0 && said.contains("through"), "{code}: {said}\n{served}");
    host.run("kill $(cat /run/serve.pid); rm /run/serve.pid /tmp/serve.log")?;
    let report = stop(&mut host)?;
    ensure!(report.received >= 2 && report.dropped.is_empty(), "{report:?}");

    host.run("dpkg --remove oslo-messaging-zmq-receiver")?;
    let (code, _) = host.try_run("test -e /usr/bin/oslo-messaging-zmq-receiver")?;
    ensure!(code == 1, "the program is still there");
    host.run("grep -q rpc_zmq_port /etc/oslo/zmq_receiver.conf").context("removing keeps the configuration")?;
    host.run("dpkg --purge oslo-messaging-zmq-receiver")?;
    let after = host.files()?;
    // Users stay, as Debian has it: files may be theirs. dpkg and the users' tools keep books.
    let kept =
        ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock", "/var/lib/dpkg/", "/var/log/"];
    let is_kept = |line: &&String| kept.iter().any(|path| line.starts_with(path)) || line.starts_with("/var/log ");
    let left: Vec<_> = after.iter().filter(|line| !before.contains(line)).filter(|line| !is_kept(line)).collect();
    let of_ours: Vec<_> = after.iter().filter(|line| line.contains("oslo") || line.contains("openstack")).collect();
    ensure!(left.is_empty() && of_ours.is_empty(), "left: {left:#?} {of_ours:#?}");
    Ok(())
}

#[test]
fn an_upgrade_under_traffic_loses_nothing_that_was_accepted() -> anyhow::Result<()> {
    // At a rate that the consumer keeps up with.
    let (sent, received, read) = upgrade(100, Duration::from_millis(100))?;
    ensure!(received == sent && read == received, "sent {sent}, received {received}, read {read}");
    Ok(())
}

/// There is no pause in which the sender could be told of the end, and libzmq drops a message of which it has sent a part.
#[test]
fn an_upgrade_at_full_speed_loses_one_message_at_most() -> anyhow::Result<()> {
    let (sent, received, read) = upgrade(4000, Duration::ZERO)?;
    ensure!(received + 1 >= sent && read == received, "sent {sent}, received {received}, read {read}");
    Ok(())
}

/// Upgrades the package under traffic of a libzmq, with casts of `octets` and a pause after each [`BATCH`]. How many were sent,
/// how many of them the two daemons received, and how many of these were read by a consumer, once and in order.
fn upgrade(octets: usize, pause: Duration) -> anyhow::Result<(u64, u64, u64)> {
    let (mut host, port) = installed()?;
    // The consumer may be slower than the sender, which is to wait then.
    host.run("printf '[zmq_receiver]\\ntopic_policy = *:block\\n' >>/etc/oslo/zmq_receiver.conf")?;
    start(&mut host, 1)?;
    let records = tempfile::tempdir()?;
    let record = records.path().join("record");
    let socket = host.path(&format!("/run/openstack/zmq_topic_{TOPIC}"));
    let mut consumer = Consumer::start_large(&socket, TOPIC, record, octets)?;
    let mut sender = Sender::start_large(&format!("tcp://127.0.0.1:{port}"), 0, &[TOPIC], octets)?;
    sender.send(1000)?;
    consumer.wait_for(1000)?;

    host.bring(&next_version(records.path())?, "/tmp/next.deb")?;
    let over = AtomicBool::new(false);
    let (sent, first) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 1000;
            while !over.load(Ordering::Relaxed) {
                thread::sleep(pause);
                sender.send(BATCH)?;
                sent += BATCH;
            }
            anyhow::Ok(sent)
        });
        let upgraded = (|| {
            host.run("dpkg --install /tmp/next.deb")?;
            let report = stop(&mut host)?;
            start(&mut host, 2)?;
            anyhow::Ok(report)
        })();
        thread::sleep(AFTERWARDS);
        over.store(true, Ordering::Relaxed);
        let sent = sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        anyhow::Ok((sent, upgraded?))
    })?;
    let read = consumer.wait_for_last(1, sent - 1)?;
    let second = stop(&mut host)?;

    ensure!(first.left == 0 && second.left == 0, "{first:?} {second:?}");
    ensure!(first.dropped.is_empty() && second.dropped.is_empty(), "{first:?} {second:?}");
    let gaps = read.gaps()?;
    println!(
        "sent {sent}, received {} and {}, read {}, missing {gaps:?}",
        first.received,
        second.received,
        read.messages()
    );
    let (_, said) = host.try_run("dpkg-query -W -f '${Version}' oslo-messaging-zmq-receiver")?;
    ensure!(said == format!("1:{NEXT}"), "{said}");
    host.run(&format!("grep -q 'rpc_zmq_port = {port}' /etc/oslo/zmq_receiver.conf")).context("the configuration")?;
    Ok((sent.into(), first.received + second.received, read.messages() as u64))
}

/// The same files under another version.
pub(crate) fn next_version(directory: &Path) -> anyhow::Result<std::path::PathBuf> {
    let root = directory.join("root");
    run(Command::new("dpkg-deb").arg("--extract").arg(dist::file(".deb")?).arg(&root), "dpkg")?;
    let mut deb = Command::new(dist::packaging().join("deb"));
    let made = run(deb.arg(&root).arg(NEXT).arg(directory), "dpkg")?;
    Ok(made.trim().into())
}

/// Later than any that is released from this tree.
pub(crate) const NEXT: &str = "99.0";

/// With a pause of a tenth of a second, 5,000 messages a second.
const BATCH: u32 = 500;

/// The new one has some work too.
const AFTERWARDS: Duration = Duration::from_secs(1);
