//! The example of a backend of one's own, run as its readers run it, against a real etcd.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::loopback;
use tests::program::Program;

#[test]
fn the_example_finds_hosts_in_etcd() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, loopback::free_port()?));
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, loopback::free_port()?));
    let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(directory.path());
    command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    command.args(["--initial-cluster", &format!("default={peer_url}")]);
    let started = Program::start("etcd", &mut command);
    let mut etcd = started.context("`cargo xtask test` installs it (Debian package etcd-server)")?;
    etcd.wait_until_listening(client, LIMIT)?;
    for key in ["/zmq/compute/host2", "/zmq/compute/host1", "/zmq/computer/host3"] {
        let mut put = Command::new("etcdctl");
        put.env("ETCDCTL_API", "3").args(["--endpoints", &client_url, "put", key, "-"]);
        let put = put.output().context("`cargo xtask test` installs it (Debian package etcd-client)")?;
        ensure!(put.status.success(), "{put:?}");
    }

    ensure!(example(client, "fanout~compute")? == "fanout~compute.host1 host1:9501\nfanout~compute.host2 host2:9501\n");
    ensure!(example(client, "computer")? == "computer.host3 host3:9501\n");
    let error = example(client, "network").expect_err("nobody is there").to_string();
    ensure!(error.contains("2 topics"), "{error}");
    Ok(())
}

/// What the example prints for a key.
fn example(etcd: SocketAddr, key: &str) -> anyhow::Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    cargo.args(["run", "--quiet", "--package", "matchmaker", "--example", "etcd", "--", &etcd.to_string(), key]);
    let output = cargo.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A new etcd elects itself in a second; other tests may hold both cores.
const LIMIT: Duration = Duration::from_secs(30);
