//! Points in time ahead, for any duration that a caller may think of.

use std::time::Duration;

use tokio::time::Instant;

/// So long from now, at most [`FOREVER`]: beyond some centuries the clock's arithmetic would overflow.
pub(crate) fn after(time: Duration) -> Instant {
    Instant::now() + time.min(FOREVER)
}

/// A year: no process waits longer for a message.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
