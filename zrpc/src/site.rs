//! This process's place among the machines: its transport, and a receiver of its own if it is to have one.

use std::env;
use std::path::Path;
use std::time::Duration;

use oslo_config::{Config, Source, config_files, default_files, load};
use oslo_messaging_zmq_receiver::Receiver;
use oslo_messaging_zmq_receiver::cli::Cli as ReceiverCli;
use oslo_messaging_zmq_receiver::settings::{Settings as ReceiverSettings, gather};
use oslo_rpc::{Settings, Transport, settings};
use tempfile::TempDir;
use tracing::warn;

use crate::cli::SiteArgs;
use crate::failure::Failure;

/// A transport, and what it stands on.
pub(crate) struct Site {
    pub(crate) transport: Transport,
    embedded: Option<(Receiver, TempDir)>,
}

impl Site {
    /// Reads the configuration, and starts the receiver that is asked for.
    pub(crate) async fn open(args: &SiteArgs) -> Result<Self, Failure> {
        let files = args.config_file.iter().cloned().map(Source::File);
        let sources: Vec<_> = files.chain(args.config_dir.iter().cloned().map(Source::Directory)).collect();
        let home = env::var_os("HOME");
        let mut config = Config::new(settings::DECLARED);
        for file in config_files(&sources, default_files("oslo", "zrpc", home.as_deref().map(Path::new)))? {
            config.push(load(&file)?);
        }
        config.set_environment(env::vars_os());
        let mut settings = Settings::from_config(&config)?;
        if let Some(url) = &args.url {
            settings.apply_url(url)?;
        }
        settings.warnings.iter().for_each(|warning| warn!("{warning}"));
        // Whoever types a command wants to know that nobody hears it.
        settings.fail_without_host = true;

        let mut embedded = None;
        if args.embedded {
            let directory = tempfile::tempdir()?;
            let cli = ReceiverCli { sources, ..ReceiverCli::default() };
            let mut receiver = ReceiverSettings::from_config(&gather(&cli, env::vars_os())?)?;
            receiver.host = settings.host.to_string();
            settings.ipc_dir = directory.path().to_owned();
            embedded = Some((Receiver::start(&receiver, directory.path()).await?, directory));
        }
        Ok(Self { transport: Transport::open(settings).await?, embedded })
    }

    /// Waits until all has left, at most as long as a cast may take.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        let linger = self.transport.settings().cast_timeout;
        let closed = self.transport.close(linger).await;
        if let Some((receiver, _directory)) = self.embedded {
            let _ = tokio::time::timeout(EMBEDDED_END, receiver.stop()).await;
        }
        if closed.dropped > 0 { Err(Failure::NotSent { dropped: closed.dropped }) } else { Ok(()) }
    }
}

/// A receiver of this process has nobody's messages left to hand on but its own.
const EMBEDDED_END: Duration = Duration::from_secs(1);
