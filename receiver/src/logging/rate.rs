//! A limit on lines, whoever writes them (`rate_limit_*` of `oslo.log`). Repeated complaints have a limit of their own, for
//! each peer and reason.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

/// So many lines in an interval; more severe ones are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Never zero.
    pub interval: Duration,
    /// Never zero.
    pub burst: u64,
    /// Lines of this level and more severe ones are always written; `None`: none are.
    pub except: Option<Level>,
}

/// The limit at work.
#[derive(Debug)]
pub(super) struct Rate {
    limit: RateLimit,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    begun: Option<Instant>,
    lines: u64,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// Write it, and say before it how many lines were left out.
    WriteAfter(u64),
    LeaveOut,
}

impl Rate {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, window: Mutex::default() }
    }

    pub(super) fn judge(&self, level: Level, now: Instant) -> Verdict {
        // Of two levels the more severe is the smaller.
        if self.limit.except.is_some_and(|except| level <= except) {
            return Verdict::Write;
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = window.begun.is_some_and(|begun| now.saturating_duration_since(begun) < self.limit.interval);
        if !runs {
            let left_out = window.left_out;
            *window = Window { begun: Some(now), lines: 1, left_out: 0 };
            return if left_out > 0 { Verdict::WriteAfter(left_out) } else { Verdict::Write };
        }
        if window.lines < self.limit.burst {
            window.lines += 1;
            return Verdict::Write;
        }
        window.left_out += 1;
        Verdict::LeaveOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_and_the_rest_counted() {
        let second = Duration::from_secs(1);
        let rate = Rate::new(RateLimit { interval: second, burst: 2, except: Some(Level::WARN) });
        let now = Instant::now();
        let verdicts: Vec<_> = (0..4).map(|_| rate.judge(Level::INFO, now)).collect();
        assert_eq!(verdicts, [Verdict::Write, Verdict::Write, Verdict::LeaveOut, Verdict::LeaveOut]);
        assert_eq!(rate.judge(Level::ERROR, now), Verdict::Write);
        assert_eq!(rate.judge(Level::WARN, now), Verdict::Write);
        assert_eq!(rate.judge(Level::DEBUG, now + second), Verdict::WriteAfter(2));
        assert_eq!(rate.judge(Level::DEBUG, now + 3 * second), Verdict::Write);
    }
}
