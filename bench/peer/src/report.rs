//! What a process has to say of its part in a turn, and the clocks it reads for that.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One process's account of a turn, a line of JSON on its standard output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it began to send, in nanoseconds of a clock that all processes share; 0 if it only receives.
    pub began: u64,
    /// When it had received everything, by the same clock; when it reports, if it does not receive.
    pub ended: u64,
    /// CPU time of all threads, from when it was told to go to the end, in nanoseconds.
    pub cpu: u64,
    /// The most memory the process ever held resident, in KiB.
    pub peak_rss: u64,
    /// Messages received.
    pub received: u64,
    /// Of them: behind a later one of the same sender, or a second time.
    pub out_of_order: u64,
    /// Of them: not what was sent.
    pub foreign: u64,
    /// Whether the numbers of all messages received add up to what they should.
    pub complete: bool,
    /// Round trips, in nanoseconds: the middle one, and the one that 99 % do not exceed.
    pub round_trip: Option<[u64; 2]>,
}

/// Nanoseconds of a clock that all processes share and that never goes back.
pub fn now() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CPU time of this process so far, ended threads included, in nanoseconds.
pub fn cpu() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

/// The most memory that this process ever held resident, in KiB; 0 where the system does not tell (proc(5), VmHWM).
pub fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    line.and_then(|kibibytes| kibibytes.trim().parse().ok()).unwrap_or(0)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let time = Duration::try_from(time).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_memory_are_read() {
        let (before, burnt) = (now(), cpu());
        std::thread::sleep(Duration::from_millis(5));
        assert!(now() >= before + 5_000_000);
        while cpu() < burnt + 5_000_000 {}
        let large = vec![1_u8; 64 << 20];
        assert!(peak_rss() > 64 << 10, "{}", peak_rss());
        assert_eq!(large.len(), 64 << 20);
    }
}
