//! A report as one table for each measure, with a line for each work and a column for each peer, and the figures in full
//! below. The best ratio of a line is bold; what is no peer but a limit does not compete.

use std::fmt::{self, Write};

use crate::report::{RATE, Report, Row};

/// The report as Markdown.
pub(crate) fn markdown(report: &Report, limits: &[&str]) -> String {
    let mut text = report.head();
    // Writing to a String cannot fail.
    let _ = write(report, limits, &mut text);
    text + &report.tables()
}

fn write(report: &Report, limits: &[&str], out: &mut String) -> fmt::Result {
    for measure in report.measures() {
        let better = if measure == RATE { "more" } else { "less" };
        writeln!(out, "\n## {measure}: ratio to the reference, {better} is better\n")?;
        let rows: Vec<_> = report.all_rows().filter(|row| row.measure == measure).collect();
        let mut works: Vec<&str> = Vec::new();
        for row in &rows {
            if !works.contains(&row.work.as_str()) {
                works.push(&row.work);
            }
        }
        let names: Vec<_> = report.peers.iter().map(|peer| peer.peer.as_str()).collect();
        writeln!(out, "| work | {} |", names.join(" | "))?;
        writeln!(out, "|---|{}", "--:|".repeat(names.len()))?;
        for work in works {
            let of_work: Vec<_> = rows.iter().filter(|row| row.work == work).collect();
            let competing = of_work.iter().filter(|row| !limits.contains(&row.peer.as_str()));
            let ratios = competing.filter_map(|row| row.ratio);
            let best = if measure == RATE { ratios.reduce(f64::max) } else { ratios.reduce(f64::min) };
            write!(out, "| {work} |")?;
            for name in &names {
                let row = of_work.iter().find(|row| row.peer == *name);
                write!(out, " {} |", row.map_or_else(String::new, |row| cell(row, best)))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn cell(row: &Row, best: Option<f64>) -> String {
    let ratio = match row.ratio {
        None => "–".to_owned(),
        Some(ratio) if row.ratio == best => format!("**{ratio:.2}**"),
        Some(ratio) => format!("{ratio:.2}"),
    };
    match row.failed_rounds {
        0 => ratio,
        failed => format!("{ratio} ({failed} failed)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Machine, Version};

    #[test]
    fn the_best_that_competes_is_bold_and_failures_are_told() {
        let row = |measure, peer: &str, sample: Option<f64>, failed| {
            Row::new("work", peer, measure, sample.into_iter().collect(), failed)
        };
        let mut report = Report {
            title: String::new(),
            method: String::new(),
            machine: Machine::this(),
            peers: ["base", "fast", "lossy", "limit"]
                .map(|peer| Version { peer: peer.into(), version: String::new() })
                .into(),
            rows: vec![
                row(RATE, "base", Some(10.0), 0),
                row(RATE, "fast", Some(30.0), 1),
                row(RATE, "lossy", None, 5),
                row(RATE, "limit", Some(90.0), 0),
            ],
            costs: vec![row("CPU", "base", Some(1.0), 0), row("CPU", "fast", Some(2.0), 1)],
            failed: Vec::new(),
        };
        report.compare_to("base");
        let text = markdown(&report, &["limit"]);
        assert!(
            text.contains("more is better\n\n| work | base | fast | lossy | limit |\n|---|--:|--:|--:|--:|\n"),
            "{text}"
        );
        assert!(text.contains("| work | 1.00 | **3.00** (1 failed) | – (5 failed) | 9.00 |"), "{text}");
        assert!(text.contains("| work | **1.00** | 2.00 (1 failed) |  |  |"), "{text}");
    }
}
