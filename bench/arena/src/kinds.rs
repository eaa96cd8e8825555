//! The cells: who binds, what is sent, and what is counted (zmq-arena, `targets/README.md`, Benchmark kinds).
//!
//! ```text
//! throughput   PUSH connects, sends all and closes; PULL binds, counts --messages after --warmup
//! fanin        PUSH connects, sends until it is killed; PULL binds, counts for --duration-secs
//! fanout       PUSH binds, sends until it is killed; PULL connects, counts for --duration-secs
//! pubsub       PUB binds, sends until it is killed, and loses nothing; SUB connects, counts for --duration-secs
//! ```
//!
//! The result is one line, `THROUGHPUT`, messages, seconds. The clock starts when the warm-up, or the first message, has
//! come, and every message is received by a `recv` of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task;
use zmtp::{BindError, ConnectError, Mark, Message, Options, Pub, Pull, Push, SendError, Sub};

use crate::cli::{Cell, Kind, Role};

/// What ends a cell before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CellError {
    /// Not one of this library's sockets.
    #[error("zmtp has no REQ and no REP; leave `latency` out of its kinds in the matrix")]
    NoSockets,
    /// The endpoint is not to be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The endpoint is none.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A message was not taken.
    #[error("cannot send: {0}")]
    Send(#[from] SendError),
}

/// A socket that receives.
trait Inbound {
    fn recv(&mut self) -> impl Future<Output = Message> + Send;
}

impl Inbound for Pull {
    fn recv(&mut self) -> impl Future<Output = Message> + Send {
        Self::recv(self)
    }
}

impl Inbound for Sub {
    fn recv(&mut self) -> impl Future<Output = Message> + Send {
        Self::recv(self)
    }
}

/// Plays this end of the cell to its end.
pub(crate) async fn play(cell: Cell) -> Result<(), CellError> {
    let endpoint = cell.endpoint.as_str();
    let options = options(&cell);
    match (cell.kind, cell.role) {
        (Kind::Throughput, Role::Pub) => {
            let push = Push::new(options);
            push.connect(endpoint)?;
            push_all(&push, &cell, cell.warmup.saturating_add(cell.messages)).await?;
            push.close(LINGER).await;
        }
        (Kind::Throughput, Role::Sub) => {
            let mut pull = Pull::new(options);
            pull.bind(endpoint).await?;
            count_messages(&mut pull, &cell).await;
        }
        (Kind::Fanin, Role::Pub) => {
            let push = Push::new(options);
            push.connect(endpoint)?;
            push_all(&push, &cell, u64::MAX).await?;
        }
        (Kind::Fanin, Role::Sub) => {
            let pull = Pull::new(options);
            pull.bind(endpoint).await?;
            count_for(cell.duration_secs, pull).await;
        }
        (Kind::Fanout, Role::Pub) => {
            let push = Push::new(options);
            push.bind(endpoint).await?;
            push_all(&push, &cell, u64::MAX).await?;
        }
        (Kind::Fanout, Role::Sub) => {
            let pull = Pull::new(options);
            pull.connect(endpoint)?;
            count_for(cell.duration_secs, pull).await;
        }
        (Kind::Pubsub, Role::Pub) => {
            let publisher = Pub::new(options);
            publisher.bind(endpoint).await?;
            publish_all(&publisher, &cell).await?;
        }
        (Kind::Pubsub, Role::Sub) => {
            let sub = Sub::new(options);
            sub.subscribe("");
            sub.connect(endpoint)?;
            count_for(cell.duration_secs, sub).await;
        }
        (Kind::Latency, _) => return Err(CellError::NoSockets),
    }
    Ok(())
}

/// The defaults, but for the marks that the matrix gives.
fn options(cell: &Cell) -> Options {
    let mut options = Options::new();
    if let Some(messages) = cell.knob("sndhwm") {
        options = options.send_mark(Mark::messages(messages));
    }
    if let Some(messages) = cell.knob("rcvhwm") {
        options = options.recv_mark(Mark::messages(messages));
    }
    options
}

/// What is sent, again and again.
fn payload(cell: &Cell) -> Bytes {
    vec![b'x'; cell.payload_bytes as usize].into()
}

async fn push_all(push: &Push, cell: &Cell, messages: u64) -> Result<(), SendError> {
    let payload = payload(cell);
    for _ in 0..messages {
        if payload.len() < SHARED {
            push.send(&payload[..]).await?;
        } else {
            push.send(payload.clone()).await?;
        }
    }
    Ok(())
}

/// A PUB never waits, and drops beyond its mark; so its user waits now and then until it has caught up.
async fn publish_all(publisher: &Pub, cell: &Cell) -> Result<(), SendError> {
    let payload = payload(cell);
    let mark = cell.knob("sndhwm").unwrap_or(Mark::default().messages).max(4);
    let message = Message::from(payload.clone()).octets();
    loop {
        for _ in 0..mark / 4 {
            publisher.send(&payload[..])?;
        }
        publisher.drained_to(mark / 2 * message).await;
        // Without a subscriber nothing is queued, and there is nothing to wait for; but they must be let in.
        task::yield_now().await;
    }
}

/// Counts the cell's messages after those of the warm-up.
async fn count_messages(pull: &mut Pull, cell: &Cell) {
    for _ in 0..cell.warmup {
        pull.recv().await;
    }
    let start = Instant::now();
    for _ in 0..cell.messages {
        pull.recv().await;
    }
    tell(cell.messages, start.elapsed());
}

/// Counts messages for so long from the first one on.
async fn count_for(time: Duration, mut from: impl Inbound) {
    from.recv().await;
    let start = Instant::now();
    let mut messages: u64 = 1;
    while !messages.is_multiple_of(LOOK_EVERY) || start.elapsed() < time {
        from.recv().await;
        messages += 1;
    }
    tell(messages, start.elapsed());
}

fn tell(messages: u64, time: Duration) {
    println!("THROUGHPUT {messages} {:.9}", time.as_secs_f64());
}

/// Messages between looks at the clock, so that looking costs next to nothing. The time told is the time it took.
const LOOK_EVERY: u64 = 16;

/// From this size on a body is given to the library for good, by one more reference to it; a smaller one is lent, and copied.
const SHARED: usize = 16 << 10;

/// How long a closed socket may go on sending: longer than the harness waits.
const LINGER: Duration = Duration::from_secs(60);
