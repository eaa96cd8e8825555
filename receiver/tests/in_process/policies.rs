//! What becomes of messages that find a queue full, or wait for too long, is the operator's choice by topic.

use std::time::Duration;

use oslo_messaging_zmq_receiver::settings::{Pattern, Settings};
use tokio::time::sleep;
use zmtp::Overflow;

use crate::Result;
use crate::site::{Site, cast, send_numbers, soon, until};

const TOPIC: &str = "notifications.info";

fn of_topic<T>(value: T) -> Vec<(Pattern, T)> {
    Pattern::parse("notifications.*").map(|pattern| (pattern, value)).into_iter().collect()
}

#[tokio::test]
async fn the_oldest_make_room_where_that_is_the_policy_and_nowhere_else() -> Result {
    let site = Site::start(|settings| {
        settings.topic_backlog = Some(3);
        settings.topics.overflow = of_topic(Overflow::Displace);
    })
    .await?;
    let push = site.push()?;
    send_numbers(&push, TOPIC, 0..10).await?;
    send_numbers(&push, "compute.host1", 0..10).await?;
    site.until_received(20).await?;
    assert_eq!((site.dropped("oldest-displaced"), site.dropped("topic-backlog")), (7, 7));
    let (mut last, mut first) = (site.pull(TOPIC)?, site.pull("compute.host1")?);
    for number in 0..3 {
        assert_eq!(soon(last.recv()).await?, cast(TOPIC, number + 7));
        assert_eq!(soon(first.recv()).await?, cast("compute.host1", number));
    }
    Ok(())
}

/// More than the buffers of the kernel between sender and receiver.
const MANY: u32 = 40_000;

fn large(number: u32) -> zmtp::Message {
    zmtp::Message::builder().more("0").more(TOPIC).more("cast").last(format!("{number:01000}"))
}

async fn site_with_a_sender_that_waits(
    change: impl FnOnce(&mut Settings),
) -> Result<(Site, tokio::task::JoinHandle<()>)> {
    let site = Site::start(|settings| {
        settings.topic_backlog = Some(100);
        settings.topics.overflow = of_topic(Overflow::Exceed);
        change(settings);
    })
    .await?;
    let push = site.push()?;
    let sending = tokio::spawn(async move {
        for number in 0..MANY {
            if push.send(large(number)).await.is_err() {
                return;
            }
        }
        // It ends when what it has is sent.
        push.close(Duration::from_secs(20)).await;
    });
    until(|| site.totals().waits > 0).await?;
    sleep(Duration::from_millis(300)).await;
    let queued = site.totals().queued;
    assert!((100..2000).contains(&queued), "{queued} queued");
    assert!(!sending.is_finished(), "the sender does not wait");
    Ok((site, sending))
}

#[tokio::test]
async fn a_sender_waits_for_room_and_loses_nothing() -> Result {
    let (site, sending) = site_with_a_sender_that_waits(|_| {}).await?;
    let mut pull = site.pull(TOPIC)?;
    for number in 0..MANY {
        assert_eq!(soon(pull.recv()).await?, large(number));
    }
    soon(sending).await??;
    assert!(site.totals().dropped.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_a_waiting_sender_had_sent_is_taken_before_the_end() -> Result {
    let (site, sending) = site_with_a_sender_that_waits(|_| {}).await?;
    let mut pull = site.pull(TOPIC)?;
    assert_eq!(soon(pull.recv()).await?, large(0));
    let before = site.totals().received;
    let reading = tokio::spawn(async move {
        for number in 1.. {
            match tokio::time::timeout(Duration::from_secs(1), pull.recv()).await {
                Ok(message) => assert_eq!(message, large(number)),
                Err(_) => return number,
            }
        }
        0
    });
    let stopped = site.stop().await?;
    let read = soon(reading).await??;
    assert!(stopped.left == 0 && u64::from(read) > before, "{stopped:?}: {read} read, {before} taken before");
    sending.abort();
    Ok(())
}

#[tokio::test]
async fn a_message_waits_for_a_consumer_no_longer_than_its_topic_lets_it() -> Result {
    let site = Site::start(|settings| settings.topics.time_to_live = of_topic(Duration::from_millis(400))).await?;
    let push = site.push()?;
    send_numbers(&push, TOPIC, 0..5).await?;
    send_numbers(&push, "compute.host1", 0..5).await?;
    site.until_received(10).await?;
    until(|| site.dropped("expired") == 5).await?;
    assert_eq!(site.totals().queued, 5);
    send_numbers(&push, TOPIC, 5..6).await?;
    assert_eq!(soon(site.pull(TOPIC)?.recv()).await?, cast(TOPIC, 5));
    assert_eq!(soon(site.pull("compute.host1")?.recv()).await?, cast("compute.host1", 0));
    Ok(())
}

#[tokio::test]
async fn a_topic_has_its_own_ceiling() -> Result {
    let site = Site::start(|settings| settings.topics.max_octets = of_topic(2000)).await?;
    let push = site.push()?;
    for number in 0..5 {
        soon(push.send(large(number))).await??;
    }
    site.until_received(5).await?;
    assert_eq!((site.dropped("topic-octets"), site.totals().queued), (4, 1));
    Ok(())
}
