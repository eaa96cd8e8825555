//! How far a run has come, drawn on a terminal and nowhere else.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps, each with a message.
pub(crate) fn bar(steps: u64) -> ProgressBar {
    ProgressBar::new(steps)
        .with_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

const BAR: &str = "{elapsed_precise} {bar:32} {pos}/{len} {msg}";
