//! Plain sockets: what the kernel and one copy of each message cost, and so the limit for any library.
//!
//! A sender gathers 64 KiB before it writes, and writes what is left when it is told that a series ends; a receiver
//! reads as much as there is. No handshake, no queue, no reconnecting, no second thread.

mod wire;

mod blocking;
mod evented;

use std::process::ExitCode;

use peer::{Executor, Face, Failure};

fn main() -> ExitCode {
    peer::main(&[
        Face { name: "raw-std", play: |work| peer::play(blocking::Std, Executor::Threads, work) },
        Face {
            name: "raw-tokio",
            play: |work| {
                let executor = Executor::current_thread();
                executor.map_or_else(Failure::from, |executor| peer::play(evented::Tokio, executor, work))
            },
        },
    ])
}
