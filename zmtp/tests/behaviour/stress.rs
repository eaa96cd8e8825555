//! Many at once, ends at any moment, and too few descriptors.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tokio::{net::TcpStream, time::sleep};
use zmtp::{LateJoiners, Limits, Mark, Options, Pub, Pull, Push, SocketEvent, Sub, SubscriptionLimits};

use super::{
    raw::Raw,
    support::{Result, event, soon, text, until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sockets_connect_while_the_bound_one_ends() -> Result {
    for round in 0..10 {
        let publisher = Pub::new(Options::new());
        let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
        let mut connecting = Vec::new();
        for n in 0..100 {
            let endpoint = endpoint.clone();
            connecting.push(tokio::spawn(async move {
                let sub = Sub::new(Options::new());
                sub.subscribe("");
                sub.connect(endpoint.as_str()).unwrap();
                sleep(Duration::from_millis(n % 7)).await;
                // Dropped or closed.
                if n % 2 == 0 {
                    sub.close(Duration::from_millis(n % 5)).await;
                }
            }));
        }
        sleep(Duration::from_millis(round)).await;
        soon(publisher.close(Duration::from_millis(50))).await?;
        for task in connecting {
            soon(task).await??;
        }
    }
    Ok(())
}

/// Sockets are dropped and closed in the middle of whatever they do: nothing hangs, nothing panics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_end_at_any_moment() -> Result {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    for n in 0..300u64 {
        let push = Push::new(Options::new().linger(Duration::from_millis(n % 3)));
        push.connect(endpoint.as_str())?;
        for _ in 0..n % 20 {
            push.send(vec![0; 100 << (n % 8)]).await?;
        }
        match n % 3 {
            0 => drop(push),
            1 => {
                push.close(Duration::ZERO).await;
            }
            // A close that is given up.
            _ => {
                let _ = tokio::time::timeout(Duration::from_micros(n * 10), push.close(Duration::from_secs(5))).await;
            }
        }
        while pull.try_recv().is_some() {}
    }
    until(|| pull.try_recv().is_none() && pull.stats().peers == 0).await
}

#[tokio::test]
async fn closing_waits_for_what_is_queued_and_no_longer_than_asked() -> Result {
    let push = Push::new(Options::new());
    let endpoint = push.bind("tcp://127.0.0.1:*").await?;
    let _stalled = Raw::peer(&endpoint, "PULL").await?;
    until(|| push.stats().peers == 1).await?;
    while push.try_send(vec![0; 256 << 10]).is_ok() {}
    let begun = Instant::now();
    let report = push.close(Duration::from_millis(200)).await;
    assert!((150..2000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(report.discarded > 0);
    Ok(())
}

/// This test again in a process that may open few files, where each test thread of the others would take some.
fn with_few_descriptors(test: &str) -> Result<bool> {
    const FEW: &str = "ZMTP_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(FEW).is_some() {
        return Ok(true);
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48 && exec \"$0\" --exact \"$1\" --nocapture"]);
    let output = command.arg(std::env::current_exe()?).arg(test).env(FEW, "1").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(false)
}

/// CPU time of this process, read from `stat`, a file of it that is open already.
fn busy(stat: &std::fs::File) -> Result<Duration> {
    let mut text = [0; 1024];
    let n = std::os::unix::fs::FileExt::read_at(stat, &mut text, 0)?;
    let text = String::from_utf8_lossy(&text[..n]);
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // Linux counts in hundredths of a second for every program.
    Ok(Duration::from_millis(ticks * 10))
}

/// Streams that were not accepted wait; the socket neither ends nor spins, and takes them when there is room (libzmq #1306).
#[tokio::test]
async fn without_descriptors_accepting_pauses_and_recovers() -> Result {
    if !with_few_descriptors("stress::without_descriptors_accepting_pauses_and_recovers")? {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let stat = std::fs::File::open("/proc/self/stat")?;
    for endpoint in ["tcp://127.0.0.1:*".to_owned(), super::support::ipc(dir.path(), "s")] {
        let pull = Pull::new(Options::new());
        let mut monitor = pull.monitor();
        let endpoint = pull.bind(&endpoint).await?;
        // The clients of this process use up what is left.
        let mut streams: Vec<Box<dyn zmtp::transport::Stream>> = Vec::new();
        loop {
            let stream: std::io::Result<Box<dyn zmtp::transport::Stream>> = if endpoint.scheme() == "tcp" {
                TcpStream::connect(endpoint.address()).await.map(|stream| Box::new(stream) as _)
            } else {
                tokio::net::UnixStream::connect(endpoint.address()).await.map(|stream| Box::new(stream) as _)
            };
            match stream {
                Ok(stream) => streams.push(stream),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(24), "EMFILE: {error}");
                    break;
                }
            }
        }
        let pause = event(&mut monitor, |event| match event {
            SocketEvent::AcceptFailed { error, pause, .. } => {
                assert_eq!(error.raw_os_error(), Some(24), "EMFILE: {error}");
                Some(pause)
            }
            _ => None,
        })
        .await?;
        assert!(pause <= Duration::from_secs(1));
        // Failing to open a socket of our own is an error, not the end.
        let push = Push::new(Options::new());
        let error = push.bind("tcp://127.0.0.1:*").await.unwrap_err();
        assert!(error.to_string().contains("os error 24"), "{error}");

        let (before, began) = (busy(&stat)?, Instant::now());
        sleep(Duration::from_secs(1)).await;
        let share = (busy(&stat)? - before).as_secs_f64() / began.elapsed().as_secs_f64();
        assert!(share < 0.2, "it spins: {share} of a CPU");
        assert!(pull.stats().faults["accept-failed"] < 40, "{:?}", pull.stats().faults);

        drop(streams);
        push.connect(endpoint.as_str())?;
        soon(push.send("recovered")).await??;
        until(|| pull.stats().received == 1).await?;
    }
    Ok(())
}

fn mark() -> impl Strategy<Value = Mark> {
    let number = || prop_oneof![Just(0usize), 1usize..10, any::<usize>(), Just(usize::MAX)];
    (number(), number()).prop_map(|(messages, octets)| Mark { messages, octets })
}

fn options() -> impl Strategy<Value = Options> {
    let number = || prop_oneof![Just(0usize), 1usize..1000, any::<usize>(), Just(usize::MAX)];
    let time = || {
        prop_oneof![
            Just(Duration::ZERO),
            (0u64..100).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_secs),
            Just(Duration::MAX),
        ]
    };
    let limits = (number(), number(), number(), number());
    let times = (time(), time(), time(), time(), time());
    let marks = (mark(), mark(), prop::option::of(mark()), prop::option::of((time(), mark())));
    let rest = (number(), any::<bool>(), number(), number(), prop::option::of(number()));
    (limits, times, marks, rest).prop_map(|(limits, times, marks, rest)| {
        let limits = Limits { max_frame: limits.0, max_message: limits.1, max_frames: limits.2, max_command: limits.3 };
        let mut options = Options::new()
            .limits(limits)
            .handshake_timeout(times.0)
            .connect_timeout(times.1)
            .reconnect(times.2, times.3)
            // A dropped socket's tasks end with the runtime.
            .linger(times.4)
            .send_mark(marks.0)
            .recv_mark(marks.1)
            .max_connections(rest.0)
            .immediate(rest.1)
            .subscription_limits(SubscriptionLimits { prefixes: rest.2, octets: rest.3 });
        if let Some(mark) = marks.2 {
            options = options.backlog(mark);
        }
        if let Some((time, mark)) = marks.3 {
            options = options.late_joiners(LateJoiners { time, mark });
        }
        if let Some(octets) = rest.4 {
            options = options.budget(zmtp::Budget::new(octets));
        }
        options
    })
}

/// Whatever is set, sockets of every type can be made, used and dropped: nothing overflows, nothing panics.
#[test]
fn no_value_of_an_option_does_harm() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proptest!(ProptestConfig::with_cases(300), |(options in options(), other in options())| {
        runtime.block_on(async {
            let mut pull = Pull::new(options.clone());
            let endpoint = pull.bind("tcp://127.0.0.1:*").await.unwrap();
            let push = Push::new(other.clone());
            push.connect(endpoint.as_str()).unwrap();
            let publisher = Pub::new(options);
            let to = publisher.bind("tcp://127.0.0.1:*").await.unwrap();
            let mut sub = Sub::new(other);
            sub.subscribe("a");
            sub.connect(to.as_str()).unwrap();
            for _ in 0..4 {
                let _ = push.try_send("abc");
                publisher.send("abc").unwrap();
                sleep(Duration::from_millis(1)).await;
                for message in [pull.try_recv(), sub.try_recv()].into_iter().flatten() {
                    assert_eq!(text(&message), "abc");
                }
            }
            push.close(Duration::ZERO).await;
        });
    });
}
