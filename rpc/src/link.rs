//! One connection to one receiver: a PUSH that everybody in the process shares.
//!
//! ```text
//! send ──connected, nobody waits──> PUSH queue ──> wire
//!   └───────otherwise──> waiting, each with its own end ──task──> PUSH queue
//!                          └── too late: dropped and counted
//! ```
//!
//! A PUSH alone would queue for a host that is away and deliver hours later (oslo-bugs B9). So messages
//! go into it only while it is connected; until then they wait here, bounded in number and octets, and
//! each no longer than it is worth. Order is kept.
//!
//! What always holds: sending to a host that is away holds up nobody; [`Link::send`] waits only where
//! the waiting room is full.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, warn};
use zmtp::{ConnectError, Message, Monitor, Options, Push, SendError, SocketEvent};

use crate::counters::Counters;
use crate::deadline;

/// The way to one host. Dropping it drops what waits.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    address: Box<str>,
    push: Push,
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
    /// Told when there is something to wait for.
    begun: Notify,
    /// Told when nothing waits any more.
    done: Notify,
    /// Messages handed to the PUSH.
    handed: AtomicU64,
    /// The last failure to connect, while it lasts.
    failure: Mutex<Option<Box<str>>>,
    drops: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(Instant, Message, OwnedSemaphorePermit)>,
    /// Whether the task holds one: then nobody may overtake it.
    under_way: bool,
    /// No more are taken.
    closed: bool,
}

/// Where a message is that was sent.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    /// Its place among those handed to the PUSH; `None` if it had to wait.
    place: Option<u64>,
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached {
    /// There is no connection, for this reason if one is known.
    NotConnected(Option<Box<str>>),
    /// It waits for the peer to read.
    Connected,
    /// It was given to the system.
    Written,
}

/// Why a link does not take a message.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// The waiting room was full until the message was too old.
    #[error("too much waits already")]
    Full,
    /// The transport is closed.
    #[error("closed")]
    Closed,
}

impl Link {
    /// Connects to `address`, `host:port`, now and for ever.
    pub(crate) fn open(address: &str, options: Options, drops: Arc<Counters>) -> Result<Self, ConnectError> {
        let push = Push::new(options.immediate(true).reconnect(RECONNECT.0, RECONNECT.1));
        let monitor = push.monitor();
        push.connect(&format!("tcp://{address}"))?;
        let shared = Arc::new(Shared {
            address: address.into(),
            push,
            waiting: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM)),
            begun: Notify::new(),
            done: Notify::new(),
            handed: AtomicU64::new(0),
            failure: Mutex::default(),
            drops,
        });
        let tasks = [tokio::spawn(hand_on(shared.clone())), tokio::spawn(watch(shared.clone(), monitor))];
        Ok(Self { shared, tasks })
    }

    /// Takes a message, to be sent before `end` or not at all.
    ///
    /// Cancel-safe: the message is taken or dropped with the future.
    pub(crate) async fn send(&self, message: Message, end: Instant) -> Result<Ticket, LinkError> {
        let message = match self.try_send(message, end)? {
            Ok(ticket) => return Ok(ticket),
            Err(message) => message,
        };
        let permit = self.shared.room.clone().acquire_many_owned(permits(&message));
        let Ok(permit) = timeout_at(end, permit).await else {
            self.shared.drop_one("link-full");
            return Err(LinkError::Full);
        };
        self.shared.wait(message, end, permit.map_err(|_| LinkError::Closed)?)?;
        Ok(self.ticket(None))
    }

    /// Takes a message without waiting; gives it back if the waiting room is full.
    pub(crate) fn try_send(&self, message: Message, end: Instant) -> Result<Result<Ticket, Message>, LinkError> {
        let shared = &self.shared;
        let message = {
            let waiting = shared.waiting();
            if waiting.closed {
                return Err(LinkError::Closed);
            }
            if waiting.under_way || !waiting.queue.is_empty() {
                message
            } else {
                match shared.push.try_send(message) {
                    Ok(()) => {
                        let place = shared.handed.fetch_add(1, Ordering::Relaxed) + 1;
                        drop(waiting);
                        return Ok(Ok(self.ticket(Some(place))));
                    }
                    Err(SendError::Full(message)) => message,
                    Err(SendError::Closed(_)) => return Err(LinkError::Closed),
                }
            }
        };
        match shared.room.clone().try_acquire_many_owned(permits(&message)) {
            Ok(permit) => shared.wait(message, end, permit).map(|()| Ok(self.ticket(None))),
            Err(_) => Ok(Err(message)),
        }
    }

    /// Sends what waits and what is queued, for at most `linger`. Returns how many messages were sent, and how many
    /// were dropped.
    pub(crate) async fn close(&self, linger: Duration) -> (u64, u64) {
        let end = deadline::after(linger);
        let before = self.shared.push.stats().written;
        self.shared.waiting().closed = true;
        let none_waits = async {
            loop {
                let mut done = std::pin::pin!(self.shared.done.notified());
                done.as_mut().enable();
                if self.shared.waiting().is_empty() {
                    return;
                }
                done.await;
            }
        };
        // Either way the PUSH is next: what waits still is left behind.
        let _ = timeout_at(end, none_waits).await;
        let left = self.shared.waiting().clear();
        let report = self.shared.push.close(end.saturating_duration_since(Instant::now())).await;
        let dropped = left + report.discarded;
        if dropped > 0 {
            self.shared.drops.add("closed", dropped);
        }
        (self.shared.push.stats().written - before, dropped)
    }

    /// Messages that wait or are queued.
    pub(crate) fn pending(&self) -> usize {
        let waiting = self.shared.waiting();
        waiting.queue.len() + usize::from(waiting.under_way) + self.shared.push.stats().queued
    }

    fn ticket(&self, place: Option<u64>) -> Ticket {
        Ticket { shared: self.shared.clone(), place }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Ticket {
    /// Where the message is now.
    pub(crate) fn reached(&self) -> Reached {
        let stats = self.shared.push.stats();
        let over = stats.written + stats.tally.discarded;
        match self.place {
            Some(place) if over >= place => Reached::Written,
            _ if stats.peers == 0 => Reached::NotConnected(self.shared.failure().clone()),
            // It had to wait, and nothing does any more.
            None if self.shared.waiting().is_empty() && stats.queued == 0 => Reached::Written,
            _ => Reached::Connected,
        }
    }

    /// The address it was sent to.
    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<Box<str>>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, message: Message, end: Instant, permit: OwnedSemaphorePermit) -> Result<(), LinkError> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(LinkError::Closed);
        }
        waiting.queue.push_back((end, message, permit));
        drop(waiting);
        self.begun.notify_one();
        Ok(())
    }

    /// One that was not sent in time; the first of a row is logged.
    fn drop_one(&self, reason: &'static str) {
        if self.drops.add(reason, 1).is_multiple_of(LOGGED_EVERY) {
            let cause = self.failure().clone();
            let cause = cause.as_deref().unwrap_or("the peer does not read");
            warn!(address = %self.address, reason, "a message was not sent in time and is dropped: {cause}");
        }
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.under_way
    }

    /// Drops all; returns how many there were.
    fn clear(&mut self) -> u64 {
        let left = self.queue.len() + usize::from(self.under_way);
        self.queue.clear();
        left as u64
    }

    fn next(&mut self) -> Option<(Instant, Message, OwnedSemaphorePermit)> {
        let next = self.queue.pop_front();
        self.under_way = next.is_some();
        next
    }
}

/// Hands those that wait to the PUSH, in order, while they are worth it.
async fn hand_on(shared: Arc<Shared>) {
    loop {
        shared.begun.notified().await;
        loop {
            let next = shared.waiting().next();
            let Some((end, message, permit)) = next else { break };
            if end <= Instant::now() {
                shared.drop_one("expired");
                continue;
            }
            let sent = tokio::select! {
                biased;
                sent = shared.push.send(message) => sent,
                () = sleep_until(end) => {
                    shared.drop_one("expired");
                    continue;
                }
            };
            if sent.is_ok() {
                shared.handed.fetch_add(1, Ordering::Relaxed);
            }
            drop(permit);
        }
        shared.done.notify_waiters();
    }
}

/// Remembers why there is no connection.
async fn watch(shared: Arc<Shared>, mut monitor: Monitor) {
    while let Some(event) = monitor.recv().await {
        let failure = match event {
            SocketEvent::Ready { .. } => None,
            SocketEvent::ConnectFailed { error, .. } => Some(error.to_string()),
            SocketEvent::HandshakeFailed { cause, .. } | SocketEvent::Disconnected { cause, .. } => {
                Some(cause.to_string())
            }
            _ => continue,
        };
        if let Some(failure) = &failure {
            debug!(address = %shared.address, "no connection: {failure}");
        }
        *shared.failure() = failure.map(Into::into);
    }
}

/// What a message takes of the waiting room: its size in KiB, begun ones counted.
fn permits(message: &Message) -> u32 {
    let kib = message.octets().div_ceil(1024).clamp(1, ROOM);
    u32::try_from(kib).unwrap_or(u32::MAX)
}

/// The waiting room of a link: 64 MiB, as the mark of a socket has it, in at most as many messages as KiB.
const ROOM: usize = 64 << 10;

/// From the first attempt to reconnect on. A restarted receiver is to be found again within a second,
/// and a dead host costs one refused connection in that time.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Of messages dropped for the same reason, one in so many is logged.
const LOGGED_EVERY: u64 = 1000;
