//! What a subscriber of crate `tracing` gets to see.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{io::AsyncWriteExt, time::timeout};
use zmtp::{Options, Pull, Push};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with it").extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panics with it")).into_owned()
    }

    async fn until_it_says(&self, what: &str) -> Result {
        let said = async {
            while !self.text().contains(what) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), said).await.map_err(|_| format!("{what:?} is not in:\n{}", self.text()))?;
        Ok(())
    }
}

#[tokio::test]
async fn each_connection_has_a_span_with_what_happens_to_it() -> Result {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    push.send("hello").await?;
    assert_eq!(pull.recv_timeout(Duration::from_secs(10)).await, Some("hello".into()));
    push.close(Duration::from_secs(5)).await;
    let mut stranger = tokio::net::TcpStream::connect(endpoint.address()).await?;
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    log.until_it_says("handshake failed").await?;
    log.until_it_says("received=1").await?;
    let text = log.text();
    let line = |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["DEBUG", "listens", endpoint.as_str()]), "{text}");
    assert!(line(&["DEBUG", "connection{socket=PULL peer=\"127.0.0.1:", "ready", "socket_type=PUSH"]), "{text}");
    assert!(line(&["DEBUG", "dial{socket=PUSH endpoint=\"tcp://127.0.0.1:", "ready", "socket_type=PULL"]), "{text}");
    assert!(line(&["DEBUG", "disconnected", "sent=1"]), "{text}");
    let stranger = stranger.local_addr()?.to_string();
    assert!(line(&["WARN", &stranger, "handshake failed", "reason=\"not-zmtp\""]), "{text}");
    Ok(())
}
