//! Bugs of the original driver that need a receiver to be seen, each by its number in `docs/oslo-bugs.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use oslo_rpc::envelope::Style;
use oslo_rpc::{CallError, Client, Context, RemoteError, Server, Settings, Target, Transport};
use tests::binary;
use tests::program::Program;
use tests::redis::RedisServer;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::site::{Echo, Site, named, until};

/// Ports, directories and matchmakers are two of each.
#[tokio::test]
async fn b03_two_drivers_with_different_configurations_work_in_one_process() -> anyhow::Result<()> {
    let ring = tempfile::NamedTempFile::new()?;
    std::fs::write(ring.path(), r#"{"compute": ["127.0.0.1"]}"#)?;
    let url = format!("rpc_zmq_host = 127.0.0.1\ntransport_url = zmq+ring://{}", ring.path().display());
    let sites = [Site::new("rpc_zmq_host = localhost")?, Site::new(&url)?];
    let (mut receivers, mut servers, mut clients) = (Vec::new(), Vec::new(), Vec::new());
    for (site, name) in sites.iter().zip(["first", "second"]) {
        receivers.push(site.receiver().await?);
        servers.push(Server::builder("compute").endpoint(named(name)).start(&site.transport().await?).await?);
        clients.push((Client::new(&site.transport().await?), name));
    }
    for (client, expected) in clients.iter().cycle().take(20) {
        let name: String = client.call(&Target::topic("compute"), "name", &()).await?;
        ensure!(name == *expected, "{name} in place of {expected}");
    }
    Ok(())
}

#[tokio::test]
async fn b36_an_ipv6_literal_is_bound_and_found_by_ring_and_redis() -> anyhow::Result<()> {
    let ring = tempfile::NamedTempFile::new()?;
    std::fs::write(ring.path(), r#"{"compute": ["::1"]}"#)?;
    let redis = RedisServer::start()?;
    for matchmaker in [format!("zmq+ring://{}", ring.path().display()), format!("zmq+{}", redis.url())] {
        let options = format!("rpc_zmq_bind_address = ::1\nrpc_zmq_host = ::1\ntransport_url = {matchmaker}");
        let site = Site::new(&options)?;
        let _receiver = site.receiver().await?;
        let _server = Server::builder("compute").endpoint(named("six")).start(&site.transport().await?).await?;
        let client = Client::new(&site.transport().await?);
        for target in [Target::topic("compute"), Target::topic("compute").server("::1")] {
            ensure!(client.call::<String>(&target, "name", &()).await? == "six", "{matchmaker}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn b04_a_topic_of_200_octets_works_in_a_directory_of_60() -> anyhow::Result<()> {
    let base = tempfile::tempdir()?.path().as_os_str().len() + 1;
    let site = Site::in_dir(&"d".repeat(60_usize.saturating_sub(base)), "rpc_zmq_host = localhost")?;
    ensure!(site.ipc_dir().as_os_str().len() == 60, "{} has another length", site.ipc_dir().display());
    let _receiver = site.receiver().await?;
    let topic = "t".repeat(200);
    let noted = Arc::new(AtomicUsize::new(0));
    let counter = noted.clone();
    let endpoint = named("long").method("note", move |_: Context, (): ()| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, RemoteError>(()) }
    });
    let _server = Server::builder(topic.as_str()).endpoint(endpoint).start(&site.transport().await?).await?;
    let client = Client::new(&site.transport().await?);
    let target = Target::topic(topic);
    ensure!(client.call::<String>(&target, "name", &()).await? == "long");
    client.cast(&target, "note", &()).await?;
    until("the cast", || noted.load(Ordering::Relaxed) == 1).await?;
    client.fanout(&target, "note", &()).await?;
    until("the fanout", || noted.load(Ordering::Relaxed) == 2).await
}

#[tokio::test]
async fn b06_peers_with_either_style_of_requests_understand_each_other() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_host = localhost")?;
    let _receiver = site.receiver().await?;
    let style = |style| -> anyhow::Result<Settings> { Ok(Settings { style, ..site.settings()? }) };
    ensure!(site.settings()?.style == Style::Cast, "the default is not what all releases understand");
    for serving in [Style::Cast, Style::V2] {
        let noted = Arc::new(AtomicUsize::new(0));
        let counter = noted.clone();
        let endpoint = named("mixed").method("note", move |_: Context, (): ()| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, RemoteError>(()) }
        });
        let topic = format!("compute-{}", serving.as_str());
        let _server =
            Server::builder(topic.as_str()).endpoint(endpoint).start(&Transport::open(style(serving)?).await?).await?;
        for (calling, notes) in [(Style::Cast, 2), (Style::V2, 4)] {
            let client = Client::new(&Transport::open(style(calling)?).await?);
            let target = Target::topic(topic.as_str());
            let name: String = client.call(&target, "name", &()).await?;
            ensure!(name == "mixed", "{calling:?} to {serving:?}: {name}");
            client.cast(&target, "note", &()).await?;
            client.fanout(&target, "note", &()).await?;
            until("the cast and the fanout", || noted.load(Ordering::Relaxed) == notes).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn b30_the_default_configuration_delivers() -> anyhow::Result<()> {
    // Nothing but a port and a directory of the test's own.
    let site = Site::new("")?;
    let _receiver = site.receiver().await?;
    let _server = Server::builder("compute").endpoint(named("default")).start(&site.transport().await?).await?;
    let client = Client::new(&site.transport().await?).with_timeout(Duration::from_secs(10));
    ensure!(client.call::<String>(&Target::topic("compute"), "name", &()).await? == "default");
    Ok(())
}

#[tokio::test]
async fn b05_b17_b37_a_server_is_found_by_its_announcement_and_takes_it_back() -> anyhow::Result<()> {
    let redis = RedisServer::start()?;
    let site = Site::new(&format!("rpc_zmq_host = 127.0.0.1\ntransport_url = zmq+{}", redis.url()))?;
    let _receiver = site.receiver().await?;
    let server = Server::builder("heat-engine").server("0f3c-uuid").endpoint(named("heat"));
    let server = server.start(&site.transport().await?).await?;
    let client = Client::new(&site.transport().await?);
    // By its name, which is no host, and by the topic alone.
    for target in [Target::topic("heat-engine").server("0f3c-uuid"), Target::topic("heat-engine")] {
        ensure!(client.call::<String>(&target, "name", &()).await? == "heat");
    }
    server.stop(Duration::from_secs(1)).await;
    let keys = redis.keys()?;
    ensure!(keys.is_empty(), "after the end there is still {keys:?}");
    let late = Client::new(&site.transport().await?);
    ensure!(
        late.call::<String>(&Target::topic("heat-engine"), "name", &()).await.is_err_and(|error| error.is_no_host())
    );
    Ok(())
}

#[tokio::test]
async fn b35_servers_of_a_topic_share_its_calls() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_host = localhost")?;
    let _receiver = site.receiver().await?;
    let mut servers = Vec::new();
    let transports = [site.transport().await?, site.transport().await?, site.transport().await?];
    for (transport, name) in transports.iter().zip(["0", "1", "2"]) {
        servers.push(Server::builder("compute").endpoint(named(name)).start(transport).await?);
    }
    let client = Client::new(&site.transport().await?);
    let target = Target::topic("compute");
    let mut counts = [0; 3];
    // The first call makes the socket; the servers connect within a tenth of a second.
    client.call::<String>(&target, "name", &()).await?;
    sleep(Duration::from_millis(300)).await;
    for _ in 0..300 {
        let name: String = client.call(&target, "name", &()).await?;
        counts[name.parse::<usize>()?] += 1;
    }
    ensure!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_killed_costs_the_calls_in_it_and_no_others() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_host = localhost")?;
    let executable = binary::receiver()?;
    let start = || -> anyhow::Result<Program> {
        let mut command = std::process::Command::new(&executable);
        command.arg("--config-file").arg(site.config_file());
        let mut program = Program::start("receiver", &mut command)?;
        program.wait_until_listening(site.address(), Duration::from_secs(15))?;
        Ok(program)
    };
    let mut receiver = start()?;
    let _server = Server::builder("compute").endpoint(named("x")).start(&site.transport().await?).await?;
    let client = Client::new(&site.transport().await?).with_timeout(Duration::from_secs(2));
    let mut callers = JoinSet::new();
    for number in 0..16 {
        let client = client.clone();
        callers.spawn(async move {
            let target = Target::topic("compute");
            let (mut finished, mut lost) = (0, 0);
            let end = Instant::now() + Duration::from_secs(3);
            while Instant::now() < end {
                let echo = Echo { value: number.into() };
                match client.call::<i32>(&target, "echo", &echo).await {
                    Ok(echoed) if echoed == number => finished += 1,
                    Ok(other) => panic!("{number} came back as {other}"),
                    Err(CallError::TimedOut(_)) => lost += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            (finished, lost)
        });
    }
    sleep(Duration::from_millis(500)).await;
    receiver.kill()?;
    let _receiver = start()?;
    let begun = Instant::now();
    let again = Client::new(&site.transport().await?).with_timeout(Duration::from_secs(5));
    ensure!(again.call::<String>(&Target::topic("compute"), "name", &()).await? == "x");
    ensure!(begun.elapsed() < Duration::from_secs(1), "it took {:?} until calls worked again", begun.elapsed());
    let (mut finished, mut lost) = (0, 0);
    while let Some(counts) = callers.join_next().await {
        let counts: (u32, u32) = counts?;
        (finished, lost) = (finished + counts.0, lost + counts.1);
    }
    // At most those that were on their way are lost, one of each caller.
    ensure!(finished > 100 && lost <= 16, "{finished} finished, {lost} lost");
    Ok(())
}
