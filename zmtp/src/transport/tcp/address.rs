//! From `HOST:PORT` to addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::net::lookup_host;

/// Where to connect to, and from where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Destination<'a> {
    pub(super) source: Option<(&'a str, u16)>,
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// Reads `HOST:PORT` or `SOURCE:PORT;HOST:PORT`.
pub(super) fn destination(address: &str) -> io::Result<Destination<'_>> {
    let (source, address) = match address.split_once(';') {
        Some((source, address)) => (Some(local(source)?), address),
        None => (None, address),
    };
    let (host, port) = split(address)?;
    let port = parse_port(port)?;
    if port == 0 || host == "*" {
        return Err(invalid("a wildcard is for bind only; name the host and port to connect to"));
    }
    Ok(Destination { source, host, port })
}

/// Reads `HOST:PORT` of this machine, where `*` stands for any port.
pub(super) fn local(address: &str) -> io::Result<(&str, u16)> {
    let (host, port) = split(address)?;
    Ok((host, if port == "*" { 0 } else { parse_port(port)? }))
}

fn split(address: &str) -> io::Result<(&str, &str)> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid("expected HOST:PORT"))?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(|| invalid("no ] after the IPv6 address"))?,
        None if host.contains(':') => return Err(invalid("put an IPv6 address in brackets: [::1]:9501")),
        None => host,
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(invalid("no host name before the port"));
    }
    Ok((host, port))
}

fn parse_port(text: &str) -> io::Result<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| invalid("the port is a number from 0 to 65535"))
}

/// The address of this machine that is meant: any, one given, an interface's or a name's.
pub(super) async fn resolve_local(host: &str, port: u16) -> io::Result<SocketAddr> {
    if host == "*" {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((ip, port).into());
    }
    if let Some(ip) = interface_address(host)? {
        return Ok((ip, port).into());
    }
    // Knows IPv6 zones too: fe80::1%eth0.
    let found = lookup_host((host, port)).await;
    found.ok().and_then(|mut all| all.next()).ok_or_else(|| invalid("no address, interface or host of that name"))
}

/// The first IPv4 address of a network interface, else its first address.
fn interface_address(name: &str) -> io::Result<Option<IpAddr>> {
    let all: Vec<IpAddr> =
        if_addrs::get_if_addrs()?.into_iter().filter(|i| i.name == name).map(|i| i.addr.ip()).collect();
    Ok(all.iter().find(|ip| ip.is_ipv4()).or_else(|| all.first()).copied())
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_strict() {
        assert_eq!(split("[::1]:80").unwrap(), ("::1", "80"));
        assert_eq!(split("*:*").unwrap(), ("*", "*"));
        for bad in ["", "host", "::1:80", "[::1:80", ":80", "a b:80"] {
            assert_eq!(split(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
        for bad in ["", "-1", "+1", "65536", "99999", "5555x", " 1"] {
            assert_eq!(parse_port(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
        assert_eq!(parse_port("65535").unwrap(), 65535);
    }

    #[test]
    fn a_destination_may_have_a_source() {
        let plain = destination("host:80").unwrap();
        assert_eq!(plain, Destination { source: None, host: "host", port: 80 });
        let from = destination("[::1]:0;[::2]:80").unwrap();
        assert_eq!(from, Destination { source: Some(("::1", 0)), host: "::2", port: 80 });
        assert_eq!(destination("lo:*;host:1").unwrap().source, Some(("lo", 0)));
        for bad in ["*:80", "host:0", "host:*", ";host:80", "a:1;", "a:1;*:2", "a:1;b:2;c:3", "a;b:2"] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_ipv6_zone_is_an_interface() {
        let resolved = resolve_local("fe80::1%lo", 5).await.unwrap();
        let SocketAddr::V6(address) = resolved else { panic!("{resolved}") };
        assert_eq!((address.scope_id(), address.port()), (1, 5), "the loopback interface is the first");
        assert!(resolve_local("fe80::1%no-such-interface", 5).await.is_err());
    }
}
