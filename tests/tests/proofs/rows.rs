//! The rows: what is to be held, by which tests.
//!
//! ```text
//! ## A part
//!
//! name | what it asserts
//!   target::path::of_a_test
//!   - why it is left out
//! ```

use std::path::Path;

use anyhow::{Context, bail};

/// One thing to be held.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) part: String,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) tests: Vec<String>,
    /// Why it is left out.
    pub(crate) reason: Option<String>,
}

impl Row {
    pub(crate) fn is_held(&self) -> bool {
        !self.tests.is_empty()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.tests.is_empty() && self.reason.is_none()
    }
}

/// The rows of a file, in order.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (mut rows, mut part): (Vec<Row>, _) = (Vec::new(), "");
    for line in text.lines().filter(|line| !line.is_empty() && (line.starts_with("## ") || !line.starts_with('#'))) {
        if let Some(title) = line.strip_prefix("## ") {
            part = title;
        } else if let Some(below) = line.strip_prefix("  ") {
            let row = rows.last_mut().with_context(|| format!("{line:?} belongs to no row"))?;
            match below.strip_prefix("- ") {
                Some(reason) => row.reason = Some(reason.to_owned()),
                None => row.tests.push(below.to_owned()),
            }
        } else {
            let (name, text) = line.split_once(" | ").with_context(|| format!("{line:?} asserts nothing"))?;
            if rows.iter().any(|row| row.name == name) {
                bail!("two rows {name:?}");
            }
            let (part, name, text) = (part.to_owned(), name.to_owned(), text.to_owned());
            rows.push(Row { part, name, text, tests: Vec::new(), reason: None });
        }
    }
    Ok(rows)
}
