//! What a connection costs on which nothing happens: the memory of a process whose PULL has many of them.
//!
//! The connections are bare sockets of this program, which have shaken hands and then are silent. Memory is read twice,
//! when a few connections are there and when all are, so that what a process needs anyhow does not count.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::contestants::Contestant;
use crate::figures::Figures;
use crate::player::{self, Fault, PlayError, Player, READY_WITHIN};
use crate::wire::{self, SocketType, WireError};
use crate::works::Transport;

/// Has a process of `contestant` keep so many connections.
pub(crate) fn take(contestant: &Contestant, connections: u16) -> Result<Result<Figures, Fault>, PlayError> {
    let directory = tempfile::tempdir()?;
    let [addr, _] = player::addresses(Transport::Tcp, directory.path())?;
    let mut command = contestant.command();
    command.args(["pull", "--addr", &addr, "--peers", &connections.to_string()]);
    let mut puller = Player::start("binds", &mut command, directory.path())?;
    if !puller.says("listening", READY_WITHIN) {
        return Ok(Err(puller.not_ready("listened")));
    }
    let mut open = Vec::new();
    let mut memory_with = |connections: usize| {
        Ok::<_, PlayError>(match grow(&mut open, connections, &addr) {
            Ok(()) => Ok(puller.peak_memory()?),
            Err(error) => Err(puller.refused(open.len(), error)),
        })
    };
    let (few, many) = (FIRST, usize::from(connections));
    let (before, after) = match (memory_with(few)?, memory_with(many)?) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(fault), _) | (_, Err(fault)) => return Ok(Err(fault)),
    };
    let each = after.saturating_sub(before) as f64 / 1024.0 / (many - few) as f64;
    Ok(Ok(Figures { connection: Some(each), ..Figures::default() }))
}

/// Opens connections until there are so many, and gives the other side a moment to settle.
fn grow(open: &mut Vec<TcpStream>, connections: usize, addr: &str) -> Result<(), WireError> {
    while open.len() < connections {
        let mut stream = TcpStream::connect(addr.trim_start_matches("tcp://"))?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        wire::handshake(&mut stream, SocketType::Push)?;
        open.push(stream);
    }
    thread::sleep(SETTLE);
    Ok(())
}

/// Connections that are there when memory is read first: allocators have grown, tables have been made.
const FIRST: usize = 20;

/// From the end of a handshake on one side to the end of what the other one does about it.
const SETTLE: Duration = Duration::from_millis(100);
