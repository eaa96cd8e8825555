//! Where lines go, and what never stands in one (oslo-bugs, B8).
//!
//! Syslog's socket and the journal's have their places. Here both are in a mount namespace of the receiver's own, with
//! listeners that print what comes, so that neither daemon of this machine is needed or disturbed.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use tests::program::Program;
use tests::site::Site;
use tests::wire;

use crate::curl::{curl, get};

const LIMIT: Duration = Duration::from_secs(20);

/// A shell that makes a `/run` and a `/dev` of its own, listens there, and becomes the receiver.
const CONFINED: &str = r#"
set -e
ready=$1; shift
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/dev
mount --rbind /dev /run/dev
mount -t tmpfs tmpfs /dev
for node in null zero random urandom; do touch /dev/$node; mount --bind /run/dev/$node /dev/$node; done
python3 -c '
import os, select, socket, sys
names = {}
for path in ["/dev/log", "/run/systemd/journal/socket"]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    names[listener] = os.path.basename(path)
open(sys.argv[1], "w").close()
while True:
    for listener in select.select(list(names), [], [])[0]:
        print(names[listener], repr(listener.recv(65536)), flush=True)
' "$ready" &
while [ ! -e "$ready" ]; do sleep 0.01; done
exec "$@"
"#;

#[test]
fn syslog_and_the_journal_get_what_they_are_to() -> anyhow::Result<()> {
    let site = Site::new(
        "log_file =\ndebug = false\nuse_syslog = true\nsyslog_log_facility = LOG_LOCAL3\nuse_journal = true\n\
         default_log_levels = zmq_receiver.receiver=WARNING",
    )?;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", CONFINED, "sh"]);
    command.arg(site.config_file().with_file_name("ready")).arg(site.executable());
    command.arg("--config-file").arg(site.config_file());
    command.env("OS_ZMQ_RECEIVER__ADMIN_SOCKET", site.admin_socket());
    let mut receiver = Program::start("receiver", &mut command)?;
    let address = site.endpoint().trim_start_matches("tcp://").parse()?;
    receiver.wait_until_listening(address, LIMIT)?;
    let (status, _) = curl(&site, &["-X", "PUT", "-d", "info"], "/loglevel")?;
    ensure!(status == 200);
    let text = "levels were set by the admin endpoint";
    let told = receiver.wait("not logged", LIMIT, |receiver| {
        let said = receiver.transcript();
        (said.matches(text).count() >= 2).then_some(said)
    })?;
    // 19 * 8 + 6: local3, information. The rest is as in a file, without its time and process.
    let syslog = told.lines().find(|line| line.contains("| log ") && line.contains(text)).unwrap_or_default();
    ensure!(syslog.contains("<158>") && syslog.contains(" oslo-messaging-zmq-receiver["), "{told}");
    ensure!(syslog.contains("]: INFO zmq_receiver.admin.answer [-] the log's levels"), "{told}");
    let journal = told.lines().find(|line| line.contains("| socket ") && line.contains(text)).unwrap_or_default();
    for field in [
        "PRIORITY\\n\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x006",
        "SYSLOG_IDENTIFIER",
        "oslo-messaging-zmq-receiver",
        "LEVELS",
    ] {
        ensure!(journal.contains(field), "{field} in {journal}");
    }
    // The module that is to be quiet is, and standard error has nothing.
    ensure!(!told.contains("listening on tcp://"), "{told}");
    ensure!(told.lines().all(|line| line.contains("| log ") || line.contains("| socket ")), "{told}");
    receiver.kill()?;
    Ok(())
}

#[test]
fn without_a_daemon_lines_go_to_standard_error() -> anyhow::Result<()> {
    let site = Site::new("log_file =\nuse_syslog = true\nuse_journal = true")?;
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs tmpfs /run; mkdir /run/dev; mount --rbind /dev /run/dev; mount -t tmpfs tmpfs /dev; \
                  for node in null urandom; do touch /dev/$node; mount --bind /run/dev/$node /dev/$node; done; exec \"$@\"";
    command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", script, "sh"]);
    command.arg(site.executable()).arg("--config-file").arg(site.config_file());
    command.env("OS_ZMQ_RECEIVER__ADMIN_SOCKET", "");
    let mut receiver = Program::start("receiver", &mut command)?;
    receiver
        .wait("not logged", LIMIT, |receiver| receiver.transcript().contains("listening on tcp://").then_some(()))?;
    receiver.kill()?;
    Ok(())
}

#[test]
fn b08_a_secret_stands_in_no_log() -> anyhow::Result<()> {
    const SECRET: &str = "pl4nted-s3cret";
    let site = Site::new("rpc_zmq_topic_backlog = 3\n[zmq_receiver]\nmax_frames = 8")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    let body =
        format!(r#"["{{\"auth_token\": \"{SECRET}\"}}", {{"method": "m", "args": {{"password": "{SECRET}"}}}}]"#);
    // Well formed, beyond the limit, where the topic should be, where the style should be, too many frames.
    client.write_all(&wire::cast(b"compute.host1", body.as_bytes()).repeat(10))?;
    client.write_all(&wire::message(&[b"0", body.as_bytes(), b"cast", b"{}"]))?;
    client.write_all(&wire::message(&[b"0", b"compute.host1", body.as_bytes(), b"{}"]))?;
    client.write_all(&wire::message(&[body.as_bytes()]))?;
    client.write_all(&wire::cast(b"fanout~compute.host1", body.as_bytes()))?;
    let mut other = site.client()?;
    let frames: Vec<&[u8]> = vec![body.as_bytes(); 20];
    other.write_all(&wire::message(&frames))?;
    let mut stranger = site.stranger()?;
    stranger.write_all(format!("POST /{SECRET} HTTP/1.1\r\nAuthorization: {SECRET}\r\n\r\n").as_bytes())?;
    let end = std::time::Instant::now() + LIMIT;
    while get(&site, "/varz")?["received"] != 14
        || get(&site, "/varz")?["faults"].as_object().is_none_or(|f| f.len() < 2)
    {
        ensure!(std::time::Instant::now() < end, "{}", get(&site, "/varz")?);
        std::thread::sleep(Duration::from_millis(20));
    }
    // Nor does the endpoint tell it, in whatever it shows.
    for path in ["/", "/varz", "/topicz", "/connz", "/dropz", "/tracez", "/configz", "/metrics"] {
        let (status, told) = curl(&site, &[], path)?;
        ensure!(status == 200 && !told.contains(SECRET), "{path}: {told}");
    }
    receiver.stop()?;
    let log = receiver.log();
    ensure!(log.contains(" DEBUG ") && log.contains("topic-backlog"), "{log}");
    ensure!(!log.contains(SECRET), "{log}");
    Ok(())
}
