//! Peers that do not go with ours: refused with an event that tells what is known, and nobody else is the worse for it.

use anyhow::ensure;
use serde_json::{Value, json};
use zmtp::proto::SocketType;
use zmtp::{Disconnect, Monitor, ProtocolError, SocketEvent};

use crate::deadline::event;
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer};

scenarios!(
    connecting_sockets_of_the_wrong_type_are_refused,
    bound_sockets_of_the_wrong_type_are_refused,
    other_mechanisms_are_refused,
);

async fn connecting_sockets_of_the_wrong_type_are_refused(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    for kind in Kind::ALL {
        let mut ours = Ours::new(kind);
        let mut monitor = ours.monitor();
        let endpoint = ours.bind("tcp://127.0.0.1:*").await?;
        for stranger in THEIR_TYPES.into_iter().filter(|theirs| !kind.socket_type().goes_with(*theirs)) {
            let theirs = peer.socket(stranger.name(), json!({}))?;
            peer.connect(theirs, &endpoint)?;
            ensure_wrong_type(&mut monitor, kind, stranger).await?;
            peer.close(theirs)?;
        }
        let theirs = peer.partner(kind)?;
        peer.connect(theirs, &endpoint)?;
        ours.exchange(&mut peer, theirs, "hello").await?;
    }
    Ok(())
}

async fn bound_sockets_of_the_wrong_type_are_refused(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    for kind in Kind::ALL {
        let theirs = peer.partner(kind)?;
        let endpoint = peer.bind(theirs, "tcp://127.0.0.1:*")?;
        for stranger in Kind::ALL.into_iter().filter(|stranger| *stranger != kind) {
            let ours = Ours::new(stranger);
            let mut monitor = ours.monitor();
            ours.connect(&endpoint)?;
            ensure_wrong_type(&mut monitor, stranger, kind.partner()).await?;
            // It was not a matter of the first attempt.
            ensure_wrong_type(&mut monitor, stranger, kind.partner()).await?;
        }
        let mut ours = Ours::new(kind);
        ours.connect(&endpoint)?;
        ours.exchange(&mut peer, theirs, "hello").await?;
    }
    Ok(())
}

/// libzmq compares as soon as it has our greeting, and closes. Ours names the other mechanism all the same, for libzmq's
/// greeting is complete when it sees the end of ours.
async fn other_mechanisms_are_refused(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    for kind in Kind::ALL {
        let mut bound = Ours::new(kind);
        let mut monitor = bound.monitor();
        let endpoint = bound.bind("tcp://127.0.0.1:*").await?;
        for (mechanism, client, server) in mechanisms() {
            let theirs = peer.partner(kind)?;
            for (option, value) in client {
                peer.set(theirs, option, value)?;
            }
            peer.connect(theirs, &endpoint)?;
            ensure_mechanism(&mut monitor, mechanism).await?;
            peer.events_until(theirs, "PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH")?;
            peer.close(theirs)?;

            let theirs = peer.partner(kind)?;
            for (option, value) in server {
                peer.set(theirs, option, value)?;
            }
            let ours = Ours::new(kind);
            let mut monitor = ours.monitor();
            ours.connect(&peer.bind(theirs, "tcp://127.0.0.1:*")?)?;
            ensure_mechanism(&mut monitor, mechanism).await?;
            peer.events_until(theirs, "PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH")?;
            peer.close(theirs)?;
        }
        let theirs = peer.partner(kind)?;
        peer.connect(theirs, &endpoint)?;
        bound.exchange(&mut peer, theirs, "hello").await?;
    }
    Ok(())
}

/// A security mechanism with the options of its client and of its server.
type Mechanism = (&'static str, Vec<(&'static str, Value)>, Vec<(&'static str, Value)>);

fn mechanisms() -> [Mechanism; 2] {
    // Any forty characters of Z85 are a key.
    let key = json!("0123456789abcdefghijklmnopqrstuvwxyzABCD");
    let keys = ["CURVE_SERVERKEY", "CURVE_PUBLICKEY", "CURVE_SECRETKEY"].map(|option| (option, key.clone()));
    [
        (
            "PLAIN",
            vec![("PLAIN_USERNAME", json!("user")), ("PLAIN_PASSWORD", json!("word"))],
            vec![("PLAIN_SERVER", json!(1))],
        ),
        ("CURVE", keys.into(), vec![("CURVE_SERVER", json!(1)), ("CURVE_SECRETKEY", key)]),
    ]
}

async fn ensure_mechanism(monitor: &mut Monitor, theirs: &str) -> anyhow::Result<()> {
    let cause = refusal(monitor).await?;
    let named = matches!(
        &cause,
        Disconnect::Protocol(ProtocolError::Mechanism { expected: "NULL", found })
            if found.as_bytes() == theirs.as_bytes()
    );
    ensure!(named, "a libzmq with {theirs}: {cause}");
    Ok(())
}

/// libzmq closes without a word when it reads our READY. Its own is most often not out by then, and its type not known.
async fn ensure_wrong_type(monitor: &mut Monitor, ours: Kind, theirs: SocketType) -> anyhow::Result<()> {
    let cause = refusal(monitor).await?;
    let refused = match &cause {
        Disconnect::Protocol(ProtocolError::SocketType { ours: own, found }) => {
            *own == ours.socket_type().name() && found.as_bytes() == theirs.name().as_bytes()
        }
        Disconnect::Protocol(ProtocolError::Closed { state }) => state.starts_with("before READY"),
        _ => false,
    };
    ensure!(refused, "our {ours:?} with a libzmq {theirs:?}: {cause}");
    Ok(())
}

/// Why the next handshake failed.
async fn refusal(monitor: &mut Monitor) -> anyhow::Result<Disconnect> {
    event(monitor, |event| match event {
        SocketEvent::HandshakeFailed { cause, .. } => Some(cause),
        _ => None,
    })
    .await
}

const THEIR_TYPES: [SocketType; 11] = [
    SocketType::Push,
    SocketType::Pull,
    SocketType::Pub,
    SocketType::Sub,
    SocketType::XPub,
    SocketType::XSub,
    SocketType::Pair,
    SocketType::Req,
    SocketType::Rep,
    SocketType::Dealer,
    SocketType::Router,
];
