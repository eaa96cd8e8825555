//! What calls leave behind in memory, in a process that does nothing else: receiver, service and caller are all in it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, ensure};
use oslo_config::{Config, Source, load};
use oslo_messaging_zmq_receiver::Receiver;
use oslo_messaging_zmq_receiver::cli::Cli;
use oslo_messaging_zmq_receiver::settings::{Settings as ReceiverSettings, gather};
use oslo_rpc::{CallError, Client, Context, Endpoint, RemoteError, Server, Settings, Target, Transport};
use tests::loopback;
use tokio::task::JoinSet;

/// 100,000 calls to a method that does nothing, 64 at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b39_no_call_of_100_000_times_out_and_none_leaves_anything() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("oslo.conf");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, loopback::free_port()?));
    let options = format!(
        "[DEFAULT]\nrpc_zmq_host = localhost\nrpc_zmq_port = {}\nrpc_zmq_ipc_dir = {}\n",
        address.port(),
        directory.path().display()
    );
    std::fs::write(&file, options)?;
    let cli = Cli { sources: vec![Source::File(file.clone())], ..Cli::default() };
    let receiver = Receiver::start(&ReceiverSettings::from_config(&gather(&cli, [])?)?, directory.path()).await?;
    let mut config = Config::new(oslo_rpc::settings::DECLARED);
    config.push(load(&file)?);
    let settings = Settings::from_config(&config)?;
    let (here, there) = (Transport::open(settings.clone()).await?, Transport::open(settings).await?);
    let endpoint = Endpoint::new().method("nothing", async |_: Context, (): ()| Ok::<_, RemoteError>(()));
    let server = Server::builder("compute").endpoint(endpoint).start(&there).await?;

    let calls = 100_000;
    let client = Client::new(&here);
    // Pages, sockets and tables grow to what so many at a time need, and stay.
    call(&client, calls / 5).await?;
    let (before, open) = (resident()?, descriptors()?);
    call(&client, calls).await?;
    let grown = resident()?.saturating_sub(before);
    println!("{calls} calls: {} KiB more, {open} descriptors before, {} after", grown / 1024, descriptors()?);
    ensure!(grown < ROOM, "{calls} calls left {} KiB behind", grown / 1024);
    ensure!(descriptors()? == open, "{calls} calls left {} descriptors in place of {open}", descriptors()?);

    ensure!(here.unsent() == 0, "{} messages are left", here.unsent());
    ensure!(here.dropped().is_empty() && there.dropped().is_empty(), "{:?}, {:?}", here.dropped(), there.dropped());
    let stopped = server.stop(std::time::Duration::from_secs(5)).await;
    ensure!(stopped.aborted == 0, "{stopped:?}");
    receiver.stop().await;
    Ok(())
}

/// 64 at a time.
async fn call(client: &Client, calls: u64) -> anyhow::Result<()> {
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let client = client.clone();
        callers.spawn(async move {
            let target = Target::topic("compute");
            for _ in 0..calls / 64 {
                client.call::<()>(&target, "nothing", &()).await?;
            }
            Ok::<_, CallError>(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(())
}

/// Octets of this process in memory: proc_pid_status(5).
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?.parse()?;
    Ok(kibibytes * 1024)
}

/// What this process has open.
fn descriptors() -> anyhow::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Less than 64 octets for each call. What an allocator keeps back between two readings fits in.
const ROOM: u64 = 4 << 20;
