//! The transport: ZMTP inside TLS 1.3 inside TCP. Each end shows a certificate and trusts those that it was given.

use std::{
    fmt, io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::WebPkiServerVerifier,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use zmtp::transport::{BoxFuture, Link, Listener, Transport};

/// Who we are: a certificate and its private key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the first certificate and the first key of a PEM file.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, pem::Error> {
        Ok(Self { certificate: CertificateDer::from_pem_slice(text)?, key: PrivateKeyDer::from_pem_slice(text)? })
    }

    /// What others need to trust us.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }
}

/// `tls://HOST:PORT`, for [`Options::transport`](zmtp::Options::transport).
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Tls {
    /// Speaks as `identity`, and with nobody whose certificate is not signed by `trusted`. A certificate signs itself here; with
    /// an authority, `trusted` is the authority's.
    pub(crate) fn new(
        identity: Identity,
        trusted: CertificateDer<'static>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let provider = Arc::new(rustls_rustcrypto::provider());
        let mut roots = RootCertStore::empty();
        roots.add(trusted)?;
        let roots = Arc::new(roots);
        let Identity { certificate, key } = identity;

        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.clone()], key.clone_key())?;

        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(servers)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Transport for Tls {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let tcp = TcpListener::bind(address).await?;
            let address = tcp.local_addr()?.to_string();
            let acceptor = self.acceptor.clone();
            let listener: Box<dyn Listener> = Box::new(TlsListener { address, tcp, acceptor, shaking: JoinSet::new() });
            Ok(listener)
        })
    }

    fn check(&self, address: &str) -> io::Result<()> {
        server_name(address).map(drop)
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let name = server_name(address)?;
            let tcp = TcpStream::connect(address).await?;
            // Messages are written in batches already.
            tcp.set_nodelay(true)?;
            let tls = timeout(HANDSHAKE, self.connector.connect(name, tcp)).await??;
            Ok(Link::new(tls, format!("tls://{address}")))
        })
    }
}

/// The name that the server's certificate has to have: what stands before the port.
fn server_name(address: &str) -> io::Result<ServerName<'static>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{address}: {why}"));
    let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid("expected HOST:PORT"))?;
    port.parse::<u16>().map_err(|_| invalid("the port is a number up to 65535"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned()).map_err(|_| invalid("the host is a name or an address"))
}

struct TlsListener {
    address: String,
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    /// Beside each other, so that one slow client does not hold up the rest.
    shaking: JoinSet<io::Result<Link>>,
}

impl Listener for TlsListener {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        while self.shaking.len() < HANDSHAKES {
            let Poll::Ready(accepted) = self.tcp.poll_accept(cx) else { break };
            let (tcp, peer) = accepted?;
            let acceptor = self.acceptor.clone();
            self.shaking.spawn(async move {
                // This kind is for who is turned away; after another the socket would pause, at a stranger's will.
                let refused = |error| io::Error::new(io::ErrorKind::PermissionDenied, format!("{peer}: {error}"));
                Ok(Link::new(shake(&acceptor, tcp).await.map_err(refused)?, peer.to_string()))
            });
        }
        match self.shaking.poll_join_next(cx) {
            Poll::Ready(Some(shaken)) => Poll::Ready(shaken?),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

async fn shake(acceptor: &TlsAcceptor, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    timeout(HANDSHAKE, acceptor.accept(tcp)).await?
}

/// For one handshake: three ways across the world, a lost packet, and a slow machine.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// At a time; further clients wait in the listen backlog. Far more than finish beside each other on a few cores, and few enough for
/// memory; somebody who holds them all open is gone after [`HANDSHAKE`].
const HANDSHAKES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_stands_before_the_port() {
        for (address, name) in [("rpc.example:9501", "rpc.example"), ("10.0.0.7:1", "10.0.0.7"), ("[::1]:1", "::1")] {
            assert_eq!(server_name(address).expect("a name").to_str(), name);
        }
    }

    #[test]
    fn an_address_that_never_works_is_refused_as_such() {
        for address in ["", "host", "host:", "host:65536", ":9501", "a b:9501", "[::1:9501"] {
            let error = server_name(address).expect_err(address);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }
}
