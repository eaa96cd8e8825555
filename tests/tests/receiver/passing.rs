//! Messages as they pass, and afterwards: watch, where, top, the flight recorder.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::program::Program;
use tests::site::Site;
use tests::wire;

use crate::curl::{curl, curl_tcp, get};

const LIMIT: Duration = Duration::from_secs(20);

/// A call as the driver sends it, with secrets in context and arguments.
fn call(id: &str) -> Vec<u8> {
    let body = format!(
        r#"["{{\"auth_token\": \"s3cret\"}}", {{"method": "-reply", "args": {{"msg_id": "{id}", "topic":
        "zmq_replies.h", "msg": ["{{}}", {{"method": "m", "args": {{"admin_pass": "s3cret", "n": 1}}}}]}}}}]"#
    );
    wire::cast(b"compute.host1", body.as_bytes())
}

#[test]
fn a_watcher_sees_messages_without_their_secrets() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_topic_backlog = 1")?;
    let _receiver = site.start()?;
    let mut command = site.command();
    let mut watching =
        Program::start("watch", command.args(["watch", "compute.*", "--body", "--json", "--limit", "2"]))?;
    wait_until_watched(&site, &mut watching)?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"other.host1", b"[\"{}\", {}]"))?;
    client.write_all(&call("3f2a"))?;
    client.write_all(&call("3f2b"))?;

    let first = watching.next_line(LIMIT)?;
    ensure!(!first.contains("s3cret"), "{first}");
    let first: Value = serde_json::from_str(&first)?;
    ensure!(first["topic"] == "compute.host1" && first["kind"] == "call" && first["method"] == "m", "{first}");
    ensure!(first["reply_to"]["id"] == "3f2a" && first["outcome"] == "queued" && first["lost"] == 0, "{first}");
    ensure!(first["args"] == serde_json::json!({"admin_pass": "***", "n": 1}), "{first}");
    ensure!(first["peer"] == client.local_addr()?.to_string(), "{first}");
    let second: Value = serde_json::from_str(&watching.next_line(LIMIT)?)?;
    ensure!(second["outcome"] == "dropped" && second["reason"] == "topic-backlog", "{second}");
    // It was to see two.
    watching.wait("still watching", LIMIT, |_| None::<()>).err().context("it ends")?;

    let mut command = site.command();
    let mut watching = Program::start("watch", command.args(["watch", "--limit", "1"]))?;
    wait_until_watched(&site, &mut watching)?;
    client.write_all(&call("3f2c"))?;
    let line = watching.next_line(LIMIT)?;
    ensure!(line.contains(" -> compute.host1 call m id 3f2c ") && line.ends_with(" dropped (topic-backlog)"), "{line}");
    ensure!(!line.contains("s3cret"));

    // Of one method only.
    let mut command = site.command();
    let mut watching = Program::start("watch", command.args(["watch", "--method", "reb*", "--limit", "1"]))?;
    wait_until_watched(&site, &mut watching)?;
    client.write_all(&call("3f2d"))?;
    client.write_all(&wire::cast(b"compute.host1", br#"["{}", {"method": "reboot", "args": {}}]"#))?;
    let line = watching.next_line(LIMIT)?;
    ensure!(line.contains(" -> compute.host1 cast reboot "), "{line}");
    Ok(())
}

#[test]
fn a_slow_watcher_loses_lines_is_told_and_holds_up_nothing() -> anyhow::Result<()> {
    const MESSAGES: usize = 20_000;
    let site = Site::new("")?;
    let receiver = site.start()?;
    let mut slow = UnixStream::connect(site.admin_socket())?;
    slow.set_read_timeout(Some(LIMIT))?;
    slow.write_all(b"GET /watch?body=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut begun = Vec::new();
    while !begun.ends_with(b"{\"watching\":true}\n\r\n") {
        let mut octet = [0];
        slow.read_exact(&mut octet)?;
        begun.push(octet[0]);
    }
    let mut client = site.client()?;
    let mut consumer = None;
    let before = receiver.memory()?;
    for number in 0..MESSAGES {
        client.write_all(&call(&number.to_string()))?;
        if consumer.is_none() {
            consumer = Some(site.consumer("compute.host1", "PULL")?);
        }
        if let Some(consumer) = &mut consumer {
            wire::read_message(consumer)?;
        }
    }
    let grown = receiver.memory()?.saturating_sub(before);
    ensure!(grown < 16 << 10, "{grown} KiB more for a watcher that does not read");
    // It reads now, and is told of what it lost. New messages push the last ones through.
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let (mut said, mut chunk) = (String::new(), [0; 65_536]);
            while !said.lines().any(|line| line.contains("\"lost\":") && !line.contains("\"lost\":0,")) {
                let n = slow.read(&mut chunk)?;
                ensure!(n > 0, "the receiver ended it");
                said.push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
            ensure!(!said.contains("s3cret"));
            anyhow::Ok(())
        });
        while !reading.is_finished() {
            client.write_all(&call("last"))?;
            std::thread::sleep(Duration::from_millis(5));
        }
        reading.join().map_err(|_| anyhow::anyhow!("it panicked"))?
    })
}

#[test]
fn a_message_is_found_by_its_id() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nhold_time = 0")?;
    let _receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&call("3f2a"))?;
    client.write_all(&wire::message(&[b"77aa", b"zmq_replies.host1", b"cast", b"[]"]))?;
    let found = asked(&site, "3f2a", 0)?;
    ensure!(found.contains(&format!(" {} -> compute.host1, ", client.local_addr()?)), "{found}");
    ensure!(found.ends_with(": waiting\n"), "{found}");
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    let found = asked(&site, "3f2", 0)?;
    ensure!(found.ends_with(": handed-on\n"), "{found}");
    let found = asked(&site, "77aa", 0)?;
    ensure!(found.contains("zmq_replies.host1") && found.ends_with(": dropped (no-subscriber)\n"), "{found}");
    let none = asked(&site, "9999", 1)?;
    ensure!(none.contains("no message with the id \"9999\" among the last 2, since "), "{none}");

    let all = get(&site, "/tracez?limit=1")?;
    ensure!(all["records"].as_array().map(Vec::len) == Some(1) && all["records"][0]["id"] == "77aa", "{all}");
    ensure!(all["records"][0]["style"] == "cast" && all["kept"] == 2 && all["without_id"] == 0, "{all}");
    Ok(())
}

#[test]
fn of_messages_that_come_in_bulk_the_number_is_kept() -> anyhow::Result<()> {
    const MESSAGES: usize = 5000;
    let site = Site::new("[zmq_receiver]\nflight_records = 100")?;
    let _receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&call("3f2a").repeat(MESSAGES))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    for _ in 0..MESSAGES {
        wire::read_message(&mut consumer)?;
    }
    let trace = get(&site, "/tracez?limit=1000")?;
    let records = trace["records"].as_array().context("records")?;
    ensure!(records.len() <= 100 && trace["without_id"].as_u64() > Some(MESSAGES as u64 / 2), "{trace}");
    ensure!(records.iter().any(|record| record["messages"].as_u64() > Some(8)), "{trace}");

    // None at all, if none are wanted.
    let site = Site::new("[zmq_receiver]\nflight_records = 0")?;
    let _receiver = site.start()?;
    site.client()?.write_all(&call("3f2a"))?;
    wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?;
    ensure!(get(&site, "/tracez")?["records"] == serde_json::json!([]));
    Ok(())
}

#[test]
fn watchers_are_few_and_none_over_tcp() -> anyhow::Result<()> {
    let port = tests::loopback::free_port()?;
    let site = Site::new(&format!("[zmq_receiver]\nadmin_listen = 127.0.0.1:{port}"))?;
    let _receiver = site.start()?;
    ensure!(curl_tcp(&format!("127.0.0.1:{port}"), &[], "/watch")?.0 == 403);
    let mut watching = Vec::new();
    for _ in 0..4 {
        let mut stream = UnixStream::connect(site.admin_socket())?;
        stream.write_all(b"GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        stream.read_exact(&mut [0; 20])?;
        watching.push(stream);
    }
    let (status, told) = curl(&site, &[], "/watch")?;
    ensure!(status == 503 && told.contains("as many watch already"), "{status} {told}");
    watching.pop();
    let end = std::time::Instant::now() + LIMIT;
    loop {
        let mut stream = UnixStream::connect(site.admin_socket())?;
        stream.write_all(b"GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin)?;
        if &begin == b"HTTP/1.1 200" {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < end, "the place of one who left is not free");
    }
}

#[test]
fn top_shows_rates_again_and_again() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let _receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&call("1"))?;
    let mut command: Command = site.command();
    let mut top = Program::start("top", command.args(["top", "--interval", "0.5", "--limit", "2"]))?;
    top.next_line(LIMIT)?;
    client.write_all(&call("2").repeat(100))?;
    let mut second = String::new();
    while !second.contains(" messages/s in") {
        second = top.next_line(LIMIT)?;
    }
    let rate: f64 = second.split("; ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).context(second)?;
    ensure!((50.0..=220.0).contains(&rate), "{rate}");
    let mut row = String::new();
    while !row.starts_with("compute.host1 ") {
        row = top.next_line(LIMIT)?;
    }
    ensure!(row.split_whitespace().nth(4) == Some("101"), "{row}");

    let output = site.command().args(["top", "--json", "--limit", "1"]).output()?;
    let look: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(look["receiver"]["received"] == 101 && look["received_per_second"].as_f64() > Some(0.0), "{look}");
    let busiest = &look["topics"][0];
    ensure!(busiest["topic"] == "compute.host1" && busiest["accepted_per_second"].as_f64() > Some(0.0), "{look}");
    Ok(())
}

/// What `where` says of an id, with an exit code.
fn asked(site: &Site, id: &str, code: i32) -> anyhow::Result<String> {
    let output = site.command().args(["where", id]).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// Until the watcher is connected; the receiver's log tells of no such thing, and its descriptors do.
fn wait_until_watched(site: &Site, watching: &mut Program) -> anyhow::Result<()> {
    let socket = site.admin_socket().display().to_string();
    let connected = |_: &mut Program| {
        let sockets = std::fs::read_to_string("/proc/net/unix").ok()?;
        // The listener, and the connection that it accepted (state 03).
        let accepted = sockets.lines().filter(|line| line.ends_with(&socket) && line.contains(" 0001 03 "));
        (accepted.count() > 0).then_some(())
    };
    watching.wait("not connected", LIMIT, connected)?;
    // From there to its place it takes the receiver one request.
    get(site, "/livez").ok();
    std::thread::sleep(Duration::from_millis(300));
    Ok(())
}
