//! Which test holds what: `tests/CONFORMANCE.md` and the table of `SECURITY.md`, made of the rows in `tests/proofs` and of
//! the tests that the sources have. A row that names no test there fails, and so does a file that is not what the rows
//! make of it.
//!
//! `UPDATE_PROOFS=1 cargo test -p tests --test proofs` writes both files anew.

mod sources;
mod rows;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rows::Row;
use sources::Tests;

#[test]
fn conformance_is_what_the_tests_hold() -> anyhow::Result<()> {
    let rows = rows::read(&root().join("tests/proofs/conformance.txt"))?;
    let tests = Tests::find(&root())?;
    agree("tests/CONFORMANCE.md", &tables::conformance(&rows, &tests)?)?;
    let held = rows.iter().filter(|row| row.is_held()).count();
    ensure!(held >= HELD, "{held} rows are held");
    Ok(())
}

#[test]
fn every_threat_has_its_test() -> anyhow::Result<()> {
    let rows = rows::read(&root().join("tests/proofs/threats.txt"))?;
    let tests = Tests::find(&root())?;
    let text = std::fs::read_to_string(root().join("SECURITY.md")).context("SECURITY.md")?;
    let (before, rest) = text.split_once(BEGIN).context("SECURITY.md: no place for the table")?;
    let (_, after) = rest.split_once(END).context("SECURITY.md: the table does not end")?;
    let table = tables::threats(&rows, &tests)?;
    agree("SECURITY.md", &format!("{before}{BEGIN}\n{table}{END}{after}"))?;
    let held = rows.iter().filter(|row| row.is_held()).count();
    ensure!(held >= WARDED, "{held} threats have a test");
    Ok(())
}

/// Names that no test has are found out.
#[test]
fn a_test_that_is_not_there_is_an_error() -> anyhow::Result<()> {
    let tests = Tests::find(&root())?;
    ensure!(tests.named("proofs::a_test_that_is_not_there_is_an_error").is_ok());
    ensure!(tests.named("libzmq::flow::three_workers_share_in_turn")?.len() == 2);
    for name in ["proofs::a_test_that_is_not_there", "sockets::", "nowhere::at_all", "proofs::agree"] {
        ensure!(tests.named(name).is_err(), "{name}");
    }
    Ok(())
}

/// Compares a file with what it should be, or writes it.
fn agree(file: &str, wanted: &str) -> anyhow::Result<()> {
    let path = root().join(file);
    if std::env::var_os("UPDATE_PROOFS").is_some() {
        return Ok(std::fs::write(path, wanted)?);
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    ensure!(found == wanted, "{file} is stale; run: UPDATE_PROOFS=1 cargo test -p tests --test proofs");
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const BEGIN: &str = "<!-- from tests/proofs/threats.txt -->";
const END: &str = "<!-- end -->";

/// Rows of CONFORMANCE.md that are held, so that none is lost unnoticed.
const HELD: usize = 152;

/// Threats of SECURITY.md that have a test.
const WARDED: usize = 66;
