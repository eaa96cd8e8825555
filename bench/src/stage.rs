//! What stands ready before a turn of the receiver benchmark: a fresh daemon, one feeder on TCP, one sink per topic.
//!
//! A first message per topic has gone through, so that every socket exists and every consumer is connected.
//!
//! Always true: whatever a turn started or wrote is gone when its stage is dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::feeder::{FeedError, Feeder};
use crate::peers::{Peer, PeerError};
use crate::proc::{ProcError, Process};
use crate::sink::{Sink, SinkError, Tally};
use crate::traffic::Template;

/// A daemon with its connections.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// Under measurement.
    pub(crate) daemon: Process,
    /// Connected to it.
    pub(crate) feeder: Feeder,
    /// One for each topic, in the order of the templates.
    pub(crate) sinks: Vec<Sink<'a>>,
    /// With all that the daemon wrote.
    pub(crate) directory: tempfile::TempDir,
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

/// A daemon that did not deliver.
#[derive(Debug)]
pub(crate) struct Failed {
    /// In what way.
    pub(crate) fault: Fault,
    /// Whether it still ran, and what it said last.
    pub(crate) daemon: String,
}

impl<'a> Stage<'a> {
    /// Starts the daemon, connects, and sends the first message of each topic; they have the numbers from 0.
    pub(crate) fn set(peer: &Peer, templates: &'a [Template]) -> Result<Result<Self, Failed>, TurnError> {
        let directory = tempfile::tempdir().map_err(TurnError::Prepare)?;
        let address = free_address().map_err(TurnError::Prepare)?;
        let mut daemon = peer.start(address.port(), directory.path())?;
        let mut feeder = connect(peer, &mut daemon, address)?;
        Ok(match warm_up(&mut feeder, templates, directory.path()) {
            Ok(sinks) => Ok(Self { daemon, feeder, sinks, directory }),
            Err(fault) => Err(Failed { fault, daemon: daemon.state() }),
        })
    }
}

/// When the last message came, if all of them came as they should.
pub(crate) fn last_arrival(
    arrivals: impl Iterator<Item = Result<(Tally, Instant), SinkError>>,
) -> Result<Instant, Fault> {
    let mut sum = Tally::default();
    let mut last = None;
    for arrival in arrivals {
        let (tally, at) = arrival?;
        sum += tally;
        last = last.max(Some(at));
    }
    last.filter(|_| sum.is_perfect()).ok_or(Fault::Delivery(sum))
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
