//! Options of the admin endpoint.

use std::net::SocketAddr;
use std::path::PathBuf;

use oslo_config::{Config, Setting, ValueError};

use super::reader::Reader;
use super::{SettingsError, options};

/// Where the admin endpoint is, and how much it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// The Unix socket; `None`: there is none.
    pub socket: Option<AdminSocket>,
    /// A TCP address besides, for reading only.
    pub listen: Option<SocketAddr>,
    /// Topics that metrics name.
    pub metrics_max_topics: usize,
}

/// The Unix socket of the admin endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSocket {
    /// From the root.
    pub path: PathBuf,
    /// Whether an operator chose it: then no other may take its place, and it must work.
    pub is_explicit: bool,
}

impl AdminSocket {
    /// Where a receiver with this configuration is asked, whatever else is wrong with it; `None`: nowhere.
    ///
    /// # Errors
    /// What is wrong with the option itself.
    pub fn configured(config: &Config) -> Result<Option<Self>, SettingsError> {
        let mut reader = Reader::new(config);
        let socket = socket(&mut reader)?;
        reader.faults.into_iter().next().map_or(Ok(socket), |fault| Err(fault.into()))
    }
}

fn socket(reader: &mut Reader<'_>) -> Result<Option<AdminSocket>, ValueError> {
    let Setting { value, origin } = reader.get(&options::ADMIN_SOCKET)?;
    let is_explicit = origin.is_explicit();
    Ok(value.map(|path| AdminSocket { path: path.0, is_explicit }))
}

/// Reads them, and warns of an address that others reach.
///
/// # Errors
/// A default that cannot be meant.
pub(super) fn admin(reader: &mut Reader<'_>) -> Result<AdminSettings, ValueError> {
    let socket = socket(reader)?;
    let remote = reader.require(&options::ADMIN_ALLOW_REMOTE)?.value;
    let Setting { value, origin } = reader.get(&options::ADMIN_LISTEN)?;
    let mut listen = value.map(|listen| listen.0);
    if let Some(address) = listen.filter(|address| !address.ip().is_loopback() && !remote) {
        let text = format!(
            "admin_listen = {address} is no loopback address, and the endpoint asks nobody who they are: it is not \
             opened; use 127.0.0.1, or set admin_allow_remote where the network keeps strangers out"
        );
        reader.warn(origin, text);
        listen = None;
    }
    let metrics_max_topics = reader.require(&options::METRICS_MAX_TOPICS)?.value.0;
    Ok(AdminSettings { socket, listen, metrics_max_topics })
}
