//! check-config, config-show and config-sample: what an operator learns without starting anything (oslo-zmq, section 10;
//! oslo-bugs, B12).

use std::process::{Command, Output};

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::binary;
use tests::site::Site;

#[test]
fn a_good_configuration_is_told_to_be_one() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nhold_time = 1")?;
    let output = site.command().arg("check-config").output()?;
    let told = said(&output)?;
    ensure!(output.status.code() == Some(0), "{told}");
    for text in [
        format!("ok: {} is free\n", site.endpoint()),
        format!("ok: rpc_zmq_ipc_dir {} is of user ", site.ipc_dir().display()),
        format!("hold_time = 1  ({}:", site.config_file().display()),
        "lame_duck_time = 30  (default)\n".to_owned(),
    ] {
        ensure!(told.contains(&text), "{text} in:\n{told}");
    }
    ensure!(!site.log().exists(), "a check writes nothing");
    Ok(())
}

#[test]
fn each_fault_has_its_line_and_the_exit_code_is_78() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_topic_backlog = many\n[zmq_receiver]\nmax_topics = 0\nhold_tim = 3")?;
    let file = site.config_file().display().to_string();
    let output = site.command().args(["check-config", "--no-environment"]).output()?;
    let told = said(&output)?;
    ensure!(output.status.code() == Some(78), "{told}");
    for text in [
        ":8: error: [DEFAULT] rpc_zmq_topic_backlog: ",
        ":10: error: [zmq_receiver] max_topics: ",
        ":11: warning: [zmq_receiver] has no option \"hold_tim\"; perhaps hold_time is meant",
    ] {
        ensure!(told.contains(&format!("{file}{text}")), "{text} in:\n{told}");
    }
    // The daemon refuses with the same code, so that systemd does not try it again.
    let output = site.command().output()?;
    ensure!(output.status.code() == Some(78), "{}", said(&output)?);

    std::fs::write(site.config_file(), "no section\n")?;
    let output = site.command().arg("check-config").output()?;
    let told = said(&output)?;
    ensure!(output.status.code() == Some(78) && told.contains(&format!("{file}:1: error: ")), "{told}");
    let output = site.command().args(["check-config", "--json"]).output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(output.status.code() == Some(78) && report["findings"][0]["place"] == format!("{file}:1"), "{report}");
    Ok(())
}

#[test]
fn a_warning_fails_a_strict_check_only() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_matchmaker = None")?;
    let check = |flags: &[&str]| site.command().args(["check-config", "--no-environment"]).args(flags).output();
    let output = check(&["--json"])?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let finding = &report["findings"][0];
    let place = format!("{}:8", site.config_file().display());
    ensure!(finding["level"] == "warning" && finding["place"] == place, "{report}");
    ensure!(output.status.code() == Some(0));
    ensure!(check(&["--strict"])?.status.code() == Some(1));
    Ok(())
}

#[test]
fn what_the_machine_lacks_is_found_and_a_running_receiver_is_no_fault() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let output = site.command().arg("check-config").output()?;
    let told = said(&output)?;
    ensure!(output.status.code() == Some(0) && told.contains("warning: another receiver"), "{told}");
    ensure!(told.contains(" is in use, perhaps by the receiver that runs"), "{told}");
    let second = site.command().output()?;
    ensure!(second.status.code() == Some(1));
    let refusal = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(refusal.contains("another receiver") && refusal.contains("set rpc_zmq_ipc_dir"), "{refusal}");
    receiver.stop()?;

    let mut command = site.command();
    command.arg("check-config").env("OS_DEFAULT__RPC_ZMQ_IPC_DIR", site.config_file());
    let output = command.output()?;
    ensure!(output.status.code() == Some(78), "{}", said(&output)?);
    ensure!(said(&output)?.contains(" is not a directory"));
    Ok(())
}

#[test]
fn effective_values_name_their_source() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut command = site.command();
    command.args(["config-show", "--json", "--nodebug"]).env("OS_DEFAULT__RPC_ZMQ_HOST", "node7");
    let options: Value = serde_json::from_slice(&command.output()?.stdout)?;
    let of = |name: &str| {
        let option = options.as_array()?.iter().find(|option| option["name"] == name)?;
        Some((option["value"].as_str()?, option["source"].as_str()?))
    };
    ensure!(of("debug") == Some(("false", "--nodebug")), "{options}");
    ensure!(of("rpc_zmq_host") == Some(("node7", "environment OS_DEFAULT__RPC_ZMQ_HOST")), "{options}");
    ensure!(of("max_frames") == Some(("1024", "default")), "{options}");
    Ok(())
}

#[test]
fn a_sample_is_a_configuration() -> anyhow::Result<()> {
    let output = Command::new(binary::receiver()?).arg("config-sample").output()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("sample.conf");
    std::fs::write(&file, &output.stdout)?;
    let mut command = Command::new(binary::receiver()?);
    command.args(["check-config", "--strict", "--no-environment", "--config-file"]).arg(&file);
    let output = command.output()?;
    ensure!(output.status.code() == Some(0), "{}", said(&output)?);
    Ok(())
}

fn said(output: &Output) -> anyhow::Result<String> {
    let text = String::from_utf8(output.stdout.clone()).context("standard output")?;
    Ok(text + &String::from_utf8_lossy(&output.stderr))
}
