//! What is full drops what comes, counts it, and leaves all else alone (oslo-zmq, section 8; oslo-bugs, B25).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zmtp::Message;

use crate::Result;
use crate::raw;
use crate::site::{Site, body, cast, expect_numbers, send_numbers, soon, until};

#[tokio::test]
async fn a_backlog_keeps_the_first_and_drops_the_rest() -> Result {
    let site = Site::start(|settings| settings.topic_backlog = Some(2)).await?;
    let push = site.push()?;
    send_numbers(&push, "compute.host1", 0..20).await?;
    site.until_received(20).await?;
    assert_eq!(site.totals().dropped, [("topic-backlog", 18)].into());
    let mut pull = site.pull("compute.host1")?;
    expect_numbers(&mut pull, 0..2).await?;
    send_numbers(&push, "compute.host1", 100..200).await?;
    expect_numbers(&mut pull, 100..200).await
}

#[tokio::test]
async fn a_backlog_of_zero_is_for_connected_consumers_only() -> Result {
    let site = Site::start(|settings| settings.topic_backlog = Some(0)).await?;
    let push = site.push()?;
    send_numbers(&push, "compute.host1", 0..20).await?;
    site.until_received(20).await?;
    assert_eq!(site.totals().dropped, [("topic-backlog", 20)].into());
    let mut pull = site.pull("compute.host1")?;
    site.until_connected("compute.host1", 1).await?;
    send_numbers(&push, "compute.host1", 20..40).await?;
    expect_numbers(&mut pull, 20..40).await
}

#[tokio::test]
async fn topics_beyond_the_limit_are_dropped_and_known_ones_go_on() -> Result {
    // The topic of replies is one of them.
    let site = Site::start(|settings| settings.limits.max_topics = 3).await?;
    let push = site.push()?;
    for topic in ["a.h", "b.h", "c.h", "fanout~d.h", "zmq_replies.e"] {
        send_numbers(&push, topic, 0..10).await?;
    }
    site.until_received(50).await?;
    assert_eq!(site.totals().dropped, [("topic-limit", 30)].into());
    assert!(!site.path("c.h")?.exists());
    for topic in ["a.h", "b.h"] {
        expect_numbers(&mut site.pull(topic)?, 0..10).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_topic_at_its_octets_drops_and_another_does_not() -> Result {
    const LIMIT: usize = 64 << 10;
    let site = Site::start(|settings| settings.limits.topic_max_octets = LIMIT).await?;
    let push = site.push()?;
    let octets = cast("stuck.h", "x".repeat(1000)).octets();
    let fit = LIMIT / octets;
    for _ in 0..200 {
        push.send(cast("stuck.h", "x".repeat(1000))).await?;
    }
    send_numbers(&push, "healthy.h", 0..200).await?;
    site.until_received(400).await?;
    let stats = site.stats("stuck.h");
    assert_eq!((stats.queued, stats.queued_octets), (fit, fit * octets));
    assert_eq!(site.totals().dropped, [("topic-octets", 200 - fit as u64)].into());
    expect_numbers(&mut site.pull("healthy.h")?, 0..200).await
}

#[tokio::test]
async fn all_topics_together_stay_below_the_memory_limit() -> Result {
    const LIMIT: usize = 128 << 10;
    let site = Site::start(|settings| {
        settings.limits.memory_limit = LIMIT;
        settings.limits.topic_max_octets = LIMIT;
    })
    .await?;
    let push = site.push()?;
    let message = |topic: &str| cast(topic, "x".repeat(1000));
    let octets = message("a.h").octets();
    for topic in ["a.h", "b.h", "c.h", "d.h"] {
        for _ in 0..50 {
            push.send(message(topic)).await?;
        }
    }
    site.until_received(200).await?;
    let totals = site.totals();
    // An empty queue takes one message as long as there is any room.
    assert!((LIMIT - octets..LIMIT + octets).contains(&totals.queued_octets), "{}", totals.queued_octets);
    assert_eq!(totals.dropped, [("memory-limit", 200 - totals.queued)].into());

    // What a consumer takes makes room for others.
    let mut pull = site.pull("a.h")?;
    for _ in 0..50 {
        assert_eq!(soon(pull.recv()).await?, message("a.h"));
    }
    until(|| site.stats("a.h").queued == 0).await?;
    push.send(message("d.h")).await?;
    site.until_received(201).await?;
    assert_eq!(site.totals().queued, totals.queued - 50 + 1);
    Ok(())
}

#[tokio::test]
async fn a_full_memory_does_not_stop_a_topic_that_is_served() -> Result {
    let message = |topic: &str| cast(topic, "x".repeat(1000));
    // So many messages that nothing is left.
    let limit = 100 * message("stuck.h").octets();
    let site = Site::start(|settings| {
        settings.limits.memory_limit = limit;
        settings.limits.topic_max_octets = limit;
    })
    .await?;
    let push = site.push()?;
    push.send(message("served.h")).await?;
    let mut served = site.pull("served.h")?;
    assert_eq!(soon(served.recv()).await?, message("served.h"));
    for _ in 0..200 {
        push.send(message("stuck.h")).await?;
    }
    site.until_received(201).await?;
    assert_eq!(site.totals().queued_octets, limit);
    for _ in 0..10 {
        push.send(message("served.h")).await?;
        assert_eq!(soon(served.recv()).await?, message("served.h"));
    }
    Ok(())
}

#[tokio::test]
async fn peers_beyond_max_connections_wait_for_their_turn() -> Result {
    let site = Site::start(|settings| settings.limits.max_connections = 2).await?;
    let [one, two] = [site.push()?, site.push()?];
    for push in [&one, &two] {
        send_numbers(push, "compute.host1", 0..1).await?;
    }
    site.until_received(2).await?;
    assert_eq!(site.totals().faults, [("connection-limit", 1)].into());
    let waiting = site.push()?;
    send_numbers(&waiting, "compute.host1", 0..1).await?;
    send_numbers(&one, "compute.host1", 1..101).await?;
    site.until_received(102).await?;

    two.close(Duration::from_secs(1)).await;
    site.until_received(103).await
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_misses_messages_and_its_neighbour_none() -> Result {
    const TOPIC: &str = "fanout~compute";
    let site = Site::start(|settings| settings.limits.topic_max_octets = 64 << 10).await?;
    let push = site.push()?;
    push.send(cast(TOPIC, "first")).await?;
    let mut reading = site.sub(TOPIC, "")?;
    assert_eq!(body(&soon(reading.recv()).await?), "first");
    let mut stuck = UnixStream::connect(site.path(TOPIC)?).await?;
    raw::handshake(&mut stuck, "SUB").await?;
    stuck.write_all(&raw::subscription("")).await?;
    site.until_connected(TOPIC, 2).await?;
    // Ten times what a Unix socket and the queue of the stuck one hold, ten at a time.
    let message = |number: u32| cast(TOPIC, format!("{number:01000}"));
    for first in (0..5000).step_by(10) {
        for number in first..first + 10 {
            push.send(message(number)).await?;
        }
        for number in first..first + 10 {
            assert_eq!(body(&soon(reading.recv()).await?), body(&message(number)));
        }
    }
    let missed = site.dropped("consumer-full");
    assert!((1000..5000).contains(&missed), "{missed}");
    Ok(())
}

#[tokio::test]
async fn idle_topics_make_room_and_come_back() -> Result {
    // One of the four is the socket of replies.
    let site = Site::start(|settings| settings.limits.max_topics = 4).await?;
    let push = site.push()?;
    for round in 0..3 {
        for topic in ["a.h", "b.h", "c.h", "d.h", "e.h"] {
            push.send(cast(topic, format!("{round}"))).await?;
            let mut pull = site.pull(topic)?;
            assert_eq!(soon(pull.recv()).await?, cast(topic, format!("{round}")));
            pull.close(Duration::from_secs(1)).await;
            until(|| site.totals().topics.iter().all(|(_, stats)| stats.peers == 0)).await?;
        }
    }
    assert_eq!(site.totals().written, 15);
    assert_eq!(site.totals().dropped, std::collections::BTreeMap::new());
    // What waits for a consumer is never given up.
    for topic in ["a.h", "b.h", "c.h", "d.h", "e.h"] {
        push.send(cast(topic, "waits")).await?;
    }
    site.until_received(20).await?;
    assert_eq!(site.totals().queued + site.dropped("topic-limit"), 5);
    assert!(site.totals().queued >= 3);
    Ok(())
}

/// Eight callers of one process get 3 MB each at the same moment, and the process is busy.
#[tokio::test]
async fn replies_of_24_mb_at_once_are_held_for_their_callers() -> Result {
    const TOPIC: &str = "zmq_replies.host1";
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    let mut caller = UnixStream::connect(site.path(TOPIC)?).await?;
    raw::handshake(&mut caller, "SUB").await?;
    caller.write_all(&raw::subscription("id")).await?;
    site.until_connected(TOPIC, 1).await?;
    let reply = |n: u8| Message::builder().more(format!("id{n}")).more(TOPIC).more("cast").last(vec![b'x'; 3_000_000]);
    for n in 0..8 {
        soon(push.send(reply(n))).await??;
    }
    site.until_received(8).await?;
    for n in 0..8 {
        let mut got = vec![0; reply(n).octets()];
        soon(caller.read_exact(&mut got)).await??;
        assert!(got == raw::wire(&reply(n)), "reply {n}");
    }
    assert!(site.totals().dropped.is_empty(), "{:?}", site.totals().dropped);
    Ok(())
}
