//! A limit that is reached is counted, and the log tells once which, for whom, and what to set.

use std::io::Write;
use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;
use tests::program::Program;
use tests::site::{Receiver, Site};
use tests::wire;

/// What a receiver may take to log something.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_full_backlog_is_told_once() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_topic_backlog = 2")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..20 {
        client.write_all(&wire::cast(b"compute.host1", &[number]))?;
    }
    receiver.wait_for_log("reason=\"topic-backlog\"", 1)?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    for number in 0..2 {
        ensure!(wire::read_message(&mut consumer)?[3] == [number]);
    }
    let report = receiver.stop()?;
    ensure!(report.dropped == [("topic-backlog".to_owned(), 18)].into(), "{report:?}");
    ensure!((report.received, report.written, report.left) == (20, 2, 0), "{report:?}");
    told_once(&receiver, "dropped: topic compute.host1: queue is full, 2 messages for 0 consumers peer=\"127.0.0.1:")
}

#[test]
fn a_log_of_json_tells_the_same_and_no_body() -> anyhow::Result<()> {
    let site = Site::new("use_json = true\nrpc_zmq_topic_backlog = 1")?;
    let mut receiver = Program::start("receiver", &mut site.command())?;
    let has_logged = |text: &str| std::fs::read_to_string(site.log()).is_ok_and(|log| log.contains(text)).then_some(());
    receiver.wait("not listening", LIMIT, |_| has_logged("\"message\":\"listening on "))?;
    let mut client = site.client()?;
    for _ in 0..3 {
        client.write_all(&wire::cast(b"compute.host1", b"{\"password\": \"hunter2\"}"))?;
    }
    receiver.wait("not dropping", LIMIT, |_| has_logged("\"reason\":\"topic-backlog\""))?;
    ensure!(receiver.stop(LIMIT)?.success());
    let log = std::fs::read_to_string(site.log())?;
    ensure!(!log.contains("hunter2"), "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line)?;
        ensure!(line["hostname"] == "host1" && line["levelname"].is_string() && line["asctime"].is_string(), "{line}");
    }
    Ok(())
}

#[test]
fn peers_beyond_the_limit_wait_and_that_is_told_once() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nmax_connections = 2")?;
    let mut receiver = site.start()?;
    let mut first = site.client()?;
    first.write_all(&wire::cast(b"compute.host1", b"first"))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    ensure!(wire::read_message(&mut consumer)?[3] == b"first");
    let second = site.client()?;
    // It waits in the listen backlog.
    let mut third = site.stranger()?;
    first.write_all(&wire::cast(b"compute.host1", b"meanwhile"))?;
    ensure!(wire::read_message(&mut consumer)?[3] == b"meanwhile");

    drop(second);
    wire::handshake(&mut third, "PUSH")?;
    third.write_all(&wire::cast(b"compute.host1", b"third"))?;
    ensure!(wire::read_message(&mut consumer)?[3] == b"third");
    let report = receiver.stop()?;
    ensure!(report.faults == [("connection-limit".to_owned(), 2)].into(), "by the second and the third: {report:?}");
    told_once(&receiver, "2 connections: others wait until one ends (max_connections)")
}

fn told_once(receiver: &Receiver, text: &str) -> anyhow::Result<()> {
    let log = receiver.log();
    ensure!(log.matches(text).count() == 1, "{text:?} in:\n{log}");
    Ok(())
}
