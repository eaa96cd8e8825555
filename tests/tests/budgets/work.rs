//! A run of the program `workload`, counted by callgrind and by its own allocator.

use std::process::Command;

use anyhow::{Context, bail, ensure};
use tests::binary;

/// What one more message of a work costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Outside the kernel.
    pub(crate) instructions: f64,
    /// Calls of the system.
    pub(crate) calls: f64,
    pub(crate) allocations: f64,
    /// Octets of these.
    pub(crate) octets: f64,
}

/// The cost by which a long run of `work` differs from a short one: what both do once, to begin and to end, is in neither.
pub(crate) fn cost(work: &str, messages: u32) -> anyhow::Result<Cost> {
    let (short, long) = (run(work, messages)?, run(work, LONGER * messages)?);
    let more = f64::from((LONGER - 1) * messages);
    let [instructions, calls, allocations, octets] = std::array::from_fn(|n| (long[n] - short[n]) / more);
    Ok(Cost { instructions, calls, allocations, octets })
}

/// Instructions, calls of the system, allocations and their octets.
fn run(work: &str, messages: u32) -> anyhow::Result<[f64; 4]> {
    let directory = tempfile::tempdir()?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-systime=yes"]);
    command.arg(format!("--callgrind-out-file={}", directory.path().join("callgrind.out").display()));
    command.arg(binary::measured("workload", "workload")?).arg(work).arg(messages.to_string());
    let output = command.output().context("cannot start valgrind; cargo xtask test installs it")?;
    let (said, counted) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} failed ({}):\n{said}{counted}", output.status);
    let numbers = |text: &str, name: &str| {
        let line = text.split_once(name).and_then(|(_, rest)| rest.lines().next());
        let words = line.into_iter().flat_map(str::split_whitespace);
        words.map_while(|word| word.parse::<f64>().ok()).collect::<Vec<_>>()
    };
    let counted_by_callgrind = numbers(&counted, "Collected :");
    match (&counted_by_callgrind[..], &numbers(&said, "allocations=")[..], &numbers(&said, "octets=")[..]) {
        ([instructions, calls, _time], [allocations], [octets]) => Ok([*instructions, *calls, *allocations, *octets]),
        _ => bail!("cannot read what {command:?} printed:\n{said}{counted}"),
    }
}

/// Long enough that no message more or less in the last batch shows.
const LONGER: u32 = 5;
