//! The status page, in Chromium and in a client that shows text only.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tests::loopback;
use tests::site::Site;
use tests::wire;

use crate::curl::{curl, curl_tcp};

/// A topic that would be markup, if it were not escaped.
const EVIL: &str = "<img src=x onerror=\"document.title='owned'\">.host1";

#[test]
fn it_is_live_in_a_browser_and_readable_on_a_phone() -> anyhow::Result<()> {
    let port = loopback::free_port()?;
    let site = Site::new(&format!("rpc_zmq_topic_backlog = 50\n[zmq_receiver]\nadmin_listen = 127.0.0.1:{port}"))?;
    let _receiver = site.start()?;
    let mut client = site.client()?;
    for topic in ["compute.host1", "conductor.host1", "cinder-volume.host1", EVIL, "fanout~compute.host1"] {
        client.write_all(&wire::cast(topic.as_bytes(), b"{}").repeat(7))?;
    }
    client.write_all(&wire::cast(b"scheduler.host1", b"{}").repeat(80))?;
    let mut consumer = site.consumer("conductor.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    let url = format!("http://127.0.0.1:{port}/");
    let directory = tempfile::tempdir()?;

    // It has fetched itself anew, drawn charts, and run nothing of what a peer sent.
    let dom = chromium(directory.path(), &["--virtual-time-budget=9000", "--dump-dom", &url])?;
    for text in [
        "<title>host1: ZeroMQ receiver</title>",
        "<span id=\"live\" class=\"good\">live</span>",
        "<polyline points=\"",
        "a second</small>",
        "30 messages dropped",
        "scheduler.host1",
        "&lt;img src=x onerror=",
        "nobody consumes them",
    ] {
        ensure!(dom.contains(text), "{text} in:\n{dom}");
    }
    ensure!(!dom.contains("<img"), "{dom}");

    for (name, size) in [("wide", "1280,1100"), ("phone", "390,1800")] {
        // With SCREENSHOTS set to a directory they can be looked at.
        let kept = std::env::var_os("SCREENSHOTS").map_or_else(|| directory.path().to_owned(), Into::into);
        let file = kept.join(format!("status-{name}.png"));
        let screenshot = format!("--screenshot={}", file.display());
        let size = format!("--window-size={size}");
        chromium(directory.path(), &["--virtual-time-budget=9000", "--hide-scrollbars", &size, &screenshot, &url])?;
        let image = std::fs::read(&file)?;
        ensure!(image.starts_with(b"\x89PNG") && image.len() > 10_000, "{} octets", image.len());
    }
    Ok(())
}

#[test]
fn it_says_all_without_a_script_and_lets_browsers_run_nothing_else() -> anyhow::Result<()> {
    let port = loopback::free_port()?;
    let site = Site::new(&format!("[zmq_receiver]\nadmin_listen = 127.0.0.1:{port}"))?;
    let _receiver = site.start()?;
    site.client()?.write_all(&wire::cast(b"compute.host1", b"{}").repeat(3))?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let page = loop {
        let (status, page) = curl(&site, &["--include"], "/")?;
        ensure!(status == 200);
        if page.contains("compute.host1") {
            break page;
        }
        ensure!(std::time::Instant::now() < end, "{page}");
    };
    ensure!(page.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{page}");
    ensure!(page.len() < 20_000, "{} octets", page.len());
    for text in ["3 messages wait", "http-equiv=\"refresh\"", "<th class=\"number\">Queued</th>"] {
        ensure!(page.contains(text), "{text} in:\n{page}");
    }
    for (path, kind) in [("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        let (status, file) = curl_tcp(&format!("127.0.0.1:{port}"), &["--include"], path)?;
        ensure!(status == 200 && file.contains(kind) && file.contains("nosniff"), "{file}");
    }
    Ok(())
}

/// What Chromium says of a page.
fn chromium(directory: &Path, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    // Each run is a user of its own, with nothing remembered.
    let profile = tempfile::tempdir_in(directory)?;
    command.arg(format!("--user-data-dir={}", profile.path().display())).args(words);
    let output = command.output().context("cannot start chromium: apt-get install chromium")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
