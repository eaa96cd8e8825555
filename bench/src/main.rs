//! Side by side with every peer: what a message costs here and there.
//!
//! The modules are listed in layers: each uses only modules of a layer above its own.

// What any benchmark needs: turns and medians, tables, CPUs, programs built, processes measured, bare ZMTP.
mod rounds;

mod cargo;
mod cpus;
mod proc;
mod progress;
mod report;
mod wire;

mod delivery;
mod matrix;
mod plot;

// The libraries, what they are compared at, one turn of one of them, and the benchmark.
mod contestants;
mod works;

mod figures;
mod player;

mod idle;
mod pair;
mod visit;

mod sockets;

// The table of a run of zmq-arena.
mod arena;

// The receiver's load, and the yardstick it is put on.
mod traffic;

mod direct;
mod feeder;
mod raw_std;
mod sink;

// The daemons, one turn of one of them, and the benchmark.
mod peers;

mod stage;

mod single;
mod turn;

mod receiver;

// Calls over the driver, through the daemon.
mod rpc;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Compares this workspace with libzmq and others on this machine: the sockets, unless another benchmark is named
///
/// Exit code 0: measured; 1: a message was lost, moved or changed by this workspace or by what it is measured with, or that
/// could not be had; 2: wrong usage.
#[derive(Debug, Parser)]
#[command(name = "bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    benchmark: Option<Benchmark>,
    #[command(flatten)]
    sockets: sockets::Options,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// The daemon: messages in by TCP, out by the local socket of their topic
    Receiver(receiver::Options),
    /// Calls: this workspace's driver, the original one, and a bare message there and back
    Rpc(rpc::Options),
    /// The table of a run of zmq-arena, a public harness; arena/README.md tells how to make one
    Arena(arena::Options),
    /// Be the daemon on plain sockets (the `receiver` benchmark starts this)
    #[command(hide = true)]
    RawStd {
        /// On 127.0.0.1.
        port: u16,
        /// For the sockets of topics.
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `true` if there is nothing to complain of.
fn run(cli: &Cli) -> Result<bool, Box<dyn std::error::Error>> {
    if let Some(Benchmark::RawStd { port, directory }) = &cli.benchmark {
        match raw_std::run(*port, directory)? {}
    }
    // A signal ends the run between two turns, so that processes and directories are cleaned up as ever.
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    match &cli.benchmark {
        Some(Benchmark::Receiver(options)) => Ok(receiver::run(options, &interrupted)?),
        Some(Benchmark::Rpc(options)) => Ok(rpc::run(options, &interrupted)?),
        Some(Benchmark::Arena(options)) => arena::run(options).map(|()| true).map_err(Into::into),
        _ => Ok(sockets::run(&cli.sockets, &interrupted)?),
    }
}
