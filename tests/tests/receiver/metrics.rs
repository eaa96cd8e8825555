//! Metrics: accepted by Prometheus' own promtool, and what they say; the rules and the dashboard that go with them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::site::Site;
use tests::wire;

use crate::curl::curl;

#[test]
fn promtool_accepts_them_and_they_say_what_happened() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_topic_backlog = 5\n[zmq_receiver]\nhold_time = 0\nmetrics_max_topics = 2")?;
    let _receiver = site.start()?;
    let mut client = site.client()?;
    for number in 0..8 {
        client.write_all(&wire::cast("\"alon\u{e9}\".host1".as_bytes(), &[number]))?;
    }
    client.write_all(&wire::cast(b"fanout~nobody.host1", b"x"))?;
    client.write_all(&wire::cast(b"other.host1", b"x"))?;
    client.write_all(&wire::cast(b"compute.host1", b"one"))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    wire::read_message(&mut consumer)?;

    let (status, text) = curl(&site, &[], "/metrics")?;
    ensure!(status == 200);
    promtool(&["check", "metrics"], &text)?;
    for line in [
        "zmq_receiver_ready 1",
        "zmq_receiver_received_messages_total 11",
        "zmq_receiver_messages_total{style=\"queue\",result=\"accepted\"} 7",
        "zmq_receiver_messages_total{style=\"queue\",result=\"dropped\"} 3",
        "zmq_receiver_messages_total{style=\"fanout\",result=\"dropped\"} 1",
        "zmq_receiver_dropped_total{reason=\"topic-backlog\"} 3",
        "zmq_receiver_queue_messages{topic=\"\\\"aloné\\\".host1\"} 5",
        "zmq_receiver_queue_messages{topic=\"zmq_replies\"} 0",
        "zmq_receiver_queue_messages{topic=\"__other__\"} 1",
        "zmq_receiver_connections{side=\"sender\"} 1",
        "zmq_receiver_connections{side=\"consumer\"} 1",
    ] {
        ensure!(text.contains(&format!("\n{line}\n")), "{line} in:\n{text}");
    }
    Ok(())
}

#[test]
fn the_histogram_holds_what_was_written_and_nothing_else() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let _receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"nobody.host1", b"waits"))?;
    client.write_all(&wire::cast(b"compute.host1", b"waits"))?;
    let in_bulk = wire::cast(b"compute.host1", b"on").repeat(1000);
    std::thread::sleep(WAIT);
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    let value = |name: &str| -> anyhow::Result<f64> {
        let (_, text) = curl(&site, &[], "/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("zmq_receiver_forward_seconds_{name} ")));
        Ok(line.context(text.clone())?.parse()?)
    };
    // The first waited for its consumer, and that counts.
    ensure!(value("count")? == 1.0 && value("bucket{le=\"+Inf\"}")? == 1.0);
    let sum = value("sum")?;
    ensure!((WAIT.as_secs_f64()..20.0).contains(&sum), "{sum}");
    ensure!(value("bucket{le=\"0.1\"}")? == 0.0 && value("bucket{le=\"30\"}")? == 1.0);
    // Apart from each other, each is in it.
    for n in 2..5 {
        std::thread::sleep(WAIT);
        client.write_all(&wire::cast(b"compute.host1", b"lone"))?;
        wire::read_message(&mut consumer)?;
        ensure!(value("count")? == f64::from(n));
    }
    // Of many at once, some.
    client.write_all(&in_bulk)?;
    for _ in 0..1000 {
        wire::read_message(&mut consumer)?;
    }
    let count = value("count")?;
    ensure!((4.0..500.0).contains(&count), "{count}");
    Ok(())
}

/// Longer than the bound that is looked at, and than the pause between messages that are followed.
const WAIT: Duration = Duration::from_millis(200);

#[test]
fn rules_and_dashboard_load_and_ask_for_what_there_is() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let _receiver = site.start()?;
    let (_, text) = curl(&site, &[], "/metrics")?;
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    // Of the histogram there are samples of other names.
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let known: BTreeSet<_> = families.chain(samples).collect();

    let rules = contrib().join("prometheus/rules.yml");
    promtool(&["check", "rules", &rules.display().to_string()], "")?;
    promtool(&["test", "rules", &contrib().join("prometheus/rules.test.yml").display().to_string()], "")?;
    all_known(&std::fs::read_to_string(rules)?, &known)?;

    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(contrib().join("grafana.json"))?)?;
    for field in ["title", "uid", "schemaVersion", "panels", "templating", "time"] {
        ensure!(!dashboard[field].is_null(), "a dashboard has a {field}");
    }
    let panels = dashboard["panels"].as_array().context("panels")?;
    let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    ensure!(ids.len() == panels.len() && panels.len() >= 6, "each panel has an id of its own");
    for panel in panels {
        let place = &panel["gridPos"];
        ensure!(["x", "y", "w", "h"].iter().all(|side| place[side].is_u64()), "{panel}");
        ensure!(place["x"].as_u64().unwrap_or(24) + place["w"].as_u64().unwrap_or(24) <= 24, "{place}");
        ensure!(panel["type"].is_string() && panel["title"].is_string() && panel["datasource"].is_object(), "{panel}");
        let targets = panel["targets"].as_array().context("targets")?;
        for target in targets {
            let expression = target["expr"].as_str().context("expr")?;
            all_known(expression, &known)?;
            // A rule with the same expression: promtool knows the language.
            let expression = expression.replace("$__rate_interval", "5m").replace("$instance", "x");
            let rule = serde_json::json!({"groups": [{"name": "g", "rules": [{"record": "r", "expr": expression}]}]});
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), rule.to_string())?;
            promtool(&["check", "rules", &file.path().display().to_string()], "")?;
        }
        ensure!(!targets.is_empty());
    }
    Ok(())
}

/// Fails if a text names a metric of ours that there is not.
fn all_known(text: &str, known: &BTreeSet<&str>) -> anyhow::Result<()> {
    for (at, _) in text.match_indices("zmq_receiver_") {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name: String = text[at..].chars().take_while(|c| is_part(*c)).collect();
        ensure!(known.contains(name.as_str()), "no metric {name}; there are {known:?}");
    }
    Ok(())
}

fn contrib() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib")
}

fn promtool(words: &[&str], input: &str) -> anyhow::Result<()> {
    let mut command = Command::new("promtool");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start promtool: apt-get install prometheus")?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words:?}: {said}\n{input}");
    Ok(())
}
