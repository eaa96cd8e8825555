//! Every cell as the harness runs it: separate processes, the command line of the contract, the line it reads.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Output, Stdio};

const TARGET: &str = env!("CARGO_BIN_EXE_zmtp-arena-target");

/// A process that is killed, by its own id, when it is no longer needed.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn end(role: &str, kind: &str, endpoint: &str, more: &[&str]) -> Command {
    let mut command = Command::new(TARGET);
    let (transport, _) = endpoint.split_once("://").expect("an endpoint");
    command.args(["--role", role, "--kind", kind, "--transport", transport, "--endpoint", endpoint]);
    command.args(["--payload-bytes", "100"]).args(more).stdout(Stdio::piped());
    command
}

fn start(mut command: Command) -> Peer {
    Peer(command.spawn().expect("the target starts"))
}

/// Messages and seconds that it tells at its end.
fn told(mut peer: Peer) -> (u64, f64) {
    let output = peer.0.stdout.take().expect("asked for");
    let line = io::read_to_string(output).expect("its output");
    assert!(peer.0.wait().expect("its end").success());
    let words: Vec<_> = line.split_whitespace().collect();
    let ["THROUGHPUT", messages, seconds] = words[..] else { panic!("{line:?}") };
    (messages.parse().expect("a number"), seconds.parse().expect("seconds"))
}

fn free_endpoint() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    format!("tcp://{}", listener.local_addr().expect("its address"))
}

fn describe(more: &[&str]) -> Output {
    Command::new(TARGET).arg("describe").args(more).output().expect("the target starts")
}

#[test]
fn it_describes_itself() {
    for (more, threading) in [(&[][..], "single"), (&["--variant", "multi_thread"], "multi")] {
        let output = describe(more);
        assert!(output.status.success());
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&line["engine"], &line["threading"]), (&"zmtp".into(), &threading.into()));
        assert_ne!(line["lib_version"], "unknown");
    }
}

#[test]
fn every_message_of_a_throughput_cell_arrives() {
    let directory = std::env::temp_dir().join(format!("zmtp-arena-target-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    for endpoint in [free_endpoint(), format!("ipc://{}", directory.join("socket").display())] {
        let numbers = ["--messages", "20000", "--warmup", "1000"];
        let sub = start(end("sub", "throughput", &endpoint, &numbers));
        let mut publisher = start(end("pub", "throughput", &endpoint, &numbers));
        let (messages, seconds) = told(sub);
        assert!(messages == 20_000 && seconds > 0.0);
        assert!(publisher.0.wait().unwrap().success(), "ends by itself");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn cells_with_several_peers_count_for_a_time() {
    let timed = ["--messages", "0", "--peers", "2", "--duration-secs", "0.2"];
    let bound = ["--messages", "0", "--peers", "2", "--duration-secs", "0.2", "--bind"];
    for variant in ["default", "multi_thread"] {
        let with = |words: &[&'static str]| [words, &["--variant", variant]].concat();
        for kind in ["pubsub", "fanout"] {
            let endpoint = free_endpoint();
            let _publisher = start(end("pub", kind, &endpoint, &with(&bound)));
            let subs = [0, 1].map(|_| start(end("sub", kind, &endpoint, &with(&timed))));
            for (messages, seconds) in subs.map(told) {
                assert!(messages > 1_000 && (0.2..2.0).contains(&seconds), "{kind}: {messages} in {seconds} s");
            }
        }
        let endpoint = free_endpoint();
        let sub = start(end("sub", "fanin", &endpoint, &with(&bound)));
        let _publishers = [0, 1].map(|_| start(end("pub", "fanin", &endpoint, &with(&timed))));
        let (messages, seconds) = told(sub);
        assert!(messages > 1_000 && (0.2..2.0).contains(&seconds), "fanin: {messages} in {seconds} s");
    }
}

#[test]
fn sockets_it_does_not_have_are_refused() {
    let output = end("pub", "latency", &free_endpoint(), &["--messages", "1"]).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("no REQ and no REP"));
}
