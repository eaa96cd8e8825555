//! Calls the service of `calculator.rs`, or one in Python: `cargo run -p oslo-rpc --example caller -- /etc/oslo/demo.conf`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use oslo_config::{Config, load};
use oslo_rpc::{CallError, Client, Settings, Target, Transport, settings};

#[derive(serde::Serialize)]
struct Pair {
    a: i64,
    b: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file: PathBuf = std::env::args_os().nth(1).ok_or("usage: caller CONFIG_FILE")?.into();
    let mut config = Config::new(settings::DECLARED);
    config.push(load(&file)?);
    let transport = Transport::open(Settings::from_config(&config)?).await?;

    let client = Client::new(&transport).with_timeout(Duration::from_secs(5));
    let calculator = Target::topic("calculator").version("1.1");
    let sum: i64 = client.call(&calculator, "add", &Pair { a: 2, b: 3 }).await?;
    println!("2 + 3 = {sum}");
    match client.call::<i64>(&calculator, "divide", &Pair { a: 1, b: 0 }).await {
        Err(CallError::Remote(error)) if error.is("ZeroDivisionError") => println!("1 / 0: {}", error.message),
        other => println!("1 / 0 = {}", other?),
    }
    Ok(())
}
