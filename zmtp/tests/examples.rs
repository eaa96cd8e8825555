//! Each example runs, ends, and says what it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What the example prints. Cargo builds it first, as a user would have it.
fn said(arguments: &[&str]) -> String {
    said_by("zmtp", arguments)
}

/// The same, of an example that is a package.
fn said_by(package: &str, arguments: &[&str]) -> String {
    let args: Vec<&str> = ["--quiet", "--package", package].iter().chain(arguments).copied().collect();
    // Built first, however long that takes.
    assert!(Command::new(env!("CARGO")).arg("build").args(&args).status().unwrap().success());
    let mut run = Command::new(env!("CARGO"));
    let mut child = run.arg("run").args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{arguments:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn push_pull() {
    let said = said(&["--example", "push_pull"]);
    assert!(said.starts_with("topic\nhello\n") && said.ends_with("discarded: 0 }\n"), "{said}");
}

#[test]
fn pub_sub() {
    let said = said(&["--example", "pub_sub"]);
    assert_eq!(said, "weather: weather sunny\nweather: weather.wind mild\nsport: sport 2:1\n");
}

#[test]
fn curve() {
    let said = said(&["--features", "curve", "--example", "curve"]);
    assert_eq!(said, "for nobody else to read\nstranger: peer refused: ERROR \"400\"\n");
}

#[test]
fn transport() {
    // A header of 2 octets for the topic, one of 9 for the rest.
    assert_eq!(said(&["--example", "transport"]), "topic and 1016 octets\n");
}

#[test]
fn tls() {
    let said = said_by("zmtp-example-tls", &[]);
    let expected = [
        "for nobody else to read and 1000034 octets",
        "server, of a strange client: invalid peer certificate: UnknownIssuer",
        "client, of a strange server: invalid peer certificate: UnknownIssuer",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn child_process() {
    let said = said(&["--example", "child_process"]);
    assert_eq!(said, "line 1 of the child\nline 2 of the child\nline 3 of the child\nexit status: 0\n");
}

/// Built without tokio, as far as cargo is concerned: nothing of the sockets is there.
#[test]
fn sans_io() {
    let said = said(&["--no-default-features", "--example", "sans_io"]);
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a PULL of ZMTP 3.1", "bye", "topic hello"]);
}

/// Generous: two cores may be running other tests.
const LIMIT: Duration = Duration::from_secs(60);
