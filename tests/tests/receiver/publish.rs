//! Fanouts and replies to subscribers on libzmq that were there before the socket was (oslo-bugs, B27).

use std::io::Write;
use std::time::Duration;

use anyhow::ensure;
use tests::site::Site;
use tests::traffic::Subscriber;
use tests::wire;

/// What a first message may take from the moment that a subscriber's connection is made.
const AT_ONCE: Duration = Duration::from_millis(200);

#[test]
fn b27_a_first_fanout_reaches_every_subscriber_that_is_connecting() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    for topic in ["compute", "volume", "network"] {
        let socket = site.socket(&format!("fanout~{topic}"));
        let mut subscribers = (0..3).map(|_| Subscriber::start(&socket, "")).collect::<Result<Vec<_>, _>>()?;
        let topic = format!("fanout~{topic}.host1");
        for body in ["first", "second"] {
            client.write_all(&wire::cast(topic.as_bytes(), body.as_bytes()))?;
        }
        for subscriber in &mut subscribers {
            let first = subscriber.receive()?;
            ensure!(first.frames == ["0", &topic, "cast", "first"] && first.after < AT_ONCE, "{first:?}");
            ensure!(subscriber.receive()?.frames[3] == "second");
        }
    }
    let report = receiver.stop()?;
    ensure!((report.received, report.written) == (6, 18) && report.dropped.is_empty(), "{report:?}");
    Ok(())
}

#[test]
fn b27_a_first_reply_reaches_a_caller_that_subscribes_after_it() -> anyhow::Result<()> {
    const ID: &str = "0123456789abcdef0123456789abcdef";
    // The caller's program may take longer to start than the replies would wait by default.
    let site = Site::new("[zmq_receiver]\nhold_time = 20")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    // The second topic has no socket yet.
    for topic in ["zmq_replies.host1", "zmq_replies.host2"] {
        for id in [ID, "of somebody else"] {
            client.write_all(&wire::message(&[id.as_bytes(), topic.as_bytes(), b"cast", b"{}"]))?;
        }
        let reply = Subscriber::start(&site.socket(topic), ID)?.receive()?;
        ensure!(reply.frames == [ID, topic, "cast", "{}"] && reply.after < AT_ONCE, "{reply:?}");
    }
    let report = receiver.stop()?;
    ensure!((report.received, report.written, report.left) == (4, 2, 2), "{report:?}");
    Ok(())
}
