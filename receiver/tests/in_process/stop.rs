//! The end: what is queued is handed on in time, and what is not is told.

use std::io::Write;
use std::time::{Duration, Instant};

use oslo_messaging_zmq_receiver::Stopped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use zmtp::Message;

use crate::Result;
use crate::raw;
use crate::site::{Site, send_numbers, soon, until};

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
async fn what_had_arrived_is_still_handed_on_and_counted() -> Result {
    // As much as the kernel takes while the receiver does not run.
    const ARRIVED: u32 = 50;
    let site = Site::start(|_| {}).await?;
    let mut sender = TcpStream::connect(site.address()).await?;
    raw::handshake(&mut sender, "PUSH").await?;
    sender.write_all(&raw::wire(&numbered(0))).await?;
    let mut pull = site.pull(TOPIC)?;
    assert_eq!(soon(pull.recv()).await?, numbered(0));

    // There is one thread: the receiver does not run before it is stopped. Only the runtime sees that octets have come.
    let mut sender = sender.into_std()?;
    sender.set_nonblocking(false)?;
    sender.set_nodelay(true)?;
    for number in 1..=ARRIVED {
        sender.write_all(&raw::wire(&numbered(number)))?;
    }
    tokio::task::yield_now().await;
    let receiving = async {
        for number in 1..=ARRIVED {
            assert_eq!(soon(pull.recv()).await?, numbered(number));
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let (stopped, received) = tokio::join!(site.stop(), receiving);
    received?;
    assert_eq!(stopped?, Stopped { delivered: ARRIVED.into(), left: 0 });
    Ok(())
}

#[tokio::test]
async fn a_slow_consumer_gets_everything_within_the_drain_timeout() -> Result {
    let (site, mut slow) = site_with_a_slow_consumer(Duration::from_secs(10)).await?;
    let path = site.path(TOPIC)?;
    let written = site.stats(TOPIC).written;
    let reading = async move {
        // It begins when the receiver has begun to stop and its socket is gone.
        until(|| !path.exists()).await?;
        let mut got = Vec::new();
        soon(slow.read_to_end(&mut got)).await??;
        // Here it ends, as services do.
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
        for number in MESSAGES.. {
            if push.send(numbered(number)).await.is_err() {
                break;
            }
        }
    });
    until(|| site.totals().received > 2 * u64::from(MESSAGES)).await?;
    let mut got = Vec::new();
    let (stopped, read) = tokio::join!(site.stop(), soon(slow.read_to_end(&mut got)));
    flood.abort();
    read??;
    assert_eq!(stopped?.left, 0);
    let mut sent = (0..).flat_map(|number| raw::wire(&numbered(number)));
    assert!(got.iter().all(|octet| sent.next() == Some(*octet)), "in order and without a gap");
    assert_eq!(got.len() % numbered(0).octets(), 0);
    Ok(())
}
