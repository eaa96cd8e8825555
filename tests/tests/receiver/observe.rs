//! The commands that ask a running receiver: health, status, topics, connections, drops, who, signal.

use std::io::Write;
use std::process::Output;

use anyhow::ensure;
use serde_json::Value;
use tests::site::Site;
use tests::wire;

#[test]
fn each_tells_people_and_programs_the_same() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_topic_backlog = 5")?;
    let receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..8 {
        client.write_all(&wire::cast(b"alone.host1", &[number]))?;
    }
    client.write_all(&wire::cast(b"compute.host1", b"one"))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    wire::read_message(&mut consumer)?;

    let status = said(&site, &["status"])?;
    ensure!(status.contains(&format!("on host1, pid {}: serving for ", receiver.id())), "{status}");
    ensure!(
        status.contains("\nreceived   9 messages, ") && status.contains("\ndropped    3 (topic-backlog 3)\n"),
        "{status}"
    );
    ensure!(json(&site, &["status"])?["received"] == 9);

    let topics = said(&site, &["topics"])?;
    let names: Vec<_> = topics.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    ensure!(names == ["TOPIC", "alone.host1", "compute.host1", "zmq_replies.host1"], "{topics}");
    let alone: Vec<_> = topics.lines().nth(1).into_iter().flat_map(str::split_whitespace).collect();
    ensure!(alone[..4] == ["alone.host1", "queue", "0", "5"] && alone.last() == Some(&"3"), "{topics}");
    let sorted = json(&site, &["topics", "*.host1", "--sort", "accepted"])?;
    ensure!(sorted["topics"][0]["topic"] == "alone.host1", "{sorted}");
    ensure!(json(&site, &["topics", "compute.*"])?["topics"].as_array().map(Vec::len) == Some(1));

    let connections = said(&site, &["connections"])?;
    ensure!(connections.contains(&client.local_addr()?.to_string()), "{connections}");
    ensure!(connections.lines().any(|line| line.starts_with("compute.host1 ")), "{connections}");

    let drops = said(&site, &["drops"])?;
    ensure!(
        drops.contains("topic-backlog  127.0.0.1  ") && drops.contains("topic alone.host1: queue is full"),
        "{drops}"
    );

    let who = said(&site, &["who", "compute.host1"])?;
    let consumer = format!("  pid {} (", std::process::id());
    ensure!(who.starts_with("compute.host1 (queue): 1 consumers, 0 queued\n") && who.contains(&consumer), "{who}");
    let who = said(&site, &["who", "alone.host1"])?;
    ensure!(who.starts_with("alone.host1 (queue): no consumer for "), "{who}");
    ensure!(json(&site, &["who", "compute.host1"])?["consumers"][0]["pid"] == std::process::id());
    let nobody = ask(&site, &["who", "compute.hots1"])?;
    let told = String::from_utf8_lossy(&nobody.stderr);
    ensure!(nobody.status.code() == Some(1) && told.contains("nearest: compute.host1"), "{told}");
    Ok(())
}

#[test]
fn health_is_an_exit_code() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nlame_duck_time = 20")?;
    let receiver = site.start()?;
    ensure!(said(&site, &["health"])? == "alive\n" && said(&site, &["health", "--ready"])? == "ready\n");
    receiver.signal(rustix::process::Signal::USR2)?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let not_ready = loop {
        let output = ask(&site, &["health", "--ready"])?;
        if output.status.code() == Some(1) {
            break String::from_utf8_lossy(&output.stdout).into_owned();
        }
        ensure!(std::time::Instant::now() < end, "it is still ready");
    };
    ensure!(not_ready == "not ready: it takes no more connections\n", "{not_ready}");
    ensure!(said(&site, &["health"])? == "alive\n");
    Ok(())
}

#[test]
fn what_a_signal_does_can_be_asked_for_without_knowing_the_process() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nlame_duck_time = 20")?;
    let mut receiver = site.start()?;
    ensure!(!said(&site, &["status"])?.contains("pending"));
    let text = std::fs::read_to_string(site.config_file())?;
    std::fs::write(site.config_file(), text.clone() + "max_frames = 9\nhold_time = 1\nmax_topics = 7\n")?;
    let told = said(&site, &["signal", "reload"])?;
    ensure!(told == "changed: max_topics, hold_time\nneeds restart: max_frames\n", "{told}");
    let status = said(&site, &["status"])?;
    ensure!(status.contains("\npending    needs restart: max_frames\n"), "{status}");
    std::fs::write(site.config_file(), text.clone() + "max_frames = many\n")?;
    let output = ask(&site, &["signal", "reload"])?;
    let refused = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && refused.contains("max_frames: expected "), "{refused}");
    // What has been taken back waits for nothing.
    std::fs::write(site.config_file(), text)?;
    ensure!(json(&site, &["signal", "reload"])?["pending"] == serde_json::json!([]));
    ensure!(json(&site, &["status"])?["needs_restart"] == serde_json::json!([]));

    let old = site.log().with_extension("1");
    std::fs::rename(site.log(), &old)?;
    ensure!(said(&site, &["signal", "reopen"])? == "the log was opened anew\n");
    receiver.wait_for_log("log reopened", 1)?;

    said(&site, &["signal", "lame-duck"])?;
    receiver.wait_for_log("admin endpoint: no more connections; those that are go on for 20s", 1)?;
    ensure!(ask(&site, &["health", "--ready"])?.status.code() == Some(1));
    said(&site, &["signal", "drain"])?;
    ensure!(receiver.status()?.success());
    receiver.wait_for_log("admin endpoint: stopping", 1)?;
    Ok(())
}

#[test]
fn where_nobody_answers_the_next_step_is_told() -> anyhow::Result<()> {
    let site = Site::new("")?;
    for (words, told) in [
        (&["status"][..], "start it, or name its admin socket with --admin-socket"),
        (
            &["health", "--admin-socket", "/nonexistent/a"],
            "no receiver answers at /nonexistent/a: No such file or directory",
        ),
    ] {
        let output = ask(&site, words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1) && said.contains(told) && said.lines().count() == 1, "{said}");
    }
    let mut command = site.command();
    let output = command.arg("status").env("OS_ZMQ_RECEIVER__ADMIN_SOCKET", "").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.contains("admin_socket is empty"), "{said}");

    // Something else that listens there.
    let stranger = std::os::unix::net::UnixListener::bind(site.admin_socket())?;
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept()?;
        stream.write_all(b"220 mail.example ESMTP\r\n")
    });
    let output = ask(&site, &["status"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.contains("is no receiver's admin endpoint"), "{said}");
    let _ = thread.join();
    Ok(())
}

fn ask(site: &Site, words: &[&str]) -> anyhow::Result<Output> {
    Ok(site.command().args(words).output()?)
}

/// What a command that succeeds says.
fn said(site: &Site, words: &[&str]) -> anyhow::Result<String> {
    let output = ask(site, words)?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn json(site: &Site, words: &[&str]) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&said(site, &[words, &["--json"]].concat())?)?)
}
