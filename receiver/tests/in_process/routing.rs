//! Which messages go where, and what of them is changed: nothing (oslo-zmq, sections 1, 6 and 8; oslo-bugs, B4).

use std::os::unix::fs::FileTypeExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use zmtp::Message;

use crate::Result;
use crate::raw;
use crate::site::{Site, body, cast, expect_numbers, send_numbers, soon, until};

#[tokio::test]
async fn messages_are_forwarded_octet_for_octet() -> Result {
    const TOPIC: &str = "compute.host1";
    let counts = (2..=100).map(|frames| vec![0; frames]);
    let sizes = [1, 254, 255, 256, 8191, 8192, 8193, 65_535, 65_536, 1 << 20, 16 << 20];
    let sizes = sizes.map(|size| vec![1, 0, 4, size, 0]);
    let mut wire = Vec::new();
    for (n, shape) in counts.chain(sizes).enumerate() {
        let mut frames: Vec<_> =
            shape.iter().map(|size| (0..*size).map(|at| (at * 7 + n) as u8).collect::<Vec<_>>()).collect();
        frames[1] = TOPIC.as_bytes().to_vec();
        wire.extend(raw::message(&frames));
    }
    // A long header before a short body is unusual and allowed.
    wire.extend([raw::frame(b"0", true, true), raw::frame(TOPIC.as_bytes(), false, true)].concat());

    let site = Site::start(|_| {}).await?;
    let mut sender = TcpStream::connect(site.address()).await?;
    raw::handshake(&mut sender, "PUSH").await?;
    let sent = wire.clone();
    let sending = tokio::spawn(async move { sender.write_all(&sent).await.map(|()| sender) });
    until(|| site.path(TOPIC).is_ok_and(|path| path.exists())).await?;

    let mut consumer = UnixStream::connect(site.path(TOPIC)?).await?;
    raw::handshake(&mut consumer, "PULL").await?;
    let mut got = vec![0; wire.len()];
    soon(consumer.read_exact(&mut got)).await??;
    assert!(got == wire, "the octets differ from {:?}", got.iter().zip(&wire).position(|(got, sent)| got != sent));
    soon(sending).await???;

    let totals = site.totals();
    assert_eq!(
        (totals.received, totals.written, totals.queued, totals.queued_octets),
        (99 + 11 + 1, 99 + 11 + 1, 0, 0)
    );
    assert!(totals.dropped.is_empty() && totals.faults.is_empty(), "{totals:?}");
    Ok(())
}

#[tokio::test]
async fn a_fanout_is_cut_at_the_dot_and_copied_to_each_of_three() -> Result {
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    let mut subs = [site.sub("fanout~compute", "")?, site.sub("fanout~compute", "")?, site.sub("fanout~compute", "")?];
    // The topic's socket is made by the first of these.
    let messages = [cast("fanout~compute.host1", 1), cast("fanout~compute.a.b", 2), cast("fanout~compute", 3)];
    for message in &messages {
        push.send(message.clone()).await?;
    }
    for sub in &mut subs {
        for message in &messages {
            assert_eq!(&soon(sub.recv()).await?, message);
        }
    }
    until(|| site.stats("fanout~compute").written == 9).await?;
    assert_eq!(site.totals().topics.len(), 2, "the fanout's and the one of replies");
    Ok(())
}

#[tokio::test]
async fn a_reply_goes_to_the_caller_of_its_id_alone() -> Result {
    const TOPIC: &str = "zmq_replies.host1";
    let site = Site::start(|_| {}).await?;
    let ids = ["5f1d0000000000000000000000000000", "5f1d0000000000000000000000000001", "5f1d1"];
    let mut callers = Vec::new();
    for id in ids {
        callers.push(site.sub(TOPIC, id)?);
    }
    site.until_connected(TOPIC, ids.len()).await?;
    let push = site.push()?;
    for n in 0..100 {
        for id in ids {
            let reply = Message::builder().more(id).more(TOPIC).more("cast").last(n.to_string());
            push.send(reply).await?;
        }
    }
    for (caller, id) in callers.iter_mut().zip(ids) {
        for n in 0..100 {
            let reply = soon(caller.recv()).await?;
            assert_eq!((reply.frame(0), body(&reply)), (Some(id.as_bytes()), n.to_string()));
        }
    }
    assert_eq!(site.stats(TOPIC).written, 300, "no caller was sent another's reply");
    Ok(())
}

#[tokio::test]
async fn workers_of_one_topic_take_turns() -> Result {
    const TOPIC: &str = "compute.host1";
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    send_numbers(&push, TOPIC, 0..1).await?;
    let mut workers = [site.pull(TOPIC)?, site.pull(TOPIC)?, site.pull(TOPIC)?];
    site.until_connected(TOPIC, 3).await?;
    send_numbers(&push, TOPIC, 1..301).await?;
    until(|| workers.iter().map(|worker| worker.stats().queued).sum::<usize>() == 301).await?;

    let mut all = Vec::new();
    for worker in &mut workers {
        let mut own = Vec::new();
        while let Some(message) = worker.try_recv() {
            own.push(body(&message).parse::<u32>()?);
        }
        assert!(own.is_sorted(), "{own:?}");
        let before_the_others_were_there = usize::from(own[0] == 0);
        assert_eq!(own.len(), 100 + before_the_others_were_there);
        all.extend(own);
    }
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(0..301));
    Ok(())
}

/// What one read brings of many topics is sorted by topic: that must not show.
#[tokio::test]
async fn topics_by_turns_are_each_handed_on_in_order() -> Result {
    const ROUNDS: u32 = 500;
    const KEPT: u32 = 40;
    let site = Site::start(|settings| settings.topic_backlog = Some(KEPT as usize)).await?;
    let of_round = |number: u32| {
        let topics = ["lone.h", "shared.h", "fanout~all", "lone.h", "waiting.h", "", "other.h"];
        let style = if number.is_multiple_of(9) { "x".repeat(5000) } else { "cast".to_owned() };
        topics.into_iter().enumerate().flat_map(move |(n, topic)| {
            let body = if n < 3 { 2 * number } else { 2 * number + 1 };
            raw::message(&["0", topic, &style, &body.to_string()])
        })
    };
    let mut sender = TcpStream::connect(site.address()).await?;
    raw::handshake(&mut sender, "PUSH").await?;
    sender.write_all(&of_round(0).collect::<Vec<u8>>()).await?;
    site.until_received(7).await?;
    let (mut lone, mut other) = (site.pull("lone.h")?, site.pull("other.h")?);
    let mut shared = [site.pull("shared.h")?, site.pull("shared.h")?];
    let mut sub = site.sub("fanout~all", "")?;
    for (key, peers) in [("lone.h", 1), ("other.h", 1), ("shared.h", 2), ("fanout~all", 1)] {
        site.until_connected(key, peers).await?;
    }
    let rest: Vec<u8> = (1..ROUNDS).flat_map(of_round).collect();
    let sending = tokio::spawn(async move { sender.write_all(&rest).await.map(|()| sender) });

    expect_numbers(&mut lone, 0..2 * ROUNDS).await?;
    for number in 0..ROUNDS {
        expect_numbers(&mut other, 2 * number + 1..2 * number + 2).await?;
        assert_eq!(body(&soon(sub.recv()).await?), (2 * number).to_string());
    }
    until(|| shared.iter().map(|worker| worker.stats().queued).sum::<usize>() == ROUNDS as usize).await?;
    let mut all = Vec::new();
    for worker in &mut shared {
        let own = std::iter::from_fn(|| worker.try_recv()).map(|message| body(&message).parse::<u32>());
        let own = own.collect::<std::result::Result<Vec<_>, _>>()?;
        assert!(own.len() >= ROUNDS as usize / 3 && own.is_sorted(), "{own:?}");
        all.extend(own);
    }
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter((0..ROUNDS).map(|number| 2 * number)));

    let _sender = soon(sending).await???;
    site.until_received(u64::from(7 * ROUNDS)).await?;
    assert_eq!(site.dropped("topic-backlog"), u64::from(ROUNDS - KEPT));
    assert_eq!(site.totals().dropped.len(), 2, "the others are those of the empty topic: {:?}", site.totals().dropped);
    let mut waiting = site.pull("waiting.h")?;
    for number in 0..KEPT {
        expect_numbers(&mut waiting, 2 * number + 1..2 * number + 2).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_long_topic_has_a_hashed_path_that_both_sides_know() -> Result {
    let site = Site::start_in_long_directory(60).await?;
    let long = "t".repeat(200);
    let push = site.push()?;

    let topic = format!("{long}.host1");
    let mut service = site.pull(&topic)?;
    send_numbers(&push, &topic, 0..10).await?;
    expect_numbers(&mut service, 0..10).await?;

    for topic in [format!("fanout~{long}.host1"), format!("zmq_replies.{long}")] {
        let mut subscriber = site.sub(&topic, "")?;
        push.send(cast(&topic, "x")).await?;
        assert_eq!(soon(subscriber.recv()).await?, cast(&topic, "x"));
    }
    let fits = "t".repeat(107 - 60 - "/zmq_topic_".len());
    for (topic, is_plain) in [(&fits, true), (&format!("{fits}t"), false)] {
        send_numbers(&push, topic, 0..1).await?;
        expect_numbers(&mut site.pull(topic)?, 0..1).await?;
        let path = site.path(topic)?;
        assert!(path.metadata()?.file_type().is_socket());
        assert_eq!(path.ends_with(format!("zmq_topic_{topic}")), is_plain);
    }
    assert!(site.totals().dropped.is_empty());
    Ok(())
}
