//! PLAIN and CURVE: each side as the server, each side binding, over every transport; and who is kept out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use zmtp::{Applicant, Credentials, KeyPair, Message, Options, PlainLogin, Pull, Push, Security, SocketEvent, Verdict};

use crate::deadline::{MOMENT, event};
use crate::endpoints::{Binder, Endpoints};
use crate::messages::digest;
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer, Theirs};

scenarios!(
    plain_with_our_push,
    plain_with_our_pull,
    plain_with_our_pub,
    plain_with_our_sub,
    curve_with_our_push,
    curve_with_our_pull,
    curve_with_our_pub,
    curve_with_our_sub,
    a_wrong_password_gets_nowhere_with_our_server,
    a_wrong_password_gets_nowhere_with_their_server,
    a_stranger_s_key_gets_nowhere,
    a_client_of_another_server_s_key_gets_nowhere,
    without_the_mechanism_nobody_gets_in,
    curve_answers_pings,
);

async fn plain_with_our_push(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Push, Mechanism::Plain).await
}

async fn plain_with_our_pull(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Pull, Mechanism::Plain).await
}

async fn plain_with_our_pub(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Pub, Mechanism::Plain).await
}

async fn plain_with_our_sub(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Sub, Mechanism::Plain).await
}

async fn curve_with_our_push(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Push, Mechanism::Curve).await
}

async fn curve_with_our_pull(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Pull, Mechanism::Curve).await
}

async fn curve_with_our_pub(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Pub, Mechanism::Curve).await
}

async fn curve_with_our_sub(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Sub, Mechanism::Curve).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Curve,
}

/// Our security, and libzmq's as options.
fn roles(mechanism: Mechanism, we_serve: bool) -> anyhow::Result<(Security, Value)> {
    let login = PlainLogin::new("nova", "secret")?;
    let [ours, theirs] = [KeyPair::generate()?, KeyPair::generate()?];
    Ok(match (mechanism, we_serve) {
        (Mechanism::Plain, true) => {
            (plain_server("secret"), json!({ "PLAIN_USERNAME": "nova", "PLAIN_PASSWORD": "secret" }))
        }
        (Mechanism::Plain, false) => (Security::PlainClient(login), json!({ "PLAIN_SERVER": 1 })),
        (Mechanism::Curve, true) => {
            let options = client_options(&theirs, &ours);
            (curve_server(ours, &theirs), options)
        }
        (Mechanism::Curve, false) => {
            let options = json!({ "CURVE_SERVER": 1, "CURVE_SECRETKEY": theirs.secret().to_z85().as_str() });
            (Security::CurveClient { keys: ours, server: theirs.public() }, options)
        }
    })
}

fn plain_server(password: &'static str) -> Security {
    Security::PlainServer(Arc::new(move |applicant: &Applicant| match &applicant.credentials {
        Credentials::Plain(login) if login.username() == b"nova" && login.has_password(password.as_bytes()) => {
            Verdict::Admit
        }
        _ => Verdict::Refuse,
    }))
}

/// Lets one client in.
fn curve_server(keys: KeyPair, client: &KeyPair) -> Security {
    let known = client.public();
    let authenticator = Arc::new(move |applicant: &Applicant| match &applicant.credentials {
        Credentials::Curve(key) if *key == known => Verdict::Admit,
        _ => Verdict::Refuse,
    });
    Security::CurveServer { keys, authenticator }
}

fn client_options(client: &KeyPair, server: &KeyPair) -> Value {
    json!({
        "CURVE_SERVERKEY": server.public().to_string(),
        "CURVE_PUBLICKEY": client.public().to_string(),
        "CURVE_SECRETKEY": client.secret().to_z85().as_str(),
    })
}

async fn every_way(libzmq: Libzmq, kind: Kind, mechanism: Mechanism) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    peer.authenticate("nova", "secret")?;
    let mut endpoints = Endpoints::new()?;
    for we_serve in [true, false] {
        for binder in Binder::EITHER {
            for endpoint in endpoints.of_every_transport()? {
                let (security, options) = roles(mechanism, we_serve)?;
                let mut ours = Ours::with(kind, Options::new().security(security));
                let theirs = peer.partner(kind)?;
                for (option, value) in options.as_object().context("a list of options")? {
                    peer.set(theirs, option, value.clone())?;
                }
                binder.join(&endpoint, &ours, &mut peer, theirs).await?;
                let passed = pass_shapes(&mut ours, &mut peer, theirs).await;
                passed.with_context(|| format!("{endpoint}, bound by {binder:?}, ours is the server: {we_serve}"))?;
                peer.close(theirs)?;
                ours.close().await;
            }
        }
    }
    Ok(())
}

async fn pass_shapes(ours: &mut Ours, peer: &mut Peer, theirs: Theirs) -> anyhow::Result<()> {
    ours.exchange(peer, theirs, "first").await?;
    let (sent, received) = match ours {
        Ours::Push(_) | Ours::Pub(_) => {
            let mut sent = Vec::new();
            for (fill, sizes) in (0u8..).zip(shapes()) {
                let frames = sizes.into_iter().map(|size| vec![fill; size]);
                let message = Message::from_frames(frames).context("a message has frames")?;
                sent.push(digest(&message));
                ours.send(message).await?;
            }
            let received = peer.receive_digests(theirs, sent.len())?;
            (sent, received)
        }
        Ours::Pull(_) | Ours::Sub(_) => {
            let sent = peer.send_random(theirs, &shapes())?;
            let mut received = Vec::new();
            for _ in &sent {
                received.push(digest(&ours.recv().await?));
            }
            (sent, received)
        }
    };
    ensure!(sent == received, "other messages came than were sent");
    ensure!(peer.handshakes(theirs)? == 1, "it connected more than once");
    Ok(())
}

async fn a_wrong_password_gets_nowhere_with_our_server(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut pull = Pull::new(Options::new().security(plain_server("secret")));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind(ANY_PORT).await?;
    let push = peer.socket("PUSH", json!({ "PLAIN_USERNAME": "nova", "PLAIN_PASSWORD": "guess" }))?;
    peer.connect(push, endpoint.as_str())?;
    // Refused by libzmq itself if it has learnt already that it is not wanted.
    let _ = peer.send(push, &["hello"]);
    ensure!(refusal(&mut monitor).await? == "unauthorized");
    ensure!(tokio::time::timeout(MOMENT, pull.recv()).await.is_err());
    Ok(())
}

async fn a_wrong_password_gets_nowhere_with_their_server(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    peer.authenticate("nova", "secret")?;
    let pull = peer.socket("PULL", json!({ "PLAIN_SERVER": 1 }))?;
    let endpoint = peer.bind(pull, ANY_PORT)?;
    let push = Push::new(Options::new().security(Security::PlainClient(PlainLogin::new("nova", "guess")?)));
    let mut monitor = push.monitor();
    push.connect(&endpoint)?;
    push.try_send("hello")?;
    ensure!(refusal(&mut monitor).await? == "peer-refused");
    peer.events_until(pull, "HANDSHAKE_FAILED_AUTH")?;
    ensure!(!peer.is_readable(pull, MOMENT)?);
    Ok(())
}

async fn a_stranger_s_key_gets_nowhere(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let [server, known, stranger] = [KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?];
    let options = client_options(&stranger, &server);
    let mut pull = Pull::new(Options::new().security(curve_server(server, &known)));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind(ANY_PORT).await?;
    let push = peer.socket("PUSH", options)?;
    peer.connect(push, endpoint.as_str())?;
    let _ = peer.send(push, &["hello"]);
    ensure!(refusal(&mut monitor).await? == "unauthorized");
    peer.events_until(push, "HANDSHAKE_FAILED_AUTH")?;
    ensure!(tokio::time::timeout(MOMENT, pull.recv()).await.is_err());
    Ok(())
}

async fn a_client_of_another_server_s_key_gets_nowhere(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let [server, client, other] = [KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?];
    let options = client_options(&client, &other);
    let pull = Pull::new(Options::new().security(curve_server(server, &client)));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind(ANY_PORT).await?;
    let push = peer.socket("PUSH", options)?;
    peer.connect(push, endpoint.as_str())?;
    ensure!(refusal(&mut monitor).await? == "box");
    Ok(())
}

async fn without_the_mechanism_nobody_gets_in(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    for mechanism in [Mechanism::Plain, Mechanism::Curve] {
        let (security, _) = roles(mechanism, true)?;
        let pull = Pull::new(Options::new().security(security));
        let mut monitor = pull.monitor();
        let endpoint = pull.bind(ANY_PORT).await?;
        let push = peer.socket("PUSH", json!({}))?;
        peer.connect(push, endpoint.as_str())?;
        let cause = refusal(&mut monitor).await?;
        ensure!(cause == "mechanism", "{cause}");

        let (_, options) = roles(mechanism, false)?;
        let pull = peer.socket("PULL", options)?;
        let endpoint = peer.bind(pull, ANY_PORT)?;
        let push = Push::new(Options::new());
        let mut monitor = push.monitor();
        push.connect(&endpoint)?;
        let cause = refusal(&mut monitor).await?;
        ensure!(cause == "mechanism", "{cause}");
    }
    Ok(())
}

/// libzmq's PINGs are sealed too, and so must be the answers, in their place among the messages.
async fn curve_answers_pings(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let (security, options) = roles(Mechanism::Curve, true)?;
    let push = Push::new(Options::new().security(security));
    let endpoint = push.bind(ANY_PORT).await?;
    let pull = peer.socket("PULL", options)?;
    peer.set(pull, "HEARTBEAT_IVL", json!(100))?;
    // Long enough for a machine that is busy with other tests.
    peer.set(pull, "HEARTBEAT_TIMEOUT", json!(3000))?;
    peer.connect(pull, endpoint.as_str())?;
    for number in 0..10 {
        push.send(number.to_string()).await?;
        ensure!(peer.receive(pull, 1)? == [number.to_string()]);
    }
    // Long enough for libzmq to hang up on whoever answers nothing: now no message counts as a sign of life.
    tokio::time::sleep(Duration::from_millis(4000)).await;
    push.send("last").await?;
    ensure!(peer.receive(pull, 1)? == ["last"]);
    ensure!(peer.handshakes(pull)? == 1);
    Ok(())
}

/// Why the next handshake of ours failed.
async fn refusal(monitor: &mut zmtp::Monitor) -> anyhow::Result<&'static str> {
    event(monitor, |event| match event {
        SocketEvent::HandshakeFailed { cause, .. } => Some(cause.reason()),
        _ => None,
    })
    .await
}

/// Around the limits of a short header, with and without what a box adds (33), and of libzmq's buffers.
fn shapes() -> Vec<Vec<usize>> {
    let sizes = [0, 1, 221, 222, 223, 255, 256, 8158, 8159, 8160, 8192];
    let mut shapes: Vec<_> = sizes.iter().map(|size| vec![*size]).collect();
    for parts in [2, 4, 8, 100] {
        shapes.push(sizes.iter().copied().cycle().take(parts).collect());
    }
    shapes.push(vec![200_000]);
    shapes.push(vec![10, 100_000, 0, 70_000]);
    shapes.push(vec![1]);
    shapes
}

const ANY_PORT: &str = "tcp://127.0.0.1:*";
