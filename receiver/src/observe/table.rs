//! Tables for people.

use std::fmt::{self, Write as _};

/// Rows under a head, in columns as wide as they need. Numbers stand right, texts left.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    is_number: bool,
}

impl Table {
    /// Columns by name; a `#` in front of it is for numbers.
    pub(super) fn new(names: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_prefix('#') {
            Some(name) => Column { name, is_number: true },
            None => Column { name, is_number: false },
        };
        Self { columns: names.iter().map(column).collect(), rows: Vec::new() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        // What peers chose must not steer a terminal.
        self.rows.push(cells.into_iter().map(|cell| cell.escape_debug().to_string()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain([column.name.len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        let head = self.columns.iter().map(|column| column.name.to_owned()).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                if column.is_number {
                    write!(line, "{cell:>width$}  ")?;
                } else {
                    write!(line, "{cell:<width$}  ")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let mut table = Table::new(&["TOPIC", "#QUEUED"]);
        table.row(["compute.host1".to_owned(), "3".to_owned()]);
        table.row(["é\u{1b}[2J".to_owned(), "12345678".to_owned()]);
        let expected = "\
TOPIC            QUEUED
compute.host1         3
é\\u{1b}[2J     12345678
";
        assert_eq!(table.to_string(), expected);
    }
}
