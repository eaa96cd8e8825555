//! `tcp://HOST:PORT`, `tcp://SOURCE:PORT;HOST:PORT`.

mod address;
mod network;

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use super::{BoxFuture, Link, Listener, OpenListener, Transport};
use address::{destination, local, resolve_local};
pub use network::{Network, NotANetwork};

/// TCP over IPv4 and IPv6, Nagle's algorithm always off. For [`Options::tcp`](crate::Options::tcp).
///
/// To bind, the host is `*` (all of IPv4), an address, a name, or a network interface (`lo`, `eth0`); the port `*` or 0
/// lets the system choose. To connect, it is an address or a name, which is resolved at each attempt; with a source in
/// front, `10.0.0.1:0;host:9501`, the connection comes from there. IPv6 addresses stand in brackets, with a zone where they
/// need one: `[fe80::1%eth0]:9501`. `[::]` is both IPv6 and IPv4, unless the system says otherwise.
///
/// On a loopback address, congestion control is `reno` whatever the system's default (Linux), since pacing, as BBR does it, costs
/// more than it is worth where nobody shares the way.
///
/// Ports are strict: libzmq reads them with `atoi` and takes 99999 for 34463.
///
/// ```
/// use std::time::Duration;
/// use zmtp::{Options, transport::Tcp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tcp = Tcp::new().keepalive(Duration::from_secs(60)).accept_from("10.0.0.0/8".parse()?);
/// let options = Options::new().tcp(tcp);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Tcp {
    keepalive: Option<TcpKeepalive>,
    give_up_after: Option<Duration>,
    send_buffer: Option<usize>,
    recv_buffer: Option<usize>,
    tos: Option<u32>,
    device: Option<String>,
    backlog: u32,
    accept_from: Vec<Network>,
}

impl Tcp {
    /// The defaults, which are the system's where nothing else is said.
    pub const fn new() -> Self {
        Self {
            keepalive: None,
            give_up_after: None,
            send_buffer: None,
            recv_buffer: None,
            tos: None,
            device: None,
            backlog: BACKLOG,
            accept_from: Vec::new(),
        }
    }

    /// Has the kernel probe a peer that has been silent for so long, in whole seconds (libzmq: `ZMQ_TCP_KEEPALIVE`,
    /// `ZMQ_TCP_KEEPALIVE_IDLE`). Default: off. [Heartbeats](crate::Options::heartbeat_interval) also find out whether the
    /// peer's process hangs.
    pub fn keepalive(mut self, idle: Duration) -> Self {
        self.keepalive = Some(self.keepalive.unwrap_or_else(TcpKeepalive::new).with_time(idle));
        self
    }

    /// The same, with the time between probes, and how many of them may stay unanswered (`ZMQ_TCP_KEEPALIVE_INTVL`,
    /// `ZMQ_TCP_KEEPALIVE_CNT`).
    pub fn keepalive_probes(mut self, interval: Duration, count: u32) -> Self {
        let keepalive = self.keepalive.unwrap_or_else(TcpKeepalive::new);
        self.keepalive = Some(keepalive.with_interval(interval).with_retries(count));
        self
    }

    /// Ends a connection whose peer's kernel has not acknowledged what was sent for so long (`ZMQ_TCP_MAXRT`). Default: the
    /// system's, about a quarter of an hour.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = Some(time);
        self
    }

    /// Octets of the kernel's send buffer (`ZMQ_SNDBUF`), which are beyond any mark of this crate. Default: the system's.
    pub fn send_buffer(mut self, octets: usize) -> Self {
        self.send_buffer = Some(octets);
        self
    }

    /// Octets of the kernel's receive buffer (`ZMQ_RCVBUF`). Default: the system's.
    pub fn recv_buffer(mut self, octets: usize) -> Self {
        self.recv_buffer = Some(octets);
        self
    }

    /// Marks packets with a type of service: the octet of RFC 2474 (`ZMQ_TOS`). Default: 0.
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = Some(tos.into());
        self
    }

    /// Sends and receives through one network interface only (`ZMQ_BINDTODEVICE`, Linux). Default: any.
    pub fn device(mut self, interface: impl Into<String>) -> Self {
        self.device = Some(interface.into());
        self
    }

    /// Connections that may wait to be accepted (`ZMQ_BACKLOG`); the kernel cuts it to `net.core.somaxconn`. Default: 4,096.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Accepts from this network, and any other that is named in this way; from nowhere else (`ZMQ_TCP_ACCEPT_FILTER`).
    /// Default: from everywhere. Who is turned away shows in the monitor, and is counted as `accept-filter`.
    pub fn accept_from(mut self, network: Network) -> Self {
        self.accept_from.push(network);
        self
    }

    /// A socket to bind to an address, or to connect to it.
    fn open(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let open = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        let socket = SockRef::from(&open);
        // Before the handshake of TCP, which settles how large the window can become.
        if let Some(octets) = self.send_buffer {
            socket.set_send_buffer_size(octets)?;
        }
        if let Some(octets) = self.recv_buffer {
            socket.set_recv_buffer_size(octets)?;
        }
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        // Before there is a connection, which goes on pacing once it has begun. Where it is not to be had, it is only slower.
        #[cfg(target_os = "linux")]
        if address.ip().to_canonical().is_loopback() {
            let _ = socket.set_tcp_congestion(UNPACED);
        }
        self.mark(&socket, address.is_ipv4())?;
        Ok(open)
    }

    fn mark(&self, socket: &SockRef<'_>, is_ipv4: bool) -> io::Result<()> {
        match self.tos {
            None => Ok(()),
            Some(tos) if is_ipv4 => socket.set_tos_v4(tos),
            Some(tos) => socket.set_tclass_v6(tos),
        }
    }

    fn link(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        // A system that does not have it is only slower.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(keepalive)?;
        }
        if let Some(time) = self.give_up_after {
            socket.set_tcp_user_timeout(Some(time))?;
        }
        Ok(Link::new(stream, peer.to_string()))
    }

    async fn connect_to(&self, address: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
        let socket = self.open(address)?;
        if let Some(source) = source {
            socket.set_reuseaddr(true)?;
            socket.bind(source)?;
        }
        socket.connect(address).await
    }

    fn acceptor(&self, listener: TcpListener) -> Box<dyn Listener> {
        Box::new(TcpAcceptor { listener, tcp: self.clone() })
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for Tcp {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (host, port) = local(address)?;
            let address = resolve_local(host, port).await?;
            let socket = self.open(address)?;
            // A restarted daemon must not wait for the old connections' TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(self.acceptor(socket.listen(self.backlog)?))
        })
    }

    fn check(&self, address: &str) -> io::Result<()> {
        destination(address).map(drop)
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let to = destination(address)?;
            let source = match to.source {
                Some((host, port)) => Some(resolve_local(host, port).await?),
                None => None,
            };
            let mut last = None;
            for address in lookup_host((to.host, to.port)).await? {
                if source.is_some_and(|source| source.is_ipv4() != address.is_ipv4()) {
                    continue;
                }
                match self.connect_to(address, source).await {
                    Ok(stream) if is_connected_to_itself(&stream, address) => {
                        last = Some(io::Error::new(io::ErrorKind::ConnectionRefused, "connected to itself"));
                    }
                    Ok(stream) => return self.link(stream, address),
                    Err(error) => last = Some(error),
                }
            }
            let none = || {
                io::Error::new(io::ErrorKind::NotFound, "the name has no address, or none that goes with the source")
            };
            Err(last.unwrap_or_else(none))
        })
    }

    fn adopt(&self, listener: OpenListener) -> io::Result<Box<dyn Listener>> {
        let OpenListener::Tcp(listener) = listener else { return Err(io::ErrorKind::InvalidInput.into()) };
        listener.set_nonblocking(true)?;
        Ok(self.acceptor(TcpListener::from_std(listener)?))
    }
}

struct TcpAcceptor {
    listener: TcpListener,
    tcp: Tcp,
}

impl Listener for TcpAcceptor {
    fn address(&self) -> String {
        self.listener.local_addr().map(|a| a.to_string()).unwrap_or_default()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let (stream, peer) = ready!(self.listener.poll_accept(cx))?;
        let networks = &self.tcp.accept_from;
        if !networks.is_empty() && !networks.iter().any(|network| network.contains(peer.ip())) {
            let text = format!("{peer} is in no network that is accepted from");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, text)));
        }
        // It fails only for a peer that is gone again.
        Poll::Ready(self.tcp.link(stream, peer).map_err(|_| io::ErrorKind::ConnectionAborted.into()))
    }
}

/// A connect to a free port of the ephemeral range can meet itself (simultaneous open) and then seems to work.
fn is_connected_to_itself(stream: &TcpStream, peer: SocketAddr) -> bool {
    stream.local_addr().is_ok_and(|local| local == peer)
}

/// Bursts of reconnecting peers overflow libzmq's backlog of 100 and then wait for a retransmitted SYN; the kernel cuts
/// this to `somaxconn`.
const BACKLOG: u32 = 4096;

/// Octets that the kernel takes before it has sent those that it has (`TCP_NOTSENT_LOWAT`): as much as one read of a peer.
///
/// Otherwise it takes megabytes, which leave the caches before they are sent, and sends them as acknowledgements come: on a
/// connection within one host, at the receiver's expense. Over loopback, on two CPUs, in turns with the system's default:
/// messages of 64 octets 0.8 to 1.35 times as many, 1 KiB 1.9 to 2.1, 4 KiB 0.95 to 2.6, 16 KiB 1.6 to 2.5, 64 KiB 1.5. With 32 KiB
/// some sizes did better and others half as well; 128 KiB gained little.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 64 << 10;

/// The congestion control of connections within this host, whose network nobody else shares: one without pacing, in each Linux
/// kernel and open to each user. Many systems use BBR for all, which paces by timers, and these cost more than the octets do.
///
/// Over loopback, on two CPUs, beside BBR in turns, medians of 5 rounds: messages of 16 octets to 1 KiB 1.0 times as many but for
/// 256 octets with 1.6, 4 and 16 KiB as many, 64 KiB as many to twice as many, 1 MiB 2.3; PUB to 1 of 256 octets 1.7, to 4 and
/// 32 as many, 4 PUSH 1.3, 64 PUSH 1.1.
#[cfg(target_os = "linux")]
const UNPACED: &[u8] = b"reno";

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &Tcp = &Tcp::new();

    /// What happens to a client whose system gives it the very port that it asks for.
    #[tokio::test]
    async fn a_connection_with_itself_is_none() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(port).unwrap();
        assert!(is_connected_to_itself(&socket.connect(port).await.unwrap(), port));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_connected_to_itself(&TcpStream::connect(address).await.unwrap(), address));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_connections_within_the_host_have_their_own_congestion_control() {
        let usual = std::fs::read("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
        for (address, expected) in [
            ("127.0.0.1:1", UNPACED),
            ("[::1]:1", UNPACED),
            ("[::ffff:127.0.0.1]:1", UNPACED),
            ("192.0.2.1:1", usual.trim_ascii_end()),
        ] {
            let socket = CLIENT.open(address.parse().unwrap()).unwrap();
            let name = SockRef::from(&socket).tcp_congestion().unwrap();
            assert_eq!(name.split(|&octet| octet == 0).next(), Some(expected), "{address}");
        }
    }

    #[tokio::test]
    async fn an_interface_is_an_address_to_bind() {
        let listener = Tcp::new().bind("lo:*").await.unwrap();
        assert!(listener.address().starts_with("127.0.0.1:"), "{}", listener.address());
    }

    #[tokio::test]
    async fn what_is_set_reaches_the_kernel() {
        let tcp = Tcp::new()
            .keepalive(Duration::from_secs(61))
            .keepalive_probes(Duration::from_secs(7), 3)
            .give_up_after(Duration::from_secs(9))
            .send_buffer(20_000)
            .recv_buffer(30_000)
            .tos(0x28)
            .device("lo");
        for host in ["127.0.0.1", "[::1]"] {
            let listener = tcp.bind(&format!("{host}:0")).await.unwrap();
            let address: SocketAddr = listener.address().parse().unwrap();
            let stream = tcp.connect_to(address, None).await.unwrap();
            let socket = SockRef::from(&stream);
            // The kernel doubles what it is given (socket(7)).
            assert_eq!((socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap()), (40_000, 60_000));
            assert_eq!(socket.device().unwrap().unwrap(), b"lo");
            let tos = if address.is_ipv4() { socket.tos_v4() } else { socket.tclass_v6() };
            assert_eq!(tos.unwrap(), 0x28);
            let second = tcp.connect_to(address, None).await.unwrap();
            let handle = second.into_std().unwrap();
            let copy = TcpStream::from_std(handle.try_clone().unwrap()).unwrap();
            let _link = tcp.link(copy, address).unwrap();
            let socket = SockRef::from(&handle);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(61));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
        }
        assert!(Tcp::new().device("no-such-device").bind("127.0.0.1:0").await.is_err());
    }

    #[tokio::test]
    async fn a_connection_comes_from_its_source() {
        let mut listener = Tcp::new().bind("127.0.0.1:0").await.unwrap();
        let to = format!("127.0.0.5:0;{}", listener.address());
        let (connected, accepted) =
            tokio::join!(CLIENT.connect(&to), std::future::poll_fn(|cx| listener.poll_accept(cx)));
        connected.unwrap();
        let peer = accepted.unwrap().peer;
        assert!(peer.starts_with("127.0.0.5:"), "{peer}");
    }

    #[tokio::test]
    async fn connecting_to_oneself_is_a_failure() {
        // With the source as its own destination a socket meets itself.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Tcp::new().connect(&format!("{free};{free}")).await.unwrap_err();
        assert_eq!(error.to_string(), "connected to itself");
    }

    #[tokio::test]
    async fn strangers_are_turned_away() {
        let tcp = Tcp::new().accept_from("127.0.0.2/31".parse().unwrap()).accept_from("::1".parse().unwrap());
        let mut listener = tcp.bind("127.0.0.1:0").await.unwrap();
        let address = listener.address();
        for (source, welcome) in [("127.0.0.1", false), ("127.0.0.3", true), ("127.0.0.4", false)] {
            let to = format!("{source}:0;{address}");
            let (_connected, accepted) =
                tokio::join!(CLIENT.connect(&to), std::future::poll_fn(|cx| listener.poll_accept(cx)));
            let denied = accepted.err().map(|error| error.kind());
            assert_eq!(denied, (!welcome).then_some(io::ErrorKind::PermissionDenied), "{source}");
        }
    }
}
