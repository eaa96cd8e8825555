//! `bench arena`: the table of a run of zmq-arena, the public harness, with this workspace's target among the others.
//!
//! The harness leaves a record in JSON for each cell that it could measure; what its matrix asks for and no record answers
//! has failed in every round. How a run is made is told in arena/README.md.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::contestants::REFERENCE;
use crate::delivery::{self, DeliveryError};
use crate::matrix;
use crate::report::{Machine, RATE, Report, Row, Version};

/// What was run, and where to write its table.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The matrix of the run, in a checkout of zmq-arena
    matrix: PathBuf,
    /// The directory of its records
    records: PathBuf,
    /// Also write the rows to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the report to results/arena.json and .md beside this program's source
    #[arg(long)]
    save: bool,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArenaError {
    /// A file is absent.
    #[error("cannot read {path}: {source}; see bench/arena/README.md for how to make a run")]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is another's, or another version's.
    #[error("{path} is not as zmq-arena writes it: {source}; use the commit that bench/arena/README.md names")]
    Format {
        /// Which.
        path: PathBuf,
        /// What was not found.
        source: serde_json::Error,
    },
    /// The report could not be written.
    #[error(transparent)]
    Deliver(#[from] DeliveryError),
}

/// As much of a matrix as the table needs.
#[derive(Debug, Deserialize)]
struct Matrix {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Entry {
    target: Target,
    transport: String,
    kind: String,
    peers: Option<u32>,
    payload_bytes: u64,
    duration_secs: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Target {
    id: String,
    variant: Option<String>,
}

/// As much of what is told of a run.
#[derive(Debug, Deserialize)]
struct Run {
    replication: Replication,
}

#[derive(Debug, Deserialize)]
struct Replication {
    max_replicates: usize,
}

/// As much of a cell's record.
#[derive(Debug, Deserialize)]
struct Record {
    entry: Entry,
    meta: Meta,
    stability: Stability,
}

#[derive(Debug, Deserialize)]
struct Meta {
    engine: String,
    lib_version: String,
    io: String,
}

#[derive(Debug, Deserialize)]
struct Stability {
    /// Messages per second of each round.
    samples: Vec<f64>,
}

/// Prints the table, and writes it where asked.
pub(crate) fn run(options: &Options) -> Result<(), ArenaError> {
    let report = report(options)?;
    let text = matrix::markdown(&report, &[]);
    print!("{text}");
    Ok(delivery::deliver(&report, &text, options.json.as_deref(), options.save.then_some("arena"))?)
}

fn report(options: &Options) -> Result<Report, ArenaError> {
    let Matrix { entries } = read(&options.matrix)?;
    let Run { replication: Replication { max_replicates: rounds } } = read(&options.records.join("_run.json"))?;
    let records = records(&options.records)?;
    let mut peers: Vec<Version> = Vec::new();
    let mut rows = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind != "latency") {
        let record = records.iter().find(|record| record.entry == *entry);
        let peer = entry.target.name();
        if !peers.iter().any(|known| known.peer == peer) {
            let same = |record: &&Record| record.entry.target == entry.target;
            let version = records.iter().find(same).map_or_else(|| "no cell measured".to_owned(), Record::version);
            peers.push(Version { peer: peer.clone(), version });
        }
        let samples = record.map_or_else(Vec::new, |record| record.stability.samples.clone());
        let failed = rounds.saturating_sub(samples.len());
        rows.push((entry, Row::new(&entry.work(), &peer, RATE, samples, failed)));
    }
    // One work's rows together, as the harness's order of cells is not.
    rows.sort_by_key(|(entry, _)| entry.place());
    let mut report = Report {
        title: "zmq-arena".to_owned(),
        method: method(options, &entries, rounds),
        machine: Machine::this(),
        peers,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        costs: Vec::new(),
        failed: Vec::new(),
    };
    report.compare_to(REFERENCE);
    Ok(report)
}

fn method(options: &Options, entries: &[Entry], rounds: usize) -> String {
    let directory = options.matrix.parent().filter(|parent| *parent != Path::new("")).unwrap_or_else(|| Path::new("."));
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["rev-parse", "--short", "HEAD"]).stdin(Stdio::null());
    let commit = git.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let seconds = entries.iter().find_map(|entry| entry.duration_secs).unwrap_or_default();
    format!(
        "The matrix of the public harness zmq-arena (github: vorjdux/zmq-arena, commit {}), run unprivileged, without \
         pinning, with this workspace's target added and without REQ/REP, which it does not have; cells that are measured \
         for a time take {seconds} s; {rounds} rounds, in which the cells take turns; the median over the rounds, with the \
         extremes. Every process of a cell is one of that harness's target programs, tuned by its authors: so \
         `monocoque` coalesces its writes and is told to flush. With several receivers, the rate is that of one of them. \
         Ratio: median to the median of {REFERENCE}. How to reproduce: bench/arena/README.md.",
        commit.unwrap_or_default()
    )
}

fn records(directory: &Path) -> Result<Vec<Record>, ArenaError> {
    let unreadable = |source| ArenaError::Read { path: directory.to_owned(), source };
    let mut records = Vec::new();
    for file in fs::read_dir(directory).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        // Names with a _ are of the run, not of a cell.
        let of_cell = path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('_'));
        if of_cell && path.extension().is_some_and(|extension| extension == "json") {
            records.push(read(&path)?);
        }
    }
    Ok(records)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ArenaError> {
    let text = fs::read(path).map_err(|source| ArenaError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| ArenaError::Format { path: path.to_owned(), source })
}

impl Entry {
    fn work(&self) -> String {
        let transport = if self.transport == "tcp_netns" { "tcp" } else { &self.transport };
        let peers = self.peers.unwrap_or(1);
        let sockets = match self.kind.as_str() {
            "throughput" => "PUSH to PULL".to_owned(),
            "pubsub" => format!("PUB to {peers} SUB"),
            "fanout" => format!("1 PUSH to {peers} PULL"),
            "fanin" => format!("{peers} PUSH to 1 PULL"),
            other => other.to_owned(),
        };
        format!("{sockets}, {transport}, {} B", self.payload_bytes)
    }

    /// By which works are sorted.
    fn place(&self) -> (usize, bool, u64) {
        let kinds = ["throughput", "fanin", "fanout", "pubsub"];
        let kind = kinds.iter().position(|kind| *kind == self.kind).unwrap_or(kinds.len());
        (kind, self.transport == "ipc", self.payload_bytes)
    }
}

impl Target {
    fn name(&self) -> String {
        match self.variant.as_deref() {
            None | Some("default") => self.id.clone(),
            Some(variant) => format!("{}_{variant}", self.id),
        }
    }
}

impl Record {
    fn version(&self) -> String {
        let Meta { engine, lib_version, io } = &self.meta;
        format!("{engine} {lib_version}, {io}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_and_not_measured_has_failed() {
        let directory = tempfile::tempdir().unwrap();
        let entry = |id: &str, kind: &str| {
            serde_json::json!({
                "target": { "id": id, "binary": "any", "knobs": {} }, "transport": "tcp_netns", "kind": kind,
                "payload_bytes": 256, "messages": 1, "peers": 4, "duration_secs": 0.5,
            })
        };
        let record = |id: &str, samples: &[f64]| {
            let meta = serde_json::json!({ "engine": id, "lib_version": "1.0", "io": "epoll" });
            let record = serde_json::json!({
                "entry": entry(id, "fanin"), "meta": meta, "stability": { "samples": samples },
            });
            fs::write(directory.path().join(format!("{id}.json")), record.to_string()).unwrap();
        };
        let entries = ["zmtp", "libzmq", "lossy"].map(|id| entry(id, "fanin"));
        let all = [&entries[..], &[entry("libzmq", "latency")]].concat();
        fs::write(directory.path().join("_matrix"), serde_json::json!({ "entries": all }).to_string()).unwrap();
        fs::write(directory.path().join("_run.json"), r#"{ "replication": { "max_replicates": 3 } }"#).unwrap();
        record("libzmq", &[1.0, 2.0, 3.0]);
        record("zmtp", &[6.0, 8.0]);
        let (matrix, records) = (directory.path().join("_matrix"), directory.path().to_owned());
        let report = report(&Options { matrix, records, json: None, save: false }).unwrap();
        let cells: Vec<_> = report.rows.iter().map(|row| (row.peer.as_str(), row.ratio, row.failed_rounds)).collect();
        assert_eq!(cells, [("zmtp", Some(3.5), 1), ("libzmq", Some(1.0), 0), ("lossy", None, 3)]);
        assert_eq!(report.rows[0].work, "4 PUSH to 1 PULL, tcp, 256 B");
        assert_eq!(report.peers[1].version, "libzmq 1.0, epoll");
    }

    #[test]
    fn a_run_that_is_none_is_told_with_the_next_step() {
        let nowhere = || PathBuf::from("/nonexistent/matrix.json");
        let error = report(&Options { matrix: nowhere(), records: nowhere(), json: None, save: false }).unwrap_err();
        assert!(error.to_string().contains("arena/README.md"), "{error}");
    }
}
