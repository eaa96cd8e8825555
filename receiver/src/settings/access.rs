//! Who may connect, and how much may come from one address.

use std::net::IpAddr;

use oslo_config::ValueError;
use zmtp::transport::Network;

use super::options;
use super::reader::Reader;

/// Who may connect, and how much may come from one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Networks from which peers may connect; none: all.
    pub networks: Vec<Network>,
    /// TCP peers of one address at once, if that is bounded.
    pub per_address: Option<usize>,
    /// Octets that are read from one address in a second, if that is bounded.
    pub octets_per_second: Option<usize>,
}

impl Access {
    /// Reads the options.
    ///
    /// # Errors
    /// A default that cannot be meant.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ValueError> {
        Ok(Self {
            networks: reader.get(&options::ALLOW_FROM)?.value.map(|networks| networks.0).unwrap_or_default(),
            per_address: reader.get(&options::MAX_PER_ADDRESS)?.value.map(|count| count.0),
            octets_per_second: reader.get(&options::OCTETS_PER_SECOND)?.value.map(|octets| octets.0),
        })
    }

    /// Whether a peer of this address may connect. An IPv4 address that is mapped into IPv6 is the IPv4 address.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use oslo_config::OptType;

    use super::*;
    use crate::settings::types::Networks;

    fn access(text: &str) -> Access {
        let Ok(Some(Networks(networks))) = Networks::from_text(text) else { panic!("{text}") };
        Access { networks, ..Access::default() }
    }

    fn admits(access: &Access, address: &str) -> bool {
        access.admits(address.parse().unwrap())
    }

    #[test]
    fn networks_and_addresses_admit_what_is_in_them() {
        let access = access("10.1.0.0/16, 192.168.7.9,fd00::/8");
        for inside in ["10.1.255.3", "192.168.7.9", "fd12::1", "::ffff:10.1.0.1"] {
            assert!(admits(&access, inside), "{inside}");
        }
        for outside in ["10.2.0.1", "192.168.7.8", "fe80::1", "::ffff:10.2.0.1", "127.0.0.1"] {
            assert!(!admits(&access, outside), "{outside}");
        }
        assert!(admits(&Access::default(), "203.0.113.1"));
    }
}
