//! The rows as tables.

use crate::{Row, Tests};

/// `tests/CONFORMANCE.md`.
pub(crate) fn conformance(rows: &[Row], tests: &Tests) -> anyhow::Result<String> {
    let count = |check: fn(&Row) -> bool| rows.iter().filter(|row| check(row)).count();
    let mut text = format!(
        "# Conformance\n\n\
         What libzmq's own tests assert (names of its test files and tests; in our words), and what it has no test of (*own*). \
         Made by `cargo test -p tests --test proofs` from [proofs/conformance.txt](proofs/conformance.txt) and the tests that \
         there are; names as `cargo test -- --list` prints them. Not listed: 8 of libzmq's for what is not ours (draft \
         messages, proxies, other transports and types).\n\n\
         {} rows: {} held, {} left out for the reason given, {} open.\n",
        rows.len(),
        count(Row::is_held),
        count(|row| row.reason.is_some()),
        count(Row::is_open),
    );
    let mut part = "";
    for row in rows {
        if row.part != part {
            part = &row.part;
            text += &format!("\n## {part}\n\n| row | what it asserts | held by |\n|---|---|---|\n");
        }
        text += &line(row, tests)?;
    }
    Ok(text)
}

/// The table of `SECURITY.md`.
pub(crate) fn threats(rows: &[Row], tests: &Tests) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut part = "";
    for row in rows {
        if row.part != part {
            part = &row.part;
            text += &format!("\n### {part}\n\n| threat | defence | tests that fail without it |\n|---|---|---|\n");
        }
        text += &line(row, tests)?;
    }
    Ok(text + "\n")
}

fn line(row: &Row, tests: &Tests) -> anyhow::Result<String> {
    let mut places: Vec<(&str, Vec<String>)> = Vec::new();
    for name in &row.tests {
        for (place, name) in tests.named(name)? {
            let name = format!("`{name}`");
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, names)) => names.push(name),
                None => places.push((place, vec![name])),
            }
        }
    }
    let held: Vec<_> = places.into_iter().map(|(place, names)| format!("{place}: {}", names.join(", "))).collect();
    let cell = match &row.reason {
        Some(reason) => format!("left out: {reason}"),
        None if held.is_empty() => "**open**".to_owned(),
        None => held.join("<br>"),
    };
    let escaped = |text: &str| text.replace('|', "\\|");
    Ok(format!("| {} | {} | {cell} |\n", escaped(&row.name), escaped(&row.text)))
}
