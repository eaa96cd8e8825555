//! What the daemon takes of its machine, as it is shipped: size, time to be ready, memory, and nothing while it is idle.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::dist;
use tests::process::{activity, resident};
use tests::program::Program;
use tests::site::Site;
use tests::wire;

#[test]
fn the_program_is_small() -> anyhow::Result<()> {
    let octets = dist::program()?.metadata()?.len();
    println!("{octets} octets");
    ensure!(octets < SIZE, "{octets} octets, allowed {SIZE}");
    Ok(())
}

/// From being spawned to telling its manager that it serves. The best of several starts: others show what else ran.
#[test]
fn it_is_ready_at_once() -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let site = Site::new("")?;
        let path = site.config_file().with_extension("notify");
        let manager = UnixDatagram::bind(&path)?;
        manager.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut command = site.command_of(&dist::program()?);
        command.env("NOTIFY_SOCKET", &path);
        let begun = Instant::now();
        let _receiver = Program::start("receiver", &mut command)?;
        let mut told = [0; 4096];
        let len = manager.recv(&mut told).context("it never told that it is ready")?;
        times.push(begun.elapsed());
        ensure!(told[..len].starts_with(b"READY=1"), "{}", String::from_utf8_lossy(&told[..len]));
        // Told is true.
        site.client()?;
    }
    times.sort_unstable();
    println!("ready after {:?} to {:?}, median {:?}", times[0], times[STARTS - 1], times[STARTS / 2]);
    ensure!(times[0] < READY, "the best of {STARTS} starts: {:?}, allowed {READY:?}", times[0]);
    Ok(())
}

#[test]
fn it_takes_little_memory_and_idle_it_sleeps() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let receiver = site.start_by(&mut site.command_of(&dist::program()?))?;
    thread::sleep(SETTLE);
    let fresh = resident(receiver.id())?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"compute.host1", b"one"))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    thread::sleep(SETTLE);
    let before = activity(receiver.id())?;
    thread::sleep(WATCHED);
    let after = activity(receiver.id())?;
    let used = resident(receiver.id())?;
    println!("KiB in memory: fresh {fresh:?}, after a message {used:?}");
    ensure!(
        fresh.own + fresh.files < MEMORY && used.own + used.files < MEMORY,
        "{fresh:?}, {used:?}; allowed {MEMORY}"
    );
    ensure!(before == after, "it did something in {WATCHED:?} without traffic: {before:?} became {after:?}");
    Ok(())
}

/// Octets.
const SIZE: u64 = 5_000_000;

/// So that one of them has the processor to itself.
const STARTS: usize = 10;
const READY: Duration = Duration::from_millis(20);

/// KiB.
const MEMORY: u64 = 6 << 10;

/// What the last message gives rise to is over by then.
const SETTLE: Duration = Duration::from_secs(1);
const WATCHED: Duration = Duration::from_secs(3);
