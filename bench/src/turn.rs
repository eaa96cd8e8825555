//! One turn of the receiver benchmark: a fresh daemon, one feeder on TCP, one sink per topic.
//!
//! A first message per topic goes through before the clock starts, so that every socket exists and every consumer is
//! connected. The clock stops when the last message of the run has reached its sink. The daemon's CPU time over the same
//! span is the steadier figure: the rate also depends on who else wants the CPUs, the feeder and the sinks among them.
//!
//! Always true: a turn in which a message was lost, moved or changed yields no figures; and whatever a turn started or
//! wrote is gone when it ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::panic;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::cpus::Cpus;
use crate::feeder::{FeedError, Feeder};
use crate::peers::{Peer, PeerError};
use crate::proc::{self, ProcError, Process};
use crate::sink::{Sink, SinkError, Tally};
use crate::traffic::{Shape, Template};

/// How a turn went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every message arrived, once, in order, unchanged.
    Delivered(Figures),
    /// They did not.
    Failed {
        /// In what way.
        fault: Fault,
        /// Whether the daemon still ran, and what it said last.
        daemon: String,
    },
}

/// A daemon's failure to deliver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Messages did not arrive as they were sent.
    #[error("{0}")]
    Delivery(Tally),
    /// A topic's consumer could not connect or read.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The daemon hung up on its sender.
    #[error("the connection to the daemon failed: {0}")]
    Feeder(#[from] io::Error),
}

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

/// Why a turn could not be taken at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    /// No temporary directory, no free port, or no say over CPUs.
    #[error(
        "cannot prepare a turn: {0}; it needs a writable directory for temporary files, loopback, and CPU affinity"
    )]
    Prepare(io::Error),
    /// The daemon cannot be started.
    #[error(transparent)]
    Start(#[from] PeerError),
    /// The daemon started and ended, or listens nowhere.
    #[error("{peer} did not get ready: {source}; it {state}")]
    NotReady {
        /// Which daemon.
        peer: String,
        /// The last attempt's failure.
        source: FeedError,
        /// Whether it runs, and what it said.
        state: String,
    },
    /// The daemon cannot be measured.
    #[error(transparent)]
    Measure(#[from] ProcError),
}

/// Has `peer` forward `messages` messages. Everything that takes part runs on `cpus`.
pub(crate) fn take(peer: &Peer, shape: &Shape, messages: u64, cpus: Cpus) -> Result<Outcome, TurnError> {
    let _confined = cpus.confine().map_err(TurnError::Prepare)?;
    let directory = tempfile::tempdir().map_err(TurnError::Prepare)?;
    let address = free_address().map_err(TurnError::Prepare)?;
    let mut daemon = peer.start(address.port(), directory.path())?;
    let mut feeder = connect(peer, &mut daemon, address)?;
    let templates = shape.templates();
    let mut sinks = match warm_up(&mut feeder, &templates, directory.path()) {
        Ok(sinks) => sinks,
        Err(fault) => return Ok(Outcome::Failed { fault, daemon: daemon.state() }),
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
        let end = last_arrival(readers.into_iter().map(joined));
        let after = daemon.usage();
        let end = end.map_err(|fault| Outcome::Failed { fault, daemon: daemon.state() });
        // A feeder blocked on a daemon that has stopped reading ends with that daemon.
        drop(daemon);
        (end, after)
    });
    let end = match end {
        Ok(end) => end,
        Err(failed) => return Ok(failed),
    };

    let (after, own_after) = (after?, proc::own_usage()?);
    let million = messages as f64 / 1e6;
    Ok(Outcome::Delivered(Figures {
        rate: messages as f64 / end.duration_since(start).as_secs_f64(),
        cpu: after.cpu_since(&before).as_secs_f64() / million,
        peak_rss: after.peak_rss as f64 / f64::from(1 << 20),
        harness_cpu: own_after.cpu_since(&own_before).as_secs_f64() / million,
    }))
}

/// A port nobody uses now. Should somebody take it before the daemon does, the daemon says so and ends.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Connects the feeder as soon as the daemon listens.
fn connect(peer: &Peer, daemon: &mut Process, address: SocketAddr) -> Result<Feeder, TurnError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match Feeder::connect(address, READY_WITHIN) {
            Ok(feeder) => return Ok(feeder),
            Err(source) if daemon.ended().is_some() || Instant::now() >= deadline => {
                return Err(TurnError::NotReady { peer: peer.name.clone(), source, state: daemon.state() });
            }
            Err(_) => thread::sleep(RETRY),
        }
    }
}

/// Sends each topic's first message and connects each topic's sink, which must receive it. All connect before any
/// reads: a daemon may wait for one consumer before it looks at the next message.
fn warm_up<'a>(feeder: &mut Feeder, templates: &'a [Template], directory: &Path) -> Result<Vec<Sink<'a>>, Fault> {
    let topics = templates.len() as u64;
    feeder.send(templates, 0..topics)?;
    let connect = |(topic, template): (u64, &'a Template)| {
        let path = directory.join(format!("zmq_topic_{}", template.topic));
        Sink::connect(&path, template, topic, topics, SILENCE)
    };
    let mut sinks = (0..).zip(templates).map(connect).collect::<Result<Vec<_>, _>>()?;
    last_arrival(sinks.iter_mut().map(|sink| sink.receive(1)))?;
    Ok(sinks)
}

/// When the last message came, if all of them came as they should.
fn last_arrival(arrivals: impl Iterator<Item = Result<(Tally, Instant), SinkError>>) -> Result<Instant, Fault> {
    let mut sum = Tally::default();
    let mut last = None;
    for arrival in arrivals {
        let (tally, at) = arrival?;
        sum += tally;
        last = last.max(Some(at));
    }
    last.filter(|_| sum.is_perfect()).ok_or(Fault::Delivery(sum))
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// From start to listening. The Python daemon needs about a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long a daemon may deliver nothing before what is missing counts as lost. A hundred times the longest pause seen.
const SILENCE: Duration = Duration::from_secs(5);

/// Between looks at what takes a moment.
const RETRY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_imperfect_sink_spoils_the_turn() {
        let (early, late) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let perfect = Tally::default();
        assert_eq!(last_arrival([Ok((perfect, late)), Ok((perfect, early))].into_iter()).unwrap(), late);
        let lossy = Tally { missing: 2, ..perfect };
        let fault = last_arrival([Ok((perfect, late)), Ok((lossy, early))].into_iter()).unwrap_err();
        assert_eq!(fault.to_string(), "2 missing, 0 out of order or twice, 0 foreign");
    }
}
