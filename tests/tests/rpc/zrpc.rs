//! The command `zrpc`, as an operator uses it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::binary;
use tests::driver::{Notifications, Service, Topics};
use tests::oslo::{Host, Release};
use tests::program::Program;

use crate::site::Site;

#[test]
fn a_shell_calls_casts_and_is_told_what_went_wrong() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_host = localhost\nrpc_zmq_bind_address = 127.0.0.1\nrpc_response_timeout = 10")?;
    let mut receiver = Command::new(binary::receiver()?);
    let mut receiver = Program::start("receiver", receiver.arg("--config-file").arg(site.config_file()))?;
    receiver.wait_until_listening(site.address(), LIMIT)?;
    let mut server = Program::start("zrpc serve", zrpc(&site.config_file())?.args(["serve", "demo"]))?;
    ensure!(server.next_line(LIMIT)?.starts_with("serving demo on localhost"));
    let run = |args: &[&str]| -> anyhow::Result<Output> { Ok(zrpc(&site.config_file())?.args(args).output()?) };

    let big = "1606938044258990275541962092341162602522202993782792835301376";
    let output = run(&["call", "demo", "echo", "--arg", &format!("value=[{big}, \"ü\"]")])?;
    ensure!(output.status.success() && text(&output.stdout) == format!("[\n  {big},\n  \"ü\"\n]\n"), "{output:?}");
    let output = run(&["call", "demo.localhost", "add", "--arg", "a=2", "--arg", "b=3", "--json"])?;
    ensure!(output.status.success() && text(&output.stdout) == "{\"result\":5}\n", "{output:?}");
    ensure!(run(&["cast", "demo", "echo", "--arg", "value=1"])?.status.success());
    ensure!(run(&["fanout", "demo", "echo", "--arg", "value=1"])?.status.success());
    ensure!(run(&["notify", "it.happened", "{\"a\": 1}"])?.status.success());

    let output = run(&["call", "demo", "fail", "--arg", "text=\"kaboom\""])?;
    ensure!(output.status.code() == Some(3), "{output:?}");
    ensure!(text(&output.stderr) == "zrpc: the service raised exceptions.ValueError: kaboom\n", "{output:?}");
    let output = run(&["call", "demo", "slow", "--arg", "seconds=5", "--timeout", "0.3"])?;
    let told = text(&output.stderr);
    ensure!(
        output.status.code() == Some(4) && told.contains("  written    yes\n") && told.contains("  next  "),
        "{told}"
    );
    let output = run(&["--json", "call", "demo.127.0.0.9", "echo", "--timeout", "0.3"])?;
    let told: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(output.status.code() == Some(4) && told["stage"] == "matched", "{told}");
    let ring = site.config_file().with_file_name("ring.json");
    std::fs::write(&ring, "{\"demos\": [\"localhost\"]}")?;
    let url = format!("zmq+ring://{}", ring.display());
    let output = run(&["--url", &url, "call", "demo", "echo"])?;
    ensure!(output.status.code() == Some(5) && text(&output.stderr).contains("nearest: \"demos\""), "{output:?}");
    ensure!(run(&["call", "demo", "echo", "--arg", "value"])?.status.code() == Some(2));

    let output = run(&["bench", "--calls", "200", "--concurrency", "1,8", "--json"])?;
    let runs: Vec<Value> = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(runs.iter().map(|run| &run["count"]).eq([&json!(200); 3]), "{runs:?}");
    ensure!(server.stop(LIMIT)?.success());
    Ok(())
}

#[test]
fn a_machine_without_a_receiver_brings_its_own() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_host = localhost")?;
    let mut server = Program::start("zrpc serve", zrpc(&site.config_file())?.args(["--embedded", "serve", "demo"]))?;
    ensure!(server.next_line(LIMIT)?.starts_with("serving demo"));
    let output = zrpc(&site.config_file())?.args(["--embedded", "bench", "--calls", "100"]).output()?;
    // The port is the server's.
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains("rpc_zmq_port"), "{output:?}");
    ensure!(server.stop(LIMIT)?.success());
    let output = zrpc(&site.config_file())?.args(["--embedded", "bench", "--calls", "100", "--json"]).output()?;
    let runs: Vec<Value> = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(runs.len() == 3, "{runs:?}");
    Ok(())
}

#[test]
fn a_python_service_is_called_from_a_shell() -> anyhow::Result<()> {
    let host = Host::localhost(Release::Kilo, tests::loopback::free_port()?)?;
    let mut receiver = Program::start("receiver", &mut host.receiver(&binary::receiver()?))?;
    receiver.wait_until_listening(host.address(), LIMIT)?;
    let topics = Topics { rpc: "compute", notifications: "notifications" };
    let mut service = Service::start(&host, "kilo", topics, Notifications::Read)?;
    let run = |args: &[&str]| -> anyhow::Result<Output> { Ok(zrpc(&host.config_file())?.args(args).output()?) };
    let output = run(&["call", "compute", "name_of_service"])?;
    ensure!(output.status.success() && text(&output.stdout) == "\"kilo\"\n", "{output:?}");
    let output = run(&["call", "compute", "fail", "--arg", "text=\"x\""])?;
    ensure!(output.status.code() == Some(3) && text(&output.stderr).contains("Traceback"), "{output:?}");
    ensure!(run(&["notify", "it.happened", "{\"a\": 1}", "--publisher", "shell"])?.status.success());
    let told = service.next(LIMIT)?;
    ensure!(told["event_type"] == "it.happened" && told["publisher_id"] == "shell", "{told}");
    Ok(())
}

#[test]
fn b08_a_captured_message_is_shown_without_its_secrets() -> anyhow::Result<()> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/oslo/wire-1.8.3.json");
    let output = zrpc(Path::new("/dev/null"))?.args(["--json", "decode"]).arg(&vectors).output()?;
    let messages: Vec<Value> = text(&output.stdout).lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(messages.len() > 60 && messages.iter().all(|message| message["fault"].is_null()), "{output:?}");

    let file = tempfile::NamedTempFile::new()?;
    let body = r#"["{\"auth_token\": \"s3cret\"}", {"method": "m", "args": {"admin_password": "s3cret", "n": 1}}]"#;
    std::fs::write(file.path(), format!("0\ncompute.host1\ncast\n{body}\n"))?;
    let output = zrpc(Path::new("/dev/null"))?.arg("decode").arg(file.path()).output()?;
    let shown = text(&output.stdout);
    ensure!(shown.contains("\"admin_password\": \"***\"") && !shown.contains("s3cret"), "{shown}");
    Ok(())
}

fn zrpc(config_file: &Path) -> anyhow::Result<Command> {
    let executable: PathBuf = binary::program("zrpc", "zrpc")?;
    let mut command = Command::new(executable);
    command.arg("--config-file").arg(config_file);
    Ok(command)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Generous: two cores may be running other tests.
const LIMIT: Duration = Duration::from_secs(15);
