//! PUSH and PULL: who gets a message, who has to wait, and what becomes of a vanished peer's messages.

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncReadExt, time::timeout};
use zmtp::{Mark, Message, Options, Pull, Push, SendError};

use super::{
    raw::Raw,
    support::{MOMENT, Result, ipc, nobody, soon, text, until},
};

#[tokio::test]
async fn what_is_queued_for_a_vanished_peer_is_discarded() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let reader = Raw::peer(&endpoint, "PULL").await?;
    until(|| push.stats().peers == 1).await?;
    let mut sent = 0;
    while push.try_send(vec![0; 256 << 10]).is_ok() {
        sent += 1;
    }
    assert!(push.stats().queued > 0);
    drop(reader);
    until(|| push.stats().peers == 0).await?;
    let stats = push.stats();
    assert_eq!(stats.queued, 0);
    assert_eq!(stats.tally.discarded + stats.written, sent);
    assert!(matches!(push.try_send("x"), Err(SendError::Full(_))));

    let mut pull = Pull::new(Options::new());
    pull.connect(endpoint.as_str())?;
    soon(push.send("the first that it gets")).await??;
    assert_eq!(text(&soon(pull.recv()).await?), "the first that it gets");
    Ok(())
}

/// One peer goes away with a part of a message; nobody else ever sees the other parts.
#[tokio::test]
async fn no_part_of_a_message_that_was_cut_off_reaches_the_next_peer() -> Result {
    let parts = |fill: u8| Message::from_frames([(); 3].map(|()| vec![fill; 4 << 20])).unwrap();
    for (waits, backlog) in [(true, false), (false, false), (true, true)] {
        let mut options = Options::new();
        if backlog {
            options = options.backlog(Mark::UNLIMITED);
        }
        let push = Push::new(options);
        let endpoint = push.bind("tcp://127.0.0.1:*").await?;
        let mut reader = Raw::peer(&endpoint, "PULL").await?;
        until(|| push.stats().peers == 1).await?;
        if waits {
            soon(push.send(parts(1))).await??
        } else {
            push.try_send(parts(1))?
        }
        // The first part and some of the second.
        reader.read(6 << 20).await?;
        drop(reader);
        until(|| push.stats().peers == 0).await?;

        let mut pull = Pull::new(Options::new());
        pull.connect(endpoint.as_str())?;
        until(|| push.stats().peers == 1).await?;
        if waits {
            soon(push.send(parts(2))).await??
        } else {
            push.try_send(parts(2))?
        }
        if backlog {
            assert!(soon(pull.recv()).await? == parts(1), "whole, from its start");
        }
        assert!(soon(pull.recv()).await? == parts(2));
        assert!(pull.try_recv().is_none());
    }
    Ok(())
}

#[tokio::test]
async fn without_immediate_a_place_that_is_away_gets_its_share() -> Result {
    let mut pull = Pull::new(Options::new());
    let live = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(&nobody()?)?;
    push.connect(live.as_str())?;
    until(|| push.stats().peers == 1).await?;
    for n in 0..10 {
        push.try_send(n.to_string())?;
    }
    for _ in 0..5 {
        soon(pull.recv()).await?;
    }
    assert!(timeout(MOMENT, pull.recv()).await.is_err(), "half of them wait for the other");
    assert_eq!(push.stats().queued, 5);
    Ok(())
}

#[tokio::test]
async fn with_immediate_only_connected_peers_get_messages() -> Result {
    let mut pull = Pull::new(Options::new());
    let live = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new().immediate(true));
    push.connect(&nobody()?)?;
    push.connect(live.as_str())?;
    for n in 0..10 {
        soon(push.send(n.to_string())).await??;
    }
    for n in 0..10 {
        assert_eq!(text(&soon(pull.recv()).await?), n.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn with_immediate_a_send_waits_for_a_connection_and_again_after_its_end() -> Result {
    let dir = tempfile::tempdir()?;
    let endpoint = ipc(dir.path(), "s");
    let push = Push::new(Options::new().immediate(true));
    push.connect(&endpoint)?;
    assert!(push.try_send("early").is_err());
    assert!(timeout(MOMENT, push.send("early")).await.is_err());
    let mut pull = Pull::new(Options::new());
    pull.bind(&endpoint).await?;
    soon(push.send("now")).await??;
    assert_eq!(text(&soon(pull.recv()).await?), "now");
    pull.close(Duration::ZERO).await;
    until(|| push.stats().peers == 0).await?;
    assert!(push.try_send("late").is_err());
    Ok(())
}

#[tokio::test]
async fn a_send_that_waits_ends_when_the_socket_is_closed() -> Result {
    let push = Arc::new(Push::new(Options::new()));
    let sender = tokio::spawn({
        let push = push.clone();
        async move { push.send("never").await }
    });
    tokio::time::sleep(MOMENT).await;
    assert!(!sender.is_finished());
    push.close(Duration::ZERO).await;
    assert!(matches!(soon(sender).await??, Err(SendError::Closed(message)) if text(&message) == "never"));
    assert!(matches!(push.try_send("after"), Err(SendError::Closed(_))));
    Ok(())
}

/// 48 MiB in one frame, through buffers of some hundred KiB, to a reader that takes its time.
#[tokio::test]
async fn a_message_larger_than_every_buffer_arrives_whole() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut reader = Raw::peer(&endpoint, "PULL").await?;
    let body: Vec<u8> = (0..48usize << 20).map(|n| (n % 251) as u8).collect();
    soon(push.send(body.clone())).await??;
    assert_eq!(reader.read(9).await?, b"\x02\0\0\0\0\x03\0\0\0");
    let mut got = Vec::new();
    while got.len() < body.len() {
        let mut some = vec![0; 1 << 20];
        let n = soon(reader.0.read(&mut some)).await??;
        assert!(n > 0);
        got.extend_from_slice(&some[..n]);
        tokio::task::yield_now().await;
    }
    assert!(got == body);
    Ok(())
}

#[tokio::test]
async fn frames_know_whether_more_follow() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut reader = Raw::peer(&endpoint, "PULL").await?;
    soon(push.send(Message::builder().more("a").more("").last("c"))).await??;
    assert_eq!(reader.read(8).await?, b"\x01\x01a\x01\0\0\x01c");
    Ok(())
}

#[test]
fn a_copy_of_a_message_shares_its_octets() {
    let message = Message::from(vec![7; 1 << 20]);
    let copy = message.clone();
    assert_eq!(message.frame(0).unwrap().as_ptr(), copy.frame(0).unwrap().as_ptr());
}
