//! The delivery contract of `docs/zmtp.md`, sentence by sentence: what `send` returning means, what becomes of a queue when
//! its peer, its socket or a future goes, and what a close reports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "shared with the tests of behaviour, which use all of it")]
#[path = "behaviour/raw.rs"]
mod raw;
#[allow(dead_code, reason = "shared with the tests of behaviour, which use all of it")]
#[path = "behaviour/support.rs"]
mod support;

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use raw::{Raw, listener};
use support::{MOMENT, Result, ipc, nobody, soon, text, until};
use tokio::time::{sleep, timeout};
use zmtp::{CloseReport, Mark, Message, Options, Pub, Pull, Push, SendError, Sub};

/// Numerical Recipes' generator: the same choices in every run.
#[derive(Debug, Clone)]
struct Choices(u32);

impl Choices {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % n
    }
}

/// Polls a future up to `times` times and drops it then. `None`: it had not come to an end.
async fn give_up_after<T>(times: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let mut polled = None;
        std::future::poll_fn(|cx| {
            // Woken or not, it is polled once; what wakes it wakes the next turn or nobody.
            if polled.is_none() {
                polled = Some(future.as_mut().poll(cx));
            }
            Poll::Ready(())
        })
        .await;
        if let Some(Poll::Ready(output)) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// A body of a size that the number chooses, so that messages are copied, shared and larger than a page.
fn numbered(n: u32) -> Message {
    let size = [0, 30, 5000, 70_000][(n % 97 / 32) as usize];
    Message::builder().more(n.to_string()).last(vec![n as u8; size])
}

fn number(message: &Message) -> u32 {
    std::str::from_utf8(message.frame(0).unwrap()).unwrap().parse().unwrap()
}

/// "A send that returned is one message, and one that was dropped is none."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_and_receives_that_are_given_up_lose_and_repeat_nothing() -> Result {
    const MESSAGES: u32 = 4000;
    let dir = tempfile::tempdir()?;
    for (seed, endpoint) in
        ["tcp://127.0.0.1:*".to_owned(), ipc(dir.path(), "s"), "memory://given-up".to_owned()].into_iter().enumerate()
    {
        let mut choices = Choices(seed as u32);
        let mut pull = Pull::new(Options::new().recv_mark(Mark::messages(20)));
        let bound = pull.bind(&endpoint).await?;
        let push = Push::new(Options::new().send_mark(Mark::messages(7)));
        push.connect(bound.as_str())?;
        let sender = tokio::spawn({
            let mut choices = choices.clone();
            async move {
                let mut sent = Vec::new();
                for n in 0..MESSAGES {
                    match give_up_after(choices.below(6), push.send(numbered(n))).await {
                        Some(outcome) => {
                            outcome.unwrap();
                            sent.push(n);
                        }
                        // Let the reader come by now and then.
                        None if choices.below(4) == 0 => sleep(Duration::from_micros(200)).await,
                        None => {}
                    }
                }
                // Nothing of those that were given up holds up the last.
                push.send(numbered(MESSAGES)).await.unwrap();
                sent.push(MESSAGES);
                (sent, push.close(Duration::from_secs(20)).await)
            }
        });
        let mut received = Vec::new();
        let mut many = Vec::new();
        soon(async {
            while received.last() != Some(&MESSAGES) {
                if choices.below(2) == 0 {
                    received.extend(give_up_after(choices.below(3), pull.recv()).await.map(|m| number(&m)));
                } else {
                    let max = choices.below(5) as usize;
                    give_up_after(choices.below(3), pull.recv_many(&mut many, max)).await;
                    // Also what a call that was given up has put there.
                    received.extend(many.drain(..).map(|m| number(&m)));
                }
                if choices.below(50) == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        })
        .await?;
        let (sent, report) = soon(sender).await??;
        assert!(sent.len() > 100 && sent.len() < MESSAGES as usize, "{} of {MESSAGES}", sent.len());
        assert_eq!(received, sent, "{endpoint}");
        assert_eq!(report.discarded, 0);
        assert!(timeout(MOMENT, pull.recv()).await.is_err(), "more came than was sent");
    }
    Ok(())
}

/// The other futures: none that is given up breaks the socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_is_given_up_leaves_the_socket_as_it_was() -> Result {
    let mut choices = Choices(7);
    let publisher = Pub::new(Options::new());
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut sub = Sub::new(Options::new());
    let mut monitor = sub.monitor();
    sub.subscribe("");
    sub.connect(endpoint.as_str())?;
    until(|| publisher.send("probe").is_ok() && sub.try_recv().is_some()).await?;
    until(|| publisher.stats().queued == 0).await?;
    publisher.send("begin")?;
    while text(&soon(sub.recv()).await?) != "begin" {}
    let (mut next, mut events) = (0, 0);
    for n in 0..2000 {
        publisher.send(n.to_string())?;
        give_up_after(choices.below(3), publisher.drained_to(choices.below(40) as usize)).await;
        events += usize::from(give_up_after(choices.below(3), monitor.recv()).await.is_some());
        if let Some(message) = give_up_after(choices.below(3), sub.recv()).await {
            assert_eq!(text(&message), next.to_string());
            next += 1;
        }
        // An endpoint that was being bound is free or bound, never half.
        if n % 20 == 0 {
            let other = Pub::new(Options::new());
            let place = nobody()?;
            if let Some(bound) = give_up_after(choices.below(3), other.bind(&place)).await {
                assert!(other.forget(&bound?));
            }
            let another = Pub::new(Options::new());
            soon(async { while another.bind(&place).await.is_err() {} }).await?;
        }
    }
    for n in next..2000 {
        assert_eq!(text(&soon(sub.recv()).await?), n.to_string());
    }
    while timeout(MOMENT, monitor.recv()).await.is_ok() {
        events += 1;
    }
    assert_eq!(events, 2, "connected and ready, once each");
    Ok(())
}

/// "A close that is given up ends the socket at once."
#[tokio::test]
async fn a_close_that_is_given_up_ends_the_socket() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::peer(&endpoint, "PULL").await?;
    until(|| push.stats().peers == 1).await?;
    while push.try_send(vec![0; 256 << 10]).is_ok() {}
    assert!(timeout(MOMENT, push.close(Duration::from_secs(60))).await.is_err());
    assert!(matches!(push.try_send("x"), Err(SendError::Closed(_))));
    raw.rest().await?;
    until(|| push.stats().peers == 0).await
}

/// "`flushed` and `discarded` are together what was queued; the peer has read, or can read, what is `written`, whole."
#[tokio::test]
async fn a_close_reports_every_message_once() -> Result {
    let mut choices = Choices(3);
    for round in 0..12 {
        let push = Push::new(Options::new());
        let endpoint = push.bind("tcp://127.0.0.1:*").await?;
        let mut raw = Raw::peer(&endpoint, "PULL").await?;
        until(|| push.stats().peers == 1).await?;
        let size = 1 + choices.below(300_000) as usize;
        let mut accepted = 0;
        for _ in 0..choices.below(200) {
            accepted += u64::from(push.try_send(vec![7; size]).is_ok());
        }
        if choices.below(2) == 0 {
            sleep(Duration::from_millis(3)).await;
        }
        let before = push.stats();
        // The rest is being written.
        assert!(before.written + before.queued as u64 <= accepted);
        let linger = Duration::from_millis(u64::from(choices.below(3)) * 40);
        // The peer reads half of the time.
        let reading = if round % 2 == 0 { None } else { Some(tokio::spawn(async move { raw.rest().await.unwrap() })) };
        let CloseReport { flushed, discarded } = soon(push.close(linger)).await?;
        assert_eq!(before.written + flushed + discarded, accepted, "round {round}");
        assert_eq!(push.stats().written, before.written + flushed);
        if let Some(reading) = reading {
            let octets = soon(reading).await??;
            let one = size + if size > 255 { 9 } else { 2 };
            assert_eq!((octets.len() / one) as u64, before.written + flushed, "whole messages at the peer");
        }
    }
    Ok(())
}

/// "A dropped socket goes on sending for its linger, and no longer."
#[tokio::test]
async fn a_dropped_socket_ends_when_its_linger_does() -> Result {
    for linger in [Duration::ZERO, Duration::from_millis(300)] {
        let push = Push::new(Options::new().linger(linger));
        let endpoint = push.bind("tcp://127.0.0.1:*").await?;
        let mut raw = Raw::peer(&endpoint, "PULL").await?;
        until(|| push.stats().peers == 1).await?;
        let mut sent = 0;
        while push.try_send(vec![0; 256 << 10]).is_ok() {
            sent += 1;
        }
        let begun = Instant::now();
        drop(push);
        // It reads nothing for as long, so all that fits is what buffers hold.
        sleep(linger + MOMENT).await;
        let octets = raw.rest().await?;
        assert!(octets.len() < sent * (256 << 10), "it went on without end");
        assert!(begun.elapsed() < linger + Duration::from_secs(5));
    }
    Ok(())
}

/// "Dropped outside of a runtime, nothing can go on: it ends at once."
#[test]
fn a_socket_that_is_dropped_outside_of_a_runtime_ends_at_once() -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (push, mut raw) = runtime.block_on(async {
        let push = Push::new(Options::new());
        let endpoint = push.bind("tcp://127.0.0.1:*").await?;
        let raw = Raw::peer(&endpoint, "PULL").await?;
        until(|| push.stats().peers == 1).await?;
        push.try_send(vec![0; 32 << 20])?;
        Result::Ok((push, raw))
    })?;
    drop(push);
    let octets = runtime.block_on(raw.rest())?;
    assert!(octets.len() < 32 << 20);
    Ok(())
}

/// "A place to connect to keeps its queue: what was not written whole goes first on the next connection, whole; what was
/// written whole is not sent again."
#[tokio::test]
async fn a_place_that_comes_back_gets_what_was_not_written_whole_in_order() -> Result {
    const SIZE: usize = 100_000;
    let (listener, endpoint) = listener().await?;
    let push = Push::new(Options::new().reconnect(Duration::from_millis(5), Duration::from_millis(10)));
    push.connect(&endpoint)?;
    let mut sent = 0u32;
    let mut next = 0;
    for _ in 0..5 {
        let mut raw = Raw::accept(&listener).await?.shake_hands("PULL", 1).await?;
        until(|| push.stats().peers == 1).await?;
        while push.stats().queued < 40 {
            let body = [&sent.to_be_bytes()[..], &vec![0; SIZE - 4]].concat();
            push.try_send(body)?;
            sent += 1;
            // Some is written meanwhile.
            tokio::task::yield_now().await;
        }
        let first = raw.read(9 + SIZE).await?;
        assert_eq!(&first[..9], &[&[2][..], &(SIZE as u64).to_be_bytes()].concat());
        assert_eq!(u32::from_be_bytes(first[9..13].try_into()?), next, "as many before it were written");
        // Some more, and part of the next.
        raw.read(3 * (9 + SIZE) + 500).await?;
        drop(raw);
        until(|| push.stats().peers == 0).await?;
        next = u32::try_from(push.stats().written)?;
        assert!(next >= 4);
    }
    Ok(())
}

/// "Each peer gets its messages in the order of the sends, whoever sends; with a backlog also what another left."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_come_and_go_get_every_message_once_and_in_order_when_there_is_a_backlog() -> Result {
    const MESSAGES: u32 = 3000;
    let push = Push::new(Options::new().backlog(Mark::UNLIMITED).send_mark(Mark::messages(50)));
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    for n in 0..MESSAGES {
        push.try_send(n.to_string())?;
    }
    let mut received = Vec::new();
    let mut written = 0;
    while received.last() != Some(&(MESSAGES - 1)) {
        // Each takes some and goes, with what was written to it and not received.
        let mut pull = Pull::new(Options::new().recv_mark(Mark::messages(10)));
        pull.connect(endpoint.as_str())?;
        let mut first = None;
        for _ in 0..700 {
            let Ok(message) = timeout(Duration::from_millis(500), pull.recv()).await else { break };
            let number: u32 = text(&message).parse()?;
            first.get_or_insert(number);
            received.push(number);
        }
        if let Some(first) = first {
            assert_eq!(u64::from(first), written, "what was not written whole is all there");
        }
        drop(pull);
        until(|| push.stats().peers == 0).await?;
        written = push.stats().written;
        if written == u64::from(MESSAGES) {
            break;
        }
    }
    assert!(received.is_sorted_by(|a, b| a < b), "none twice, none out of order");
    Ok(())
}
