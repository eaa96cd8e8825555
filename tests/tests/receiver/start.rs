//! The start: where settings come from, and refusals in one line that says what to do (oslo-zmq, section 10; oslo-bugs,
//! B26).

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::nobody::Nobody;
use tests::program::{Program, ProgramError};
use tests::site::Site;
use tests::{binary, loopback};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn files_and_directories_apply_in_the_order_given() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let directory = site.ipc_dir().with_file_name("receiver.d");
    std::fs::create_dir(&directory)?;
    // Each overrides what came before it: the site's own file says host1.
    for (file, text) in [
        ("first.conf", "[DEFAULT]\nrpc_zmq_host = a\nrpc_zmq_port = 1\n"),
        ("receiver.d/10.conf", "[DEFAULT]\nrpc_zmq_host = c\n[zmq_receiver]\nmax_topics = 1\n"),
        ("receiver.d/20.conf", "[DEFAULT]\nrpc_zmq_host = d\n"),
        ("receiver.d/30.txt", "no configuration"),
    ] {
        std::fs::write(directory.with_file_name("").join(file), text)?;
    }
    let mut command = Command::new(site.executable());
    command.arg("--config-file").arg(directory.with_file_name("first.conf"));
    command.arg(format!("--config-file={}", site.config_file().display()));
    command.arg("--config-dir").arg(&directory);
    // The environment overrides files.
    command.env("OS_ZMQ_RECEIVER__HOLD_TIME", "0");
    let mut receiver = site.start_by(&mut command)?;
    ensure!(site.socket("zmq_replies.d").exists(), "{}", receiver.log());
    receiver.stop()?;

    command.env("OS_ZMQ_RECEIVER__HOLD_TIME", "long");
    let refusal = refusal(&mut command)?;
    ensure!(refusal.contains("environment OS_ZMQ_RECEIVER__HOLD_TIME: "), "{refusal}");
    Ok(())
}

#[test]
fn without_configuration_an_ordinary_user_gets_a_directory_of_its_own_and_is_told() -> anyhow::Result<()> {
    let nobody = Nobody::new()?;
    let mut command = nobody.command(&binary::receiver()?)?;
    command.env("XDG_RUNTIME_DIR", nobody.directory());
    let mut receiver = Program::start("receiver", &mut command)?;
    // If another program has the default port, the transcript says so.
    receiver
        .wait("not listening", LIMIT, |program| program.transcript().contains("listening on tcp://").then_some(()))?;
    let own = nobody.directory().join("openstack");
    let transcript = receiver.transcript();
    let first = transcript.lines().next().context("nothing was said")?;
    let told = format!("using {0} instead: services on this machine need rpc_zmq_ipc_dir = {0}", own.display());
    ensure!(
        first.contains(" WARNING ") && first.contains("/var/run/openstack") && first.contains(&told),
        "{transcript}"
    );
    ensure!(transcript.contains(":9501, sockets in "), "{transcript}");
    ensure!(sockets(&own)? == 1, "the socket of replies");
    ensure!(receiver.stop(LIMIT)?.success());
    ensure!(sockets(&own)? == 0);
    Ok(())
}

#[test]
fn b26_what_cannot_work_is_refused_in_one_line() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let busy = TcpListener::bind("127.0.0.1:0")?;
    let busy = busy.local_addr()?.port().to_string();
    let file = site.config_file().display().to_string();
    let long = format!("/tmp/{}", "d".repeat(100));
    for (option, value, told) in [
        (
            "rpc_zmq_port",
            &*busy,
            &*format!("cannot bind tcp://127.0.0.1:{busy}: Address already in use (os error 98); "),
        ),
        ("rpc_zmq_port", "65536", "rpc_zmq_port: expected a port, 1 to 65535, found \"65536\""),
        ("rpc_zmq_bind_address", "192.0.2.1", "cannot bind tcp://192.0.2.1:"),
        ("rpc_zmq_bind_address", "no-such-if", "no-such-if"),
        ("rpc_zmq_bind_address", "a b", "rpc_zmq_bind_address: expected "),
        ("rpc_zmq_ipc_dir", &*file, &*format!("cannot make sockets in the directory {file}: ")),
        ("rpc_zmq_ipc_dir", &*long, &*long),
        ("log_file", "/nonexistent/log", "cannot open the log file /nonexistent/log: No such file or directory"),
    ] {
        let mut command = site.command();
        command.env(format!("OS_DEFAULT__{}", option.to_uppercase()), value);
        let refusal = refusal(&mut command).context(option)?;
        ensure!(refusal.contains(told), "{option} = {value}: {refusal}");
    }
    // Where standard error leads nowhere the log tells it.
    let log = std::fs::read_to_string(site.log())?;
    ensure!(log.contains(&format!(" ERROR zmq_receiver [-] cannot bind tcp://127.0.0.1:{busy}: ")), "{log}");
    let mut command = site.command();
    command.args(["--config-file", "/nonexistent/x.conf"]);
    let refusal = refusal(&mut command)?;
    ensure!(refusal.contains("/nonexistent/x.conf: No such file or directory"), "{refusal}");
    Ok(())
}

#[test]
fn b26_what_the_user_may_not_do_is_refused_in_one_line() -> anyhow::Result<()> {
    let nobody = Nobody::new()?;
    let executable = binary::receiver()?;
    let mut command = nobody.command(&executable)?;
    command.env("OS_DEFAULT__RPC_ZMQ_PORT", loopback::free_port()?.to_string());
    command.env("OS_DEFAULT__RPC_ZMQ_IPC_DIR", "/proc/openstack");
    let refused = refusal(&mut command)?;
    ensure!(refused.contains("cannot make sockets in the directory /proc/openstack: "), "{refused}");

    const PRIVILEGED: u16 = 1;
    let mut command = nobody.command(&executable)?;
    command.env("OS_DEFAULT__RPC_ZMQ_IPC_DIR", nobody.directory());
    command.env("OS_DEFAULT__RPC_ZMQ_BIND_ADDRESS", "127.0.0.1");
    command.env("OS_DEFAULT__RPC_ZMQ_PORT", PRIVILEGED.to_string());
    if nobody.may_listen_on(PRIVILEGED)? {
        // Some containers give every port to everybody.
        let mut receiver = Program::start("receiver", &mut command)?;
        receiver.wait_until_listening(([127, 0, 0, 1], PRIVILEGED).into(), LIMIT)?;
    } else {
        let refused = refusal(&mut command)?;
        let told = "cannot bind tcp://127.0.0.1:1: Permission denied (os error 13); ports below 1024 need privileges";
        ensure!(refused.contains(told), "{refused}");
    }
    Ok(())
}

/// The one line with which the program refuses to start.
fn refusal(command: &mut Command) -> anyhow::Result<String> {
    let mut program = Program::start("receiver", command)?;
    match program.wait("running", LIMIT, |_| None::<()>) {
        Err(ProgramError::Ended { .. }) => {}
        outcome => outcome?,
    }
    let status = program.stop(LIMIT)?;
    let transcript = program.transcript();
    // 78 is for what is wrong with the configuration alone.
    ensure!(matches!(status.code(), Some(1 | 78)), "{status}\n{transcript}");
    let line = transcript.trim().strip_prefix("| oslo-messaging-zmq-receiver: ").map(str::to_owned);
    line.filter(|line| line.lines().count() == 1).context(transcript)
}

fn sockets(directory: &Path) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(directory)?.count())
}
