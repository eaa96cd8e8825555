//! What nothing costs: no wake, no processor time, and little memory for a connection.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::binary;
use tests::process::{activity, memory};
use tests::program::Program;
use tests::site::Site;
use tests::wire;

#[test]
fn an_idle_receiver_sleeps() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let receiver = site.start()?;
    let mut clients = (0..CONNECTIONS).map(|_| site.client()).collect::<Result<Vec<_>, _>>()?;
    clients[0].write_all(&wire::cast(b"compute.host1", b"one"))?;
    let mut consumer = site.consumer("compute.host1", "PULL")?;
    wire::read_message(&mut consumer)?;
    sleeps("the receiver", receiver.id())
}

#[test]
fn an_idle_pull_sleeps() -> anyhow::Result<()> {
    let (pull, mut peers) = pull_with(CONNECTIONS)?;
    peers[0].write_all(&wire::message(&[b"one"]))?;
    sleeps("a PULL", pull.id())
}

#[test]
fn an_idle_connection_takes_little_memory() -> anyhow::Result<()> {
    let (pull, mut peers) = pull_with(FEW)?;
    thread::sleep(SETTLE);
    let before = memory(pull.id())?;
    let address = peers[0].peer_addr()?.to_string();
    while peers.len() < MANY {
        peers.push(connect(&address)?);
    }
    thread::sleep(SETTLE);
    let each = (memory(pull.id())?.saturating_sub(before) << 10) / (MANY - FEW) as u64;
    println!("{each} octets a connection");
    ensure!(
        each <= CONNECTION,
        "an idle connection of a PULL takes {each} octets, allowed {CONNECTION}: see what its task and its session hold"
    );
    Ok(())
}

/// A process with a PULL and so many peers, which have said no more than hello.
fn pull_with(peers: usize) -> anyhow::Result<(Program, Vec<TcpStream>)> {
    let mut command = Command::new(binary::measured("workload", "workload")?);
    let mut pull = Program::start("PULL", command.args(["keep", "none"]))?;
    let address = pull.next_line(PATIENCE)?;
    let peers = (0..peers).map(|_| connect(&address)).collect::<anyhow::Result<_>>()?;
    Ok((pull, peers))
}

fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    wire::handshake(&mut stream, "PUSH")?;
    Ok(stream)
}

/// Fails unless no thread of a process wakes or runs during [`WATCHED`].
fn sleeps(who: &str, process: u32) -> anyhow::Result<()> {
    let begun = Instant::now();
    thread::sleep(SETTLE);
    let before = activity(process)?;
    thread::sleep(WATCHED);
    let after = activity(process)?;
    ensure!(
        before == after,
        "{who} did something in {WATCHED:?}, {:?} after the last message, where nothing was to be done: {before:?} \
         became {after:?}. A timer that goes off for nothing? strace -f -p shows which",
        begun.elapsed()
    );
    Ok(())
}

/// Of a process that is to sleep.
const CONNECTIONS: usize = 50;

/// Connections when memory is read first: allocators have grown, tables have been made.
const FEW: usize = 20;

/// Connections when it is read again, few enough for the usual limit of 1,024 descriptors.
const MANY: usize = 500;

/// Octets of memory of an idle connection; 2,423 and 2,807 were measured.
const CONNECTION: u64 = 3200;

/// From the last octet to the end of what it gives rise to, the timers that it leaves behind included.
const SETTLE: Duration = Duration::from_secs(1);

/// A second would miss timers that go off every few.
const WATCHED: Duration = Duration::from_secs(3);

const PATIENCE: Duration = Duration::from_secs(20);
