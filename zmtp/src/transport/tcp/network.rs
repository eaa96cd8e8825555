//! `ADDRESS/BITS`: a part of the network (RFC 4632).

use std::{fmt, net::IpAddr, str::FromStr};

/// Addresses that begin with the same bits, such as `10.0.0.0/8` or `2001:db8::/32`; without a number, one address.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network: zmtp::transport::Network = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(!network.contains("10.2.2.3".parse()?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no network: expected ADDRESS or ADDRESS/BITS, such as 10.0.0.0/8", .0.escape_debug())]
pub struct NotANetwork(String);

impl Network {
    /// Whether it holds an address. An IPv4 address that came through an IPv6 socket counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let common = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            _ => return false,
        };
        common >= self.bits.into()
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let parse = || {
            let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = match bits {
                None => most,
                Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().ok()?,
                Some(_) => return None,
            };
            (bits <= most).then_some(Self { address, bits })
        };
        parse().ok_or_else(|| NotANetwork(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn the_first_bits_decide() {
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("192.168.5.7/31", "192.168.5.6") && !contains("192.168.5.7/31", "192.168.5.8"));
        assert!(contains("127.0.0.1", "127.0.0.1") && !contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(contains("::/0", "2001:db8::1") && contains("2001:db8::/33", "2001:db8:7fff::"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::"));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in
            ["", "/", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/8/8", "host/8", "a\nb"]
        {
            let error = bad.parse::<Network>().unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    }
}
