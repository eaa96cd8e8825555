//! The spool when its disk fails: full, not to be written to, damaged. The daemon goes on handing on, says what is wrong, and
//! counts what it did not keep; the spool is used again as soon as it can be. And when messages are on the disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::process::activity;
use tests::site::{Receiver, Site};
use tests::wire;

use crate::curl::{curl, get};

/// A site whose spool is in the directory that comes with it.
fn site(options: &str) -> anyhow::Result<(Site, TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let spool = dir.path().join("spool");
    let options = format!("[zmq_receiver]\nspool_dir = {}\ndrain_timeout = 0.2\n{options}", spool.display());
    Ok((Site::new(&options)?, dir, spool))
}

/// The receiver, started by another program.
fn start_within(site: &Site, program: &str, words: &[&str]) -> anyhow::Result<Receiver> {
    let usual = site.command();
    let mut command = Command::new(program);
    command.args(words).arg(usual.get_program()).args(usual.get_args());
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(site.start_by(&mut command)?)
}

/// Sends casts of 8 KiB, one by one.
fn send(site: &Site, numbers: std::ops::Range<u32>) -> anyhow::Result<()> {
    let mut client = site.client()?;
    for number in numbers {
        let body = [&number.to_be_bytes()[..], &[b'x'; 8 << 10]].concat();
        client.write_all(&wire::cast(b"compute.host1", &body))?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn fetch(consumer: &mut UnixStream, numbers: std::ops::Range<u32>) -> anyhow::Result<()> {
    for number in numbers {
        let frames = wire::read_message(consumer)?;
        ensure!(frames[3][..4] == number.to_be_bytes(), "not number {number}: {:?}", &frames[3][..4]);
    }
    Ok(())
}

/// Waits until what the receiver tells of its spool is so.
fn wait_for(site: &Site, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let told = get(site, "/varz")?["spool"].take();
        if is_so(&told) {
            return Ok(told);
        }
        ensure!(Instant::now() < end, "never {what}: {told}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn count(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_default()
}

#[test]
fn a_full_disk_is_told_and_used_again_when_there_is_room() -> anyhow::Result<()> {
    let (site, dir, _) = site("")?;
    let mounted = "mount -t tmpfs -o size=256k none \"$0\" && exec \"$@\"";
    let path = dir.path().display().to_string();
    let words = ["--user", "--map-root-user", "--mount", "--", "sh", "-c", mounted, &path];
    let mut receiver = start_within(&site, "unshare", &words)?;
    send(&site, 0..100)?;
    receiver
        .wait_for_log("WARNING zmq_receiver.spool.writer [-] cannot write to the spool: No space left on device", 1)?;
    let told = wait_for(&site, "all counted", |told| count(told, "stored") + count(told, "unprotected") == 100)?;
    ensure!(count(&told, "stored") > 5 && count(&told, "unprotected") > 50 && count(&told, "failures") > 0, "{told}");
    let (_, metrics) = curl(&site, &[], "/metrics")?;
    for name in ["spool_failures_total ", "spool_messages_total{result=\"unprotected\"} "] {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("zmq_receiver_{name}"))).context(name)?;
        ensure!(line.parse::<f64>()? > 0.0, "{name}{line}");
    }
    // All are handed on, and that makes room although nothing can be written down.
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    fetch(&mut consumer, 0..100)?;
    wait_for(&site, "empty", |told| count(told, "octets") == 0)?;
    thread::sleep(Duration::from_millis(2100));
    send(&site, 100..105)?;
    fetch(&mut consumer, 100..105)?;
    wait_for(&site, "used again", |now| count(now, "stored") == count(&told, "stored") + 5)?;
    let report = receiver.stop()?;
    ensure!((report.received, report.written, report.left) == (105, 105, 0) && report.dropped.is_empty(), "{report:?}");
    Ok(())
}

#[test]
fn a_directory_that_may_not_be_written_to_any_more_is_told_and_used_again() -> anyhow::Result<()> {
    // What is on disk fills a file, so that another one is needed.
    const MANY: u32 = 700;
    let (site, _dir, spool) = site("topic_max_octets = 64 MiB")?;
    // An owner of the directory without privileges, whoever runs the tests.
    let mut receiver = start_within(&site, "unshare", &["--user", "--"])?;
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o500))?;
    send(&site, 0..MANY)?;
    receiver.wait_for_log("cannot write to the spool: Permission denied", 1)?;
    let told = wait_for(&site, "told", |told| count(told, "unprotected") > 0)?;
    ensure!(count(&told, "stored") < u64::from(MANY) && count(&told, "failures") > 0, "{told}");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o700))?;
    thread::sleep(Duration::from_millis(2100));
    let before =
        wait_for(&site, "all counted", |told| count(told, "stored") + count(told, "unprotected") == u64::from(MANY))?;
    send(&site, MANY..MANY + 10)?;
    wait_for(&site, "used again", |told| count(told, "stored") > count(&before, "stored"))?;
    fetch(&mut site.consumer("compute.host1", "PULL")?, 0..MANY + 10)?;
    let report = receiver.stop()?;
    ensure!(report.written == u64::from(MANY) + 10 && report.dropped.is_empty(), "{report:?}");
    Ok(())
}

#[test]
fn a_file_that_was_cut_or_changed_gives_what_is_whole() -> anyhow::Result<()> {
    let cut = |octets: &mut Vec<u8>| octets.truncate(octets.len() - 100);
    let flip = |octets: &mut Vec<u8>| {
        let midst = octets.len() / 2;
        octets[midst..midst + 64].iter_mut().for_each(|octet| *octet ^= 0x55);
    };
    type Damage = fn(&mut Vec<u8>);
    for (damage, is_told) in [(cut as Damage, false), (flip as Damage, true)] {
        let (site, _dir, spool) = site("")?;
        let mut receiver = site.start()?;
        for number in 0..20 {
            // A record each.
            send(&site, number..number + 1)?;
            wait_for(&site, "stored", |told| count(told, "stored") == u64::from(number) + 1)?;
        }
        receiver.kill()?;
        let file = only_file(&spool)?;
        let mut octets = fs::read(&file)?;
        damage(&mut octets);
        fs::write(&file, octets)?;

        let mut receiver = site.start()?;
        let told = get(&site, "/varz")?["spool"].take();
        let restored = u32::try_from(count(&told, "restored"))?;
        ensure!(if is_told { (5..15).contains(&restored) } else { restored == 19 }, "{told}");
        ensure!(is_told == (count(&told, "damaged_octets") > 0), "{told}");
        if is_told {
            receiver.wait_for_log("ERROR zmq_receiver.spool [-] the spool is damaged", 1)?;
            ensure!(file.with_extension("damaged").exists());
            let (_, metrics) = curl(&site, &[], "/metrics")?;
            let line = format!("zmq_receiver_spool_damaged_bytes {}", count(&told, "damaged_octets"));
            ensure!(metrics.lines().any(|known| known == line), "{line}");
        }
        let mut consumer = site.consumer("compute.host1", "PULL")?;
        fetch(&mut consumer, 0..restored)?;
        send(&site, 100..103)?;
        fetch(&mut consumer, 100..103)?;
        wait_for(&site, "used", |told| count(told, "stored") == 3)?;
        receiver.stop()?;
    }
    Ok(())
}

#[test]
fn messages_are_on_the_disk_when_the_option_says() -> anyhow::Result<()> {
    for (option, calls) in [("never", 0..=0), ("always", 10..=400), ("100 ms", 2..=400)] {
        let (site, dir, _) = site(&format!("spool_fsync = {option}"))?;
        let trace = dir.path().join("trace");
        let path = trace.display().to_string();
        // -D: the receiver is the child, and strace a relative that nobody needs to end.
        let words = ["-D", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", &path];
        let mut receiver = start_within(&site, "strace", &words).context("strace: apt-get install strace")?;
        let begun = Instant::now();
        // Of the directory, when the first file is made.
        send(&site, 0..1)?;
        wait_for(&site, "stored", |told| count(told, "stored") == 1)?;
        let before = syncs(&trace)?;
        send(&site, 1..200)?;
        wait_for(&site, "stored", |told| count(told, "stored") == 200)?;
        // By the end of the interval and a moment.
        thread::sleep(Duration::from_millis(300));
        let made = syncs(&trace)? - if option == "never" { before } else { 0 };
        let time = begun.elapsed();
        let idle = activity(receiver.id())?;
        thread::sleep(Duration::from_millis(500));
        ensure!(
            option != "100 ms" || idle.sleeps == activity(receiver.id())?.sleeps,
            "it wakes for nothing to be synced"
        );
        println!("{option}: {made} calls in {time:?}");
        ensure!(calls.contains(&made), "{option}: {made} calls");
        let most = time.as_millis() / 100 + 3;
        ensure!(option != "100 ms" || made as u128 <= most, "{option}: {made} calls in {time:?}");
        receiver.stop()?;
    }
    Ok(())
}

fn syncs(trace: &Path) -> anyhow::Result<usize> {
    Ok(fs::read_to_string(trace)?.lines().filter(|line| line.contains("sync(")).count())
}

fn only_file(spool: &Path) -> anyhow::Result<PathBuf> {
    let files: Vec<_> = fs::read_dir(spool)?.collect::<Result<_, _>>()?;
    ensure!(files.len() == 1, "{files:?}");
    Ok(files[0].path())
}
