//! What can be found missing is told when a transport is opened (oslo-bugs B2).

use std::error::Error;

use matchmaker::Locator;
use oslo_rpc::{Settings, Transport};

#[tokio::test]
async fn b02_what_is_missing_is_told_when_a_transport_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let ring = directory.path().join("ring.json");
    std::fs::write(&ring, "{\"compute\": [").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [Case<'_>; 5] = [
        ("no-such-file", &|settings| settings.matchmaker = Locator::Ring("/no-such-file/ring.json".into())),
        ("ring.json", &|settings| settings.matchmaker = Locator::Ring(ring.clone())),
        (&taken, &|settings| settings.listen = Some(taken.clone())),
        ("not-an-address", &|settings| settings.listen = Some("not-an-address".to_owned())),
        ("rpc_zmq_ipc_dir", &|settings| settings.ipc_dir = format!("/{}", "d".repeat(120)).into()),
    ];
    for (part, change) in cases {
        let mut settings = Settings::new("localhost".parse().unwrap());
        change(&mut settings);
        let error = Transport::open(settings).await.unwrap_err();
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            told = format!("{told}: {error}");
            cause = error.source();
        }
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// What an error has to name, and the change of the settings that is to give it.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Settings));
