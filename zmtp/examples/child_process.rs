//! Messages through the standard input and output of another process: `cargo run -p zmtp --example child_process`.
//!
//! Any stream of octets in both directions can be a connection: it is handed to the socket with `attach`. Here it is a pair
//! of pipes to a child that runs this program again. A stream that is attached is not opened again when it ends.

use std::{process::Stdio, time::Duration};

use tokio::{io, process::Command};
use zmtp::{Options, Pull, Push};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).is_some_and(|argument| argument == "child") {
        // Its standard output is the connection: what it has to say it sends.
        let push = Push::new(Options::new());
        push.attach(io::join(io::stdin(), io::stdout()), "the parent");
        for n in 1..=3 {
            push.send(format!("line {n} of process {}", std::process::id())).await?;
        }
        push.close(Duration::from_secs(5)).await;
        return Ok(());
    }

    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg("child").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let pid = child.id().unwrap_or_default();
    let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else { return Err("no pipes".into()) };
    let mut pull = Pull::new(Options::new());
    pull.attach(io::join(output, input), "the child");
    for n in 1..=3 {
        let line = pull.recv().await;
        assert_eq!(line, format!("line {n} of process {pid}").into());
        println!("line {n} of the child");
    }
    // Closes the pipes: the child reads its end to the last.
    pull.close(Duration::from_secs(5)).await;
    println!("{}", child.wait().await?);
    Ok(())
}
