//! The receiver's own time: microseconds since it began. One number, so that counters can hold it.

use std::time::{Duration, Instant, SystemTime};

/// A clock that began with the receiver. Copies show the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    begun: Instant,
    /// What the system's clock showed then.
    wall: SystemTime,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), wall: SystemTime::now() }
    }

    /// Microseconds since it began.
    #[inline]
    pub(crate) fn now(self) -> u64 {
        micros(self.begun.elapsed())
    }

    /// What the system's clock showed at a time of this one, if nobody has set it since the receiver began.
    pub(crate) fn wall(self, time: u64) -> SystemTime {
        self.wall + Duration::from_micros(time)
    }

    /// Seconds since a time of this clock.
    pub(crate) fn seconds_since(self, time: u64) -> f64 {
        seconds(self.now().saturating_sub(time))
    }
}

/// Microseconds as the seconds that are shown.
pub(crate) fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[inline]
fn micros(time: Duration) -> u64 {
    time.as_secs() * 1_000_000 + u64::from(time.subsec_micros())
}
