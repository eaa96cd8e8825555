//! A service that adds: `cargo run -p oslo-rpc --example calculator -- /etc/oslo/demo.conf`.
//!
//! It serves the topic `calculator` behind the receiver of this machine until Ctrl-C. `caller.rs` calls it from Rust,
//! `caller.py` with the original driver from Python.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use oslo_config::{Config, load};
use oslo_rpc::{Context, Endpoint, RemoteError, Server, Settings, Transport, settings};

#[derive(serde::Deserialize)]
struct Pair {
    a: i64,
    b: i64,
}

async fn add(_: Context, Pair { a, b }: Pair) -> Result<i64, RemoteError> {
    a.checked_add(b).ok_or_else(|| RemoteError::builtin("OverflowError", "more than 64 bits"))
}

async fn divide(_: Context, Pair { a, b }: Pair) -> Result<i64, RemoteError> {
    a.checked_div(b).ok_or_else(|| RemoteError::builtin("ZeroDivisionError", "division by zero"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file: PathBuf = std::env::args_os().nth(1).ok_or("usage: calculator CONFIG_FILE")?.into();
    let mut config = Config::new(settings::DECLARED);
    config.push(load(&file)?);
    let transport = Transport::open(Settings::from_config(&config)?).await?;

    let endpoint = Endpoint::new().version(1, 1).method("add", add).method("divide", divide);
    let server = Server::builder("calculator").endpoint(endpoint).start(&transport).await?;
    println!("serving calculator");
    tokio::signal::ctrl_c().await?;
    server.stop(Duration::from_secs(5)).await;
    transport.close(Duration::from_secs(5)).await;
    Ok(())
}
