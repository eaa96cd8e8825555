//! The admin endpoint: what it tells, what it does, and who may ask.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::loopback;
use tests::nobody::Nobody;
use tests::program::Program;
use tests::site::Site;
use tests::wire;

use crate::curl::{curl, curl_tcp, get};

#[test]
fn it_tells_what_is_queued_dropped_and_connected() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_topic_backlog = 5\n[zmq_receiver]\nhold_time = 0")?;
    let receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..8 {
        client.write_all(&wire::cast(b"alone.host1", &[number]))?;
    }
    client.write_all(&wire::cast(b"fanout~nobody.host1", b"x"))?;
    client.write_all(&wire::message(&[b"no topic"]))?;
    client.write_all(&wire::cast(b"served.host1", b"one"))?;
    let mut consumer = site.consumer("served.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    let written = until(|| get(&site, "/varz").map(|all| (all["written"] == 1).then_some(all)))?;

    ensure!(
        written["phase"] == "serving" && written["host"] == "host1" && written["pid"] == receiver.id(),
        "{written}"
    );
    ensure!(written["endpoint"] == site.endpoint(), "{written}");
    ensure!((&written["received"], &written["queued"]) == (&json!(11), &json!(5)), "{written}");
    ensure!(written["dropped"] == json!({"topic-backlog": 3, "no-subscriber": 1, "no-topic": 1}), "{written}");
    ensure!(written["connections"] == 1 && written["topics"] == 4, "{written}");
    ensure!(written["process"]["resident_octets"].as_u64() > Some(1 << 20), "{written}");
    ensure!(written["received_octets"].as_u64() > Some(8 * 20), "{written}");

    std::thread::sleep(Duration::from_millis(1100));
    let topics = get(&site, "/topicz")?;
    let topic = |name: &str| topics["topics"].as_array()?.iter().find(|topic| topic["topic"] == name).cloned();
    let alone = topic("alone.host1").context("alone.host1")?;
    ensure!(
        (&alone["kind"], &alone["queued"], &alone["consumers"]) == (&json!("queue"), &json!(5), &json!(0)),
        "{alone}"
    );
    ensure!((&alone["accepted"], &alone["dropped"]) == (&json!(5), &json!({"no-room": 3})), "{alone}");
    for age in ["oldest_seconds", "without_consumer_seconds"] {
        ensure!((1.0..20.0).contains(&alone[age].as_f64().context("no age")?), "{age}: {alone}");
    }
    let served = topic("served.host1").context("served.host1")?;
    ensure!(served["oldest_seconds"].is_null() && served["without_consumer_seconds"].is_null(), "{served}");
    ensure!((&served["written"], &served["consumers"]) == (&json!(1), &json!(1)), "{served}");

    let connections = get(&site, "/connz")?;
    let sender = &connections["senders"][0];
    ensure!(sender["peer"] == client.local_addr()?.to_string() && sender["messages"] == 11, "{connections}");
    ensure!(connections["consumers"].as_array().map(Vec::len) == Some(1), "{connections}");
    let present = &connections["consumers"][0];
    ensure!(present["topic"] == "served.host1" && present["pid"] == std::process::id(), "{connections}");

    let drops = get(&site, "/dropz")?;
    ensure!(drops["reasons"] == written["dropped"], "{drops}");
    let full = drops["senders"].as_array().into_iter().flatten().find(|drop| drop["reason"] == "topic-backlog");
    let full = full.context("no drop of the full topic")?;
    ensure!(full["peer"] == "127.0.0.1" && full["messages"] == 3, "{full}");
    ensure!(full["text"].as_str().is_some_and(|text| text.starts_with("topic alone.host1: queue is full")), "{full}");

    // Both ends go, and so do their entries.
    drop((client, consumer));
    until(|| {
        let gone = get(&site, "/connz")?;
        Ok((gone["senders"] == json!([]) && gone["consumers"] == json!([])).then_some(()))
    })?;
    ensure!(get(&site, "/varz")?["received_octets"] == written["received_octets"]);
    Ok(())
}

#[test]
fn it_changes_what_can_be_changed() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nmax_topics = 4")?;
    let mut receiver = site.start()?;
    ensure!(curl(&site, &[], "/livez")? == (200, "ok\n".to_owned()));
    ensure!(get(&site, "/readyz")? == json!({"ready": true, "reasons": []}));

    let (status, _) = curl(&site, &["-X", "PUT", "-d", "warning"], "/loglevel")?;
    ensure!(status == 200 && get(&site, "/varz")?["log_level"] == "warning");
    let (status, told) = curl(&site, &["-X", "PUT", "-d", "loud"], "/loglevel")?;
    ensure!(status == 400 && told.contains("error, warning, info or debug"), "{told}");
    let (status, _) = curl(&site, &["-X", "PUT", "-d", "zmtp=debug,info"], "/loglevel")?;
    ensure!(status == 200 && get(&site, "/varz")?["log_level"] == "info,zmtp=debug");

    let text = std::fs::read_to_string(site.config_file())?;
    std::fs::write(site.config_file(), text.clone() + "max_frames = 9\nhold_time = 1\n")?;
    let (status, told) = curl(&site, &["-X", "POST"], "/reload")?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(
        status == 200 && told == json!({"applied": ["hold_time"], "pending": ["max_frames"], "warnings": []}),
        "{told}"
    );
    let options = get(&site, "/configz")?;
    let hold = options.as_array().into_iter().flatten().find(|option| option["name"] == "hold_time");
    ensure!(hold.is_some_and(|hold| hold["value"] == "1"), "{options}");

    std::fs::write(site.config_file(), text + "max_frames = many\n")?;
    let (status, told) = curl(&site, &["-X", "POST"], "/reload")?;
    ensure!(status == 422 && told.contains("max_frames: expected "), "{status} {told}");
    let counted = get(&site, "/varz")?;
    ensure!(counted["reloads"] == 1 && counted["reload_failures"] == 1, "{counted}");

    let (status, _) = curl(&site, &["-X", "POST"], "/drain")?;
    ensure!(status == 202);
    ensure!(receiver.status()?.success());
    ensure!(receiver.log().contains("admin endpoint: stopping"), "{}", receiver.log());
    ensure!(!site.admin_socket().exists());
    Ok(())
}

#[test]
fn a_receiver_that_is_ending_is_alive_and_not_ready() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\ndrain_timeout = 5")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"stuck.host1", b"begin"))?;
    let _never_reads = site.consumer("stuck.host1", "PULL")?;
    for _ in 0..100 {
        client.write_all(&wire::cast(b"stuck.host1", &[b'x'; 64 << 10]))?;
    }
    until(|| Ok((get(&site, "/varz")?["received"] == 101).then_some(())))?;
    receiver.signal(rustix::process::Signal::TERM)?;
    let told = until(|| {
        let (status, told) = curl(&site, &[], "/readyz")?;
        Ok((status == 503).then_some(told))
    })?;
    ensure!(told.contains("it is stopping"), "{told}");
    ensure!(curl(&site, &[], "/livez")?.0 == 200);
    ensure!(curl(&site, &["-X", "POST"], "/drain")?.0 == 409);
    receiver.signal(rustix::process::Signal::TERM)?;
    ensure!(receiver.status()?.success());
    Ok(())
}

#[test]
fn over_tcp_it_is_for_reading_and_for_callers_who_know_its_address() -> anyhow::Result<()> {
    let port = loopback::free_port()?;
    let site = Site::new(&format!("[zmq_receiver]\nadmin_listen = 127.0.0.1:{port}"))?;
    let mut receiver = site.start()?;
    let address = format!("127.0.0.1:{port}");
    ensure!(curl_tcp(&address, &[], "/readyz")?.0 == 200);
    ensure!(curl_tcp(&format!("localhost:{port}"), &["-4"], "/varz")?.0 == 200);
    for (words, path) in [
        (&["-X", "POST"][..], "/drain"),
        (&["-X", "POST"], "/reload"),
        (&["-X", "POST"], "/reopen"),
        (&["-X", "POST"], "/lame-duck"),
        (&["-X", "PUT", "-d", "debug"], "/loglevel"),
        (&["-H", "Host: evil.example"], "/varz"),
        (&["-H", "Host:"], "/varz"),
    ] {
        let (status, told) = curl_tcp(&address, words, path)?;
        ensure!(matches!(status, 400 | 403), "{words:?} {path}: {status} {told}");
    }
    ensure!(curl_tcp(&address, &[], "/readyz")?.0 == 200);
    receiver.stop()?;
    Ok(())
}

#[test]
fn what_it_does_not_know_is_refused_with_what_there_is() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let _receiver = site.start()?;
    let mode = std::fs::metadata(site.admin_socket())?.permissions().mode() & 0o777;
    ensure!(mode == 0o660, "{mode:o}");
    let (status, told) = curl(&site, &[], "/nothing")?;
    ensure!(status == 404 && told.contains("/topicz"), "{told}");
    let (status, told) = curl(&site, &["-X", "DELETE"], "/varz")?;
    ensure!(status == 405 && told.contains("GET"), "{told}");
    let long = "x".repeat(9000);
    ensure!(curl(&site, &["-X", "PUT", "-d", &long], "/loglevel")?.0 == 413);
    let header = format!("X-Long: {long}");
    ensure!(curl(&site, &["-H", &header], "/varz")?.0 == 431);
    Ok(())
}

#[test]
fn callers_that_dawdle_hold_up_neither_messages_nor_others_for_long() -> anyhow::Result<()> {
    const CALLERS: usize = 40;
    let site = Site::new("")?;
    let _receiver = site.start()?;
    let begun = Instant::now();
    let mut dawdling = Vec::new();
    for _ in 0..CALLERS {
        let mut caller = UnixStream::connect(site.admin_socket())?;
        caller.write_all(b"GET /varz HTTP/1.1\r\nHost: loc")?;
        dawdling.push(caller);
    }
    // Messages go on.
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"served.host1", b"one"))?;
    let mut consumer = site.consumer("served.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // The first are sent away, and make room for others.
    dawdling[0].set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut rest = Vec::new();
    dawdling[0].read_to_end(&mut rest)?;
    ensure!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(dawdling);
    ensure!(curl(&site, &[], "/livez")?.0 == 200);
    Ok(())
}

#[test]
fn a_chosen_place_must_do_and_the_default_need_not() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut command = site.command();
    command.env("OS_ZMQ_RECEIVER__ADMIN_SOCKET", "/proc/admin.sock");
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{told}");
    ensure!(
        told.contains("cannot open the admin socket /proc/admin.sock: ") && told.contains("set admin_socket"),
        "{told}"
    );

    // The default is no reason not to serve.
    let nobody = Nobody::new()?;
    let mut command = nobody.command(site.executable())?;
    let port = loopback::free_port()?;
    command.env("OS_DEFAULT__RPC_ZMQ_IPC_DIR", nobody.directory()).env_remove("XDG_RUNTIME_DIR");
    command.env("OS_DEFAULT__RPC_ZMQ_PORT", port.to_string());
    let mut receiver = Program::start("receiver", &mut command)?;
    receiver.wait_until_listening(([127, 0, 0, 1], port).into(), LIMIT)?;
    receiver.wait("no warning", LIMIT, |receiver| {
        let told = "no admin endpoint: cannot open the admin socket /run/oslo-zmq/admin.sock: ";
        receiver.transcript().contains(told).then_some(())
    })?;
    ensure!(receiver.stop(LIMIT)?.success());

    let mut command = site.command();
    command.env("OS_ZMQ_RECEIVER__ADMIN_SOCKET", "");
    let mut receiver = site.start_by(&mut command)?;
    ensure!(receiver.log().matches("admin endpoint").count() == 0, "{}", receiver.log());
    receiver.stop()?;
    Ok(())
}

/// Asks until there is an answer, for a bounded time.
fn until<T>(mut ask: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(Instant::now() < end, "it does not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const LIMIT: Duration = Duration::from_secs(20);
