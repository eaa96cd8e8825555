//! Signals that change a running receiver: settings read anew, logs opened anew, lame duck (oslo-zmq, section 8).

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::Signal;
use tests::site::Site;
use tests::wire;

#[test]
fn new_settings_are_taken_as_far_as_a_running_receiver_can() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\nmax_topics = 4")?;
    let mut receiver = site.start()?;
    let text = std::fs::read_to_string(site.config_file())?;
    std::fs::write(
        site.config_file(),
        text.replace("debug = true", "debug = false\nrpc_zmq_topic_backlog = 1") + "max_frames = 9\n",
    )?;
    receiver.signal(Signal::HUP)?;
    receiver.wait_for_log("needs restart: max_frames", 1)?;
    ensure!(
        receiver.log().contains("settings read; changed: debug or verbose, rpc_zmq_topic_backlog\n"),
        "{}",
        receiver.log()
    );

    // The new backlog holds for a topic that is opened now, and what is only for debugging is not logged any more.
    let mut client = site.client()?;
    for number in 0..5 {
        client.write_all(&wire::cast(b"compute.host1", &[number]))?;
    }
    receiver.wait_for_log("reason=\"topic-backlog\"", 1)?;
    ensure!(!receiver.log().contains("topic opened topic=\"compute.host1\""), "{}", receiver.log());
    receiver.signal(Signal::TERM)?;
    ensure!(receiver.status()?.success());
    Ok(())
}

#[test]
fn who_may_connect_changes_with_a_reload() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    let text = std::fs::read_to_string(site.config_file())?;
    std::fs::write(site.config_file(), text.clone() + "allow_from = 10.0.0.0/8\n")?;
    receiver.signal(Signal::HUP)?;
    receiver.wait_for_log("settings read; changed: allow_from", 1)?;
    ensure!(site.client().is_err(), "it lets strangers in");
    receiver.wait_for_log("reason=\"address-not-allowed\"", 1)?;
    // Who is connected stays.
    client.write_all(&wire::cast(b"compute.host1", b"still here"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"still here");

    std::fs::write(site.config_file(), text + "allow_from = 127.0.0.0/8\nmax_connections_per_address = 1\n")?;
    receiver.signal(Signal::HUP)?;
    receiver.wait_for_log("settings read; changed: allow_from", 2)?;
    let _one = site.client()?;
    ensure!(site.client().is_err(), "it lets a second one in");
    receiver.stop()?;
    Ok(())
}

#[test]
fn wrong_settings_change_nothing() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let text = std::fs::read_to_string(site.config_file())?;
    for (wrong, told) in [
        (text + "rpc_zmq_topic_backlog = many\n", ": [DEFAULT] rpc_zmq_topic_backlog: expected "),
        ("debug = false\n".to_owned(), "receiver.conf:1: "),
    ] {
        std::fs::write(site.config_file(), wrong)?;
        receiver.signal(Signal::HUP)?;
        receiver.wait_for_log(told, 1)?;
    }
    let log = receiver.log();
    ensure!(
        log.matches("ERROR zmq_receiver.service [-] SIGHUP: the settings stay as they are: ").count() == 2,
        "{log}"
    );
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"compute.host1", b"served"))?;
    ensure!(wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?[3] == b"served");
    let report = receiver.stop()?;
    ensure!(report.written == 1, "{report:?}");
    Ok(())
}

#[test]
fn sigusr1_begins_a_new_log() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let old = site.log().with_extension("1");
    std::fs::rename(site.log(), &old)?;
    receiver.signal(Signal::USR1)?;
    receiver.wait_for_log("log reopened", 1)?;
    ensure!(!std::fs::read_to_string(&old)?.contains("log reopened"));
    ensure!(!receiver.log().contains("settings read"));
    // Its report would be looked for behind the first line, which is in the old log.
    receiver.signal(Signal::TERM)?;
    ensure!(receiver.status()?.success());
    Ok(())
}

#[test]
fn a_lame_duck_serves_those_it_knows_and_nobody_new() -> anyhow::Result<()> {
    const TIME: Duration = Duration::from_secs(1);
    let site = Site::new("[zmq_receiver]\nlame_duck_time = 1")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"compute.host1", b"before"))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    ensure!(wire::read_message(&mut consumer)?[3] == b"before");

    let begun = Instant::now();
    receiver.signal(Signal::USR2)?;
    receiver.wait_for_log("SIGUSR2: no more connections", 1)?;
    while site.stranger().is_ok() {
        ensure!(begun.elapsed() < TIME, "it still listens");
        std::thread::sleep(Duration::from_millis(2));
    }
    client.write_all(&wire::cast(b"compute.host1", b"after"))?;
    ensure!(wire::read_message(&mut consumer)?[3] == b"after");
    let report = receiver.report()?;
    ensure!((report.received, report.written, report.left) == (2, 2, 0), "{report:?}");
    ensure!((TIME..10 * TIME).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    Ok(())
}
