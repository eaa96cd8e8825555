//! Several backends of a service on one machine (oslo-bugs B1), ours and the original's.

use std::time::Duration;

use anyhow::ensure;
use oslo_rpc::{Client, Server, Target};
use serde_json::json;
use tests::binary;
use tests::driver::{Service, Topics};
use tests::oslo::{Host, Release};
use tests::program::Program;

use crate::peers::transport;
use crate::site::{Site, named};

#[tokio::test]
async fn b01_each_backend_of_a_host_gets_its_own() -> anyhow::Result<()> {
    let site = Site::new("rpc_zmq_host = 127.0.0.1")?;
    let _receiver = site.receiver().await?;
    let mut servers = Vec::new();
    for backend in ["127.0.0.1@a", "127.0.0.1@b"] {
        let server = Server::builder("cinder-volume").server(backend).endpoint(named(backend));
        servers.push(server.start(&site.transport().await?).await?);
    }
    let client = Client::new(&site.transport().await?);
    for backend in ["127.0.0.1@a", "127.0.0.1@b"] {
        let target = Target::topic("cinder-volume").server(backend);
        for _ in 0..100 {
            let name: String = client.call(&target, "name", &()).await?;
            ensure!(name == backend, "a call to {backend} went to {name}");
        }
    }
    Ok(())
}

/// With the receiver's default settings: ten seconds for a backend of that name to come.
#[test]
fn b01_an_original_service_is_called_by_its_backends_name() -> anyhow::Result<()> {
    let host = Host::localhost(Release::Kilo, tests::loopback::free_port()?)?;
    let mut receiver = Program::start("receiver", &mut host.receiver(&binary::receiver()?))?;
    receiver.wait_until_listening(host.address(), LIMIT)?;
    let topics = Topics { rpc: "cinder-volume", notifications: "unused" };
    let _service = Service::start_as("localhost@lvm", &host, "lvm", topics)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let client = Client::new(&transport(&host).await?).with_timeout(LIMIT * 2);
        let target = Target::topic("cinder-volume").server("localhost@lvm");
        for _ in 0..100 {
            let name: String = client.call(&target, "name_of_service", &json!({})).await?;
            ensure!(name == "lvm", "{name} answered");
        }
        Ok(())
    })
}

/// Generous: two cores may be running other tests.
const LIMIT: Duration = Duration::from_secs(15);
