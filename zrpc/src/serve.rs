//! A test server.

use std::time::Duration;

use oslo_rpc::json::Value;
use oslo_rpc::{Context, Endpoint, RemoteError, Server, Transport};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::failure::Failure;

/// Arguments of `echo`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) value: Value,
}

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Deserialize)]
struct Fail {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default)]
    seconds: Option<f64>,
}

/// `echo(value)`, `add(a, b)`, `fail(text="…")` and `slow(seconds=1)`.
pub(crate) fn methods() -> Endpoint {
    Endpoint::new()
        .method("echo", async |_: Context, Echo { value }: Echo| Ok::<_, RemoteError>(value))
        .method("add", async |_: Context, Add { a, b }: Add| {
            a.checked_add(b).ok_or_else(|| RemoteError::builtin("OverflowError", "the sum has more than 64 bits"))
        })
        .method("fail", async |_: Context, Fail { text }: Fail| {
            Err::<(), _>(RemoteError::builtin("ValueError", text.unwrap_or_else(|| "asked to fail".to_owned())))
        })
        .method("slow", async |_: Context, Slow { seconds }: Slow| {
            let pause = Duration::try_from_secs_f64(seconds.unwrap_or(1.0)).unwrap_or(LONGEST).min(LONGEST);
            sleep(pause).await;
            Ok::<_, RemoteError>(pause.as_secs_f64())
        })
}

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn serve(transport: &Transport, topic: &str, server: Option<String>) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut builder = Server::builder(topic).endpoint(methods());
    if let Some(server) = server {
        builder = builder.server(server);
    }
    let server = builder.start(transport).await?;
    println!("serving {topic} on {}: echo, add, fail, slow", transport.settings().host);
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let stopped = server.stop(STOP).await;
    println!("stopped: {} finished, {} cut short", stopped.finished, stopped.aborted);
    Ok(())
}

/// The longest pause of `slow`.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long requests may finish.
const STOP: Duration = Duration::from_secs(5);
