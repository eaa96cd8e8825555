//! This process, as the system sees it. Of `/proc` only what is our own is read, which is all that a confined unit shows
//! (`ProcSubset=pid`).

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::view::Process;

/// What the system says now.
pub(super) fn process() -> Process {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Process {
        resident_octets: resident(),
        cpu_seconds: Some(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
        open_descriptors: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
        max_descriptors: getrlimit(Resource::Nofile).current,
    }
}

/// `VmRSS` of proc(5), which is in KiB.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let (_, rest) = status.split_once("VmRSS:")?;
    let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_it_all() {
        let process = process();
        assert!(process.resident_octets.unwrap() > 100_000);
        assert!(process.cpu_seconds.unwrap() > 0.0);
        assert!(process.open_descriptors.unwrap() >= 3);
        assert!(process.max_descriptors.is_none_or(|most| most >= process.open_descriptors.unwrap()));
    }
}
