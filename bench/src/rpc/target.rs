//! What is taken of a run, and what two peers' figures are to be to each other.

use std::fmt;

use super::{Caller, MANY, Run};
use crate::report::Row;

/// One figure of a run.
pub(super) struct Measure {
    pub(super) name: &'static str,
    /// What the work's name needs to tell this figure from another.
    detail: &'static str,
    pub(super) figure: fn(&Run) -> f64,
}

impl Measure {
    pub(super) fn work(&self, at_a_time: u32) -> String {
        format!("{at_a_time} at a time{}", self.detail)
    }
}

/// What two peers are to be to each other, by medians.
pub(super) struct Target {
    measure: &'static Measure,
    at_a_time: u32,
    /// Divided by the other.
    peer: Caller,
    other: Caller,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub(super) fn found(&self, rows: &[Row]) -> Option<f64> {
        let work = self.measure.work(self.at_a_time);
        let median = |peer: Caller| {
            let mut rows = rows.iter().filter(|row| row.measure == self.measure.name && row.work == work);
            rows.find(|row| row.peer == peer.name())?.median
        };
        Some(median(self.peer)? / median(self.other)?)
    }

    pub(super) fn is_met(&self, found: Option<f64>) -> bool {
        found.is_some_and(|found| match self.wanted {
            Wanted::AtLeast(least) => found >= least,
            Wanted::AtMost(most) => found <= most,
        })
    }

    pub(super) fn line(&self, found: Option<f64>) -> String {
        let Self { measure, at_a_time, peer, other, wanted } = self;
        let found_text = found.map_or_else(|| "–".to_owned(), |found| format!("{found:.2}"));
        let verdict = if self.is_met(found) { "met" } else { "**missed**" };
        format!(
            "| {}, {}: {} to {} | {wanted} | {found_text} | {verdict} |\n",
            measure.name,
            measure.work(*at_a_time),
            peer.name(),
            other.name()
        )
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

const RATE: Measure = Measure { name: "Calls per second", detail: "", figure: |run| run.per_second };
const MEDIAN: Measure = Measure { name: TIME, detail: ", p50", figure: |run| run.p50_us };
const HIGH: Measure = Measure { name: TIME, detail: ", p99", figure: |run| run.p99_us };
const TIME: &str = "From a request to its reply, microseconds";

pub(super) const MEASURES: &[&Measure] = &[&RATE, &MEDIAN, &HIGH];

/// What the driver was built to reach.
pub(super) const TARGETS: &[Target] = &[
    Target { measure: &RATE, at_a_time: 1, peer: Caller::Ours, other: Caller::Python, wanted: Wanted::AtLeast(20.0) },
    Target {
        measure: &RATE,
        at_a_time: MANY,
        peer: Caller::Ours,
        other: Caller::Python,
        wanted: Wanted::AtLeast(20.0),
    },
    Target {
        measure: &MEDIAN,
        at_a_time: 1,
        peer: Caller::Ours,
        other: Caller::BareRouted,
        wanted: Wanted::AtMost(4.0),
    },
    Target {
        measure: &MEDIAN,
        at_a_time: 1,
        peer: Caller::Ours,
        other: Caller::BareDirect,
        wanted: Wanted::AtMost(4.0),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_ratio_of_medians_and_nothing_measured_meets_none() {
        let row = |peer: Caller, rate| Row::new("1 at a time", peer.name(), RATE.name, vec![rate], 0);
        let rows = [row(Caller::Python, 300.0), row(Caller::Ours, 9_000.0)];
        let target = &TARGETS[0];
        assert_eq!(target.found(&rows), Some(30.0));
        assert!(target.is_met(Some(30.0)) && !target.is_met(Some(19.9)));
        assert_eq!(target.found(&rows[..1]), None);
        assert!(TARGETS.iter().all(|target| !target.is_met(None)));
        assert!(target.line(None).ends_with("| at least 20 | – | **missed** |\n"), "{}", target.line(None));
    }
}
