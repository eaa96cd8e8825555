//! The receiver between bare sockets: TCP in, routed by topic, Unix sockets out.

use std::time::Duration;

use anyhow::ensure;
use oslo_messaging_zmq_receiver::Receiver;
use oslo_messaging_zmq_receiver::cli::Cli;
use oslo_messaging_zmq_receiver::settings::{Bind, Settings, gather};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use zmtp::proto::Greeting;

use crate::Work;
use crate::shape::wire;

/// A receiver with a client and a consumer of each topic.
pub(crate) struct Forward {
    client: TcpStream,
    consumers: Vec<Consumer>,
    /// Casts to the topics by turns, back to back.
    casts: Vec<u8>,
    /// Octets of one of them.
    cast: usize,
    _receiver: Receiver,
    _directory: TempDir,
}

struct Consumer {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Forward {
    pub(crate) async fn new(topics: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        // A file with nothing in it, so that the machine's own configuration stays out.
        let cli = Cli::parse_from(["receiver", "--config-file", "/dev/null"])?;
        let mut settings = Settings::from_config(&gather(&cli, [])?)?;
        settings.bind = Bind { address: "127.0.0.1".to_owned(), port: 0 };
        let receiver = Receiver::start(&settings, directory.path()).await?;
        let mut client = TcpStream::connect(receiver.endpoint().address()).await?;
        handshake(&mut client, "PUSH").await?;

        let (mut consumers, mut round) = (Vec::new(), Vec::new());
        for n in 0..topics {
            let topic = format!("compute.host{n}");
            let cast = wire(&[&[b'i'; 32], topic.as_bytes(), b"cast", &[b'x'; 250]]);
            // The first message opens the topic.
            client.write_all(&cast).await?;
            let path = directory.path().join(format!("zmq_topic_{topic}"));
            let connect = async {
                while !path.exists() {
                    sleep(Duration::from_millis(2)).await;
                }
                UnixStream::connect(&path).await
            };
            let mut stream = timeout(PATIENCE, connect).await??;
            handshake(&mut stream, "PULL").await?;
            stream.read_exact(&mut vec![0; cast.len()]).await?;
            consumers.push(Consumer { stream, buffer: vec![0; BUFFER] });
            round.extend(cast);
        }
        let (cast, rounds) = (round.len() / topics, BATCH / topics);
        let casts = round.repeat(rounds);
        Ok(Self { client, consumers, casts, cast, _receiver: receiver, _directory: directory })
    }
}

impl Work for Forward {
    async fn pass(&mut self, messages: usize) -> anyhow::Result<()> {
        let topics = self.consumers.len();
        ensure!(messages.is_multiple_of(topics), "{messages} messages cannot be dealt to {topics} topics evenly");
        let share = messages / topics * self.cast;
        let (client, casts, cast) = (&mut self.client, &self.casts, self.cast);
        let feed = async {
            let mut left = messages * cast;
            while left > 0 {
                let n = left.min(casts.len());
                client.write_all(&casts[..n]).await?;
                left -= n;
            }
            anyhow::Ok(())
        };
        let mut readers = tokio::task::JoinSet::new();
        for mut consumer in self.consumers.drain(..) {
            readers.spawn(async move {
                let mut left = share;
                while left > 0 {
                    let n = consumer.stream.read(&mut consumer.buffer).await?;
                    ensure!(n > 0 && n <= left, "a consumer's connection ended, or more came than was sent");
                    left -= n;
                }
                Ok(consumer)
            });
        }
        let read = async {
            while let Some(consumer) = readers.join_next().await {
                self.consumers.push(consumer??);
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, async { tokio::try_join!(feed, read) }).await??;
        Ok(())
    }
}

/// The same, each cast on its way alone: the next is sent when it has arrived.
pub(crate) struct Lone(pub(crate) Forward);

impl Work for Lone {
    async fn pass(&mut self, messages: usize) -> anyhow::Result<()> {
        let Forward { client, consumers, casts, cast, .. } = &mut self.0;
        let one_by_one = async {
            let Some(consumer) = consumers.first_mut() else { return Ok(()) };
            for _ in 0..messages {
                client.write_all(&casts[..*cast]).await?;
                consumer.stream.read_exact(&mut consumer.buffer[..*cast]).await?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, one_by_one).await?
    }
}

/// Makes a fresh stream the connection of a socket of this type (RFC 37, mechanism NULL).
async fn handshake(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), socket_type: &str) -> anyhow::Result<()> {
    stream.write_all(&Greeting::encode("NULL", false)).await?;
    let len = u8::try_from(socket_type.len())?;
    let ready = [b"\x05READY\x0bSocket-Type\0\0\0", &[len][..], socket_type.as_bytes()].concat();
    stream.write_all(&[&[COMMAND, u8::try_from(ready.len())?], &ready[..]].concat()).await?;
    stream.read_exact(&mut [0; Greeting::LEN]).await?;
    let mut header = [0; 2];
    stream.read_exact(&mut header).await?;
    ensure!(header[0] == COMMAND, "{header:?} in place of READY");
    stream.read_exact(&mut vec![0; header[1].into()]).await?;
    Ok(())
}

/// The flag of a short command frame.
const COMMAND: u8 = 4;

/// Messages of one write of the client, which come to some reads of the receiver.
const BATCH: usize = 800;

/// A consumer reads as much at once as there is.
const BUFFER: usize = 256 << 10;

/// Ten times what the longest pass takes under a tool that counts instructions.
const PATIENCE: Duration = Duration::from_secs(120);
