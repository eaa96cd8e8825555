//! What a document says of tests is so: the table of bugs in `docs/rpc.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;

/// Bugs of the original that concern clients and services.
const BUGS: [u32; 28] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 19, 20, 21, 22, 23, 29, 30, 31, 32, 33, 36, 37, 38, 39, 40, 41, 42, 44];

#[test]
fn every_bug_of_clients_and_services_has_tests_and_all_that_are_named_are_there() -> anyhow::Result<()> {
    let rows = table(&fs::read_to_string(root().join("docs/rpc.md"))?);
    let (found, wanted): (BTreeSet<_>, BTreeSet<_>) = (rows.keys().copied().collect(), BUGS.into());
    ensure!(found == wanted, "docs/rpc.md lists {found:?}, and should list {wanted:?}");
    let mut tests = BTreeSet::new();
    for package in ["matchmaker", "receiver", "rpc", "tests", "zrpc"] {
        add_tests(&root().join(package), &mut tests)?;
    }
    for (bug, names) in rows {
        for name in &names {
            ensure!(tests.contains(name), "docs/rpc.md names the test {name} of B{bug}, which is not there");
        }
        let number = format!("b{bug:02}_");
        ensure!(names.iter().any(|name| name.contains(&number)), "docs/rpc.md names no test of B{bug} with {number}");
    }
    Ok(())
}

/// The names of tests in each row that begins with a bug's number.
fn table(document: &str) -> BTreeMap<u32, Vec<String>> {
    let mut rows = BTreeMap::new();
    for row in document.lines().filter_map(|line| line.strip_prefix("| B")) {
        let bug = row.split(' ').next().and_then(|number| number.parse().ok());
        let names = row.split('`').filter(|text| text.starts_with('b') && text.contains('_')).map(str::to_owned);
        rows.extend(bug.map(|bug| (bug, names.collect())));
    }
    rows
}

/// The functions of a directory's Rust files that have an attribute `test`.
fn add_tests(directory: &Path, tests: &mut BTreeSet<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            add_tests(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let functions = text.split("test]\n").chain(text.split("test(")).skip(1);
            let name = |after: &str| Some(after.split_once("fn ")?.1.split_once('(')?.0.to_owned());
            tests.extend(functions.filter_map(name));
        }
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
