//! A second port for peers that encrypt, with libzmq as the peer.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tests::loopback;
use tests::site::Site;
use tests::traffic::{Consumer, Keys, Sender};
use tests::wire;

/// Makes a key file with the command; the public key.
fn keygen(site: &Site, file: &Path) -> anyhow::Result<String> {
    let output = Command::new(site.executable()).arg("keygen").arg(file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn secret_in(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().find(|line| !line.starts_with("# ")).context("no secret key")?.to_owned())
}

#[test]
fn libzmq_sends_encrypted_if_its_key_is_listed_and_plain_beside_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name);
    let port = loopback::free_port()?;
    let site = Site::new(&format!(
        "[zmq_receiver]\ncurve_port = {port}\ncurve_key_file = {}\ncurve_clients = {}",
        file("server").display(),
        file("clients").display()
    ))?;
    let server = keygen(&site, &file("server"))?;
    let known = keygen(&site, &file("known"))?;
    let unknown = keygen(&site, &file("unknown"))?;
    std::fs::write(file("clients"), format!("# who may\n{known} # host2\n"))?;
    let keys = |public: &str, name: &str| {
        let secret = secret_in(&file(name))?;
        anyhow::Ok(Keys { server: server.clone(), public: public.to_owned(), secret })
    };

    let mut receiver = site.start()?;
    let topic = "compute.host1";
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let mut stranger = Sender::start_encrypting(&endpoint, 0, &[topic], &keys(&unknown, "unknown")?)?;
    stranger.send(5)?;
    let mut in_clear = Sender::start(&endpoint, 1, &[topic])?;
    in_clear.send(5)?;
    receiver.wait_for_log("refused a connection", 2)?;

    let mut friend = Sender::start_encrypting(&endpoint, 2, &[topic], &keys(&known, "known")?)?;
    let mut plain = Sender::start(&site.endpoint(), 3, &[topic])?;
    let mut consumer = Consumer::start(&site.socket(topic), topic, file("record"))?;
    friend.send(1000)?;
    plain.send(1000)?;
    let record = consumer.wait_for(2000)?;
    ensure!(record.ranges()? == [(2, 0..1000), (3, 0..1000)].into(), "{:?}", record.ranges()?);
    let report = receiver.stop()?;
    ensure!(report.received == 2000 && report.faults.values().sum::<u64>() >= 2, "{report:?}");

    // Secrets are nowhere.
    let log = receiver.log();
    ensure!(log.contains(&format!("the public key is {server}")), "{log}");
    let shown = site.command().arg("config-show").output()?;
    for name in ["server", "known"] {
        let secret = secret_in(&file(name))?;
        ensure!(!log.contains(&secret) && !String::from_utf8_lossy(&shown.stdout).contains(&secret));
    }
    Ok(())
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_next_step() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("key");
    let port = loopback::free_port()?;
    let site = Site::new(&format!("[zmq_receiver]\ncurve_port = {port}\ncurve_key_file = {}", file.display()))?;
    let missing = site.command().output()?;
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    ensure!(missing.status.code() == Some(1) && told.contains("keygen FILE makes one"), "{told}");

    keygen(&site, &file)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640))?;
    let open = site.command().output()?;
    let told = String::from_utf8_lossy(&open.stderr).into_owned();
    ensure!(open.status.code() == Some(1) && told.contains("chmod 600"), "{told}");
    let check = site.command().arg("check-config").output()?;
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    ensure!(check.status.code() == Some(78) && told.contains("error: others can read the key file"), "{told}");

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let mut receiver = site.start()?;
    receiver.wait_for_log("who knows it may connect: see curve_clients", 1)?;
    // The plain port is as it was.
    use std::io::Write;
    site.client()?.write_all(&wire::cast(b"compute.host1", b"plain"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"plain");
    receiver.stop()?;
    Ok(())
}
