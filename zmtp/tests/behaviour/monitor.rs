//! What a monitor tells, in which order, and what the counters say.

use std::time::Duration;

use tokio::{net::TcpStream, time::timeout};
use zmtp::{Monitor, Options, Pull, Push, SocketEvent};

use super::support::{MOMENT, Result, ipc, soon, until};

/// The next `n` events, each as a word and the place that it names.
async fn told(monitor: &mut Monitor, n: usize) -> Result<Vec<(&'static str, String)>> {
    let mut told = Vec::new();
    for _ in 0..n {
        told.push(match soon(monitor.recv()).await?.ok_or("the socket is gone")? {
            SocketEvent::Listening { endpoint, .. } => ("listening", endpoint.to_string()),
            SocketEvent::Accepted { peer, .. } => ("accepted", peer.to_string()),
            SocketEvent::Connected { peer, .. } => ("connected", peer.to_string()),
            SocketEvent::Ready { peer, info, .. } => {
                assert!(info.version == (3, 1) && ["PUSH", "PULL"].contains(&info.socket_type.name()));
                ("ready", peer.to_string())
            }
            SocketEvent::Disconnected { peer, cause, .. } => (cause.reason(), peer.to_string()),
            other => panic!("{other:?}"),
        });
    }
    Ok(told)
}

#[tokio::test]
async fn the_life_of_a_connection_is_told_at_both_ends_in_order() -> Result {
    let dir = tempfile::tempdir()?;
    for endpoint in ["tcp://127.0.0.1:*", "tcp://[::1]:*", &ipc(dir.path(), "s")] {
        let pull = Pull::new(Options::new());
        let mut at_pull = pull.monitor();
        let bound = pull.bind(endpoint).await?;
        let push = Push::new(Options::new());
        let mut at_push = push.monitor();
        push.connect(bound.as_str())?;
        let ours = told(&mut at_push, 2).await?;
        push.close(Duration::from_secs(5)).await;
        let theirs = told(&mut at_pull, 4).await?;

        let words: Vec<_> = theirs.iter().map(|(word, _)| *word).collect();
        assert_eq!(words, ["listening", "accepted", "ready", "peer-closed"]);
        assert_eq!(theirs[0].1, bound.as_str());
        assert_eq!([ours[0].0, ours[1].0], ["connected", "ready"]);
        // Each end names the other; for a path, with the process and user there.
        let (from, to) = if endpoint.starts_with("tcp") {
            (endpoint.trim_start_matches("tcp://").trim_end_matches('*'), bound.address().to_owned())
        } else {
            (bound.address(), format!("{} pid {}", bound.address(), std::process::id()))
        };
        assert!(theirs[1..].iter().all(|(_, peer)| peer.starts_with(from) && *peer == theirs[1].1), "{theirs:?}");
        assert!(ours.iter().all(|(_, peer)| peer.starts_with(&to)), "{ours:?}");
    }
    Ok(())
}

#[tokio::test]
async fn queues_and_traffic_are_counted() -> Result {
    let mut pull = Pull::new(Options::new());
    let bound = pull.bind("tcp://127.0.0.1:*").await?;
    let push = Push::new(Options::new());
    push.connect(bound.as_str())?;
    for _ in 0..7 {
        push.try_send("four")?;
    }
    let before = push.stats();
    assert_eq!((before.queued, before.queued_octets, before.written), (7, 7 * 6, 0));
    until(|| pull.stats().queued == 7).await?;
    let after = push.stats();
    assert_eq!((after.queued, after.queued_octets, after.written, after.tally.accepted), (0, 0, 7, 7));
    assert_eq!((after.peers, after.connections, after.faults.len()), (1, 1, 0));
    assert_eq!((pull.stats().received, pull.stats().peers), (7, 1));
    pull.recv().await;
    // Both sides of the reader's queue count as queued.
    assert!(pull.stats().queued < 7);
    Ok(())
}

/// Nobody's slowness costs memory: the oldest are gone, and it is told how many.
#[tokio::test]
async fn a_monitor_that_is_not_read_loses_the_oldest_and_says_so() -> Result {
    const STRANGERS: u64 = 1500;
    let pull = Pull::new(Options::new());
    let mut monitor = pull.monitor();
    let bound = pull.bind("tcp://127.0.0.1:*").await?;
    for _ in 0..STRANGERS {
        drop(TcpStream::connect(bound.address()).await?);
    }
    until(|| pull.stats().connections == STRANGERS).await?;
    let Some(SocketEvent::Missed(first)) = soon(monitor.recv()).await? else { panic!("nothing was missed") };
    assert!(first >= STRANGERS - 1024, "{first}");
    let (mut missed, mut told) = (first, 0);
    // Listening; accepting and the end of each.
    while missed + told < 1 + 2 * STRANGERS {
        match soon(monitor.recv()).await?.ok_or("the socket is gone")? {
            SocketEvent::Missed(more) => missed += more,
            _ => told += 1,
        }
    }
    assert!(timeout(MOMENT, monitor.recv()).await.is_err(), "more was told than happened");
    Ok(())
}
