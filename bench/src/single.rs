//! One turn of the receiver benchmark: one message at a time, and how long each is on its way.
//!
//! The time is from the write to the feeder's connection to the end of the read from the sink's, both by one thread, which
//! sends the next message when the last has come. The daemon has a CPU of its own: on CPUs of the system's choice the
//! result is one of two, by chance. What the daemon adds is this less what a message takes over one connection without
//! any daemon ([`direct`]), found out in the same turn.
//!
//! Always true: a turn in which a message was lost, moved or changed yields no figures.

use std::time::Instant;

use crate::cpus::Confined;
use crate::direct;
use crate::peers::Peer;
use crate::stage::{self, Failed, Fault, Stage, TurnError};
use crate::traffic::Shape;

/// What a turn measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Latency {
    /// Through the daemon.
    pub(crate) whole: Percentiles,
    /// Without it.
    pub(crate) direct: Percentiles,
}

/// Of times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    /// Half of the messages took no longer.
    pub(crate) median: f64,
    /// 99 in 100 took no longer.
    pub(crate) high: f64,
}

/// Has `peer` forward `messages` messages, one at a time.
pub(crate) fn take(peer: &Peer, shape: &Shape, messages: u64) -> Result<Result<Latency, Failed>, TurnError> {
    let templates = shape.templates();
    let theirs = Confined::to_one(DAEMONS).map_err(TurnError::Prepare)?;
    let mut stage = match Stage::set(peer, &templates)? {
        Ok(stage) => stage,
        Err(failed) => return Ok(Err(failed)),
    };
    drop(theirs);
    let _ours = Confined::to_one(OURS).map_err(TurnError::Prepare)?;
    let topics = templates.len() as u64;
    let mut wire = Vec::new();
    let mut one = |number: u64| {
        let topic = (number % topics) as usize;
        wire.clear();
        templates[topic].put(number, &mut wire);
        let start = Instant::now();
        stage.feeder.send_wire(&wire)?;
        let end = stage::last_arrival([stage.sinks[topic].receive(1)].into_iter())?;
        Ok::<_, Fault>(end.duration_since(start).as_nanos() as f64 / 1e3)
    };
    let times: Result<Vec<_>, _> = (topics..topics + messages).map(&mut one).collect();
    let whole = match times {
        Ok(times) => Percentiles::of(times),
        Err(fault) => return Ok(Err(Failed { fault, daemon: stage.daemon.state() })),
    };
    let direct = direct::times(&wire, messages, DAEMONS).map_err(TurnError::Prepare)?;
    Ok(Ok(Latency { whole, direct: Percentiles::of(direct) }))
}

impl Percentiles {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        Self { median: at(0.5), high: at(0.99) }
    }
}

// CPUs, as Confined counts them.
const DAEMONS: usize = 0;
const OURS: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_sorted_times() {
        let times = (0..200).rev().map(f64::from).collect();
        assert_eq!(Percentiles::of(times), Percentiles { median: 100.0, high: 198.0 });
        assert_eq!(Percentiles::of(vec![7.0]), Percentiles { median: 7.0, high: 7.0 });
    }
}
