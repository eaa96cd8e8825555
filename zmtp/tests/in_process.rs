//! Sockets that ask nothing of the system, in numbers small enough for an interpreter: `cargo xtask miri` runs these, so that
//! all that a message passes through between two tasks is tried there too: queues, locks, wakers, sessions, the codec.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use zmtp::{Mark, Message, Options, Pub, Pull, Push, Sub};

/// How many messages go each way.
const MESSAGES: u32 = if cfg!(miri) { 24 } else { 1000 };
/// An interpreter's clock goes by the steps of the program, so this is a bound on work there.
const LINGER: Duration = Duration::from_secs(600);

/// Copied, shared, or larger than a page; small in an interpreter, but for each kind once.
fn numbered(n: u32) -> Message {
    let size = match n % 8 {
        3 => 5000,
        7 if n % 16 == 7 => 70_000,
        _ => 20,
    };
    Message::builder().more(n.to_string()).last(vec![n as u8; size])
}

fn number(message: &Message) -> u32 {
    let n = str::from_utf8(message.frame(0).unwrap()).unwrap().parse().unwrap();
    assert_eq!(*message, numbered(n), "{n}");
    n
}

/// Polls `future` that often and drops it then, so that whatever has woken it by then has done so in vain.
async fn give_up_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Marks of a few messages, so that both sides wait for each other all the time, and futures that are given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_arrives_once_and_in_order_whatever_is_given_up() {
    let mut pull = Pull::new(Options::new().recv_mark(Mark::messages(2)));
    pull.bind("memory://in-process-pull").await.unwrap();
    let push = Push::new(Options::new().send_mark(Mark::messages(2)));
    push.connect("memory://in-process-pull").unwrap();
    let sender = tokio::spawn(async move {
        for n in 0..MESSAGES {
            while give_up_after(1 + n % 3, push.send(numbered(n))).await.is_none() {}
        }
        push.close(LINGER).await
    });
    let mut got = 0;
    while got < MESSAGES {
        if let Some(message) = give_up_after(1 + got % 2, pull.recv()).await {
            assert_eq!(number(&message), got);
            got += 1;
        }
    }
    assert_eq!(sender.await.unwrap().discarded, 0);
    assert!(pull.try_recv().is_none());
}

/// One publisher, two subscribers, one of which wants the half; both go, and the publisher notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_subscriber_gets_what_it_wants() {
    let publisher = Pub::new(Options::new().send_mark(Mark::messages(100_000)));
    publisher.bind("memory://in-process-pub").await.unwrap();
    let subscriber = |prefix: &str| {
        let sub = Sub::new(Options::new().recv_mark(Mark::messages(2)));
        sub.subscribe(prefix);
        sub.connect("memory://in-process-pub").unwrap();
        sub
    };
    let (mut all, mut some) = (subscriber(""), subscriber("1"));
    // Subscribed for sure when something arrived that was published behind it.
    for sub in [&mut all, &mut some] {
        while sub.try_recv().is_none() {
            publisher.send("1 begin").unwrap();
            tokio::task::yield_now().await;
        }
    }
    publisher.send("1 end of the beginning").unwrap();
    (0..MESSAGES).for_each(|n| publisher.send(numbered(n)).unwrap());
    let receive = async |sub: &mut Sub, wanted: Vec<u32>| {
        while sub.recv().await != Message::from("1 end of the beginning") {}
        for n in wanted {
            assert_eq!(number(&sub.recv().await), n);
        }
    };
    receive(&mut some, (0..MESSAGES).filter(|n| n.to_string().starts_with('1')).collect()).await;
    receive(&mut all, (0..MESSAGES).collect()).await;
    drop((all, some));
    while publisher.stats().peers > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(publisher.close(LINGER).await.discarded, 0);
}
