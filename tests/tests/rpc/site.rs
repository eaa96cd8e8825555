//! One machine in this process: a receiver that is embedded, and transports that read its configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use oslo_config::{Config, Source, load};
use oslo_messaging_zmq_receiver::Receiver;
use oslo_messaging_zmq_receiver::cli::Cli;
use oslo_messaging_zmq_receiver::settings::{Settings as ReceiverSettings, gather};
use oslo_rpc::json::Value;
use oslo_rpc::{Context, Endpoint, RemoteError, Settings, Transport};
use tempfile::TempDir;
use tests::loopback;

/// A machine. Its directory goes when it is dropped.
pub(crate) struct Site {
    directory: TempDir,
    address: SocketAddr,
    ipc_dir: PathBuf,
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Echo {
    pub(crate) value: Value,
}

impl Site {
    /// A machine on the loopback interface; `options` follow in its configuration file.
    pub(crate) fn new(options: &str) -> anyhow::Result<Self> {
        Self::in_dir("ipc", options)
    }

    /// The same, with a name for the directory of its sockets.
    pub(crate) fn in_dir(name: &str, options: &str) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let ipc_dir = directory.path().join(name);
        std::fs::create_dir(&ipc_dir)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, loopback::free_port()?));
        let site = Self { directory, address, ipc_dir };
        let config = format!(
            "[DEFAULT]\nrpc_zmq_port = {}\nrpc_zmq_ipc_dir = {}\n{options}\n",
            address.port(),
            site.ipc_dir.display()
        );
        std::fs::write(site.config_file(), config)?;
        Ok(site)
    }

    /// What `--config-file` takes.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("oslo.conf")
    }

    /// Where its receiver listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its receiver makes its sockets.
    pub(crate) fn ipc_dir(&self) -> &Path {
        &self.ipc_dir
    }

    /// Its receiver, in this process.
    pub(crate) async fn receiver(&self) -> anyhow::Result<Receiver> {
        let cli = Cli { sources: vec![Source::File(self.config_file())], ..Cli::default() };
        let settings = ReceiverSettings::from_config(&gather(&cli, [])?)?;
        Ok(Receiver::start(&settings, &self.ipc_dir).await?)
    }

    /// One more process on it.
    pub(crate) async fn transport(&self) -> anyhow::Result<Transport> {
        Ok(Transport::open(self.settings()?).await?)
    }

    /// What its configuration file says.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let mut config = Config::new(oslo_rpc::settings::DECLARED);
        config.push(load(&self.config_file())?);
        Ok(Settings::from_config(&config)?)
    }
}

/// A service that says who it is.
pub(crate) fn named(name: &str) -> Endpoint {
    let name = name.to_owned();
    Endpoint::new().method("echo", async |_: Context, echo: Echo| Ok::<_, RemoteError>(echo.value)).method(
        "name",
        move |_: Context, (): ()| {
            let name = name.clone();
            async move { Ok::<_, RemoteError>(name) }
        },
    )
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + Duration::from_secs(15);
    while !so() {
        ensure!(tokio::time::Instant::now() < end, "{what}: still not so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
