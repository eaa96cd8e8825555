//! Sockets with security: who gets in, who does not, and what both are told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;
use zmtp::{
    Applicant, Authenticator, Credentials, Disconnect, Monitor, Options, PlainLogin, Pull, Push, Security, SocketEvent,
    Verdict,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(Duration::from_secs(10), future).await?)
}

/// Why the next handshake of a socket failed, as it prints itself.
async fn failure(monitor: &mut Monitor) -> Result<String> {
    soon(async {
        loop {
            if let Some(SocketEvent::HandshakeFailed { cause, .. }) = monitor.recv().await {
                return cause.to_string();
            }
        }
    })
    .await
}

fn login(password: &str) -> Security {
    Security::PlainClient(PlainLogin::new("nova", password).unwrap())
}

fn only(password: &'static str) -> Security {
    Security::PlainServer(Arc::new(move |applicant: &Applicant| match &applicant.credentials {
        Credentials::Plain(login) if login.username() == b"nova" && login.has_password(password.as_bytes()) => {
            assert!(applicant.peer.starts_with("127.0.0.1:"));
            Verdict::Admit
        }
        _ => Verdict::Refuse,
    }))
}

/// One message from a PUSH to a PULL that binds.
async fn pass(pusher: Security, puller: Security) -> Result {
    let mut pull = Pull::new(Options::new().security(puller));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new().security(pusher));
    push.connect(endpoint.as_str())?;
    soon(push.send("hello")).await??;
    assert_eq!(soon(pull.recv()).await?, "hello".into());
    Ok(())
}

/// Why neither gets through to the other: the failures at the connecting and at the binding side.
async fn fail(pusher: Security, puller: Security) -> Result<[String; 2]> {
    let options = Options::new().handshake_timeout(Duration::from_millis(300));
    let mut pull = Pull::new(options.clone().security(puller));
    let mut at_pull = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(options.security(pusher));
    let mut at_push = push.monitor();
    push.connect(endpoint.as_str())?;
    push.try_send("hello")?;
    let failures = [failure(&mut at_push).await?, failure(&mut at_pull).await?];
    assert!(timeout(Duration::from_millis(50), pull.recv()).await.is_err());
    Ok(failures)
}

#[tokio::test]
async fn the_right_password_opens_whichever_side_is_the_server() -> Result {
    pass(login("secret"), only("secret")).await?;
    let anyone = Security::PlainServer(Arc::new(|_: &Applicant| Verdict::Admit));
    pass(anyone, login("secret")).await
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_tried_again() -> Result {
    let [at_push, at_pull] = fail(login("guess"), only("secret")).await?;
    assert_eq!(at_push, r#"peer refused: ERROR "400""#);
    assert_eq!(at_pull, "peer not let in: the authenticator refuses it");

    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = Security::PlainServer(Arc::new(move |_: &Applicant| {
        count.fetch_add(1, Ordering::Relaxed);
        Verdict::Refuse
    }));
    let pull = Pull::new(Options::new().security(server));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new().security(login("guess")));
    push.connect(endpoint.as_str())?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}

/// An authenticator that does not come to a verdict.
enum Trouble {
    Fails,
    Panics,
    PanicsLater,
    Hangs,
}

impl Authenticator for Trouble {
    fn authenticate<'a>(
        &'a self,
        _: &'a Applicant,
    ) -> zmtp::transport::BoxFuture<'a, std::result::Result<Verdict, Box<dyn Error + Send + Sync>>> {
        match self {
            Self::Fails => Box::pin(async { Err("the directory is down".into()) }),
            Self::Panics => panic!("an authenticator with a fault"),
            Self::PanicsLater => Box::pin(async { panic!("an authenticator with a fault") }),
            Self::Hangs => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn no_verdict_is_a_refusal() -> Result {
    let cases = [
        (Trouble::Fails, "peer not let in: the authenticator failed"),
        (Trouble::Panics, "peer not let in: the authenticator panicked"),
        (Trouble::PanicsLater, "peer not let in: the authenticator panicked"),
        (Trouble::Hangs, "peer not let in: the authenticator did not decide in time"),
    ];
    for (trouble, expected) in cases {
        let [_, at_pull] = fail(login("secret"), Security::PlainServer(Arc::new(trouble))).await?;
        assert_eq!(at_pull, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_could_not_decide_is_asked_again() -> Result {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = Security::PlainServer(Arc::new(move |_: &Applicant| {
        assert!(count.fetch_add(1, Ordering::Relaxed) > 0, "the first time goes wrong");
        Verdict::Admit
    }));
    pass(login("secret"), server).await?;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    Ok(())
}

/// A client and its server, in builds that have keys.
#[cfg(feature = "curve")]
fn by_keys() -> Result<Vec<Security>> {
    let keys = zmtp::KeyPair::generate()?;
    let client = Security::CurveClient { server: keys.public(), keys: keys.clone() };
    Ok(vec![client, Security::CurveServer { keys, authenticator: Arc::new(|_: &Applicant| Verdict::Admit) }])
}

#[cfg(not(feature = "curve"))]
fn by_keys() -> Result<Vec<Security>> {
    Ok(Vec::new())
}

#[tokio::test]
async fn every_downgrade_is_refused_by_both_sides() -> Result {
    let all: Vec<Security> = [Security::Null, login("secret"), only("secret")].into_iter().chain(by_keys()?).collect();
    // Pairs that go together: NULL with itself, and a client with its server.
    let fits = |a: usize, b: usize| matches!((a.min(b), a.max(b)), (0, 0) | (1, 2) | (3, 4));
    for a in 0..all.len() {
        for b in (0..all.len()).filter(|b| !fits(a, *b)) {
            let failures = fail(all[a].clone(), all[b].clone()).await?;
            assert!(failures.iter().all(|failure| !failure.is_empty()), "{:?} {:?}", all[a], all[b]);
        }
    }
    Ok(())
}

#[cfg(feature = "curve")]
#[tokio::test]
async fn a_key_on_the_list_opens_and_any_other_does_not() -> Result {
    use zmtp::KeyPair;

    let [client, stranger, server] = [KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?];
    let (known, theirs) = (client.public(), server.public());
    let authenticator = Arc::new(move |applicant: &Applicant| match &applicant.credentials {
        Credentials::Curve(key) if *key == known => Verdict::Admit,
        _ => Verdict::Refuse,
    });
    let server = Security::CurveServer { keys: server, authenticator };
    pass(Security::CurveClient { keys: client.clone(), server: theirs }, server.clone()).await?;
    let [at_push, at_pull] = fail(Security::CurveClient { keys: stranger, server: theirs }, server.clone()).await?;
    assert_eq!(at_push, r#"peer refused: ERROR "400""#);
    assert_eq!(at_pull, "peer not let in: the authenticator refuses it");
    // A client that expects another server gives nothing away but a HELLO that the server can't open.
    let [_, at_pull] = fail(Security::CurveClient { server: client.public(), keys: client }, server).await?;
    assert!(at_pull.starts_with("the box in HELLO does not open"), "{at_pull}");
    Ok(())
}

/// An ERROR of CURVE is not sealed, so it ends one attempt and no more.
#[cfg(feature = "curve")]
#[tokio::test]
async fn a_key_that_comes_to_be_known_opens() -> Result {
    use zmtp::KeyPair;

    let [client, server] = [KeyPair::generate()?, KeyPair::generate()?];
    let theirs = server.public();
    let asked = AtomicUsize::new(0);
    let authenticator = Arc::new(move |_: &Applicant| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Verdict::Refuse,
        _ => Verdict::Admit,
    });
    pass(Security::CurveClient { keys: client, server: theirs }, Security::CurveServer { keys: server, authenticator })
        .await
}

#[tokio::test]
async fn the_cause_tells_what_went_wrong() -> Result {
    let pull = Pull::new(Options::new().security(only("secret")));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    let cause = soon(async {
        loop {
            if let Some(SocketEvent::HandshakeFailed { cause, .. }) = monitor.recv().await {
                return cause;
            }
        }
    })
    .await?;
    assert!(matches!(&cause, Disconnect::Protocol(_)) && cause.reason() == "mechanism", "{cause}");
    Ok(())
}
