//! How fast calls are.
//!
//! Each run makes so many calls with so many at a time and takes the time of each. Before them a bare message goes back
//! and forth over two sockets of `zmtp` on the loopback interface: the least that any request and reply can cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use oslo_rpc::{Client, Server, Target, Transport};
use serde_json::json;
use tokio::task::JoinSet;
use zmtp::{Options, Pull, Push};

use crate::cli::BenchArgs;
use crate::failure::Failure;
use crate::serve::{Echo, methods};
use crate::target;

/// What one run showed.
struct Run {
    what: &'static str,
    concurrency: u64,
    took: Duration,
    /// Of each call, sorted.
    latencies: Vec<Duration>,
}

/// Runs all, and prints a line or an object for each.
pub(crate) async fn bench(transport: &Transport, args: &BenchArgs, json: bool) -> Result<(), Failure> {
    let own = format!("zrpc-bench-{}", std::process::id());
    let (target, server) = match &args.target {
        Some(text) => (target::parse(text), None),
        None => {
            let server = Server::builder(own.as_str()).concurrency(4096).endpoint(methods());
            (Target::topic(own), Some(server.start(transport).await?))
        }
    };
    let client = Client::new(transport);
    // Sockets are made, and connected to, at the first.
    call(&client, &target, 1, args.size, 64, "").await?;

    let mut runs = vec![ping_pong(args.calls).await?];
    for &concurrency in &args.concurrency {
        let label = format!("{concurrency} at a time");
        runs.push(call(&client, &target, concurrency, args.size, args.calls, &label).await?);
    }
    if json {
        println!("{}", serde_json::Value::from_iter(runs.iter().map(Run::json)));
    } else {
        runs.iter().for_each(|run| println!("{}", run.line()));
    }
    if let Some(server) = server {
        server.stop(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn call(
    client: &Client,
    target: &Target,
    concurrency: u64,
    size: usize,
    calls: u64,
    label: &str,
) -> Result<Run, Failure> {
    let bar = if label.is_empty() { ProgressBar::hidden() } else { bar(calls, label) };
    let left = Arc::new(AtomicU64::new(calls));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..concurrency {
        let (client, target, left, bar) = (client.clone(), target.clone(), left.clone(), bar.clone());
        let echo = Echo { value: "x".repeat(size).into() };
        callers.spawn(async move {
            let mut latencies = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let begun = Instant::now();
                let _: &str = &client.call::<String>(&target, "echo", &echo).await?;
                latencies.push(begun.elapsed());
                if latencies.len() % BAR_STEP == 0 {
                    bar.inc(BAR_STEP as u64);
                }
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = Vec::new();
    for caller in callers.join_all().await {
        latencies.extend(caller?);
    }
    let took = begun.elapsed();
    bar.finish_and_clear();
    latencies.sort_unstable();
    Ok(Run { what: "calls", concurrency, took, latencies })
}

async fn ping_pong(rounds: u64) -> Result<Run, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::System(std::io::Error::other(error.to_string()));
    let (mut here, mut there) = (Pull::new(Options::new()), Pull::new(Options::new()));
    let (to_here, to_there) = (Push::new(Options::new()), Push::new(Options::new()));
    let endpoint = here.bind("tcp://127.0.0.1:*").await.map_err(|error| failed(&error))?;
    to_here.connect(endpoint.as_str()).map_err(|error| failed(&error))?;
    let endpoint = there.bind("tcp://127.0.0.1:*").await.map_err(|error| failed(&error))?;
    to_there.connect(endpoint.as_str()).map_err(|error| failed(&error))?;
    let echo = tokio::spawn(async move { while to_here.send(there.recv().await).await.is_ok() {} });
    let mut latencies = Vec::new();
    let mut begun = Instant::now();
    for round in 0..rounds.min(PING_PONGS) + WARM_UP {
        if round == WARM_UP {
            latencies.clear();
            begun = Instant::now();
        }
        let sent = Instant::now();
        to_there.send("0123456789abcdef").await.map_err(|error| failed(&error))?;
        here.recv().await;
        latencies.push(sent.elapsed());
    }
    let took = begun.elapsed();
    echo.abort();
    latencies.sort_unstable();
    Ok(Run { what: "bare round trips", concurrency: 1, took, latencies })
}

impl Run {
    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// Microseconds that so many per mille stay under.
    fn percentile(&self, per_mille: usize) -> f64 {
        let at = (self.latencies.len() * per_mille / 1000).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    }

    fn line(&self) -> String {
        format!(
            "{:<17} {:>5} at a time  {:>9.0}/s  p50 {:>8.1} us  p90 {:>8.1} us  p99 {:>8.1} us  max {:>9.1} us",
            self.what,
            self.concurrency,
            self.per_second(),
            self.percentile(500),
            self.percentile(900),
            self.percentile(990),
            self.percentile(1000),
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "what": self.what, "concurrency": self.concurrency, "count": self.latencies.len(),
            "per_second": self.per_second(), "p50_us": self.percentile(500), "p90_us": self.percentile(900),
            "p99_us": self.percentile(990), "max_us": self.percentile(1000),
        })
    }
}

/// Drawn on a terminal and nowhere else.
fn bar(steps: u64, label: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_message(label.to_owned())
}

const BAR: &str = "{elapsed_precise} {bar:32} {pos}/{len} {msg}";

/// Calls between two moves of the bar, so that it costs nothing.
const BAR_STEP: usize = 64;

/// Enough for a percentile.
const PING_PONGS: u64 = 10_000;

/// Rounds that are not counted: connections are made in them.
const WARM_UP: u64 = 100;
