//! PUB and SUB: marks, losses and what is counted of them.

use zmtp::{Mark, Options, Pub, Sub};

use super::support::{Result, ipc, soon, text, until};

/// Publishes until the subscriber has heard it once, and takes what came of that.
async fn join(publisher: &Pub, sub: &mut Sub) -> Result {
    until(|| publisher.send("probe").is_ok() && sub.try_recv().is_some()).await?;
    // Probes that were still on their way.
    until(|| publisher.stats().queued == 0).await?;
    publisher.send("joined")?;
    while text(&soon(sub.recv()).await?) != "joined" {}
    Ok(())
}

/// Two rounds, so that what was drained counts no more in the second.
#[tokio::test]
async fn a_subscriber_gets_as_many_as_the_mark_again_and_again() -> Result {
    let dir = tempfile::tempdir()?;
    for (n, mark) in [1, 10, 1000, 100_000].into_iter().enumerate() {
        for endpoint in ["tcp://127.0.0.1:*".to_owned(), ipc(dir.path(), &n.to_string())] {
            let publisher = Pub::new(Options::new().send_mark(Mark::messages(mark)));
            let bound = publisher.bind(&endpoint).await?;
            let mut sub = Sub::new(Options::new().recv_mark(Mark::messages(mark)));
            sub.subscribe("");
            sub.connect(bound.as_str())?;
            join(&publisher, &mut sub).await?;
            for round in 0..2 {
                // On one thread nothing is written meanwhile: the queue alone takes them.
                for n in 0..mark {
                    publisher.send(n.to_string())?;
                }
                for n in 0..mark {
                    assert_eq!(text(&soon(sub.recv()).await?), n.to_string(), "mark {mark}, round {round}, {endpoint}");
                }
                until(|| publisher.stats().queued == 0).await?;
            }
            assert_eq!(publisher.stats().tally.over_mark, 0);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stalled_subscriber_loses_what_is_over_the_mark_and_others_nothing() -> Result {
    let publisher = Pub::new(Options::new().send_mark(Mark::messages(10)));
    let bound = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut subs = [1, 100_000].map(|mark| Sub::new(Options::new().recv_mark(Mark::messages(mark))));
    for sub in &mut subs {
        sub.subscribe("");
        sub.connect(bound.as_str())?;
        join(&publisher, sub).await?;
    }
    let [stalled, reader] = &mut subs;
    while stalled.try_recv().is_some() {}
    let mut sent = 0u64;
    while publisher.stats().tally.over_mark == 0 {
        publisher.send(vec![0; 64 << 10])?;
        assert_eq!(soon(reader.recv()).await?.frame(0).map(<[u8]>::len), Some(64 << 10));
        sent += 1;
        assert!(sent < 5000, "nothing stalls it");
    }
    assert!(publisher.stats().queued <= 20, "the mark holds");
    // What was dropped is lost; what was taken arrives, and then it goes on.
    let lost = publisher.stats().tally.over_mark;
    let mut large = 0;
    until(|| {
        large += u64::from(stalled.try_recv().is_some_and(|message| message.octets() > 1000));
        large == sent - lost
    })
    .await?;
    until(|| publisher.stats().queued == 0).await?;
    publisher.send("again")?;
    assert_eq!(soon(stalled.recv()).await?, "again".into());
    assert_eq!(text(&soon(reader.recv()).await?), "again");
    Ok(())
}

#[tokio::test]
async fn by_default_a_stalled_subscriber_costs_a_thousand_messages() -> Result {
    let publisher = Pub::new(Options::new());
    let bound = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut sub = Sub::new(Options::new());
    sub.subscribe("");
    sub.connect(bound.as_str())?;
    join(&publisher, &mut sub).await?;
    // On one thread nobody takes any of them meanwhile.
    for _ in 0..5000 {
        publisher.send("x")?;
    }
    assert_eq!((publisher.stats().queued, publisher.stats().tally.over_mark), (1000, 4000));
    Ok(())
}

#[tokio::test]
async fn the_mark_in_octets_holds_too() -> Result {
    let publisher = Pub::new(Options::new().send_mark(Mark::octets(1 << 20)));
    let bound = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut sub = Sub::new(Options::new());
    sub.subscribe("");
    sub.connect(bound.as_str())?;
    join(&publisher, &mut sub).await?;
    for _ in 0..100 {
        publisher.send(vec![0; 64 << 10])?;
    }
    let stats = publisher.stats();
    assert!(stats.queued_octets <= 1 << 20, "{stats:?}");
    assert!(stats.tally.over_mark >= 84, "{stats:?}");
    Ok(())
}
