//! Texts of endpoints: what they come to when bound, how they are ended, and which are refused.

use std::{io::ErrorKind, time::Duration};

use proptest::prelude::*;
use tokio::net::TcpStream;
use zmtp::{BindError, ConnectError, Endpoint, Options, Pub, Pull, Push, Sub};

use super::support::{Result, ipc, soon, text, until};

#[tokio::test]
async fn binding_tells_where() -> Result {
    let dir = tempfile::tempdir()?;
    let path = ipc(dir.path(), "s");
    let name = format!("ipc://@zmtp-{}-told", std::process::id());
    let push = Push::new(Options::new());
    let first = push.bind("tcp://127.0.0.1:*").await?;
    let second = push.bind("tcp://127.0.0.1:0").await?;
    assert_ne!(first, second);
    for endpoint in [&first, &second] {
        let port: u16 = endpoint.as_str().strip_prefix("tcp://127.0.0.1:").unwrap().parse()?;
        assert_ne!(port, 0);
    }
    assert_eq!(push.bind(&path).await?.as_str(), path);
    assert_eq!(push.bind(&name).await?.as_str(), name, "the @ stays");
    Ok(())
}

#[tokio::test]
async fn what_was_bound_with_a_wildcard_is_ended_by_what_binding_told() -> Result {
    for wildcard in ["tcp://*:*", "tcp://[::]:*", "tcp://127.0.0.1:*", "tcp://[::1]:*", "tcp://lo:0"] {
        let push = Push::new(Options::new());
        let bound = push.bind(wildcard).await?;
        let port = bound.address().rsplit(':').next().unwrap();
        let there = if wildcard.contains("::") { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") };
        TcpStream::connect(&there).await?;
        assert!(!push.forget(&wildcard.parse()?), "{wildcard}: the wildcard names no socket");
        assert!(push.forget(&bound));
        soon(async { while TcpStream::connect(&there).await.is_ok() {} }).await?;
        // And again, by the same name.
        push.bind(bound.as_str()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_disconnect_there_is_nobody_to_send_to() -> Result {
    let mut pull = Pull::new(Options::new());
    let bound = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    let to = push.connect(bound.as_str())?;
    push.send("one").await?;
    assert_eq!(text(&soon(pull.recv()).await?), "one");
    assert!(push.forget(&to));
    until(|| push.try_send("two").is_err()).await?;
    until(|| pull.stats().peers == 0).await
}

#[tokio::test]
async fn a_path_is_bound_again_after_a_close_and_found_again() -> Result {
    let dir = tempfile::tempdir()?;
    let path = ipc(dir.path(), "s");
    let push = Push::new(Options::new());
    push.connect(&path)?;
    for round in 0..5 {
        let mut pull = Pull::new(Options::new());
        pull.bind(&path).await?;
        soon(push.send(round.to_string())).await??;
        assert_eq!(text(&soon(pull.recv()).await?), round.to_string());
        soon(pull.close(Duration::from_secs(1))).await?;
        assert!(!dir.path().join("s").exists(), "the path is free again");
        until(|| push.stats().peers == 0).await?;
    }
    Ok(())
}

/// Several bind the same path at once, where a dead socket lies. Whoever is told that it is bound serves the path from then
/// on: nobody else takes it away.
#[test]
fn of_many_that_bind_a_path_at_once_none_loses_it() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("s");
    let endpoint = ipc(dir.path(), "s");
    let mut bound_by_somebody = 0;
    for round in 0..300 {
        drop(std::os::unix::net::UnixListener::bind(&path)?);
        let start = std::sync::Barrier::new(4);
        let bound = std::thread::scope(|scope| {
            let all = [(); 4].map(|()| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    let pull = Pull::new(Options::new());
                    start.wait();
                    let outcome = runtime.block_on(pull.bind(&endpoint));
                    (outcome.is_ok(), pull, runtime)
                })
            });
            all.into_iter().map(|thread| thread.join().unwrap()).filter(|(is_bound, ..)| *is_bound).collect::<Vec<_>>()
        });
        assert!(bound.len() <= 1, "round {round}: {} are told that they have it", bound.len());
        if let Some((_, mut pull, runtime)) = bound.into_iter().next() {
            bound_by_somebody += 1;
            runtime.block_on(async {
                let push = Push::new(Options::new());
                push.connect(&endpoint)?;
                push.send("to the one").await?;
                assert_eq!(text(&soon(pull.recv()).await?), "to the one", "round {round}");
                push.close(Duration::ZERO).await;
                pull.close(Duration::ZERO).await;
                Result::Ok(())
            })?;
        }
        let _ = std::fs::remove_file(&path);
    }
    assert!(bound_by_somebody > 150, "{bound_by_somebody} of 300");
    Ok(())
}

#[tokio::test]
async fn wrong_addresses_are_told_apart() -> Result {
    let push = Push::new(Options::new());
    let long = format!("ipc:///{}", "x".repeat(107));
    let wrong = [
        ("tcp://local host:80", "host name"),
        ("tcp://:80", "host name"),
        ("tcp://localhost:", "port"),
        ("tcp://localhost:http", "port"),
        ("tcp://localhost:65536", "port"),
        ("tcp://localhost:-1", "port"),
        ("tcp://localhost", "HOST:PORT"),
        ("tcp://::1:80", "brackets"),
        ("tcp://[::1:80", "]"),
        ("tcp://*:80", "wildcard"),
        ("tcp://127.0.0.1:0", "wildcard"),
        ("ipc://@", "abstract"),
        (&long, "107"),
    ];
    for (endpoint, word) in wrong {
        let Err(ConnectError::Io { cause, .. }) = push.connect(endpoint) else { panic!("{endpoint}") };
        assert_eq!(cause.kind(), ErrorKind::InvalidInput, "{endpoint}");
        assert!(cause.to_string().contains(word), "{endpoint}: {cause}");
    }
    for endpoint in ["ipc://@", &long] {
        let Err(BindError::Io { cause, .. }) = push.bind(endpoint).await else { panic!("{endpoint}") };
        assert_eq!(cause.kind(), ErrorKind::InvalidInput, "{endpoint}");
    }
    let error = push.connect("sctp://localhost:80").unwrap_err();
    assert!(error.to_string().contains("sctp"), "{error}");
    for text in ["", "tcp", "tcp:/localhost:80", "://localhost:80", "tcp://", "tcp://a\0b:1"] {
        assert!(matches!(push.connect(text), Err(ConnectError::Endpoint(_))), "{text:?}");
        assert!(matches!(push.bind(text).await, Err(BindError::Endpoint(_))), "{text:?}");
    }
    let taken = push.bind("tcp://127.0.0.1:*").await?;
    let error = push.bind(taken.as_str()).await.unwrap_err();
    assert!(error.to_string().contains(taken.as_str()), "{error}");
    Ok(())
}

/// Near misses of endpoints. Nothing that a name server would be asked for, and no path outside of `dir`.
fn endpoint_like(dir: String) -> impl Strategy<Value = String> {
    let scheme = prop_oneof!["tcp", "ipc", "memory", "[a-z+.-]{0,4}", "\\PC{0,3}"];
    let separator = prop_oneof![5 => Just("://"), 1 => Just(":/"), 1 => Just("")];
    let number = "[0-9:.*\\[\\]%;-]{0,24}";
    (scheme, separator, prop_oneof![number.prop_map(Ok), "[^/]{0,120}".prop_map(Err)]).prop_map(
        move |(scheme, separator, address)| match address {
            Ok(number) if scheme != "ipc" => format!("{scheme}{separator}{number}"),
            Ok(address) | Err(address) if scheme == "ipc" => {
                let at = if address.len() % 2 == 0 { format!("@{address}") } else { format!("{dir}/{address}") };
                format!("ipc{separator}{at}")
            }
            Ok(address) | Err(address) => format!("{scheme}{separator}[{address}"),
        },
    )
}

#[test]
fn no_text_of_an_endpoint_does_harm() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let endpoints = endpoint_like(dir.path().display().to_string());
    proptest!(ProptestConfig::with_cases(1000), |(endpoint in endpoints)| {
        runtime.block_on(async {
            if let Ok(parsed) = endpoint.parse::<Endpoint>() {
                assert_eq!(parsed.as_str(), endpoint);
                assert_eq!(format!("{}://{}", parsed.scheme(), parsed.address()), endpoint);
            }
            let (push, sub) = (Push::new(Options::new()), Sub::new(Options::new()));
            let (pull, publisher) = (Pull::new(Options::new()), Pub::new(Options::new()));
            // Whatever comes of it, what one kind takes all do, and what is bound can be ended.
            let connected = push.connect(&endpoint);
            assert_eq!(connected.is_ok(), sub.connect(&endpoint).is_ok());
            if let Ok(connected) = connected {
                assert!(push.forget(&connected));
            }
            if let Ok(bound) = pull.bind(&endpoint).await {
                assert!(pull.forget(&bound));
            }
            if let Ok(bound) = publisher.bind(&endpoint).await {
                assert!(publisher.forget(&bound));
            }
        });
    });
}
