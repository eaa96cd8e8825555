//! A consumer that dies: what had been written to it is lost, and nothing else.
//!
//! The kernel tells exactly what was written: once a consumer has shut down its reading side, the kernel takes no
//! further octet for it and still gives out those that it took.

use std::io::Read;
use std::net::Shutdown;
use std::ops::Range;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use zmtp::{Message, Push};

use crate::Result;
use crate::raw;
use crate::site::{Site, body, soon, until};

const TOPIC: &str = "compute.host1";

/// Octets of a body: a message is no divisor of what the kernel takes at a time.
const BODY: usize = 1000;

/// As many as no Unix socket holds: 5 MB.
const MESSAGES: u32 = 5000;

fn numbered(number: u32) -> Message {
    Message::builder().more("0").more(TOPIC).more("cast").last(format!("{number:0BODY$}"))
}

async fn send(push: &Push, numbers: Range<u32>) -> Result {
    for number in numbers {
        soon(push.send(numbered(number))).await??;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_not_written_whole_goes_to_the_next_consumer_in_order() -> Result {
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    send(&push, 0..MESSAGES / 2).await?;
    until(|| site.stats(TOPIC).queued > 0).await?;

    let mut first = UnixStream::connect(site.path(TOPIC)?).await?;
    raw::handshake(&mut first, "PULL").await?;
    let len = numbered(0).octets();
    let mut read = vec![0; 50 * len];
    soon(first.read_exact(&mut read)).await??;
    send(&push, MESSAGES / 2..MESSAGES).await?;
    site.until_received(MESSAGES.into()).await?;

    let mut first = first.into_std()?;
    first.set_nonblocking(false)?;
    first.shutdown(Shutdown::Read)?;
    first.read_to_end(&mut read)?;
    drop(first);
    let written = u32::try_from(read.len() / len)?;
    let sent = (0..=written).flat_map(|number| raw::wire(&numbered(number))).take(read.len());
    assert!(sent.eq(read), "the first consumer was written the first messages in order");
    assert!((100..MESSAGES).contains(&written), "{written}");

    site.until_connected(TOPIC, 0).await?;
    let stats = site.stats(TOPIC);
    assert_eq!(stats.written, u64::from(written));
    assert_eq!(stats.queued, (MESSAGES - written) as usize);
    assert_eq!(stats.tally.accepted, u64::from(MESSAGES));

    let mut second = site.pull(TOPIC)?;
    for number in written..MESSAGES {
        assert_eq!(soon(second.recv()).await?, numbered(number));
    }
    let stats = site.stats(TOPIC);
    assert_eq!((stats.written, stats.queued), (u64::from(MESSAGES), 0));
    Ok(())
}

#[tokio::test]
async fn the_other_worker_gets_the_messages_of_one_that_died() -> Result {
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    send(&push, 0..1).await?;
    let mut living = site.pull(TOPIC)?;
    assert_eq!(soon(living.recv()).await?, numbered(0));
    let mut dying = UnixStream::connect(site.path(TOPIC)?).await?;
    raw::handshake(&mut dying, "PULL").await?;
    site.until_connected(TOPIC, 2).await?;
    send(&push, 1..MESSAGES).await?;
    site.until_received(MESSAGES.into()).await?;

    let mut dying = dying.into_std()?;
    dying.set_nonblocking(false)?;
    dying.shutdown(Shutdown::Read)?;
    let mut lost = Vec::new();
    dying.read_to_end(&mut lost)?;
    drop(dying);
    let lost = lost.len() / numbered(0).octets();

    let mut got = Vec::new();
    while got.len() + lost + 1 < MESSAGES as usize {
        got.push(body(&soon(living.recv()).await?).parse::<u32>()?);
    }
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len() + lost + 1, MESSAGES as usize, "each once");
    assert!(living.try_recv().is_none());
    assert_eq!(site.stats(TOPIC).written, u64::from(MESSAGES));
    Ok(())
}
