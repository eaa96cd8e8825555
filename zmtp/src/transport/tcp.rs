//! `tcp://HOST:PORT`.
//!
//! To bind, HOST is `*` (all of IPv4), an address, a name, or a network interface; PORT `*` or 0 lets the system
//! choose. To connect, HOST is an address or a name, resolved at each attempt. IPv6 addresses stand in brackets.
//!
//! Ports are strict: libzmq reads them with `atoi` and takes 99999 for 34463.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    task::{Context, Poll, ready},
};

use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use super::{BoxFuture, Link, Listener, Transport};

/// TCP over IPv4 and IPv6, Nagle's algorithm always off. Built in; of use to a transport around it.
#[derive(Debug)]
pub struct Tcp;

impl Transport for Tcp {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (host, port) = split(address)?;
            let port = if port == "*" { 0 } else { parse_port(port)? };
            let address = resolve_local(host, port).await?;
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restarted daemon must not wait for the old connections' TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener: Box<dyn Listener> = Box::new(TcpAcceptor(socket.listen(BACKLOG)?));
            Ok(listener)
        })
    }

    fn check(&self, address: &str) -> io::Result<()> {
        remote(address).map(|_| ())
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let mut last = None;
            for address in lookup_host(remote(address)?).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) if is_connected_to_itself(&stream) => {
                        last = Some(io::Error::new(io::ErrorKind::ConnectionRefused, "connected to itself"));
                    }
                    Ok(stream) => return link(stream, address),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
        })
    }
}

struct TcpAcceptor(TcpListener);

impl Listener for TcpAcceptor {
    fn address(&self) -> String {
        self.0.local_addr().map(|a| a.to_string()).unwrap_or_default()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        // It fails only for a peer that is gone again.
        Poll::Ready(link(stream, peer).map_err(|_| io::ErrorKind::ConnectionAborted.into()))
    }
}

fn link(stream: TcpStream, peer: SocketAddr) -> io::Result<Link> {
    stream.set_nodelay(true)?;
    // A system that does not have it is only slower.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    Ok(Link { stream: Box::new(stream), peer: peer.to_string() })
}

/// A connect to a free port of the ephemeral range can meet itself (simultaneous open) and then seems to work.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

fn remote(address: &str) -> io::Result<(&str, u16)> {
    let (host, port) = split(address)?;
    let port = parse_port(port)?;
    if port == 0 || host == "*" {
        return Err(invalid("a wildcard is for bind only; name the host and port to connect to"));
    }
    Ok((host, port))
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

async fn resolve_local(host: &str, port: u16) -> io::Result<SocketAddr> {
    if host == "*" {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((ip, port).into());
    }
    if let Some(ip) = interface_address(host)? {
        return Ok((ip, port).into());
    }
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

/// Bursts of reconnecting peers overflow libzmq's backlog of 100 and then wait for a retransmitted SYN; the kernel cuts
/// this to `somaxconn`.
const BACKLOG: u32 = 4096;

/// Octets that the kernel takes before it has sent those that it has (`TCP_NOTSENT_LOWAT`): as much as one read of a peer.
///
/// Otherwise it takes megabytes, which leave the caches before they are sent, and sends them only as acknowledgements come:
/// on a connection within one host, at the receiver's expense. Over loopback, two CPUs, medians of 3 to 7 rounds in turns with
/// the system's default: messages of 1 KiB 1.9 to 2.1 times as many, 4 KiB 0.95 to 2.4, 16 KiB 1.6 to 2.3, 64 KiB 1.5 to 1.6; of 64
/// octets 0.8 to 1.3. 32 KiB was better for some sizes and twice as bad for others, 128 KiB gained a third of it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 64 << 10;

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

    /// What happens to a client whose system gives it the very port that it asks for.
    #[tokio::test]
    async fn a_connection_with_itself_is_none() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(port).unwrap();
        assert!(is_connected_to_itself(&socket.connect(port).await.unwrap()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(!is_connected_to_itself(&TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()));
    }

    #[tokio::test]
    async fn an_interface_is_an_address_to_bind() {
        let listener = Tcp.bind("lo:*").await.unwrap();
        assert!(listener.address().starts_with("127.0.0.1:"), "{}", listener.address());
    }
}
