//! This workspace's library as a target of zmq-arena, a public harness that runs ZeroMQ implementations side by side.
//!
//! Written from the wrapper contract in that repository, `targets/README.md`. `describe` prints what is measured as one
//! line of JSON; otherwise the program is one end of a cell, and the end that receives prints what it counted.
//!
//! Everything is on default settings: a plain `send` and `recv` in a loop, nothing flushed, nothing tuned. Knobs that a
//! matrix sets (`sndhwm`, `rcvhwm`, `io_threads`) are obeyed.

mod cli;

mod kinds;

use std::process::ExitCode;
use std::{env, io};

use clap::Parser;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cell, Variant};

/// What the harness asks of a target before it runs it.
#[derive(Debug, Parser)]
#[command(name = "zmtp-arena-target describe")]
struct Describe {
    /// Of which runtime.
    #[arg(long, value_enum, default_value = "default")]
    variant: Variant,
}

fn main() -> ExitCode {
    let mut words = env::args();
    if words.nth(1).as_deref() == Some("describe") {
        let describe = Describe::parse_from([String::new()].into_iter().chain(words));
        println!("{}", description(describe.variant));
        return ExitCode::SUCCESS;
    }
    match run(Cell::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zmtp-arena-target: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cell: Cell) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = runtime(&cell)?;
    // A task, not the runtime's main future, so that the library wakes it as it wakes its own.
    Ok(runtime.block_on(runtime.spawn(kinds::play(cell)))??)
}

fn runtime(cell: &Cell) -> io::Result<Runtime> {
    match cell.variant {
        Variant::Default => Builder::new_current_thread().enable_all().build(),
        Variant::MultiThread => {
            let mut builder = Builder::new_multi_thread();
            if let Some(threads) = cell.knob("io_threads") {
                builder.worker_threads(threads.max(1));
            }
            builder.enable_all().build()
        }
    }
}

/// The classification of the contract's table.
fn description(variant: Variant) -> serde_json::Value {
    json!({
        "engine": "zmtp",
        "lib_version": env!("ZMTP_VERSION"),
        "binding_version": null,
        "lib_language": "Rust",
        "impl": "native",
        "ffi_to": null,
        "language": "Rust",
        "concurrency": "async",
        "threading": match variant {
            Variant::Default => "single",
            Variant::MultiThread => "multi",
        },
        "io": "epoll",
    })
}
