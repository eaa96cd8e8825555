//! Sockets over TLS, by a transport of one's own: `cargo run -p zmtp-example-tls`.
//!
//! Both ends have a certificate, and each trusts that of the other and no third. The stranger has one too, which nobody trusts.
//! [`tls`] is what a program would copy.

mod tls;

use std::{error::Error, sync::Arc, time::Duration};

use tls::{Identity, Tls};
use zmtp::{Message, Options, Pull, Push, SocketEvent};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut pull = Pull::new(options(SERVER, CLIENT)?);
    let endpoint = pull.bind("tls://127.0.0.1:0").await?;

    let push = Push::new(options(CLIENT, SERVER)?);
    push.connect(endpoint.as_str())?;
    // More than one record of TLS holds.
    push.send(Message::builder().more("for nobody else to read").last(vec![b'x'; 1_000_000])).await?;
    let message = pull.recv().await;
    println!("{} and {} octets", message.frame(0).unwrap_or_default().escape_ascii(), message.octets());
    push.close(Duration::ZERO).await;

    // The server turns the stranger away.
    let mut monitor = pull.monitor();
    let stranger = Push::new(options(STRANGER, SERVER)?);
    stranger.connect(endpoint.as_str())?;
    while let Some(event) = monitor.recv().await {
        if let SocketEvent::TurnedAway { error, .. } = event {
            println!("server, of a strange client: {}", without_peer(&error.to_string()));
            break;
        }
    }
    stranger.close(Duration::ZERO).await;

    // The client doesn't speak to a server that only claims to be the one.
    let impostor = Pull::new(options(STRANGER, CLIENT)?);
    let endpoint = impostor.bind("tls://127.0.0.1:0").await?;
    let push = Push::new(options(CLIENT, SERVER)?);
    let mut monitor = push.monitor();
    push.connect(endpoint.as_str())?;
    while let Some(event) = monitor.recv().await {
        if let SocketEvent::ConnectFailed { error, .. } = event {
            println!("client, of a strange server: {error}");
            break;
        }
    }
    push.close(Duration::ZERO).await;
    Ok(())
}

/// Those of a socket that speaks as `identity` and with whoever has the certificate in `trusted`.
fn options(identity: &[u8], trusted: &[u8]) -> Result<Options, Box<dyn Error>> {
    let tls = Tls::new(Identity::from_pem(identity)?, Identity::from_pem(trusted)?.certificate())?;
    Ok(Options::new().transport("tls", Arc::new(tls)))
}

/// The error without the address in front of it, whose port is another each time.
fn without_peer(error: &str) -> &str {
    error.split_once(": ").map_or(error, |(_, error)| error)
}

// For this example only: whoever has the source has the keys.
const SERVER: &[u8] = include_bytes!("../certificates/server.test.pem");
const CLIENT: &[u8] = include_bytes!("../certificates/client.test.pem");
const STRANGER: &[u8] = include_bytes!("../certificates/stranger.test.pem");

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

    use super::*;

    #[tokio::test]
    async fn those_who_do_not_shake_hands_hold_nobody_up() {
        let mut pull = Pull::new(options(SERVER, CLIENT).expect("options"));
        let mut monitor = pull.monitor();
        let endpoint = pull.bind("tls://127.0.0.1:0").await.expect("a free port");
        let address = endpoint.as_str().trim_start_matches("tls://");
        let _silent = TcpStream::connect(address).await.expect("listens");
        let mut plain = TcpStream::connect(address).await.expect("listens");
        plain.write_all(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]).await.expect("open");

        let push = Push::new(options(CLIENT, SERVER).expect("options"));
        push.connect(endpoint.as_str()).expect("an address");
        push.send("first").await.expect("open");
        // Before the silent one is given up.
        let message = timeout(tls::HANDSHAKE / 2, pull.recv()).await.expect("in time");
        assert_eq!(message.frame(0), Some(&b"first"[..]));
        // Who speaks ZMTP without TLS is turned away, and is no reason to pause.
        let turned_away = async {
            loop {
                match monitor.recv().await.expect("the socket lives") {
                    SocketEvent::TurnedAway { error, .. } => return error,
                    SocketEvent::AcceptFailed { error, .. } => panic!("{error}"),
                    _ => {}
                }
            }
        };
        let error = timeout(tls::HANDSHAKE / 2, turned_away).await.expect("in time");
        assert!(error.to_string().contains("corrupt message"), "{error}");
    }
}
