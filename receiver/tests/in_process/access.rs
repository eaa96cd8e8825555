//! Who may connect, to which topics, and how much may come from one address.

use std::time::{Duration, Instant};

use oslo_messaging_zmq_receiver::settings::Pattern;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::Result;
use crate::raw;
use crate::site::{Site, cast, send_numbers, soon, until};

const TOPIC: &str = "compute.host1";

#[tokio::test]
async fn a_stranger_is_closed_before_a_word_and_counted() -> Result {
    let site =
        Site::start(|settings| settings.access.networks = vec!["10.0.0.0/8".parse().expect("a network")]).await?;
    let mut stranger = TcpStream::connect(site.address()).await?;
    let mut got = Vec::new();
    // Closed, or reset.
    let _ = soon(stranger.read_to_end(&mut got)).await?;
    assert!(got.is_empty(), "{got:?}");
    until(|| site.totals().faults.get("address-not-allowed") == Some(&1)).await?;
    assert_eq!(site.totals().connections, 0);

    let site =
        Site::start(|settings| settings.access.networks = vec!["127.0.0.0/8".parse().expect("a network")]).await?;
    send_numbers(&site.push()?, TOPIC, 0..1).await?;
    assert_eq!(soon(site.pull(TOPIC)?.recv()).await?, cast(TOPIC, 0));
    Ok(())
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_others_when_one_ends() -> Result {
    let site = Site::start(|settings| settings.access.per_address = Some(2)).await?;
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = TcpStream::connect(site.address()).await?;
        raw::handshake(&mut peer, "PUSH").await?;
        peers.push(peer);
    }
    let mut third = TcpStream::connect(site.address()).await?;
    let _ = soon(third.read_to_end(&mut Vec::new())).await?;
    assert_eq!(site.totals().faults.get("address-limit"), Some(&1));
    drop(peers.pop());
    until(|| site.totals().connections == 1).await?;
    let mut next = TcpStream::connect(site.address()).await?;
    raw::handshake(&mut next, "PUSH").await?;
    Ok(())
}

#[tokio::test]
async fn who_sends_faster_than_it_may_waits_and_loses_nothing() -> Result {
    /// The first second's worth passes at once.
    const RATE: usize = 100_000;
    let site = Site::start(|settings| settings.access.octets_per_second = Some(RATE)).await?;
    let push = site.push()?;
    let mut pull = site.pull(TOPIC)?;
    let begun = Instant::now();
    let messages = u32::try_from(RATE * 3 / 1000)?;
    for number in 0..messages {
        soon(push.send(zmtp::Message::builder().more("0").more(TOPIC).last(format!("{number:0980}")))).await??;
    }
    for number in 0..messages {
        let message = soon(pull.recv()).await?;
        assert_eq!(message.frame(2), Some(format!("{number:0980}").as_bytes()));
    }
    let took = begun.elapsed();
    assert!((Duration::from_millis(1000)..Duration::from_millis(8000)).contains(&took), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn topics_that_are_not_allowed_have_no_socket_and_replies_always_have() -> Result {
    let site = Site::start(|settings| settings.topics.allowed = Pattern::parse("comp*").into_iter().collect()).await?;
    let push = site.push()?;
    let mut pull = site.pull(TOPIC)?;
    send_numbers(&push, "volume.host1", 0..3).await?;
    send_numbers(&push, TOPIC, 0..1).await?;
    assert_eq!(soon(pull.recv()).await?, cast(TOPIC, 0));
    assert_eq!(site.dropped("topic-not-allowed"), 3);
    assert!(!site.path("volume.host1")?.exists());
    let mut replies = site.sub("zmq_replies.host1", "")?;
    site.until_connected("zmq_replies.host1", 1).await?;
    send_numbers(&push, "zmq_replies.host1", 0..1).await?;
    assert_eq!(soon(replies.recv()).await?, cast("zmq_replies.host1", 0));
    Ok(())
}
