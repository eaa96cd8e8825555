//! Staying awake between batches.
//!
//! A process that sleeps has to be woken, which costs it and the one that sends: tens of microseconds where the system is a
//! guest and its CPU was halted. Two that answer each other pay that for each message, and a receiver that is faster than its
//! sender makes it pay for each write. One that looks again for a moment instead spends its own time. Here is the account of
//! that time, so that it is spent where it saves as much and hardly anywhere else.

use std::time::{Duration, Instant};

/// Decides whether a connection that has nothing to read looks again or sleeps.
#[derive(Debug)]
pub(super) struct BusyPoll {
    /// What a batch earns that comes while it looks; with nothing it always sleeps.
    worth: Duration,
    /// Something has come since it was last without anything.
    has_come: bool,
    /// Since when it looks.
    since: Option<Instant>,
    /// The time that it may look. A batch that comes adds to it, looking takes from it.
    allowance: Duration,
    /// How often in a row the allowance came to its end.
    failures: u32,
    /// How many batches are followed by sleep before it tries again.
    skips: u32,
}

impl BusyPoll {
    /// For one that may look for so long on average. It begins with sleep, as one that looked in vain: most connections of one
    /// message have no second.
    pub(super) fn new(worth: Duration) -> Self {
        Self { worth, has_come: false, since: None, allowance: TRIAL, failures: 1, skips: skips_after(1) }
    }

    /// Something has been read.
    pub(super) fn handle_read(&mut self, now: impl Fn() -> Instant) {
        self.has_come = true;
        if let Some(since) = self.since.take() {
            self.allowance = (self.allowance + self.worth).min(MOST);
            if self.allowance == MOST {
                self.failures = 0;
            }
            self.spend(now() - since);
        }
    }

    /// There is nothing to read: whether to look again. To be asked each time until it says no.
    pub(super) fn looks_again(&mut self, now: impl Fn() -> Instant) -> bool {
        if std::mem::take(&mut self.has_come) {
            let sleeps = self.worth.is_zero() || self.skips > 0;
            self.skips = self.skips.saturating_sub(1);
            self.since = (!sleeps).then(now);
            return !sleeps;
        }
        let Some(since) = self.since else { return false };
        let looked = now() - since;
        if looked < LONGEST.min(self.allowance) {
            return true;
        }
        self.since = None;
        self.spend(looked);
        false
    }

    fn spend(&mut self, looked: Duration) {
        self.allowance = self.allowance.saturating_sub(looked);
        if self.allowance.is_zero() {
            self.allowance = TRIAL;
            self.failures = (self.failures + 1).min(MOST_FAILURES);
            self.skips = skips_after(self.failures);
        }
    }
}

fn skips_after(failures: u32) -> u32 {
    4_u32.pow(failures) - 1
}

/// For how long it looks after one batch. A write that has to wake the reader takes 80 microseconds and more in the guest where
/// this was measured; to look for less than that is to sleep at the moment when the next batch comes. Over a Unix socket, in
/// turns, medians of 7 rounds: with 100, 150 and 250 microseconds 1.13, 1.17 and 1.12 times as many messages of 1 KiB as
/// without, 1.25, 1.22 and 1.28 of 4 KiB, 1.08, 1.10 and 1.14 of 16 KiB.
const LONGEST: Duration = Duration::from_micros(150);
/// With how much it begins, and tries again: some batches, so that two which answer each other are both awake for one of them.
const TRIAL: Duration = Duration::from_micros(400);
/// What it saves up at most, which it may lose when nothing comes any more.
const MOST: Duration = Duration::from_micros(800);
/// Where nothing ever comes in time, such as from a sender on the same CPU, a trial follows after 1,023 batches: less than half a
/// microsecond for each.
const MOST_FAILURES: u32 = 5;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MOMENT: Duration = Duration::from_micros(1);
    const WORTH: Duration = Duration::from_micros(15);

    /// A reader, and a clock that goes on when told.
    struct Reader {
        poll: BusyPoll,
        now: Cell<Instant>,
    }

    impl Reader {
        /// Past the batches after which it always sleeps.
        fn new() -> Self {
            let mut reader = Self::fresh();
            while reader.looks(MOMENT).is_zero() {}
            reader
        }

        fn fresh() -> Self {
            Self { poll: BusyPoll::new(WORTH), now: Cell::new(Instant::now()) }
        }

        /// A batch, and the next one `gap` later: for how long it looks in between.
        fn looks(&mut self, gap: Duration) -> Duration {
            let now = || self.now.get();
            self.poll.handle_read(now);
            let (begun, mut looked) = (now(), Duration::ZERO);
            let mut awake = self.poll.looks_again(now);
            while now() - begun < gap {
                self.now.set(now() + MOMENT);
                awake = awake && self.poll.looks_again(now);
                looked += if awake { MOMENT } else { Duration::ZERO };
            }
            looked
        }
    }

    #[test]
    fn it_stays_awake_while_batches_come_soon() {
        let mut reader = Reader::new();
        for _ in 0..1000 {
            let gap = WORTH - MOMENT;
            assert_eq!(reader.looks(gap), gap);
        }
        // Once late is no reason to give up.
        assert_eq!(reader.looks(10 * LONGEST), LONGEST - MOMENT);
        assert_eq!(reader.looks(MOMENT), MOMENT);
    }

    #[test]
    fn it_sleeps_after_the_first_batches() {
        let mut reader = Reader::fresh();
        assert!((0..3).all(|_| reader.looks(MOMENT).is_zero()));
        assert_eq!(reader.looks(MOMENT), MOMENT);
    }

    #[test]
    fn two_that_wait_for_each_other_to_wake_have_some_tries() {
        let mut reader = Reader::new();
        let gap = Duration::from_micros(75);
        for _ in 0..4 {
            assert_eq!(reader.looks(gap), gap);
        }
    }

    #[test]
    fn where_nothing_comes_in_time_it_looks_ever_more_rarely() {
        for gap in [2 * WORTH, LONGEST / 2, 10 * LONGEST] {
            let mut reader = Reader::fresh();
            let looked: Vec<_> = (0..20_000).map(|_| reader.looks(gap)).collect();
            let late: Duration = looked[10_000..].iter().sum();
            assert!(late / 10_000 < MOMENT, "{gap:?}: {late:?}");
            assert!(looked[10_000..].iter().any(|looked| *looked > Duration::ZERO), "{gap:?}: it never tries again");
            // As soon as they come in time, all is as in the beginning.
            while reader.looks(MOMENT).is_zero() {}
            for _ in 0..100 {
                assert_eq!(reader.looks(MOMENT), MOMENT);
            }
            assert_eq!(reader.poll.failures, 0);
        }
    }

    #[test]
    fn one_that_may_not_look_sleeps() {
        let mut reader = Reader { poll: BusyPoll::new(Duration::ZERO), ..Reader::fresh() };
        assert!((0..1000).all(|_| reader.looks(MOMENT).is_zero()));
    }

    #[test]
    fn one_without_anything_to_read_does_not_look_and_asks_no_clock() {
        let mut poll = BusyPoll::new(WORTH);
        assert!(!poll.looks_again(|| unreachable!("it sleeps")));
    }
}
