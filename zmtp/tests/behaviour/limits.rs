//! What a peer may send: each limit closes that connection, at the earliest octet that tells, and is counted.

use tokio::{io::AsyncWriteExt, time::timeout};
use zmtp::{Limits, Options, Pub, Pull, SubscriptionLimits};

use super::{
    raw::{Raw, hello},
    support::{LIMIT, Result, end, soon, text, until},
};

/// The end of a PULL's connection whose peer writes `octets` behind its handshake.
async fn pulled(limits: Limits, octets: &[u8]) -> Result<(&'static str, Option<String>)> {
    let mut pull = Pull::new(Options::new().limits(limits));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::peer(&endpoint, "PUSH").await?;
    let _ = soon(raw.0.write_all(octets)).await?;
    let _ = raw.0.shutdown().await;
    let reason = end(&mut monitor).await?.reason();
    let message = pull.try_recv().map(|message| text(&message));
    assert_eq!(pull.stats().faults.get(reason).copied().unwrap_or_default(), u64::from(reason != "peer-closed"));
    Ok((reason, message))
}

#[tokio::test]
async fn a_frame_s_limit_is_inclusive_and_not_one_of_the_message() -> Result {
    let limits = Limits { max_frame: 3, ..Limits::default() };
    assert_eq!(pulled(limits, b"\0\x03abc").await?, ("peer-closed", Some("abc".into())));
    assert_eq!(pulled(limits, b"\x01\x03abc\0\x03def").await?, ("peer-closed", Some("abc|def".into())));
    assert_eq!(pulled(limits, b"\0\x04").await?, ("frame-too-large", None));
    let limits = Limits { max_message: 5, ..Limits::default() };
    assert_eq!(pulled(limits, b"\x01\x03abc\0\x02de").await?, ("peer-closed", Some("abc|de".into())));
    assert_eq!(pulled(limits, b"\x01\x03abc\0\x03").await?, ("message-too-large", None));
    Ok(())
}

/// A limit of one octet must not keep out everyone: libzmq's `MAXMSGSIZE` does, since READY is longer.
#[tokio::test]
async fn limits_on_messages_do_not_bind_the_handshake() -> Result {
    let limits = Limits { max_frame: 1, max_message: 1, max_frames: 1, ..Limits::default() };
    assert_eq!(pulled(limits, b"\0\x01a").await?, ("peer-closed", Some("a".into())));
    Ok(())
}

/// 100,000 properties, announced in one READY, and one that is all there.
#[tokio::test]
async fn a_handshake_of_many_properties_ends_at_the_command_s_limit() -> Result {
    let property = b"\x03X-a\0\0\0\x01b";
    for count in [1000usize, 100_000] {
        let pull = Pull::new(Options::new());
        let mut monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
        let body = [&b"\x05READY\x0bSocket-Type\0\0\0\x04PUSH"[..], &property.repeat(count)].concat();
        let ready = [&hello("PUSH", 1)[..64], &[6], &(body.len() as u64).to_be_bytes(), &body].concat();
        let mut raw = Raw::connect(&endpoint).await?;
        let _ = soon(raw.0.write_all(&ready)).await?;
        assert_eq!(end(&mut monitor).await?.reason(), "frame-too-large", "{count}");
    }
    Ok(())
}

#[tokio::test]
async fn a_flood_of_subscriptions_costs_the_connection() -> Result {
    let limits = SubscriptionLimits { prefixes: 100, octets: 1000 };
    for (limits, topics, length) in [
        (SubscriptionLimits::default(), 10_001, 5),
        (SubscriptionLimits::default(), 257, 4096),
        (limits, 101, 5),
        (limits, 91, 11),
    ] {
        let publisher = Pub::new(Options::new().subscription_limits(limits));
        let mut monitor = publisher.monitor();
        let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
        let mut raw = Raw::peer(&endpoint, "SUB").await?;
        let mut octets = Vec::new();
        for n in 0..topics {
            let body = format!("\x09SUBSCRIBE{n:0length$}");
            octets.push(6);
            octets.extend_from_slice(&(body.len() as u64).to_be_bytes());
            octets.extend_from_slice(body.as_bytes());
        }
        let _ = soon(raw.0.write_all(&octets)).await?;
        assert_eq!(end(&mut monitor).await?.reason(), "too-many-subscriptions", "{limits:?}");
        // One fewer is no fault, and what is cancelled makes room.
        let mut raw = Raw::peer(&endpoint, "SUB").await?;
        let one = octets.len() / topics;
        raw.write(&octets[..octets.len() - one]).await?;
        let cancel = format!("\x06CANCEL{:0length$}", 0);
        raw.write(&[&[6][..], &(cancel.len() as u64).to_be_bytes(), cancel.as_bytes()].concat()).await?;
        raw.write(&octets[octets.len() - one..]).await?;
        until(|| publisher.send(format!("{:0length$}", topics - 1)).is_ok() && publisher.stats().written > 0).await?;
        assert!(!raw.frame_or_long().await?.is_empty());
    }
    Ok(())
}

/// A topic longer than a command is one that ends the connection; the longest that is allowed costs no stack.
#[tokio::test]
async fn topics_of_any_length_do_no_harm() -> Result {
    let publisher = Pub::new(Options::new());
    let mut monitor = publisher.monitor();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    for as_command in [true, false] {
        let mut raw = Raw::peer(&endpoint, "SUB").await?;
        let start: &[u8] = if as_command { b"\x09SUBSCRIBE" } else { b"\x01" };
        let body = [start, &vec![b't'; 1 << 20]].concat();
        let flags = if as_command { 6 } else { 2 };
        let frame = [&[flags][..], &(body.len() as u64).to_be_bytes(), &body].concat();
        let _ = soon(raw.0.write_all(&frame)).await?;
        assert_eq!(end(&mut monitor).await?.reason(), "frame-too-large");
    }
    Ok(())
}

/// A flood by one peer: another's messages are still received in turn.
#[tokio::test]
async fn a_flood_of_one_peer_does_not_starve_another() -> Result {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut flood = Raw::peer(&endpoint, "PUSH").await?;
    let flooding = tokio::spawn(async move {
        let tiny = b"\0\x01x".repeat(20_000);
        while flood.0.write_all(&tiny).await.is_ok() {}
    });
    let mut slow = Raw::peer(&endpoint, "PUSH").await?;
    until(|| pull.stats().queued > 500).await?;
    let mut most = 0;
    for n in 0..20 {
        slow.write(format!("\0\x03s{n:02}").as_bytes()).await?;
        let mut before = 0;
        loop {
            let message = timeout(LIMIT, pull.recv()).await?;
            if message.frame(0) == Some(format!("s{n:02}").as_bytes()) {
                break;
            }
            before += 1;
        }
        most = most.max(before);
    }
    // What the reader had taken for itself comes first, and one read of each connection; never a megabyte of others.
    assert!(most < 200_000, "{most} messages of the flood came before one");
    flooding.abort();
    Ok(())
}

impl Raw {
    /// The body of the next frame of any form.
    async fn frame_or_long(&mut self) -> Result<Vec<u8>> {
        let flags = self.read(1).await?[0];
        let size = if flags & 2 == 0 {
            u64::from(self.read(1).await?[0])
        } else {
            u64::from_be_bytes(self.read(8).await?.try_into().unwrap())
        };
        self.read(usize::try_from(size)?).await
    }
}
