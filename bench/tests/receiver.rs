//! The receiver benchmark as its users run it, small: what it reports, what it refuses, and that it leaves nothing behind.
//!
//! The C proxy needs a C compiler and libzmq's headers; without them these tests fail and say what to install.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_bench");

/// Runs `bench receiver ARGUMENTS` with `directory` for its temporary files.
fn bench(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(BENCH).arg("receiver").args(arguments).env("TMPDIR", directory).output().expect("the benchmark starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the benchmark, which must write its rows, and returns its exit code, the rows and the report as printed.
fn report(arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scratch = directory.path().join("scratch");
    fs::create_dir(&scratch).expect("a directory for the run");
    let json = directory.path().join("report.json");
    let mut all = arguments.to_vec();
    all.extend(["--json", json.to_str().expect("a path in UTF-8")]);
    let output = bench(&scratch, &all);
    let text = fs::read(&json).unwrap_or_else(|_| panic!("no report: {}", stderr(&output)));
    let left = fs::read_dir(&scratch).expect("the run's directory").count();
    assert_eq!(left, 0, "files left behind");
    let rows = serde_json::from_slice(&text).expect("a list in JSON");
    (output.status.code(), rows, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_peer_has_a_row_for_every_work_and_measure() {
    let arguments = ["--peers", "c-proxy,raw-std", "--rounds", "3", "--messages", "2000", "--topics", "1,3"];
    let (code, rows, report) = report(&arguments);
    assert!(code == Some(0) && !report.contains("Failed rounds"), "{report}");
    assert_eq!(rows.len(), 2 * 2 * (2 * 4 + 4), "peers, topics, CPUs and measures, or percentiles");
    let mut seen = BTreeSet::new();
    for row in &rows {
        let [work, peer] = ["work", "peer"].map(|key| row[key].as_str().unwrap());
        assert!(seen.insert((work, peer)), "two rows of one work and peer: {row}");
        assert_eq!(row["samples"].as_array().unwrap().len(), 3, "{row}");
        let [min, median, max] = ["min", "median", "max"].map(|key| row[key].as_f64().unwrap());
        assert!(min <= median && median <= max, "{row}");
        assert!(row["measure"] != "Messages per second" || min > 0.0, "{row}");
    }
    assert!(rows.iter().any(|row| row["work"] == "3 topics, 256 octets in 4 parts, one CPU"), "{rows:?}");
    assert!(report.contains("- c-proxy: libzmq 4."), "{report}");
}

#[test]
fn other_shapes_are_delivered_too() {
    for (size, parts) in [("32", "4"), ("512", "8"), ("20000", "5")] {
        let shape = ["--size", size, "--parts", parts, "--topics", "1,2", "--cpus", "all"];
        let run = ["--peers", "c-proxy,raw-std", "--rounds", "1", "--messages", "300"];
        let (code, _, report) = report(&[&shape[..], &run].concat());
        assert!(code == Some(0) && !report.contains("Failed rounds"), "{size} octets in {parts} parts: {report}");
    }
}

#[test]
fn a_daemon_that_dies_under_load_costs_its_figures_and_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = directory.path().join("mortal");
    // The kernel ends it after a second of CPU time, with most of the messages still to come.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo mortal && exit\nulimit -t 1\n\
         exec {BENCH} raw-std $(sed -n 's/^rpc_zmq_port = //p' $2) $(sed -n 's/^rpc_zmq_ipc_dir = //p' $2)\n"
    );
    fs::write(&daemon, script).unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = format!("mortal={}", daemon.display());
    let run = ["--peers", "ours", "--rounds", "1", "--messages", "100000000", "--topics", "2", "--cpus", "all"];
    let (code, rows, report) = report(&[&run[..], &["--daemon", &daemon]].concat());
    assert_eq!(code, Some(1));
    for row in &rows {
        assert_eq!((&row["peer"], &row["median"], &row["failed_rounds"]), (&"mortal".into(), &Value::Null, &1.into()));
    }
    assert!(report.contains("the daemon ended with signal"), "{report}");
}

#[test]
fn a_peer_that_cannot_be_had_is_an_error_not_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let output = bench(directory.path(), &["--quick", "--peers", "raw-std", "--daemon", "/nonexistent/receiver"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot run /nonexistent/receiver"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["--rounds", "0"][..], &["--daemon", "ours="], &["--peers", "nobody"], &["--cpus", "two"]] {
        assert_eq!(bench(directory.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = bench(directory.path(), &["--peers", "raw-std", "--size", "5"]);
    assert!(stderr(&output).contains("choose --size from 27 to"), "{}", stderr(&output));
}
