//! Bugs of the original receiver, each with the acceptance criterion of `docs/oslo-bugs.md`, as far as not tested where the
//! subject is: B11 in [`restart`](super::restart) and [`isolation`](super::isolation), B26 in [`start`](super::start), B27 in
//! [`publish`](super::publish) and `isolation`.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::site::{Receiver, Site};
use tests::traffic::{Consumer, Sender};
use tests::wire;

/// Receiver, service and client, all orders: the cast arrives.
#[test]
fn b10_receiver_service_and_client_start_in_any_order() -> anyhow::Result<()> {
    const TOPIC: &str = "compute.host1";
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let site = Site::new("")?;
        let records = tempfile::tempdir()?;
        let (mut receiver, mut service, mut client) = (None, None, None);
        for part in order {
            match part {
                0 => receiver = Some(site.start()?),
                1 => {
                    let record = records.path().join("record");
                    service = Some(Consumer::start(&site.socket(TOPIC), TOPIC, record)?);
                }
                _ => {
                    let mut sender = Sender::start(&site.endpoint(), 0, &[TOPIC])?;
                    sender.begin(10)?;
                    client = Some(sender);
                }
            }
        }
        let (mut service, _client) = (service.context("service")?, client.context("client")?);
        let record = service.wait_for(10).with_context(|| format!("{order:?}"))?;
        ensure!(record.ranges()? == [(0, 0..10)].into(), "{order:?}: {record:?}");
        drop(receiver);
    }
    Ok(())
}

/// The deployment guide to the letter: its class name, its `None`, its port, its command line.
#[test]
fn b12_the_guides_configuration_and_command_line_start_with_warnings() -> anyhow::Result<()> {
    let site = Site::new(
        "rpc_backend = zmq\nrpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis\n\
         rpc_zmq_topic_backlog = None\nrpc_thread_pool_size = 1024\n[matchmaker_redis]\nhost = 127.0.0.1\npassword = None",
    )?;
    let mut command = site.command();
    command.arg("--log-file").arg(site.log());
    let mut receiver = site.start_by(&mut command)?;
    site.client()?.write_all(&wire::cast(b"compute.host1", b"{}"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"{}");
    let log = receiver.log();
    ensure!(log.contains("rpc_zmq_topic_backlog = None is taken as unset"), "{log}");
    receiver.stop()?;
    Ok(())
}

/// In the original a message of one frame ended the daemon.
#[test]
fn b24_nothing_that_a_peer_sends_ends_the_daemon() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let mut witness = site.client()?;
    witness.write_all(&wire::cast(b"witness.host1", b"begin"))?;
    let mut consumer = site.consumer("witness.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    let mut asked = 0u32;
    let mut serves = |what: &str| {
        asked += 1;
        witness.write_all(&wire::cast(b"witness.host1", &asked.to_be_bytes()))?;
        ensure!(wire::read_message(&mut consumer).context(what.to_owned())?[3] == asked.to_be_bytes());
        anyhow::Ok(())
    };
    for frames in (1..=32).chain([100, 999, 1000]) {
        let mut client = site.client()?;
        client.write_all(&wire::message(&vec![&b"x"[..]; frames]))?;
        serves(&format!("{frames} frames"))?;
    }
    for topic in [&b""[..], b"/", b"..", b"\0", &[b'x'; 300]] {
        site.client()?.write_all(&wire::cast(topic, b"{}"))?;
        serves(&format!("topic {topic:?}"))?;
    }
    // A frame of 1 GiB is announced, and no message at all.
    site.client()?.write_all(&[2, 0, 0, 0, 0, 0x40, 0, 0, 0, b'x'])?;
    serves("1 GiB")?;
    drop(site.client()?);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64], b"\x16\x03\x01"] {
        site.stranger()?.write_all(garbage)?;
        serves("garbage")?;
    }
    receiver.stop()?;
    Ok(())
}

/// In the original each name from the network made a thread, a socket and a queue, for ever.
#[test]
fn b25_a_hundred_thousand_topics_stay_within_the_limits() -> anyhow::Result<()> {
    const LIMIT: usize = 200;
    const TOPICS: u32 = 100_000;
    let site = Site::new(&format!("[zmq_receiver]\nmax_topics = {LIMIT}\nhold_time = 0.2"))?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"known.host1", b"begin"))?;
    let mut known = site.consumer("known.host1", "PULL")?;
    wire::read_message(&mut known)?;
    let before = receiver.memory()?;
    for number in 0..TOPICS {
        client.write_all(&wire::cast(format!("fanout~flood{number}.host1").as_bytes(), b"{}"))?;
    }
    client.write_all(&wire::cast(b"known.host1", b"after"))?;
    ensure!(wire::read_message(&mut known)?[3] == b"after");
    let files = std::fs::read_dir(site.ipc_dir())?.count();
    let descriptors = descriptors(&receiver)?;
    let grown = receiver.memory()?.saturating_sub(before);
    println!("{files} sockets, {descriptors} descriptors, {grown} KiB more");
    ensure!(files <= LIMIT && descriptors < LIMIT + 50 && grown < 16 << 10);
    // Topics that nobody uses make room.
    std::thread::sleep(Duration::from_millis(500));
    client.write_all(&wire::cast(b"new.host1", b"served"))?;
    ensure!(wire::read_message(&mut site.consumer("new.host1", "PULL")?)?[3] == b"served");
    let report = receiver.stop()?;
    ensure!(report.dropped.contains_key("topic-limit"), "{report:?}");
    Ok(())
}

/// The 2.5.0 daemon does not start. Ours as it is packaged: from the package's tree, with the package's configuration.
#[test]
fn b28_the_packaged_program_starts_and_moves_a_message() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("root");
    let package = tests::dist::file(".deb")?;
    let unpacked =
        Command::new("dpkg-deb").arg("-x").arg(package).arg(&root).status().context("apt-get install dpkg")?;
    ensure!(unpacked.success());
    let site = Site::new("")?;
    let mut command = Command::new(root.join("usr/bin/oslo-messaging-zmq-receiver"));
    command.arg("--config-file").arg(root.join("etc/oslo/zmq_receiver.conf"));
    command.arg("--config-file").arg(site.config_file());
    let mut receiver = site.start_by(&mut command)?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"compute.host1", b"{}"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"{}");
    drop(client);
    receiver.stop()?;
    Ok(())
}

/// The socket is made by the first message, when the first of several workers is back before the others.
#[test]
fn b35_an_opening_burst_is_shared_by_the_workers() -> anyhow::Result<()> {
    const TOPIC: &str = "compute.host1";
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let records = tempfile::tempdir()?;
    let record = |n: usize| records.path().join(n.to_string());
    // Started, and trying to connect to a socket that is not there.
    let workers: Vec<_> =
        (0..3).map(|n| Consumer::start(&site.socket(TOPIC), TOPIC, record(n))).collect::<Result<_, _>>()?;
    for worker in 0..3 {
        let end = Instant::now() + Duration::from_secs(20);
        while !record(worker).exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut sender = Sender::start(&site.endpoint(), 0, &[TOPIC])?;
    sender.send(300)?;
    let end = Instant::now() + Duration::from_secs(20);
    let shares = loop {
        let shares: Vec<_> = workers.iter().map(|w| w.record().map(|r| r.messages())).collect::<Result<_, _>>()?;
        if shares.iter().sum::<usize>() == 300 || Instant::now() > end {
            break shares;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    println!("{shares:?}");
    ensure!(shares.iter().all(|share| (60..=140).contains(share)), "{shares:?}");
    receiver.stop()?;
    Ok(())
}

fn descriptors(receiver: &Receiver) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", receiver.id()))?.count())
}
