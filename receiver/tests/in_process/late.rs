//! Subscribers that come after the message: the first fanout and the first reply are not lost (oslo-bugs, B27, B39).

use std::time::Duration;

use zmtp::Message;

use crate::Result;
use crate::site::{Site, body, cast, soon, until};

const REPLIES: &str = "zmq_replies.host1";

fn reply(id: &'static str) -> Message {
    Message::builder().more(id).more(REPLIES).more("cast").last("[]")
}

#[tokio::test]
async fn a_reply_that_is_ahead_of_its_caller_waits_for_it() -> Result {
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    push.send(reply("id1")).await?;
    push.send(reply("id2")).await?;
    site.until_received(2).await?;
    assert_eq!(site.stats(REPLIES).queued, 2);

    let mut other = site.sub(REPLIES, "id3")?;
    let mut caller = site.sub(REPLIES, "id2")?;
    assert_eq!(soon(caller.recv()).await?, reply("id2"));
    until(|| site.stats(REPLIES).peers == 2).await?;
    assert!(other.try_recv().is_none());
    let stats = site.stats(REPLIES);
    assert_eq!((stats.queued, stats.written, stats.tally.late), (1, 1, 1), "id1 still waits");
    Ok(())
}

#[tokio::test]
async fn what_nobody_subscribes_to_is_dropped_in_time_and_counted() -> Result {
    for hold in [Duration::ZERO, Duration::from_millis(200)] {
        let site = Site::start(|settings| settings.hold_time = hold).await?;
        let push = site.push()?;
        for _ in 0..3 {
            push.send(reply("id1")).await?;
            push.send(cast("fanout~compute.host1", "x")).await?;
        }
        site.until_received(6).await?;
        until(|| site.dropped("no-subscriber") == 6).await?;
        let totals = site.totals();
        assert_eq!((totals.queued, totals.queued_octets, totals.written), (0, 0, 0), "{hold:?}");

        let mut late = site.sub("fanout~compute", "")?;
        let later = || push.try_send(cast("fanout~compute.host1", "later")).is_ok();
        until(|| later() && late.try_recv().is_some_and(|message| body(&message) == "later")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_first_fanout_waits_for_all_that_are_connecting() -> Result {
    const TOPIC: &str = "fanout~compute";
    let site = Site::start(|_| {}).await?;
    let push = site.push()?;
    push.send(cast("fanout~compute.host1", "first")).await?;
    site.until_received(1).await?;
    // One after the other, so that each but the first comes when the message has reached somebody.
    let mut subs = Vec::new();
    for _ in 0..3 {
        let mut sub = site.sub(TOPIC, "")?;
        assert_eq!(body(&soon(sub.recv()).await?), "first");
        subs.push(sub);
    }
    push.send(cast("fanout~compute.host1", "second")).await?;
    for sub in &mut subs {
        assert_eq!(body(&soon(sub.recv()).await?), "second", "each message once");
    }
    let stats = site.stats(TOPIC);
    assert_eq!((stats.tally.accepted, stats.tally.late, stats.written), (2, 3, 6));
    Ok(())
}
