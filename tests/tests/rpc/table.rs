//! The table of what works with what, `tests/INTEROP.md`: written by the tests that try it.

use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

/// What is tried with each pair, in the order of the columns.
pub(crate) const COLUMNS: [&str; 8] =
    ["call", "cast", "fanout", "notify", "remote error", "unicode", "big integer", "1 MB"];

/// One pair, and what became of each try.
pub(crate) struct Row {
    pub(crate) client: String,
    pub(crate) service: String,
    pub(crate) cells: Vec<&'static str>,
}

/// Compares a section of the table with what was seen, or writes it if `INTEROP=write` is in the environment.
pub(crate) fn check(title: &str, rows: &[Row]) -> anyhow::Result<()> {
    // Tests run side by side, and the file is one.
    static FILE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("INTEROP.md");
    let seen = section(title, rows)?;
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var("INTEROP").is_ok_and(|value| value == "write") {
        let mut sections: Vec<String> = file.split(HEADING).skip(1).map(str::to_owned).collect();
        sections.retain(|section| !section.starts_with(&format!("{title}\n")));
        sections.push(seen.trim_start_matches(HEADING.trim_start_matches('\n')).to_owned());
        sections.sort();
        let sections: Vec<_> = sections.iter().map(|section| section.trim_end()).collect();
        let text = format!("{PREAMBLE}{HEADING}{}\n", sections.join(&format!("\n{HEADING}")));
        return std::fs::write(&path, text).with_context(|| path.display().to_string());
    }
    ensure!(
        file.contains(&seen),
        "{} says something else; if that is right: INTEROP=write cargo test -p tests --test rpc\n{seen}",
        path.display()
    );
    Ok(())
}

fn section(title: &str, rows: &[Row]) -> anyhow::Result<String> {
    let mut text = format!("## {title}\n\n| client | service | {} |\n", COLUMNS.join(" | "));
    writeln!(text, "|---|---|{}", "---|".repeat(COLUMNS.len()))?;
    for row in rows {
        writeln!(text, "| {} | {} | {} |", row.client, row.service, row.cells.join(" | "))?;
    }
    Ok(text)
}

const HEADING: &str = "\n## ";

const PREAMBLE: &str = "\
# What works with what

Written by `INTEROP=write cargo test -p tests --test rpc`; without the variable the same tests compare it with what they
see. Every cell was tried: unmodified oslo.messaging on Python 2.7 on the one side or both.

Big integers are the largest of 64 bits from Python clients, and 10^60 from ours. Calls from ours were tried in both
styles, `cast` and `impl_zmq_v2`.

*class only*: the original driver, as the service, loses the text and the arguments of an exception
([B19](../docs/oslo-bugs.md)). *frames*: a listener cannot be made in 1.4.1 ([B32](../docs/oslo-bugs.md)), so the frames
that it would have read were checked.
";
