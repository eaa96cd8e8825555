//! The backend that is meant: by `-b`, by configuration files, or by a word of a subcommand.

use std::sync::Arc;

use matchmaker::{
    Backend, Host, Listing, Locator, LocatorError, LookupError, MatchMaker, RingError, RingFile, Settings,
    SettingsError,
};
use oslo_config::{Config, LoadError, load};
use thiserror::Error;

use crate::options::Options;
use crate::registry::Registry;

/// A backend, not yet opened.
pub(crate) struct Chosen {
    pub(crate) locator: Locator,
    /// The `rpc_zmq_host` of this machine, if it has one.
    node: Option<Host>,
}

impl Chosen {
    /// What the options name: a backend, else configuration files, else the ring in its usual place.
    pub(crate) fn of(options: &Options) -> Result<Self, ChoiceError> {
        if !options.config_file.is_empty() {
            let mut config = Config::new(Settings::OPTIONS);
            for file in &options.config_file {
                config.push(load(file)?);
            }
            let Settings { locator, node, warnings, .. } = Settings::from_config(&config)?;
            for warning in warnings {
                eprintln!("{warning}");
            }
            return Ok(Self { locator, node: options.node.clone().or(node).or_else(host_name) });
        }
        Self::named(options, options.backend.as_deref().unwrap_or("ring"))
    }

    /// What this text names.
    pub(crate) fn named(options: &Options, text: &str) -> Result<Self, ChoiceError> {
        Ok(Self { locator: text.parse()?, node: options.node.clone().or_else(host_name) })
    }

    /// Opens it. What is lenient about a ring is said.
    pub(crate) fn open(&self) -> Result<Arc<dyn Backend>, ChoiceError> {
        if let Locator::Ring(file) = &self.locator {
            let file = RingFile::open(file)?;
            for finding in file.ring().findings() {
                eprintln!("{}:{finding}", file.path().display());
            }
            return Ok(Arc::new(file));
        }
        Ok(self.locator.open(self.node()?)?)
    }

    /// Opens it behind its exchanges.
    pub(crate) fn matchmaker(&self) -> Result<MatchMaker, ChoiceError> {
        match self.locator {
            Locator::Ring(_) => Ok(MatchMaker::new(self.open()?)),
            _ => Ok(MatchMaker::at(&self.locator, self.node()?)?),
        }
    }

    /// All that it lists.
    pub(crate) async fn listing(&self) -> Result<Listing, ChoiceError> {
        Ok(self.matchmaker()?.listing().await?)
    }

    /// Opens it to be written to.
    pub(crate) fn registry(&self) -> Result<Registry, ChoiceError> {
        match &self.locator {
            Locator::Ring(file) => Ok(Registry::Ring(file.clone())),
            Locator::Localhost | Locator::Stub => Err(ChoiceError::ReadOnly),
            _ => Ok(Registry::Server(self.open()?)),
        }
    }

    fn node(&self) -> Result<&Host, ChoiceError> {
        self.node.as_ref().ok_or(ChoiceError::Nameless)
    }
}

/// The default of `rpc_zmq_host`.
fn host_name() -> Option<Host> {
    let system = rustix::system::uname();
    system.nodename().to_str().ok()?.parse().ok()
}

/// Why there is no backend.
#[derive(Debug, Error)]
pub(crate) enum ChoiceError {
    #[error(transparent)]
    Locator(#[from] LocatorError),
    #[error(transparent)]
    File(#[from] LoadError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("this backend keeps no list: nothing can be added to it or removed")]
    ReadOnly,
    #[error("the name of this machine is no host name: give its rpc_zmq_host as --node")]
    Nameless,
}
