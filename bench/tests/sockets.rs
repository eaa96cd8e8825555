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

/// Runs the benchmark, which must write its report, and returns its exit code and the report.
fn report(arguments: &[&str]) -> (Option<i32>, Value) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scratch = directory.path().join("scratch");
    fs::create_dir(&scratch).expect("a directory for the run");
    let json = directory.path().join("report.json");
    let mut all = arguments.to_vec();
    all.extend(["--rounds", "1", "--seconds", "0.02", "--json", json.to_str().expect("a path in UTF-8")]);
    let output = bench(&scratch, &all);
    let text = fs::read(&json).unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(fs::read_dir(&scratch).expect("the run's directory").count(), 0, "files left behind");
    (output.status.code(), serde_json::from_slice(&text).expect("a report in JSON"))
}

#[test]
fn every_work_is_done_by_those_that_must_not_fail() {
    let (code, report) = report(&["--peers", "libzmq,zmtp,zmtp-mt,raw-std,raw-tokio"]);
    assert_eq!((code, &report["failed"]), (Some(0), &Value::Array(Vec::new())));
    let mut seen = BTreeSet::new();
    for row in report["rows"].as_array().unwrap() {
        let [min, median, max] = ["min", "median", "max"].map(|key| row[key].as_f64().unwrap());
        assert!(0.0 < min && min <= median && median <= max, "{row}");
        assert!(row["ratio"].as_f64().unwrap() > 0.0, "{row}");
        let [work, peer] = ["work", "peer"].map(|key| row[key].as_str().unwrap().to_owned());
        assert!(seen.insert((work, peer)), "two rows of one work and peer: {row}");
    }
    for work in ["PUSH to PULL, tcp, 1 MiB", "PUSH to PULL, ipc, 4 x 64 B", "PUB to 4 SUB, tcp, 256 B"] {
        for peer in ["libzmq", "zmtp", "raw-std"] {
            assert!(seen.contains(&(work.to_owned(), peer.to_owned())), "{work}, {peer}: {seen:?}");
        }
    }
}

#[test]
fn a_peer_that_fails_has_rows_that_say_so_and_is_no_error() {
    let run = ["--peers", "libzmq", "--program", "broken=/bin/false", "--work", "tcp, 16 B"];
    let (code, report) = report(&run);
    assert_eq!(code, Some(0));
    let row = report["rows"].as_array().unwrap().iter().find(|row| row["peer"] == "broken").unwrap();
    assert_eq!((&row["median"], &row["failed_rounds"]), (&Value::Null, &1.into()));
    let what = report["failed"][0]["what"].as_str().unwrap();
    assert!(what.contains("the process that binds ended with exit status: 1 and printed nothing"), "{what}");
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
