//! Staying awake between batches.
//!
//! To wake a process that sleeps costs the one that sends: tens of microseconds where the system is a guest and its CPU was
//! halted. A receiver that is faster than its sender then sleeps after each batch, and each write of the sender pays for
//! waking it, which makes the sender slower still. One that looks again for a moment instead costs nobody anything but its own
//! time, and this is where that time is limited.

use std::time::{Duration, Instant};

/// Decides whether a connection that has nothing to read looks again or sleeps.
#[derive(Debug, Default)]
pub(super) struct BusyPoll {
    /// Octets since it was last without any.
    came: usize,
    until: Option<Instant>,
    /// In a row, of how many nothing came in time.
    misses: u32,
    /// How many batches are followed by sleep before it tries again.
    skips: u32,
}

impl BusyPoll {
    /// So many octets have been read.
    pub(super) fn handle_read(&mut self, octets: usize) {
        self.came += octets;
    }

    /// There is nothing to read: whether to look again. To be asked each time until it says no.
    pub(super) fn looks_again(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.came >= BATCH {
            self.came = 0;
            if self.until.take().is_some() {
                self.misses = 0;
            }
            if self.skips > 0 {
                self.skips -= 1;
                return false;
            }
            self.until = Some(now() + PATIENCE);
            return true;
        }
        let Some(until) = self.until else {
            self.came = 0;
            return false;
        };
        if now() < until {
            return true;
        }
        self.until = None;
        self.came = 0;
        self.misses = (self.misses + 1).min(MOST_MISSES);
        self.skips = (1 << self.misses) - 1;
        false
    }
}

/// Octets after which more is likely to follow at once: half of what a sender that is ahead writes at a time. Calls and answers,
/// a few KiB each, never come to that, so that whoever serves them sleeps between them.
const BATCH: usize = 32 << 10;
/// For how long it looks. A write that has to wake the reader takes 80 microseconds and more in the guest where this was measured;
/// to look for less than that is to sleep at the moment when the next batch comes. Over a Unix socket, in turns, medians of 7 rounds:
/// with 100, 150 and 250 microseconds 1.13, 1.17 and 1.12 times as many messages of 1 KiB as without, 1.25, 1.22 and 1.28 of 4 KiB,
/// 1.08, 1.10 and 1.14 of 16 KiB, 0.9, 1.36 and 1.34 of 64 KiB; 16 to 256 octets as many; the worst rounds two to four times better.
const PATIENCE: Duration = Duration::from_micros(150);
/// Where nothing ever comes in time, such as from a sender on the same CPU, it looks after one batch of 32: less than 5
/// microseconds for each.
const MOST_MISSES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_micros(1);

    #[test]
    fn it_sleeps_after_little() {
        let mut poll = BusyPoll::default();
        for _ in 0..100 {
            poll.handle_read(BATCH / 2);
            assert!(!poll.looks_again(|| unreachable!("no clock is asked")));
        }
    }

    #[test]
    fn it_looks_for_a_moment_after_a_batch_and_on_while_batches_come() {
        let mut poll = BusyPoll::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            poll.handle_read(BATCH);
            assert!(poll.looks_again(|| now));
            now += PATIENCE - MOMENT;
            assert!(poll.looks_again(|| now));
        }
        now += MOMENT;
        assert!(!poll.looks_again(|| now));
    }

    #[test]
    fn where_nothing_comes_in_time_it_looks_ever_more_rarely() {
        let mut poll = BusyPoll::default();
        let mut now = Instant::now();
        let mut looks = Vec::new();
        for batch in 0..200 {
            poll.handle_read(BATCH);
            if poll.looks_again(|| now) {
                looks.push(batch);
                now += PATIENCE;
                assert!(!poll.looks_again(|| now));
            }
        }
        assert_eq!(looks, [0, 2, 6, 14, 30, 62, 94, 126, 158, 190]);
        // One that comes in time, and all is as in the beginning.
        poll.handle_read(BATCH);
        while !poll.looks_again(|| now) {
            poll.handle_read(BATCH);
        }
        for _ in 0..10 {
            poll.handle_read(BATCH);
            assert!(poll.looks_again(|| now));
        }
    }
}
