//! Commands on the wire: subscriptions in both forms, PING and PONG, and what is none of these.

use zmtp::{Options, Pub, Pull, Push, Sub};

use super::{
    raw::{Raw, listener},
    support::{Result, end, soon, text, until},
};

/// A peer subscribes to `A` and cancels again, in one form or the other, which both are understood whatever version the
/// peer has announced.
async fn serves(minor: u8, subscribe: &[u8], cancel: &[u8]) -> Result {
    let publisher = Pub::new(Options::new());
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::connect(&endpoint).await?.shake_hands("SUB", minor).await?;
    raw.write(subscribe).await?;
    until(|| {
        let before = publisher.stats().tally.unmatched;
        publisher.send("A").is_ok() && publisher.stats().tally.unmatched == before
    })
    .await?;
    publisher.send("B")?;
    assert_eq!(raw.frame().await?, b"A");
    raw.write(cancel).await?;
    until(|| {
        let before = publisher.stats().tally.unmatched;
        publisher.send("A").is_ok() && publisher.stats().tally.unmatched > before
    })
    .await?;
    drop(publisher);
    assert!(!raw.rest().await?.contains(&b'B'));
    Ok(())
}

#[tokio::test]
async fn a_publisher_takes_subscriptions_as_commands() -> Result {
    for minor in [0, 1] {
        serves(minor, b"\x04\x0b\x09SUBSCRIBEA", b"\x04\x08\x06CANCELA").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_publisher_takes_subscriptions_as_messages() -> Result {
    for minor in [0, 1] {
        serves(minor, b"\0\x02\x01A", b"\0\x02\0A").await?;
    }
    Ok(())
}

/// Subscribing twice, then cancelling once: it is over, since libzmq counts at its end and cancels once.
#[tokio::test]
async fn a_publisher_keeps_a_set() -> Result {
    serves(1, &b"\x04\x0b\x09SUBSCRIBEA".repeat(2), b"\x04\x08\x06CANCELA").await
}

/// What a subscriber writes to a publisher that announces 3.`minor`.
async fn asks(minor: u8) -> Result<Vec<Vec<u8>>> {
    let (listener, endpoint) = listener().await?;
    let mut sub = Sub::new(Options::new());
    sub.subscribe("A");
    sub.connect(&endpoint)?;
    let mut raw = Raw::accept(&listener).await?.shake_hands("PUB", minor).await?;
    let mut written = vec![raw.frame().await?];
    sub.subscribe("BB");
    written.push(raw.frame().await?);
    assert!(sub.unsubscribe("A"));
    written.push(raw.frame().await?);
    raw.write(b"\0\x03BBx").await?;
    assert_eq!(text(&soon(sub.recv()).await?), "BBx");
    Ok(written)
}

#[tokio::test]
async fn a_publisher_of_3_1_gets_commands() -> Result {
    assert_eq!(asks(1).await?, [&b"\x09SUBSCRIBEA"[..], b"\x09SUBSCRIBEBB", b"\x06CANCELA"]);
    Ok(())
}

#[tokio::test]
async fn a_publisher_of_3_0_gets_messages() -> Result {
    assert_eq!(asks(0).await?, [&b"\x01A"[..], b"\x01BB", b"\0A"]);
    Ok(())
}

#[tokio::test]
async fn a_ping_is_answered_with_its_context() -> Result {
    for (socket, endpoint) in sockets().await? {
        let peer = super::raw::partner(socket.name());
        let mut raw = Raw::peer(&endpoint, peer).await?;
        // ttl 0, 15 s, 65.6 s, which libzmq takes for 64 ms, and as much as there is: none of them ends it.
        for (ttl, context) in [(0u16, &b""[..]), (15, b"c"), (656, b"0123456789abcdef"), (u16::MAX, b"again")] {
            let body = [&b"\x04PING"[..], &ttl.to_be_bytes(), context].concat();
            raw.write(&[&[4, body.len() as u8][..], &body].concat()).await?;
            assert_eq!(raw.frame().await?, [b"\x04PONG", context].concat(), "{}", socket.name());
        }
        // More than 16 octets: as many are echoed.
        raw.write(b"\x04\x18\x04PING\0\x000123456789abcdefg").await?;
        assert_eq!(raw.frame().await?, b"\x04PONG0123456789abcdef");
        // Too short for a ttl: no answer, and the end.
        raw.write(b"\x04\x06\x04PING\0").await?;
        assert_eq!(raw.rest().await?, b"");
    }
    Ok(())
}

#[tokio::test]
async fn commands_out_of_place_end_the_connection_and_reach_nobody() -> Result {
    let cases: [(&[u8], &str); 5] = [
        (b"\x04\x0b\x09SUBSCRIBEx", "unexpected-command"),
        (b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH", "unexpected-command"),
        (b"\x04\x0a\x05ERROR\x03400", "peer-refused"),
        (b"\x04\0", "malformed-command"),
        (b"\x05\x05\x04PONG", "command-more"),
    ];
    for (octets, reason) in cases {
        let mut pull = Pull::new(Options::new());
        let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
        let mut monitor = pull.monitor();
        let mut raw = Raw::peer(&endpoint, "PUSH").await?;
        raw.write(octets).await?;
        assert_eq!(end(&mut monitor).await?.reason(), reason, "{}", octets.escape_ascii());
        assert!(pull.try_recv().is_none());
    }
    Ok(())
}

/// A bound socket of each type.
pub(crate) async fn sockets() -> Result<Vec<(Bound, zmtp::Endpoint)>> {
    let all = [
        Bound::Push(Push::new(Options::new())),
        Bound::Pull(Pull::new(Options::new())),
        Bound::Pub(Pub::new(Options::new())),
        Bound::Sub(Sub::new(Options::new())),
    ];
    let mut bound = Vec::new();
    for socket in all {
        let endpoint = socket.bind().await?;
        bound.push((socket, endpoint));
    }
    Ok(bound)
}

pub(crate) enum Bound {
    Push(Push),
    Pull(Pull),
    Pub(Pub),
    Sub(Sub),
}

impl Bound {
    async fn bind(&self) -> Result<zmtp::Endpoint> {
        const ANY: &str = "tcp://127.0.0.1:*";
        Ok(match self {
            Self::Push(socket) => socket.bind(ANY).await?,
            Self::Pull(socket) => socket.bind(ANY).await?,
            Self::Pub(socket) => socket.bind(ANY).await?,
            Self::Sub(socket) => socket.bind(ANY).await?,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Push(_) => "PUSH",
            Self::Pull(_) => "PULL",
            Self::Pub(_) => "PUB",
            Self::Sub(_) => "SUB",
        }
    }

    pub(crate) fn stats(&self) -> zmtp::Stats {
        match self {
            Self::Push(socket) => socket.stats(),
            Self::Pull(socket) => socket.stats(),
            Self::Pub(socket) => socket.stats(),
            Self::Sub(socket) => socket.stats(),
        }
    }

    /// One message to or from a good peer.
    pub(crate) async fn exchange(&mut self, endpoint: &zmtp::Endpoint) -> Result {
        match self {
            Self::Push(push) => {
                let mut pull = Pull::new(Options::new());
                pull.connect(endpoint.as_str())?;
                soon(push.send("HELLO")).await??;
                assert_eq!(text(&soon(pull.recv()).await?), "HELLO");
            }
            Self::Pull(pull) => {
                let push = Push::new(Options::new());
                push.connect(endpoint.as_str())?;
                soon(push.send("HELLO")).await??;
                while text(&soon(pull.recv()).await?) != "HELLO" {}
            }
            Self::Pub(publisher) => {
                let mut sub = Sub::new(Options::new());
                sub.subscribe("HEL");
                sub.connect(endpoint.as_str())?;
                until(|| publisher.send("HELLO").is_ok() && sub.try_recv().is_some()).await?;
            }
            Self::Sub(sub) => {
                sub.subscribe("HEL");
                let publisher = Pub::new(Options::new());
                publisher.connect(endpoint.as_str())?;
                until(|| publisher.send("HELLO").is_ok() && sub.try_recv().is_some_and(|m| text(&m) == "HELLO"))
                    .await?;
            }
        }
        Ok(())
    }
}
