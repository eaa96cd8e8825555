//! What a message costs on its way.
//!
//! Each run is of one thread, so that batches come out alike: a PUSH and a PULL, or the receiver and its bare ends,
//! take turns. Instructions of the kernel are not counted.

use anyhow::ensure;

use crate::work::{Cost, cost};

/// What one work may cost at most.
struct Budget {
    work: &'static str,
    /// Of the shorter run.
    messages: u32,
    /// For a message.
    instructions: f64,
    /// For 1,000 messages.
    calls: f64,
    /// For 1,000 messages.
    allocations: f64,
    /// Allocated for a message.
    octets: f64,
}

impl Budget {
    const fn new(work: &'static str, messages: u32, allowed: [f64; 4]) -> Self {
        let [instructions, calls, allocations, octets] = allowed;
        Self { work, messages, instructions, calls, allocations, octets }
    }

    /// Lines that say what is over budget.
    fn breaches(&self, cost: &Cost) -> Vec<String> {
        let figures = [
            ("instructions a message", cost.instructions, self.instructions),
            ("calls of the system for 1,000 messages", cost.calls * 1000.0, self.calls),
            ("allocations for 1,000 messages", cost.allocations * 1000.0, self.allocations),
            ("octets allocated a message", cost.octets, self.octets),
        ];
        let over = figures.into_iter().filter(|(_, measured, allowed)| measured > allowed);
        over.map(|(what, measured, allowed)| format!("{}: {measured:.1} {what}, allowed {allowed}", self.work))
            .collect()
    }
}

#[test]
fn decoding() -> anyhow::Result<()> {
    all_within("decode")
}

#[test]
fn encoding() -> anyhow::Result<()> {
    all_within("encode")
}

#[test]
fn from_push_to_pull_in_memory() -> anyhow::Result<()> {
    all_within("pipe")
}

#[test]
fn from_push_to_pull_over_tcp() -> anyhow::Result<()> {
    all_within("tcp")
}

#[test]
fn from_pub_to_sub_over_tcp() -> anyhow::Result<()> {
    all_within("publish")
}

#[test]
fn through_the_receiver() -> anyhow::Result<()> {
    all_within("forward")
}

#[test]
fn more_than_allowed_is_told_with_both_figures() {
    let budget = Budget::new("w", 1, [10.0, 1.0, 1.0, 1.0]);
    let cost = Cost { instructions: 10.0, calls: 0.0015, allocations: 0.0, octets: 0.0 };
    assert_eq!(budget.breaches(&cost), ["w: 1.5 calls of the system for 1,000 messages, allowed 1"]);
}

/// Measures every work of a kind.
fn all_within(kind: &str) -> anyhow::Result<()> {
    let budgets: Vec<_> = BUDGETS.iter().filter(|budget| budget.work.starts_with(kind)).collect();
    ensure!(!budgets.is_empty(), "no budget for {kind}");
    let mut breaches = Vec::new();
    for budget in budgets {
        let cost = cost(budget.work, budget.messages)?;
        println!(
            "{:12} {:9.1} instructions, {:6.2} calls, {:6.2} allocations for 1,000, {:6.1} octets",
            budget.work,
            cost.instructions,
            cost.calls * 1000.0,
            cost.allocations * 1000.0,
            cost.octets
        );
        breaches.extend(budget.breaches(&cost));
    }
    ensure!(
        breaches.is_empty(),
        "over budget:\n{}\nfind out where it goes with `valgrind --tool=callgrind` and callgrind_annotate; if it is \
         worth it, set the budget anew in tests/tests/budgets/traffic.rs and say why",
        breaches.join("\n")
    );
    Ok(())
}

/// What is allowed: instructions for a message, calls and allocations for 1,000, octets allocated for a message. Behind
/// it what was measured, by rustc 1.95.
///
/// One allocation for 100 messages is none: what there is comes with a batch. A body of 1 MiB is neither copied nor
/// allocated anew: either would cost several times what is allowed. Calls of the receiver's work depend on when the
/// kernel hands on what was written; their budget leaves half as much again, and tells lost batches, which cost ten
/// times as much.
const BUDGETS: &[Budget] = &[
    Budget::new("decode-1x64", 20_000, [102.0, 0.1, 1.0, 1.0]), // 94, 0, 0, 0
    Budget::new("decode-4x64", 20_000, [395.0, 0.1, 1.0, 1.0]), // 365, 0, 0, 0
    Budget::new("encode-1x64", 20_000, [122.0, 0.1, 1.0, 1.0]), // 106, 0, 0, 0
    Budget::new("encode-4x64", 20_000, [325.0, 0.1, 1.0, 1.0]), // 283, 0, 0, 0
    Budget::new("pipe-1x64", 20_000, [750.0, 8.0, 10.0, 10.0]), // 656, 5.1 to 6.1, 2.0, 0.2 to 3.4
    Budget::new("pipe-4x64", 20_000, [1_800.0, 30.0, 10.0, 10.0]), // 1,586, 21 to 26, 0, 0
    Budget::new("tcp-1x64", 20_000, [570.0, 11.0, 10.0, 10.0]), // 524, 7.4 to 8.9, 2.1, 2.6
    Budget::new("tcp-4x64", 20_000, [1_130.0, 30.0, 10.0, 10.0]), // 1,039, 17.7 to 25.6, 0, 0
    // A write for each 64 KiB that the kernel takes before it has sent them.
    Budget::new("tcp-1x1Mi", 50, [26_000.0, 27_000.0, 8_000.0, 420.0]), // 14,570 to 21,270, 11,120 to 21,500, 7,000, 362
    Budget::new("publish-1", 20_000, [590.0, 11.0, 10.0, 10.0]),        // 529, 6.8, 1.8, 0.2
    // Each is received by eight: allocations, too, are for eight copies.
    Budget::new("publish-8", 10_000, [3_700.0, 300.0, 60.0, 10.0]), // 3,284, 172, 31, 3.0
    Budget::new("forward-1", 20_000, [285.0, 50.0, 10.0, 10.0]),    // 255 to 264, 26 to 32, 0 to 0.5, 0 to 2.8
    // Its reader looks again between batches, more or less often.
    Budget::new("forward-8", 20_000, [650.0, 150.0, 10.0, 10.0]), // 580 to 603, 68 to 79, 0.1 to 1.0, 2.4 to 2.8
    // Seven calls are made; under valgrind each look at a clock is one, too.
    Budget::new("forward-lone", 4_000, [12_000.0, 17_500.0, 10.0, 10.0]), // 10,983 to 11,124, 16,003 to 16,006, 0, 0
];
