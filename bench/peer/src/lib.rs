//! What all peers of the socket benchmark have in common, so that they differ in the library they use and in nothing
//! else: one command line, the same messages, the same checks, the same loops around a plain `send` and `recv`.
//!
//! A peer is a small program that implements [`Library`] for one messaging library and hands it to [`main`]. The
//! driver starts two of them for each turn, one to send and one to receive, and talks to them as [`control`] tells.
//!
//! The modules are listed in layers: each uses only modules of a layer above its own.

pub mod report;
pub mod work;

pub mod control;

pub mod messages;

pub mod library;

pub mod executor;

mod roles;

use std::process::ExitCode;

use clap::Parser;

pub use executor::Executor;
pub use library::{Failure, Library, Listening, Receiver, Sender};
pub use messages::Incoming;
pub use work::{Sizes, Work};

/// One way of using a library: most have one, some have several that are measured apart.
#[derive(Debug, Clone, Copy)]
pub struct Face {
    /// As the report calls it.
    pub name: &'static str,
    /// Plays a role to the end of the process, as [`play`] does, or tells why it can't.
    pub play: fn(Work) -> Failure,
}

#[derive(Debug, Parser)]
#[command(about = "One end of a turn of the socket benchmark; the driver starts it")]
struct Cli {
    /// The way of using the library, if there are several; the first unless told
    #[arg(long = "as", value_name = "FACE")]
    face: Option<String>,
    #[command(flatten)]
    work: Work,
}

/// The whole of a peer's `main`: reads the command line, plays the role as the face asked for.
pub fn main(faces: &[Face]) -> ExitCode {
    let cli = Cli::parse();
    let face = match &cli.face {
        None => faces.first(),
        Some(name) => faces.iter().find(|face| face.name == name),
    };
    let Some(face) = face else {
        let names: Vec<_> = faces.iter().map(|face| face.name).collect();
        eprintln!("no such face; this peer has {}", names.join(", "));
        return ExitCode::from(2);
    };
    eprintln!("{}", (face.play)(cli.work));
    ExitCode::FAILURE
}

/// Plays the role that `work` names with the sockets of `library`, until the driver ends the process.
pub fn play<L: Library>(library: L, executor: Executor, work: Work) -> ! {
    roles::play(library, executor, work)
}
