//! The command, run as its users run it; what it prints is compared whole.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const RING: &str = r#"{
    "conductor": ["controller1", "node1"],
    "cinder-scheduler": ["controller1"],
    "cinder-volume": ["cinder1@lvm"],
    "empty": []
}"#;

/// The example of the deployment guide.
const GUIDE: &str = "{
    'scheduler': ['host1'],
    'conductor': ['host1', 'host2'],
}";

/// A directory with rings, in which the command runs.
fn site() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("ring.json", RING),
        ("guide.json", GUIDE),
        ("good.json", r#"{"scheduler": ["host1"]}"#),
        ("half.json", "{\n  \"scheduler\": [\"host1\","),
        ("names.json", r#"{"a/b": ["host1"]}"#),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[derive(Debug, PartialEq, Eq)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// The arguments are those of a shell without quoting.
fn run(arguments: &str) -> Run {
    let dir = site();
    let output = Command::new(env!("CARGO_BIN_EXE_matchmaker"))
        .args(arguments.split_whitespace())
        .current_dir(dir.path())
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ran(code: i32, out: &str, err: &str) -> Run {
    Run { code, out: out.to_owned(), err: err.to_owned() }
}

fn json_of(arguments: &str) -> (i32, Value) {
    let run = run(arguments);
    assert_eq!(run.err, "");
    (run.code, serde_json::from_str(&run.out).unwrap())
}

#[test]
fn resolve_shows_where_a_message_goes() {
    assert_eq!(
        run("-b ring:ring.json resolve conductor"),
        ran(0, "TOPIC                  HOST\nconductor.controller1  controller1\n", "")
    );
    assert_eq!(
        run("resolve fanout~conductor -b ring:ring.json"),
        ran(
            0,
            "TOPIC                         HOST\n\
             fanout~conductor.controller1  controller1\n\
             fanout~conductor.node1        node1\n",
            ""
        )
    );
    assert_eq!(
        run("-b localhost --node host1 resolve scheduler"),
        ran(0, "TOPIC            HOST\nscheduler.host1  localhost\n", "")
    );
    assert_eq!(
        json_of("--json -b ring:ring.json resolve compute.host9"),
        (0, json!([{ "topic": "compute.host9", "host": "host9" }]))
    );
}

#[test]
fn localhost_knows_the_name_of_its_machine() {
    let run = run("-b local resolve scheduler");
    assert_eq!(run.code, 0, "{run:?}");
    let frame = run.out.lines().nth(1).unwrap();
    assert!(frame.starts_with("scheduler."), "{frame}");
}

#[test]
fn topics_and_hosts_show_the_ring() {
    assert_eq!(
        run("-b ring:ring.json topics"),
        ran(
            0,
            "TOPIC             HOSTS\n\
             cinder-scheduler  1\n\
             cinder-volume     1\n\
             conductor         2\n\
             empty             0\n",
            ""
        )
    );
    assert_eq!(
        json_of("-b ring:good.json --json topics"),
        (0, json!([{ "topic": "scheduler", "hosts": 1, "expired": 0 }]))
    );
    assert_eq!(
        run("-b ring:ring.json hosts cinder-volume"),
        ran(0, "HOST         ADDRESS\ncinder1@lvm  cinder1\n", "")
    );
    assert_eq!(
        json_of("-b ring:ring.json --json hosts conductor"),
        (
            0,
            json!([
                { "host": "controller1", "address": "controller1" },
                { "host": "node1", "address": "node1" }
            ])
        )
    );
}

#[test]
fn no_host_is_exit_code_1_and_says_what_there_is() {
    let no_host = |what: &str| ran(1, "", &format!("matchmaker: no host for topic {what}\n"));
    assert_eq!(
        run("-b ring:ring.json resolve scheduler"),
        no_host(r#""scheduler" in ring ring.json (4 topics; nearest: "cinder-scheduler")"#)
    );
    assert_eq!(
        run("-b ring:ring.json hosts empty"),
        no_host(r#""empty" in ring ring.json (listed there without hosts)"#)
    );
    assert_eq!(run("-b stub resolve scheduler"), no_host(r#""scheduler" in stub (0 topics)"#));
}

#[test]
fn a_lenient_ring_is_used_with_a_warning() {
    let json = "write strict JSON: the original matchmakers refuse this file";
    assert_eq!(
        run("-b ring:guide.json resolve scheduler"),
        ran(
            0,
            "TOPIC            HOST\nscheduler.host1  host1\n",
            &format!(
                "guide.json:2: warn: single quotes, here first of 5 times: {json}\n\
                 guide.json:3: warn: a comma after the last item: {json}\n"
            )
        )
    );
}

#[test]
fn a_ring_that_cannot_be_used_is_told_from_one_that_cannot_be_read() {
    let half = "2:25: the file ends where a host in quotes should stand: it may be half written: \
                write rings to another name and rename them";
    assert_eq!(run("-b ring:half.json topics"), ran(65, "", &format!("matchmaker: half.json:{half}\n")));
    let missing = "matchmaker: cannot read ring missing.json: check `ringfile` in \
                   [matchmaker_ring] and who may read it: No such file or directory (os error 2)\n";
    assert_eq!(run("-b ring:missing.json topics"), ran(66, "", missing));
    assert_eq!(run("lint missing.json"), ran(66, "", missing));
    assert_eq!(run("lint ."), ran(66, "", "matchmaker: ring . is not a regular file: name the file itself\n"));
}

#[test]
fn lint_finds_and_its_exit_code_says_how_bad_it_is() {
    assert_eq!(run("lint good.json"), ran(0, "good.json: no findings\n", ""));
    assert_eq!(
        run("-b ring:ring.json lint"),
        ran(
            1,
            "ring.json:4: warn: host \"cinder1@lvm\" has a backend's name: the part from '@' on is \
             not dialled: list the machine by its rpc_zmq_host\n\
             ring.json:5: warn: topic \"empty\" has no hosts: calls to it fail: list its hosts, or \
             remove it\n",
            ""
        )
    );
    assert_eq!(
        run("lint names.json"),
        ran(
            65,
            "names.json:1: error: topic \"a/b\" has the character '/': remove it: the whole ring \
             is refused because of it\n",
            ""
        )
    );
    assert_eq!(
        json_of("lint half.json --json"),
        (
            65,
            json!({
                "file": "half.json",
                "findings": [{
                    "line": 2,
                    "level": "error",
                    "rule": "syntax",
                    "text": "the file ends where a host in quotes should stand",
                    "hint": "it may be half written: write rings to another name and rename them",
                }]
            })
        )
    );
    assert_eq!(json_of("lint good.json --json"), (0, json!({ "file": "good.json", "findings": [] })));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    assert_eq!(run("-b localhost lint"), ran(2, "", "matchmaker: this backend has no file to lint: name one\n"));
    assert_eq!(
        run("-b rign:ring.json topics"),
        ran(2, "", "matchmaker: there is no matchmaker \"rign\": use local, ring, redis, consul or stub\n")
    );
    assert_eq!(
        run("-b ring:ring.json resolve compute."),
        ran(2, "", "matchmaker: topic \"compute.\" cannot be routed: the host is empty: give it a name\n")
    );
    for arguments in ["", "resolve", "hosts a/b", "topics --jsno", "-b localhost:x topics"] {
        let run = run(arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments}: {run:?}");
        assert_ne!(run.err, "", "{arguments}");
    }
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    for url in ["redis://:hunter2@10.0.0.5:6379/zero", "redis://:hunter2@", "rediss://:hunter2@h", "redsi://:hunter2@h"]
    {
        let run = run(&format!("-b {url} topics"));
        assert_eq!(run.code, 2, "{run:?}");
        assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let run = run("--help");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    for part in ["Examples:\n  matchmaker topics\n", "Exit codes:\n  0   done", "  66  the ring cannot be read\n"] {
        let wrapped = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(wrapped.contains(&part), "{part}\n{}", run.out);
    }
}

/// `matchmaker topics | head -0` must not complain.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = site();
    let topics: String = (0..20_000).map(|n| format!("\"t{n}\": [\"h\"],")).collect();
    let ring = format!("{{{}}}", topics.trim_end_matches(','));
    fs::write(dir.path().join("large.json"), ring).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_matchmaker"))
        .args(["-b", "ring:large.json", "topics"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
