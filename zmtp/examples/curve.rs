//! Encrypts, and lets in who is known: `cargo run -p zmtp --features curve --example curve`.
//!
//! The client knows the server's public key, the server those of its clients. A stranger has a key too, but it is on no list.

use std::{collections::HashSet, sync::Arc, time::Duration};

use zmtp::{Applicant, Credentials, KeyPair, Options, Pull, Push, Security, SocketEvent, Verdict};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In earnest each is made once, on its own machine, and only public keys travel.
    let [server, client, stranger] = [KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?];
    let known = HashSet::from([client.public()]);
    let theirs = server.public();

    let authenticator = Arc::new(move |applicant: &Applicant| match &applicant.credentials {
        Credentials::Curve(key) if known.contains(key) => Verdict::Admit,
        _ => Verdict::Refuse,
    });
    let mut pull = Pull::new(Options::new().security(Security::CurveServer { keys: server, authenticator }));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;

    let push = Push::new(Options::new().security(Security::CurveClient { keys: client, server: theirs }));
    push.connect(endpoint.as_str())?;
    push.send("for nobody else to read").await?;
    println!("{}", pull.recv().await.frame(0).unwrap_or_default().escape_ascii());

    let push = Push::new(Options::new().security(Security::CurveClient { keys: stranger, server: theirs }));
    let mut monitor = push.monitor();
    push.connect(endpoint.as_str())?;
    while let Some(event) = monitor.recv().await {
        if let SocketEvent::HandshakeFailed { cause, .. } = event {
            println!("stranger: {cause}");
            break;
        }
    }
    push.close(Duration::ZERO).await;
    Ok(())
}
