//! A peer made of octets, so that it can do what no socket does.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use zmtp::proto::Greeting;

use super::support::{Result, soon};

/// One TCP stream to or from a socket of ours.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(endpoint: &zmtp::Endpoint) -> Result<Self> {
        Ok(Self(soon(TcpStream::connect(endpoint.address())).await??))
    }

    pub(crate) async fn accept(listener: &TcpListener) -> Result<Self> {
        Ok(Self(soon(listener.accept()).await??.0))
    }

    /// After the handshake, as a peer of `socket_type` that speaks 3.`minor`.
    pub(crate) async fn shake_hands(mut self, socket_type: &str, minor: u8) -> Result<Self> {
        self.write(&hello(socket_type, minor)).await?;
        self.read(Greeting::LEN).await?;
        let ready = self.frame().await?;
        assert!(ready.starts_with(b"\x05READY"), "{}", ready.escape_ascii());
        Ok(self)
    }

    /// A connected peer.
    pub(crate) async fn peer(endpoint: &zmtp::Endpoint, socket_type: &str) -> Result<Self> {
        Self::connect(endpoint).await?.shake_hands(socket_type, 1).await
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) -> Result {
        Ok(soon(self.0.write_all(octets)).await??)
    }

    pub(crate) async fn read(&mut self, octets: usize) -> Result<Vec<u8>> {
        let mut buffer = vec![0; octets];
        soon(self.0.read_exact(&mut buffer)).await??;
        Ok(buffer)
    }

    /// The body of the next frame, which is a short one.
    pub(crate) async fn frame(&mut self) -> Result<Vec<u8>> {
        let header = self.read(2).await?;
        assert_eq!(header[0] & 2, 0, "a long frame");
        self.read(header[1].into()).await
    }

    /// All that comes until the other side closes; a reset is as good an end as any.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>> {
        let mut octets = Vec::new();
        let _ = soon(self.0.read_to_end(&mut octets)).await?;
        Ok(octets)
    }
}

/// Greeting and READY.
pub(crate) fn hello(socket_type: &str, minor: u8) -> Vec<u8> {
    let mut octets = Greeting::encode("NULL", false).to_vec();
    octets[11] = minor;
    octets.extend_from_slice(&[4, 22 + socket_type.len() as u8]);
    octets.extend_from_slice(b"\x05READY\x0bSocket-Type\0\0\0");
    octets.push(socket_type.len() as u8);
    octets.extend_from_slice(socket_type.as_bytes());
    octets
}

/// The type that goes with a socket of ours.
pub(crate) fn partner(ours: &str) -> &'static str {
    match ours {
        "PUSH" => "PULL",
        "PULL" => "PUSH",
        "PUB" => "SUB",
        _ => "PUB",
    }
}

pub(crate) async fn listener() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("tcp://{}", listener.local_addr()?);
    Ok((listener, endpoint))
}
