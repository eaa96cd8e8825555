//! A fresh installation, configured as the documents say and no more, in whatever order its parts are started (oslo-bugs, B10).

use std::fs;

use anyhow::{Context, ensure};
use tests::minimal::Host;
use tests::redis::RedisServer;

use crate::host;

/// A part that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Receiver,
    Service,
    Redis,
}

use Part::{Receiver, Redis, Service};

const ZRPC: &str = "zrpc --config-file /etc/oslo/zmq_receiver.conf";

#[test]
fn b10_a_fresh_installation_with_a_ring_works_in_any_order_of_starts() -> anyhow::Result<()> {
    let (mut host, _) = host::installed()?;
    host.run("matchmaker register demo localhost && matchmaker lint")?;
    host.run("echo 'rpc_zmq_matchmaker = ring' >>/etc/oslo/zmq_receiver.conf")?;
    for (turn, order) in [[Receiver, Service], [Service, Receiver]].into_iter().enumerate() {
        works(&mut host, None, &order, turn).with_context(|| format!("{order:?}"))?;
    }
    Ok(())
}

#[test]
fn b10_a_fresh_installation_with_redis_works_in_any_order_of_starts() -> anyhow::Result<()> {
    let (mut host, _) = host::installed()?;
    let mut redis = RedisServer::start()?;
    let options =
        format!("rpc_zmq_matchmaker = redis\n[matchmaker_redis]\nhost = 127.0.0.1\nport = {}\n", redis.port());
    let file = host.path("/etc/oslo/zmq_receiver.conf");
    fs::write(&file, fs::read_to_string(&file)? + &options)?;
    redis.kill()?;
    let orders = [
        [Receiver, Service, Redis],
        [Receiver, Redis, Service],
        [Service, Receiver, Redis],
        [Service, Redis, Receiver],
        [Redis, Receiver, Service],
        [Redis, Service, Receiver],
    ];
    for (turn, order) in orders.into_iter().enumerate() {
        works(&mut host, Some(&mut redis), &order, turn).with_context(|| format!("{order:?}"))?;
        redis.kill()?;
    }
    Ok(())
}

/// Starts the parts in this order, calls, and stops what runs on the host.
fn works(host: &mut Host, mut redis: Option<&mut RedisServer>, order: &[Part], turn: usize) -> anyhow::Result<()> {
    for part in order {
        match part {
            Receiver => host::start(host, turn + 1)?,
            Service => {
                host.run(&format!("{ZRPC} serve demo >/tmp/serve.log 2>&1 & echo $! >/run/serve.pid"))?;
            }
            Redis => redis.as_mut().context("no Redis")?.restart()?,
        }
    }
    // A service that has to announce itself may not have done so yet.
    let line = format!(
        "for i in 1 2 3 4 5 6 7 8 9 10; do {ZRPC} call demo echo --arg value=7 --timeout 20 && break; sleep 1; done"
    );
    let (_, said) = host.try_run(&line)?;
    let served = fs::read_to_string(host.path("/tmp/serve.log"))?;
    ensure!(said.lines().last() == Some("7"), "{said}\nthe service: {served}");
    println!("{order:?}: {} tries", said.lines().filter(|line| line.starts_with("zrpc:")).count() + 1);
    host.run("kill $(cat /run/serve.pid)")?;
    host::stop(host).map(drop)
}
