//! What strangers and peers can make a socket hold: memory stays flat whatever they do.
//!
//! Memory is the process's, so one test runs at a time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "shared with the tests of behaviour, which use all of it")]
#[path = "behaviour/raw.rs"]
mod raw;
#[allow(dead_code, reason = "shared with the tests of behaviour, which use all of it")]
#[path = "behaviour/support.rs"]
mod support;

use std::time::Duration;

use raw::{Raw, hello};
use support::{Result, end, ipc, soon, until};
use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::{Mutex, MutexGuard},
    time::timeout,
};
use zmtp::{Mark, Options, Pub, Pull};

/// How much memory the process has gained.
struct Growth {
    before: u64,
    _alone: MutexGuard<'static, ()>,
}

impl Growth {
    async fn begin() -> Result<Self> {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        Ok(Self { before: resident()?, _alone: alone })
    }

    /// Counts from here.
    fn begin_anew(&mut self) -> Result {
        self.before = resident()?;
        Ok(())
    }

    #[track_caller]
    fn at_most(&self, kib: u64) -> Result {
        let grown = resident()?.saturating_sub(self.before);
        assert!(grown < kib, "{grown} KiB");
        Ok(())
    }
}

/// KiB of memory that this process has now.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test]
async fn the_rest_of_a_message_that_never_comes_is_forgotten() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("s");
    let mut pull = Pull::new(Options::new());
    pull.bind(&ipc(dir.path(), "s")).await?;
    let opening = [&hello("PUSH", 1)[..], b"\x03\0\0\0\0\0\0\x20\0", &[7; 8192], b"\0"].concat();
    let mut growth = Growth::begin().await?;
    for n in 0..3000 {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(&opening).await?;
        drop(stream);
        if n % 100 == 0 {
            until(|| pull.stats().connections == n + 1 && pull.stats().peers == 0).await?;
        }
        if n == 500 {
            growth.begin_anew()?;
        }
    }
    until(|| pull.stats().peers == 0).await?;
    assert!(pull.try_recv().is_none());
    // Had each of the 2,500 kept its 8 KiB, it were 20 MiB.
    growth.at_most(6 << 10)
}

/// What subscribers send that is no subscription is dropped as it comes (CVE-2021-20237).
#[tokio::test]
async fn messages_to_a_publisher_leave_nothing_behind() -> Result {
    let publisher = Pub::new(Options::new().send_mark(Mark::messages(10)));
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::peer(&endpoint, "SUB").await?;
    let junk = b"\0\x10junk for nobody.".repeat(10_000);
    let mut growth = Growth::begin().await?;
    for round in 0..60 {
        raw.write(&junk).await?;
        if round == 10 {
            growth.begin_anew()?;
        }
    }
    raw.write(b"\x04\x08\x04PING\0\0e").await?;
    assert_eq!(raw.frame().await?, b"\x04PONGe", "all before it was read");
    assert_eq!(publisher.stats().queued, 0);
    // Of 9 MiB.
    growth.at_most(4 << 10)
}

/// Sizes beyond all bounds end the connection at the header; the most that is allowed is held as it comes, not as it is announced.
#[tokio::test]
async fn a_size_that_is_announced_is_not_held() -> Result {
    let growth = Growth::begin().await?;
    let all = [
        64u64 << 20,
        (64 << 20) + 1,
        1 << 31,
        1 << 32,
        1 << 40,
        1 << 62,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 8,
        u64::MAX,
    ];
    for size in all {
        let pull = Pull::new(Options::new());
        let mut monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
        let mut raw = Raw::peer(&endpoint, "PUSH").await?;
        raw.write(&[&[2][..], &size.to_be_bytes(), b"little"].concat()).await?;
        if size > 64 << 20 {
            assert_eq!(end(&mut monitor).await?.reason(), "frame-too-large", "{size}");
        } else {
            assert!(timeout(support::MOMENT, end(&mut monitor)).await.is_err());
        }
    }
    growth.at_most(8 << 10)
}

#[tokio::test]
async fn frames_without_end_end_at_the_limit() -> Result {
    let growth = Growth::begin().await?;
    for (empty_frames, reason) in [(2_000_000, "too-many-frames"), (1023, "peer-closed")] {
        let mut pull = Pull::new(Options::new());
        let mut monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
        let mut raw = Raw::peer(&endpoint, "PUSH").await?;
        let octets = [b"\x01\0".repeat(empty_frames), b"\0\0".to_vec()].concat();
        // It may be cut off before all is written.
        let _ = soon(raw.0.write_all(&octets)).await?;
        drop(raw);
        let end = end(&mut monitor).await?;
        let got = pull.try_recv().map(|message| message.frames().count());
        assert_eq!((end.reason(), got), (reason, (empty_frames < 1024).then_some(1024)));
    }
    growth.at_most(12 << 10)
}

#[tokio::test]
async fn cancels_of_what_was_never_wanted_are_ignored() -> Result {
    let publisher = Pub::new(Options::new());
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::peer(&endpoint, "SUB").await?;
    raw.write(b"\x04\x0b\x09SUBSCRIBEA").await?;
    let growth = Growth::begin().await?;
    let cancels: Vec<u8> = (0..10_000u32).flat_map(|n| format!("\x04\x0c\x06CANCEL{n:05}").into_bytes()).collect();
    for _ in 0..50 {
        raw.write(&cancels).await?;
    }
    until(|| {
        let before = publisher.stats().tally.unmatched;
        publisher.send("A").is_ok() && publisher.stats().tally.unmatched == before
    })
    .await?;
    growth.at_most(4 << 10)
}

/// A peer that asks a million times and reads no answer makes this side hold one.
#[tokio::test]
async fn a_flood_of_pings_is_answered_by_as_much_as_is_read() -> Result {
    let pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::peer(&endpoint, "PUSH").await?;
    let pings = b"\x04\x17\x04PING\0\x000123456789abcdef".repeat(10_000);
    let growth = Growth::begin().await?;
    for _ in 0..100 {
        // It reads on, whatever it may write.
        raw.write(&pings).await?;
    }
    raw.write(b"\0\x04done").await?;
    until(|| pull.stats().received == 1).await?;
    // Of 25 MiB.
    growth.at_most(4 << 10)
}

/// A peer whose messages are not received is not read: it feels that, and memory stays within the mark.
#[tokio::test]
async fn a_reader_that_does_not_receive_stops_its_peers() -> Result {
    let pull = Pull::new(Options::new().recv_mark(Mark { messages: 1000, octets: 1 << 20 }));
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
    let mut raw = Raw::peer(&endpoint, "PUSH").await?;
    let message = [&b"\x02\0\0\0\0\0\x01\0\0"[..], &[0; 64 << 10]].concat();
    let growth = Growth::begin().await?;
    let mut written = 0;
    while let Ok(result) = timeout(Duration::from_millis(300), raw.0.write_all(&message)).await {
        result?;
        written += 1;
        assert!(written < 3000, "nothing stops it");
    }
    let stats = pull.stats();
    assert!(stats.queued <= 17, "{stats:?}");
    growth.at_most(6 << 10)
}
