//! One turn of the receiver benchmark: as many messages as the daemon takes.
//!
//! The clock starts with the first write and stops when the last message of the run has reached its sink. The daemon's CPU
//! time over the same span is the steadier figure: the rate also depends on who else wants the CPUs, the feeder and the
//! sinks among them.
//!
//! Always true: a turn in which a message was lost, moved or changed yields no figures.

use std::panic;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use crate::cpus::Cpus;
use crate::peers::Peer;
use crate::proc;
use crate::stage::{self, Failed, Stage, TurnError};
use crate::traffic::Shape;

/// What a turn measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Messages per second, from the first write to the last message read.
    pub(crate) rate: f64,
    /// CPU seconds of the daemon per million messages.
    pub(crate) cpu: f64,
    /// The daemon's largest resident set since its start, in MiB.
    pub(crate) peak_rss: f64,
    /// CPU seconds of feeder and sinks together per million messages.
    pub(crate) harness_cpu: f64,
}

/// Has `peer` forward `messages` messages. Everything that takes part runs on `cpus`.
pub(crate) fn take(
    peer: &Peer,
    shape: &Shape,
    messages: u64,
    cpus: Cpus,
) -> Result<Result<Figures, Failed>, TurnError> {
    let _confined = cpus.confine().map_err(TurnError::Prepare)?;
    let templates = shape.templates();
    let Stage { mut daemon, mut feeder, mut sinks, directory: _directory } = match Stage::set(peer, &templates)? {
        Ok(stage) => stage,
        Err(failed) => return Ok(Err(failed)),
    };

    let topics = templates.len() as u64;
    let own_before = proc::own_usage()?;
    let before = daemon.usage()?;
    let start = Instant::now();
    let (end, after) = thread::scope(|scope| {
        let mut readers = Vec::new();
        for (topic, sink) in (0..).zip(&mut sinks) {
            let share = messages.saturating_sub(topic).div_ceil(topics);
            readers.push(scope.spawn(move || sink.receive(share)));
        }
        // Its failure shows where it matters: the messages it did not send do not arrive.
        scope.spawn(|| feeder.send(&templates, topics..topics + messages));
        let end = stage::last_arrival(readers.into_iter().map(joined));
        let after = daemon.usage();
        let end = end.map_err(|fault| Failed { fault, daemon: daemon.state() });
        // A feeder blocked on a daemon that has stopped reading ends with that daemon.
        drop(daemon);
        (end, after)
    });
    let end = match end {
        Ok(end) => end,
        Err(failed) => return Ok(Err(failed)),
    };

    let (after, own_after) = (after?, proc::own_usage()?);
    let million = messages as f64 / 1e6;
    Ok(Ok(Figures {
        rate: messages as f64 / end.duration_since(start).as_secs_f64(),
        cpu: after.cpu_since(&before).as_secs_f64() / million,
        peak_rss: after.peak_rss as f64 / f64::from(1 << 20),
        harness_cpu: own_after.cpu_since(&own_before).as_secs_f64() / million,
    }))
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}
