//! The package on a host whose first process is systemd: what the maintainer scripts and the unit do is done by it.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::dist;
use tests::loopback;
use tests::minimal::Host;
use tests::traffic::{Consumer, Sender};

use crate::host::{NEXT, next_version};

const UNIT: &str = "oslo-messaging-zmq-receiver";
const TOPIC: &str = "compute.host1";

#[test]
fn a_life_from_installing_to_purging_under_systemd() -> anyhow::Result<()> {
    let mut host = Host::booted()?;
    let port = loopback::free_port()?;
    let environment = format!(
        "[Service]\\nEnvironment=OS_DEFAULT__RPC_ZMQ_BIND_ADDRESS=127.0.0.1 OS_DEFAULT__RPC_ZMQ_PORT={port} \
         OS_DEFAULT__RPC_ZMQ_HOST=localhost OS_DEFAULT__LOG_DIR=/var/log/oslo OS_ZMQ_RECEIVER__TOPIC_POLICY=*:block\\n"
    );
    drop_in(&mut host, "service", "test", &environment)?;
    drop_in(&mut host, "socket", "test", &format!("[Socket]\\nListenStream=\\nListenStream=127.0.0.1:{port}\\n"))?;

    // Installing starts it, and that it is active means that it has said that it is ready.
    host.bring(&dist::file(".deb")?, "/root/receiver.deb")?;
    host.run("dpkg --install /root/receiver.deb && rm /root/receiver.deb")?;
    ensure!(state(&mut host)? == "active", "{}", journal(&mut host)?);
    ensure!(host.run(&format!("systemctl is-enabled {UNIT}"))? == "enabled");
    let paths = "/run/openstack /run/oslo-zmq /var/lib/oslo-messaging-zmq-receiver /var/log/oslo";
    let modes = host.run(&format!("stat -c '%a %U %G' {paths}"))?;
    let meant = ["2775 root openstack", "750 oslozmq openstack", "700 oslozmq openstack", "750 oslozmq adm"];
    ensure!(modes.lines().eq(meant), "{modes}");
    host.run(&format!("grep 'listening on tcp://127.0.0.1:{port}' /var/log/oslo/{UNIT}.log"))?;
    ensure!(show(&mut host, "StatusText")?.starts_with("serving 1 topics"), "{}", show(&mut host, "StatusText")?);

    let records = tempfile::tempdir()?;
    let socket = host.path(&format!("/run/openstack/zmq_topic_{TOPIC}"));
    let mut consumer = Consumer::start(&socket, TOPIC, records.path().join("record"))?;
    let mut sender = Sender::start(&format!("tcp://127.0.0.1:{port}"), 0, &[TOPIC])?;
    sender.send(BATCH)?;
    consumer.wait_for(BATCH as usize)?;

    let first = show(&mut host, "MainPID")?;
    let (code, _) = host.try_run(&format!("systemctl reload {UNIT}"))?;
    ensure!(code == 0, "{}", journal(&mut host)?);
    ensure!(state(&mut host)? == "active" && show(&mut host, "MainPID")? == first, "{}", journal(&mut host)?);

    // Restarted by hand and by an upgrade, under traffic.
    host.bring(&next_version(records.path())?, "/root/next.deb")?;
    let over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = BATCH;
            while !over.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                sender.send(BATCH)?;
                sent += BATCH;
            }
            anyhow::Ok(sent)
        });
        let restarted = (|| {
            host.run(&format!("systemctl restart {UNIT}"))?;
            let second = show(&mut host, "MainPID")?;
            thread::sleep(2 * PAUSE);
            host.run("dpkg --install /root/next.deb && rm /root/next.deb")?;
            let third = show(&mut host, "MainPID")?;
            thread::sleep(2 * PAUSE);
            ensure!(first != second && second != third, "{first} {second} {third}");
            ensure!(state(&mut host)? == "active", "{}", journal(&mut host)?);
            Ok(())
        })();
        over.store(true, Ordering::Relaxed);
        let sent = sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        restarted.map(|()| sent)
    })?;
    let record = consumer.wait_for_last(1, sent - 1)?;
    ensure!(record.ranges()? == [(0, 0..sent)].into(), "{:?}", record.gaps());
    let version = host.run(&format!("dpkg-query -W -f '${{Version}}' {UNIT}"))?;
    ensure!(version == format!("1:{NEXT}"), "{version}");

    // Killed, it comes again. With a wrong configuration it does not, again and again.
    host.run(&format!("systemctl kill --signal=KILL {UNIT}"))?;
    let again = |host: &mut Host| Ok(show(host, "NRestarts")? == "1" && state(host)? == "active");
    wait(&mut host, "started again", again)?;
    drop_in(&mut host, "service", "wrong", "[Service]\\nEnvironment=OS_DEFAULT__RPC_ZMQ_PORT=x\\n")?;
    let (code, _) = host.try_run(&format!("systemctl restart {UNIT}"))?;
    ensure!(code != 0 && state(&mut host)? == "failed", "{}", state(&mut host)?);
    ensure!(journal(&mut host)?.contains("expected a port"), "{}", journal(&mut host)?);
    host.run(&format!("rm /etc/systemd/system/{UNIT}.service.d/wrong.conf && systemctl daemon-reload"))?;
    host.run(&format!("systemctl reset-failed {UNIT}"))?;

    // systemd has the port, and who connects starts the service. The sender would at once.
    drop(sender);
    host.run(&format!("systemctl start {UNIT}.socket"))?;
    ensure!(state(&mut host)? == "inactive", "{}", state(&mut host)?);
    drop(TcpStream::connect(("127.0.0.1", port))?);
    wait(&mut host, "started by a connection", |host| Ok(state(host)? == "active"))?;
    host.run(&format!("systemctl stop {UNIT}.socket {UNIT}"))?;
    host.run(&format!("systemctl start {UNIT}"))?;
    // And for a service that runs, as docs/install.md has it.
    host.run(&format!("systemctl stop {UNIT} && systemctl enable --now {UNIT}.socket && systemctl start {UNIT}"))?;
    ensure!(state(&mut host)? == "active", "{}", journal(&mut host)?);

    host.run(&format!("dpkg --remove {UNIT}"))?;
    ensure!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it still runs");
    let (code, _) = host.try_run(&format!("systemctl cat {UNIT}.socket 2>/dev/null | grep -q ExecStart"))?;
    ensure!(code != 0 && state(&mut host)? != "active", "{}", state(&mut host)?);
    host.run(&format!("rm -r /etc/systemd/system/{UNIT}.*.d && dpkg --purge {UNIT} && systemctl daemon-reload"))?;
    let left = host.run("find / -xdev -path /proc -prune -o \\( -name '*oslo*' -o -name '*openstack*' \\) -print")?;
    let left: Vec<_> = left.lines().filter(|path| !path.starts_with("/var/lib/dpkg/")).collect();
    ensure!(left.is_empty(), "{left:?}");
    ensure!(host.run("systemctl is-system-running")? == "running");
    Ok(())
}

fn drop_in(host: &mut Host, kind: &str, name: &str, text: &str) -> anyhow::Result<()> {
    let directory = format!("/etc/systemd/system/{UNIT}.{kind}.d");
    host.run(&format!("mkdir -p {directory} && printf '{text}' >{directory}/{name}.conf && systemctl daemon-reload"))?;
    Ok(())
}

fn state(host: &mut Host) -> anyhow::Result<String> {
    Ok(host.try_run(&format!("systemctl is-active {UNIT}"))?.1)
}

fn show(host: &mut Host, property: &str) -> anyhow::Result<String> {
    host.run(&format!("systemctl show --value --property={property} {UNIT}"))
}

fn journal(host: &mut Host) -> anyhow::Result<String> {
    host.run(&format!("journalctl --no-pager --output=cat --unit={UNIT} --lines=40"))
}

fn wait(host: &mut Host, what: &str, is_so: impl Fn(&mut Host) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so(host)? {
        ensure!(Instant::now() < end, "not {what}: {}", journal(host).context("its journal")?);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// 5,000 messages a second.
const BATCH: u32 = 500;
const PAUSE: Duration = Duration::from_millis(100);
