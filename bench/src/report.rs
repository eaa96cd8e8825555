//! What a benchmark tells: rows for programs (JSON) and tables for readers (Markdown).
//!
//! One row is one figure of one peer at one work: median, least and most over the clean rounds, and the median's ratio to
//! that of the reference, libzmq in C. Rows of one measure form one table. A peer that failed a round says so in every row.
//!
//! In JSON there are only the rows, in one list; what a work cost begins with the name of the measure there, so that no
//! two rows have both work and peer in common.

use std::fmt::{self, Write};
use std::process::{Command, Stdio};
use std::{fs, thread};

use serde::Serialize;

use crate::rounds::Spread;

/// One run of one benchmark.
#[derive(Debug)]
pub(crate) struct Report {
    /// The benchmark's name.
    pub(crate) title: String,
    /// How it was run, in words.
    pub(crate) method: String,
    /// What it ran on.
    pub(crate) machine: Machine,
    /// Who took part.
    pub(crate) peers: Vec<Version>,
    /// The figures.
    pub(crate) rows: Vec<Row>,
    /// What they cost, for the same works and peers.
    pub(crate) costs: Vec<Row>,
    /// Each round that did not deliver.
    pub(crate) failed: Vec<FailedRound>,
}

/// The day, the hardware and the kernel, as far as they explain figures.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The day, in UTC.
    date: String,
    cpus: usize,
    model: String,
    kernel: String,
}

/// A peer and what it is or is built on.
#[derive(Debug)]
pub(crate) struct Version {
    /// As in the rows.
    pub(crate) peer: String,
    /// As it says itself.
    pub(crate) version: String,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What had to be done.
    pub(crate) work: String,
    /// Who did it.
    pub(crate) peer: String,
    /// What was measured, with its unit.
    pub(crate) measure: &'static str,
    /// Of the samples; absent if there are none.
    pub(crate) median: Option<f64>,
    /// The least.
    pub(crate) min: Option<f64>,
    /// The most.
    pub(crate) max: Option<f64>,
    /// Median to the reference's median; absent without either.
    pub(crate) ratio: Option<f64>,
    /// One of each clean round.
    pub(crate) samples: Vec<f64>,
    /// Rounds that did not deliver and gave no sample.
    pub(crate) failed_rounds: usize,
}

/// A round that did not deliver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FailedRound {
    /// What had to be done.
    pub(crate) work: String,
    /// Who failed.
    pub(crate) peer: String,
    /// How.
    pub(crate) what: String,
}

impl Report {
    /// Fills each row's ratio to the row of `reference` for the same work and measure.
    pub(crate) fn compare_to(&mut self, reference: &str) {
        let medians: Vec<_> = self.all_rows().filter(|row| row.peer == reference).cloned().collect();
        for row in self.rows.iter_mut().chain(&mut self.costs) {
            let base = medians.iter().find(|base| base.work == row.work && base.measure == row.measure);
            row.ratio = row.median.zip(base.and_then(|base| base.median)).map(|(this, base)| this / base);
        }
    }

    /// All rows as one JSON list.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        let cost = |row: &Row| Row { work: format!("{}: {}", row.measure, row.work), ..row.clone() };
        let rows: Vec<_> = self.rows.iter().cloned().chain(self.costs.iter().map(cost)).collect();
        serde_json::to_string_pretty(&rows).map(|json| json + "\n")
    }

    /// The whole as text with one table per measure.
    pub(crate) fn markdown(&self) -> String {
        self.head() + &self.tables()
    }

    /// Figures and costs.
    pub(crate) fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(&self.costs)
    }

    /// What was measured, each once.
    pub(crate) fn measures(&self) -> Vec<&'static str> {
        let mut measures = Vec::new();
        for row in self.all_rows() {
            if !measures.contains(&row.measure) {
                measures.push(row.measure);
            }
        }
        measures
    }

    /// Title, method, machine and peers as text.
    pub(crate) fn head(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_head(&mut text);
        text
    }

    /// A table per measure, and what failed, as text.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        let _ = self.write_tables(&mut text);
        text
    }

    fn write_head(&self, out: &mut String) -> fmt::Result {
        let Machine { date, cpus, model, kernel } = &self.machine;
        writeln!(out, "# {}\n\n{}\n", self.title, self.method)?;
        writeln!(out, "Machine: {cpus} CPUs ({model}), Linux {kernel}. {date}.\n")?;
        for Version { peer, version } in &self.peers {
            writeln!(out, "- {peer}: {version}")?;
        }
        Ok(())
    }

    fn write_tables(&self, out: &mut String) -> fmt::Result {
        for measure in self.measures() {
            writeln!(out, "\n## {measure}\n")?;
            writeln!(out, "| work | peer | median | min | max | ratio | rounds failed |")?;
            writeln!(out, "|---|---|--:|--:|--:|--:|--:|")?;
            for row in self.all_rows().filter(|row| row.measure == measure) {
                let figures = [row.median, row.min, row.max, row.ratio].map(figure);
                let failed = if row.failed_rounds == 0 { "0".to_owned() } else { format!("**{}**", row.failed_rounds) };
                writeln!(out, "| {} | {} | {} | {failed} |", row.work, row.peer, figures.join(" | "))?;
            }
        }
        if !self.failed.is_empty() {
            writeln!(out, "\n## Failed rounds\n")?;
        }
        for FailedRound { work, peer, what } in &self.failed {
            writeln!(out, "- {work}, {peer}: {what}")?;
        }
        Ok(())
    }
}

impl Row {
    /// The figure of `samples`, one of each clean round.
    pub(crate) fn new(work: &str, peer: &str, measure: &'static str, samples: Vec<f64>, failed_rounds: usize) -> Self {
        let spread = Spread::of(&samples);
        Self {
            work: work.to_owned(),
            peer: peer.to_owned(),
            measure,
            median: spread.map(|spread| spread.median),
            min: spread.map(|spread| spread.min),
            max: spread.map(|spread| spread.max),
            ratio: None,
            samples,
            failed_rounds,
        }
    }
}

impl Machine {
    /// This one now, without its name.
    pub(crate) fn this() -> Self {
        let date = Command::new("date").args(["-u", "+%F"]).stdin(Stdio::null()).output();
        let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("model unknown", |(_, model)| model).to_owned();
        // Behind the dash a kernel's release tells who built it for whom.
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel = release.trim_end().split('-').next().unwrap_or_default().to_owned();
        Self { date, cpus, model, kernel }
    }
}

/// The measure of which more is better; of all others, less is.
pub(crate) const RATE: &str = "Messages per second";

/// Three significant digits, or all of them from 1000 up, in groups.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 1.0 => format!("{value:.3}"),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) if value < 100.0 => format!("{value:.1}"),
        Some(value) => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.char_indices() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report {
            title: "receiver".to_owned(),
            method: "Three rounds.".to_owned(),
            machine: Machine {
                date: "2026-11-21".to_owned(),
                cpus: 2,
                model: "any".to_owned(),
                kernel: "6.1".to_owned(),
            },
            peers: vec![Version { peer: "c-proxy".to_owned(), version: "libzmq 4.3.4".to_owned() }],
            rows: vec![
                Row::new("1 topic", "c-proxy", "messages/s", vec![500_000.0, 400_000.0, 600_000.0], 0),
                Row::new("1 topic", "ours", "messages/s", vec![1_250_000.0, 1_000_000.0], 1),
                Row::new("8 topics", "ours", "messages/s", vec![], 3),
            ],
            costs: vec![
                Row::new("1 topic", "c-proxy", "CPU s", vec![1.08], 0),
                Row::new("1 topic", "ours", "CPU s", vec![0.27], 1),
            ],
            failed: vec![FailedRound { work: "1 topic".into(), peer: "ours".into(), what: "3 missing".into() }],
        };
        report.compare_to("c-proxy");
        report
    }

    #[test]
    fn ratios_are_of_medians_at_the_same_work_and_measure() {
        let ratios: Vec<_> = report().all_rows().map(|row| row.ratio).collect();
        assert_eq!(ratios, [Some(1.0), Some(2.25), None, Some(1.0), Some(0.25)]);
    }

    #[test]
    fn markdown_has_a_table_per_measure_and_hides_no_failure() {
        let expected = "\
# receiver

Three rounds.

Machine: 2 CPUs (any), Linux 6.1. 2026-11-21.

- c-proxy: libzmq 4.3.4

## messages/s

| work | peer | median | min | max | ratio | rounds failed |
|---|---|--:|--:|--:|--:|--:|
| 1 topic | c-proxy | 500,000 | 400,000 | 600,000 | 1.00 | 0 |
| 1 topic | ours | 1,125,000 | 1,000,000 | 1,250,000 | 2.25 | **1** |
| 8 topics | ours | – | – | – | – | **3** |

## CPU s

| work | peer | median | min | max | ratio | rounds failed |
|---|---|--:|--:|--:|--:|--:|
| 1 topic | c-proxy | 1.08 | 1.08 | 1.08 | 1.00 | 0 |
| 1 topic | ours | 0.270 | 0.270 | 0.270 | 0.250 | **1** |

## Failed rounds

- 1 topic, ours: 3 missing
";
        assert_eq!(report().markdown(), expected);
    }

    #[test]
    fn json_rows_carry_what_a_program_needs() {
        let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        let row = &json[1];
        assert_eq!((row["work"].as_str(), row["peer"].as_str()), (Some("1 topic"), Some("ours")));
        assert_eq!((row["median"].as_f64(), row["ratio"].as_f64()), (Some(1_125_000.0), Some(2.25)));
        assert_eq!(json[2]["median"], serde_json::Value::Null);
        assert_eq!((json[4]["work"].as_str(), json[4]["peer"].as_str()), (Some("CPU s: 1 topic"), Some("ours")));
    }
}
