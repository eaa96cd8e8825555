//! What happens to one topic is not felt by another (oslo-bugs, B11, B27).

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::site::Site;
use tests::wire;

/// Messages of the topic that is watched, one each millisecond or so.
const WATCHED: usize = 1000;

/// A fifth of what each new fanout topic cost all others with the original.
const BOUND: Duration = Duration::from_millis(100);

#[test]
fn b11_b27_new_topics_and_a_stuck_one_do_not_delay_another() -> anyhow::Result<()> {
    let site = Site::new("[zmq_receiver]\ntopic_max_octets = 4 MiB\nmax_message_size = 1 MiB\ndrain_timeout = 0")?;
    let mut receiver = site.start()?;
    let mut client = site.client()?;
    client.write_all(&wire::cast(b"watched.host1", b"begin"))?;
    let mut watched = site.consumer("watched.host1", "PULL")?;
    wire::read_message(&mut watched)?;
    client.write_all(&wire::cast(b"stuck.host1", b"begin"))?;
    let _stuck = site.consumer("stuck.host1", "PULL")?;

    let over = AtomicBool::new(false);
    let latencies = thread::scope(|scope| {
        let others = [scope.spawn(|| flood_a_stuck_topic(&site, &over)), scope.spawn(|| open_new_topics(&site, &over))];
        let sending = scope.spawn(|| {
            let mut sent = Vec::new();
            for number in 0..WATCHED {
                sent.push(Instant::now());
                client.write_all(&wire::cast(b"watched.host1", number.to_string().as_bytes()))?;
                thread::sleep(Duration::from_millis(1));
            }
            anyhow::Ok(sent)
        });
        let mut received = Vec::new();
        let outcome = (0..WATCHED).try_for_each(|number| {
            ensure!(wire::read_message(&mut watched)?[3] == number.to_string().as_bytes());
            received.push(Instant::now());
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        let sent = join(sending)?;
        for other in others {
            join(other)?;
        }
        outcome?;
        anyhow::Ok(received.iter().zip(sent).map(|(received, sent)| *received - sent).collect::<Vec<_>>())
    });
    let mut latencies = latencies?;
    latencies.sort_unstable();
    let (median, late) = (latencies[WATCHED / 2], latencies[WATCHED * 99 / 100]);
    println!("median {median:?}, 99 of 100 below {late:?}, all below {:?}", latencies[WATCHED - 1]);
    ensure!(late < BOUND, "{late:?}");

    let report = receiver.stop()?;
    ensure!(report.dropped["topic-octets"] > 0, "the stuck topic was not at its limit: {report:?}");
    ensure!(report.topics().filter(|key| key.starts_with("fanout~")).count() == 100, "{report:?}");
    ensure!(report.of_topic("watched.host1", "written") == WATCHED as u64 + 1, "{report:?}");
    Ok(())
}

fn flood_a_stuck_topic(site: &Site, over: &AtomicBool) -> anyhow::Result<()> {
    let mut client = site.client()?;
    let message = wire::cast(b"stuck.host1", &[b'x'; 64 << 10]);
    while !over.load(Ordering::Relaxed) {
        client.write_all(&message)?;
    }
    Ok(())
}

fn open_new_topics(site: &Site, over: &AtomicBool) -> anyhow::Result<()> {
    let mut client = site.client()?;
    for number in 0..100 {
        client.write_all(&wire::cast(format!("fanout~new{number}.host1").as_bytes(), b"{}"))?;
        // Spread over the time in which the other topic is watched.
        thread::sleep(Duration::from_millis(5));
    }
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
}
