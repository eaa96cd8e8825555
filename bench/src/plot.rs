//! A measure as a picture: a line for each work, and on it a mark for each peer where its ratio to the reference is.
//!
//! The scale is logarithmic, so that twice and half are equally far from one. A thin bar behind a mark reaches from the
//! least to the most of all rounds. What is no peer but a limit has a grey triangle.

use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;

use crate::report::{RATE, Report, Row};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a plot: {0}")]
pub(crate) struct PlotError(String);

/// The rows of `measure` as SVG; nothing if no ratio is known.
pub(crate) fn svg(report: &Report, measure: &str, limits: &[&str]) -> Result<Option<String>, PlotError> {
    let rows: Vec<_> = report.all_rows().filter(|row| row.measure == measure).collect();
    let mut works: Vec<&str> = Vec::new();
    for row in &rows {
        if !works.contains(&row.work.as_str()) {
            works.push(&row.work);
        }
    }
    let ends = rows.iter().filter_map(|row| spread(row)).flat_map(|(least, _, most)| [least, most]);
    let Some((least, most)) = ends.fold(None, |ends: Option<(f64, f64)>, end| {
        Some(ends.map_or((end, end), |(least, most)| (least.min(end), most.max(end))))
    }) else {
        return Ok(None);
    };
    let mut picture = String::new();
    let peers: Vec<_> = report.peers.iter().map(|peer| peer.peer.as_str()).collect();
    let plot = Plot { measure, rows: &rows, works: &works, peers: &peers, limits };
    plot.draw(&mut picture, least.min(1.0) / 1.2, most.max(1.0) * 1.2).map_err(|error| PlotError(error.to_string()))?;
    Ok(Some(picture))
}

struct Plot<'a> {
    measure: &'a str,
    rows: &'a [&'a Row],
    works: &'a [&'a str],
    peers: &'a [&'a str],
    limits: &'a [&'a str],
}

type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

impl Plot<'_> {
    fn draw<'p>(&self, picture: &'p mut String, from: f64, to: f64) -> Result<(), DrawError<'p>> {
        let height = FRAME + LINE * self.works.len().max(self.peers.len()) as u32;
        let root = SVGBackend::with_string(picture, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (plane, legend) = root.split_horizontally(WIDTH - LEGEND);
        let better = if self.measure == RATE { "more" } else { "less" };
        let mut chart = ChartBuilder::on(&plane)
            .caption(self.measure, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(45)
            .y_label_area_size(LABEL)
            .build_cartesian_2d((from..to).log_scale(), (0..self.works.len()).into_segmented())?;
        let work = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(line) | SegmentValue::Exact(line) => {
                self.works.iter().rev().nth(*line).map_or_else(String::new, |work| (*work).to_owned())
            }
            SegmentValue::Last => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .x_labels(12)
            .y_labels(self.works.len())
            .y_label_formatter(&work)
            .x_label_formatter(&|ratio| format!("{ratio}"))
            .x_desc(format!("ratio to the reference (logarithmic; {better} is better)"))
            .label_style(("sans-serif", 13))
            .draw()?;
        let one = [SegmentValue::Exact(0), SegmentValue::Last].map(|end| (1.0, end));
        chart.draw_series([PathElement::new(one, BLACK)])?;

        for (nth, peer) in self.peers.iter().enumerate() {
            let (color, limit) = (self.color(nth), self.limits.contains(peer));
            for (line, work) in self.works.iter().rev().enumerate() {
                let row = self.rows.iter().find(|row| row.peer == *peer && row.work == *work);
                let Some((least, ratio, most)) = row.and_then(|row| spread(row)) else {
                    continue;
                };
                let at = |ratio| (ratio, SegmentValue::CenterOf(line));
                chart.draw_series([PathElement::new([at(least), at(most)], color.mix(0.4).stroke_width(3))])?;
                if limit {
                    chart.draw_series([TriangleMarker::new(at(ratio), MARK, color.filled())])?;
                } else {
                    chart.draw_series([Circle::new(at(ratio), MARK, color.filled())])?;
                }
            }
            let place = (10, 45 + nth as i32 * LINE as i32);
            if limit {
                legend.draw(&TriangleMarker::new(place, MARK, color.filled()))?;
            } else {
                legend.draw(&Circle::new(place, MARK, color.filled()))?;
            }
            legend.draw(&Text::new((*peer).to_owned(), (place.0 + 12, place.1 - 6), ("sans-serif", 13)))?;
        }
        root.present()
    }

    fn color(&self, nth: usize) -> RGBColor {
        if self.limits.contains(&self.peers[nth]) { GREY } else { COLORS[nth % COLORS.len()] }
    }
}

/// The ratios of the least, the median and the most to the reference's median.
fn spread(row: &Row) -> Option<(f64, f64, f64)> {
    let (ratio, median) = (row.ratio?, row.median?);
    let base = median / ratio;
    let spread = (row.min? / base, ratio, row.max? / base);
    (spread.0 > 0.0 && base.is_finite()).then_some(spread)
}

// Octets of a picture matter little; these are pixels.
const WIDTH: u32 = 1170;
const LEGEND: u32 = 190;
const LABEL: u32 = 300;
const LINE: u32 = 24;
const FRAME: u32 = 110;
const MARK: i32 = 5;

const GREY: RGBColor = RGBColor(140, 140, 140);

/// Told apart also by those who see red and green alike (the palette of Okabe and Ito, and darker variants of it).
const COLORS: [RGBColor; 9] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(120, 200, 160),
    RGBColor(204, 121, 167),
    RGBColor(110, 60, 120),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Machine, Version};

    #[test]
    fn every_work_and_peer_is_in_the_picture() {
        let row = |work: &str, peer: &str, samples: &[f64]| Row::new(work, peer, RATE, samples.to_vec(), 0);
        let mut report = Report {
            title: String::new(),
            method: String::new(),
            machine: Machine::this(),
            peers: ["base", "fast", "limit"].map(|peer| Version { peer: peer.into(), version: String::new() }).into(),
            rows: vec![
                row("small", "base", &[9.0, 10.0]),
                row("small", "fast", &[30.0]),
                row("small", "limit", &[90.0]),
                row("large", "base", &[1.0]),
                row("large", "fast", &[]),
            ],
            costs: Vec::new(),
            failed: Vec::new(),
        };
        assert!(svg(&report, RATE, &["limit"]).unwrap().is_none(), "no ratios yet");
        report.compare_to("base");
        let picture = svg(&report, RATE, &["limit"]).unwrap().unwrap();
        for text in ["small", "large", "base", "fast", "limit", RATE] {
            assert!(picture.contains(text), "{text} in {picture}");
        }
        // A mark for each of the three peers' figures that are no limit's, and the legend's two.
        assert_eq!(picture.matches("<circle").count(), 3 + 2);
    }
}
