//! The sockets benchmark as its users run it, small: every kind of work with the peers that must not fail, and what is
//! said of one that does.
//!
//! The peers are built as for a real run, which takes a minute the first time. libzmq needs a C compiler and libzmq's
//! headers; without them these tests fail and say so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the benchmark with `directory` for its temporary files.
fn bench(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).env("TMPDIR", directory).output().expect("the benchmark starts")
}

/// Runs the benchmark, which must write its rows, and returns its exit code, the rows and the report as printed.
fn report(arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scratch = directory.path().join("scratch");
    fs::create_dir(&scratch).expect("a directory for the run");
    let json = directory.path().join("report.json");
    let mut all = arguments.to_vec();
    all.extend(["--rounds", "1", "--seconds", "0.02", "--json", json.to_str().expect("a path in UTF-8")]);
    let output = bench(&scratch, &all);
    let text = fs::read(&json).unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(fs::read_dir(&scratch).expect("the run's directory").count(), 0, "files left behind");
    let rows = serde_json::from_slice(&text).expect("a list in JSON");
    (output.status.code(), rows, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_work_is_done_by_those_that_must_not_fail() {
    let (code, rows, report) = report(&["--peers", "libzmq,zmtp,zmtp-mt,raw-std,raw-tokio"]);
    assert!(code == Some(0) && !report.contains("Failed rounds"), "{report}");
    let mut seen = BTreeSet::new();
    for row in &rows {
        let [min, median, max] = ["min", "median", "max"].map(|key| row[key].as_f64().unwrap());
        assert!(0.0 < min && min <= median && median <= max, "{row}");
        assert!(row["ratio"].as_f64().unwrap() > 0.0, "{row}");
        let [work, peer] = ["work", "peer"].map(|key| row[key].as_str().unwrap().to_owned());
        assert!(seen.insert((work, peer)), "two rows of one work and peer: {row}");
    }
    for work in [
        "PUSH to PULL, tcp, 1 MiB",
        "PUSH to PULL, ipc, 4 parts (32, 20, 4, 256 B)",
        "64 PUSH to 1 PULL, tcp, 256 B",
        "1 PUSH to 4 PULL, tcp, 256 B",
        "PUB to 32 SUB, tcp, 256 B",
        "round trip, ipc, 64 B, p99",
        "256 one-message bare sockets at a time, tcp, 64 B",
        "8 one-message PUSH at a time, tcp, 64 B",
        "500 idle connections to 1 PULL, tcp",
        "CPU seconds of both processes per million messages: PUSH to PULL, tcp, 64 B",
        "Peak memory of both processes, MiB: PUB to 1 SUB, tcp, 256 B",
    ] {
        for peer in ["libzmq", "zmtp"] {
            assert!(seen.contains(&(work.to_owned(), peer.to_owned())), "{work}, {peer}: {seen:?}");
        }
    }
}

#[test]
fn a_peer_that_fails_has_rows_that_say_so_and_is_no_error() {
    let run = ["--peers", "libzmq", "--program", "broken=/bin/false", "--work", "tcp, 16 B"];
    let (code, rows, report) = report(&run);
    assert_eq!(code, Some(0));
    let row = rows.iter().find(|row| row["peer"] == "broken").unwrap();
    assert_eq!((&row["median"], &row["failed_rounds"]), (&Value::Null, &1.into()));
    let what = "the process that binds ended with exit status: 1 and printed nothing";
    assert!(report.contains(what), "{report}");
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["--peers", "nobody"][..], &["--seconds", "100"], &["--program", "x"], &["--rounds", "0"]] {
        assert_eq!(bench(directory.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = bench(directory.path(), &["--work", "carrier pigeon"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("PUSH to PULL, tcp, 16 B"), "the works are listed");
}
