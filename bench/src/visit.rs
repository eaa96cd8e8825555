//! One-message connections from bare sockets: what it costs a library's PULL to have visitors.
//!
//! A visitor connects, shakes hands, sends one message and hangs up at once; so many threads of this program do that one
//! visit after the other. The clock starts with the first visit and stops with the last message that comes out of the
//! library, on the same clock in both processes. CPU time and memory are the PULL's alone.
//!
//! Always true: a turn in which a message was lost or changed yields no figures.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use peer::messages::Outgoing;
use peer::report;

use crate::contestants::Contestant;
use crate::cpus::Cpus;
use crate::figures::Figures;
use crate::player::{self, DONE_WITHIN, Fault, PlayError, Player, READY_WITHIN};
use crate::wire::{self, SocketType, WireError};
use crate::works::{Transport, Work};

/// Has a process of `contestant`, started with these `words`, receive one of `work`'s messages from each of `count`
/// visitors, so many of which come at a time.
pub(crate) fn take(
    contestant: &Contestant,
    work: &Work,
    words: &[String],
    count: u64,
    at_a_time: u16,
    cpus: Cpus,
) -> Result<Result<Figures, Fault>, PlayError> {
    let _confined = cpus.confine()?;
    let directory = tempfile::tempdir()?;
    let [addr, _] = player::addresses(Transport::Tcp, directory.path())?;
    let place = addr.trim_start_matches("tcp://").parse().map_err(io::Error::other)?;
    let mut command = contestant.command();
    command.args(words).args(["--addr", &addr]);
    let mut puller = Player::start("binds", &mut command, directory.path())?;
    if !puller.says("listening", READY_WITHIN) {
        return Ok(Err(puller.not_ready("listened")));
    }
    puller.tell("go");
    let began = report::now();
    if let Err((nth, error)) = visit_all(work.parts, place, count, at_a_time) {
        return Ok(Err(puller.refused(nth, error)));
    }
    puller.says("done", DONE_WITHIN);
    let ended = puller.end();
    puller.tell("end");
    let report = match puller.report() {
        Ok(report) => report,
        Err(fault) => return Ok(Err(fault)),
    };
    Ok(player::verify(&report, count, ended).map(|()| Figures {
        rate: Some(count as f64 / Duration::from_nanos(report.ended.saturating_sub(began)).as_secs_f64()),
        cpu: Some(report.cpu as f64 / 1e3 / count as f64),
        memory: Some(report.peak_rss as f64 / 1024.0),
        ..Figures::default()
    }))
}

/// All visits, or the first that failed: how many there had been in its thread, and why.
fn visit_all(parts: &[u64], place: SocketAddr, count: u64, at_a_time: u16) -> Result<(), (usize, WireError)> {
    let visitors = |first: u16| {
        let mut outgoing = Outgoing::new(parts, first);
        let mut wire = Vec::new();
        let senders = first..u16::try_from(count).unwrap_or(u16::MAX);
        for (nth, sender) in senders.step_by(at_a_time.into()).enumerate() {
            outgoing.become_sender(sender);
            let parts = outgoing.message(0);
            wire.clear();
            for (left, part) in (0..parts.len()).rev().zip(parts) {
                wire::put_frame(&mut wire, part, left > 0);
            }
            visit(place, &wire).map_err(|error| (nth, error))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..at_a_time).map(|first| scope.spawn(move || visitors(first))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn visit(place: SocketAddr, wire: &[u8]) -> Result<(), WireError> {
    let mut stream = TcpStream::connect_timeout(&place, READY_WITHIN)?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    stream.set_nodelay(true)?;
    wire::handshake(&mut stream, SocketType::Push)?;
    Ok(stream.write_all(wire)?)
}
