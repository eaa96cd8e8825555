//! What a turn measures, and the rows of the report that come of many turns.

use crate::contestants::Contestant;
use crate::report::{FailedRound, RATE, Row};
use crate::works::Work;

/// What a turn measured; not every work has every figure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// Messages per second.
    pub(crate) rate: Option<f64>,
    /// CPU seconds of both processes per million messages.
    pub(crate) cpu: Option<f64>,
    /// The largest resident sets of both processes, added, in MiB.
    pub(crate) memory: Option<f64>,
    /// Of round trips, the median and the 99th percentile in microseconds.
    pub(crate) round_trip: Option<[f64; 2]>,
    /// Memory for each connection, in KiB.
    pub(crate) connection: Option<f64>,
}

/// How a library's turn went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every message arrived as it was sent.
    Delivered(Figures),
    /// They did not; in words.
    Failed(String),
}

/// One figure of a turn.
pub(crate) struct Measure {
    /// With its unit.
    name: &'static str,
    /// What the work's name needs to tell this figure from another of the same measure.
    detail: &'static str,
    applies: fn(&Work) -> bool,
    figure: fn(&Figures) -> Option<f64>,
}

/// A row for each measure and each library at each work that has it.
pub(crate) fn rows(measures: &[Measure], results: &[(&Work, &Contestant, Vec<Outcome>)]) -> Vec<Row> {
    let mut rows = Vec::new();
    for measure in measures {
        for (work, contestant, turns) in results.iter().filter(|(work, ..)| (measure.applies)(work)) {
            let samples = turns.iter().filter_map(|turn| match turn {
                Outcome::Delivered(figures) => (measure.figure)(figures),
                Outcome::Failed(_) => None,
            });
            let failed = turns.iter().filter(|turn| matches!(turn, Outcome::Failed(_))).count();
            let work = format!("{work}{}", measure.detail);
            rows.push(Row::new(&work, &contestant.name, measure.name, samples.collect(), failed));
        }
    }
    rows
}

/// What failed, each reason once in a row: a library that takes no turn has the same one for all rounds.
pub(crate) fn failures(work: &Work, contestant: &Contestant, turns: &[Outcome]) -> Vec<FailedRound> {
    let whats = turns.iter().filter_map(|turn| match turn {
        Outcome::Delivered(_) => None,
        Outcome::Failed(what) => Some(what.clone()),
    });
    let mut failures: Vec<_> =
        whats.map(|what| FailedRound { work: work.to_string(), peer: contestant.name.clone(), what }).collect();
    failures.dedup();
    failures
}

/// What is to be found out.
pub(crate) const RESULTS: &[Measure] = &[
    Measure {
        name: RATE,
        detail: "",
        applies: |work| !work.is_round_trip() && !work.is_idle(),
        figure: |figures| figures.rate,
    },
    Measure {
        name: ROUND_TRIP,
        detail: ", p50",
        applies: Work::is_round_trip,
        figure: |figures| figures.round_trip.map(|[median, _]| median),
    },
    Measure {
        name: ROUND_TRIP,
        detail: ", p99",
        applies: Work::is_round_trip,
        figure: |figures| figures.round_trip.map(|[_, high]| high),
    },
    Measure { name: CONNECTION, detail: "", applies: Work::is_idle, figure: |figures| figures.connection },
];

/// What it costs.
pub(crate) const COSTS: &[Measure] = &[
    Measure { name: CPU, detail: "", applies: |work| !work.is_idle(), figure: |figures| figures.cpu },
    Measure { name: MEMORY, detail: "", applies: |work| !work.is_idle(), figure: |figures| figures.memory },
];

pub(crate) const ROUND_TRIP: &str = "Round trip, microseconds";
pub(crate) const CPU: &str = "CPU seconds of both processes per million messages";
pub(crate) const MEMORY: &str = "Peak memory of both processes, MiB";
const CONNECTION: &str = "Memory for each connection, KiB";
