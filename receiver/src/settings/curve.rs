//! The port for peers that encrypt.

use std::path::PathBuf;

use oslo_config::ValueError;

use super::Bind;
use super::options;
use super::reader::Reader;

/// The port for peers that encrypt (CURVE, RFC 26), beside the plain one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurveSettings {
    /// Where they connect to.
    pub bind: Bind,
    /// The file with the secret key of this receiver.
    pub key_file: PathBuf,
    /// The file with the public keys of those who may connect; `None`: everybody who knows this receiver's public key.
    pub clients: Option<PathBuf>,
}

impl CurveSettings {
    /// Reads the options; `None` without a port. `address` is that of the plain port.
    ///
    /// # Errors
    /// A default that cannot be meant.
    pub(super) fn read(reader: &mut Reader<'_>, address: &str) -> Result<Option<Self>, ValueError> {
        let Some(port) = reader.get(&options::CURVE_PORT)?.value else { return Ok(None) };
        let own = reader.get(&options::CURVE_BIND_ADDRESS)?.value;
        let address = own.map_or_else(|| address.to_owned(), |address| address.0);
        Ok(Some(Self {
            bind: Bind { address, port: port.0 },
            key_file: reader.require(&options::CURVE_KEY_FILE)?.value.0,
            clients: reader.get(&options::CURVE_CLIENTS)?.value.map(|path| path.0),
        }))
    }
}
