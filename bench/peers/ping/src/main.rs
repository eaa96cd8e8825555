//! A bare message there and back: what any request and reply over `zmtp` costs at least.
//!
//! Two processes, each with one PUSH and one PULL, and nothing but frames: no JSON, no ids to look up, no tasks for
//! requests. On an `ipc://` endpoint the PULL connects, as a service does to its receiver; on any other it binds.
//! What is printed is what `zrpc bench --json` prints.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::{Args, Parser};
use serde_json::json;
use tokio::time::timeout;
use zmtp::{Options, Pull, Push};

/// One end of a ping-pong
#[derive(Debug, Parser)]
enum Cli {
    /// Send back what comes, until killed
    Echo(End),
    /// Send, wait, and so on; print how long each took
    Ping {
        /// Messages that count
        messages: u32,
        #[command(flatten)]
        end: End,
    },
}

#[derive(Debug, Args)]
struct End {
    /// Where messages come from
    from: String,
    /// Where they go
    to: String,
    /// The second of their four frames, by which a receiver knows whose they are
    topic: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // As a task: a program's main future costs one more system call for each wake.
    match Cli::parse() {
        Cli::Echo(end) => tokio::spawn(echo(end)).await?,
        Cli::Ping { messages, end } => tokio::spawn(ping(messages, end)).await?,
    }
}

impl End {
    async fn open(&self) -> Result<(Pull, Push), Box<dyn Error + Send + Sync>> {
        let mut pull = Pull::new(Options::new());
        if self.from.starts_with("ipc://") {
            pull.connect(self.from.as_str())?;
        } else {
            pull.bind(self.from.as_str()).await?;
        }
        let push = Push::new(Options::new());
        push.connect(self.to.as_str())?;
        Ok((pull, push))
    }

    async fn send(&self, push: &Push) -> Result<(), Box<dyn Error + Send + Sync>> {
        let body = [b'x'; BODY];
        Ok(push.send([b"0".as_slice(), self.topic.as_bytes(), b"cast", &body]).await?)
    }
}

async fn echo(end: End) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (mut pull, push) = end.open().await?;
    loop {
        pull.recv().await;
        end.send(&push).await?;
    }
}

async fn ping(messages: u32, end: End) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (mut pull, push) = end.open().await?;
    let mut times = Vec::new();
    let mut begun = Instant::now();
    for message in 0..messages + WARM_UP {
        if message == WARM_UP {
            times.clear();
            begun = Instant::now();
        }
        let sent = Instant::now();
        end.send(&push).await?;
        timeout(PATIENCE, pull.recv()).await?;
        times.push(sent.elapsed());
    }
    let took = begun.elapsed();
    times.sort_unstable();
    let percentile = |percent: usize| {
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let run = json!({
        "what": "calls", "concurrency": 1, "count": times.len(), "per_second": times.len() as f64 / took.as_secs_f64(),
        "p50_us": percentile(50), "p99_us": percentile(99),
    });
    println!("{}", json!([run]));
    Ok(())
}

/// Octets of the body: about those of a small request.
const BODY: usize = 256;

/// Messages that do not count: connections and sockets are made for them.
const WARM_UP: u32 = 200;

/// For a message that is lost; a thousand times what one takes.
const PATIENCE: Duration = Duration::from_secs(10);
