//! The end: what is queued is handed on in time, and what is not is told.

use std::time::{Duration, Instant};

use oslo_messaging_zmq_receiver::Stopped;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use zmtp::Message;

use crate::Result;
use crate::raw;
use crate::site::{Site, expect_numbers, send_numbers, soon, until};

const TOPIC: &str = "compute.host1";

/// Together more than the buffers of a Unix socket and the receiver's write under way.
const MESSAGES: u32 = 2000;

fn numbered(number: u32) -> Message {
    Message::builder().more("0").more(TOPIC).more("cast").last(format!("{number:01000}"))
}

/// A site with all the messages queued and a consumer that has not begun to read.
async fn site_with_a_slow_consumer(drain_timeout: Duration) -> Result<(Site, UnixStream)> {
    let site = Site::start(|settings| settings.drain_timeout = drain_timeout).await?;
    let push = site.push()?;
    for number in 0..MESSAGES {
        soon(push.send(numbered(number))).await??;
    }
    site.until_received(MESSAGES.into()).await?;
    let mut slow = UnixStream::connect(site.path(TOPIC)?).await?;
    raw::handshake(&mut slow, "PULL").await?;
    site.until_connected(TOPIC, 1).await?;
    Ok((site, slow))
}

#[tokio::test]
async fn what_senders_had_written_is_still_handed_on() -> Result {
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    send_numbers(&push, TOPIC, 0..1).await?;
    let mut pull = site.pull(TOPIC)?;
    expect_numbers(&mut pull, 0..1).await?;
    send_numbers(&push, TOPIC, 1..20_000).await?;
    let stopping = async {
        let closed = push.close(Duration::from_secs(10)).await;
        (closed, site.stop().await)
    };
    let ((closed, stopped), received) = tokio::join!(stopping, expect_numbers(&mut pull, 1..20_000));
    received?;
    assert_eq!((closed.discarded, stopped?.left), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_slow_consumer_gets_everything_within_the_drain_timeout() -> Result {
    let (site, mut slow) = site_with_a_slow_consumer(Duration::from_secs(10)).await?;
    let path = site.path(TOPIC)?;
    let written = site.stats(TOPIC).written;
    let reading = async {
        // It begins when the receiver has begun to stop and its socket is gone.
        until(|| !path.exists()).await?;
        let mut got = Vec::new();
        soon(slow.read_to_end(&mut got)).await??;
        Ok::<_, Box<dyn std::error::Error>>(got)
    };
    let (stopped, got) = tokio::join!(site.stop(), reading);
    assert!((0..MESSAGES).flat_map(|number| raw::wire(&numbered(number))).eq(got?));
    assert_eq!(stopped?, Stopped { delivered: u64::from(MESSAGES) - written, left: 0 });
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_never_reads_holds_up_the_end_for_the_drain_timeout() -> Result {
    const DRAIN: Duration = Duration::from_millis(500);
    let (site, mut slow) = site_with_a_slow_consumer(DRAIN).await?;
    let written = site.stats(TOPIC).written;
    let begun = Instant::now();
    let stopped = site.stop().await?;
    assert!((DRAIN..4 * DRAIN).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let mut got = Vec::new();
    soon(slow.read_to_end(&mut got)).await??;
    let whole = (got.len() / numbered(0).octets()) as u64;
    assert_eq!(stopped, Stopped { delivered: whole - written, left: u64::from(MESSAGES) - whole });
    Ok(())
}

#[tokio::test]
async fn without_a_consumer_nothing_is_waited_for() -> Result {
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    send_numbers(&push, TOPIC, 0..10).await?;
    site.until_received(10).await?;
    let begun = Instant::now();
    assert_eq!(site.stop().await?, Stopped { delivered: 0, left: 10 });
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_sender_that_never_pauses_does_not_use_up_the_drain_timeout() -> Result {
    let (site, mut slow) = site_with_a_slow_consumer(Duration::from_secs(3)).await?;
    let push = site.push()?;
    let flood = tokio::spawn(async move {
        // It ends with the test.
        for number in MESSAGES.. {
            if push.send(numbered(number)).await.is_err() {
                break;
            }
        }
    });
    site.until_received(u64::from(MESSAGES) + 100).await.err();
    let mut got = Vec::new();
    let (stopped, read) = tokio::join!(site.stop(), soon(slow.read_to_end(&mut got)));
    read??;
    flood.abort();
    let mut numbers = (0u32..).flat_map(|number| raw::wire(&numbered(number)));
    assert!(got.iter().all(|octet| numbers.next() == Some(*octet)), "in order, without a gap");
    let stopped = stopped?;
    assert_eq!(stopped.left, 0, "{stopped:?} of {}", got.len() / numbered(0).octets());
    Ok(())
}
