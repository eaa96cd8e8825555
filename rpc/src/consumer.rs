//! What a server and a listener have in common: sources of messages, a bounded number of tasks, an end in order.
//!
//! The sources are not part of the pool: a pool of one serves any number of topics (oslo-bugs B40). While
//! the pool is full nothing is read, so that a receiver gives the messages to others.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use matchmaker::{Host, NameError};
use thiserror::Error;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};
use zmtp::{ConnectError, Endpoint, Mark, Message, Pull, Sub};

use crate::deadline;
use crate::socket::SocketDirError;
use crate::topic::{Kind, Topic, TopicError};
use crate::transport::Shared;

/// Consumes the messages of some topics until it is stopped. Dropping it stops it at once.
#[derive(Debug)]
pub(crate) struct Consumer {
    shared: Arc<Shared>,
    registered: Vec<matchmaker::Topic>,
    stop: Option<oneshot::Sender<Instant>>,
    task: JoinHandle<Stopped>,
}

/// Why nothing can be consumed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A topic cannot be on the wire.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A topic or a server is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The topic has a dot, and what follows it would be taken for a host.
    #[error("topic {topic:?} has a dot, and peers take what follows for a host: name it without one")]
    Dotted {
        /// The topic.
        topic: String,
    },
    /// The directory of sockets has too long a path.
    #[error(transparent)]
    SocketDir(#[from] SocketDirError),
    /// A socket can never be connected to.
    #[error("cannot connect to the receiver's socket: set rpc_zmq_ipc_dir to the directory of this machine's receiver")]
    Connect(#[from] ConnectError),
}

/// How a server or a listener ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Messages whose handling ended in order after the stop began.
    pub finished: u64,
    /// Messages whose handling was cut short.
    pub aborted: u64,
}

impl Consumer {
    /// Consumes the topics of `keys`, as on the wire, and announces those of `registered` to the matchmaker.
    ///
    /// Every message gets a task of its own, at most `concurrency` at a time.
    pub(crate) async fn start<F, Fut>(
        shared: &Arc<Shared>,
        keys: &[String],
        registered: Vec<matchmaker::Topic>,
        concurrency: usize,
        handle: F,
    ) -> Result<Self, StartError>
    where
        F: Fn(Message) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let sources = Sources::open(shared, keys, concurrency)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(consume(sources, Arc::new(Semaphore::new(concurrency)), handle, stopped));
        let consumer = Self { shared: shared.clone(), registered, stop: Some(stop), task };
        for topic in &consumer.registered {
            if let Err(error) = shared.matchmaker.register(topic, consumer.host()).await {
                warn!(%topic, "not announced yet: {error}");
            }
        }
        Ok(consumer)
    }

    /// Takes back what was announced, handles what has arrived, and lets handlers finish, for at most `limit`.
    pub(crate) async fn stop(mut self, limit: Duration) -> Stopped {
        let end = deadline::after(limit);
        for topic in &self.registered {
            let taken_back = timeout_at(end, self.shared.matchmaker.unregister(topic, self.host())).await;
            if let Ok(Err(error)) = taken_back {
                warn!(%topic, "the announcement could not be taken back: {error}");
            }
        }
        if let Some(stop) = self.stop.take() {
            // It has ended already if the receiver is gone; the task says so below.
            let _ = stop.send(end);
        }
        let stopped = (&mut self.task).await.unwrap_or_default();
        info!(finished = stopped.finished, aborted = stopped.aborted, "stopped consuming");
        stopped
    }

    fn host(&self) -> &Host {
        &self.shared.settings.host
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn consume<F, Fut>(
    mut sources: Sources,
    pool: Arc<Semaphore>,
    handle: F,
    mut stopped: oneshot::Receiver<Instant>,
) -> Stopped
where
    F: Fn(Message) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let begin = move |tasks: &mut JoinSet<()>, message, permit: Result<OwnedSemaphorePermit, AcquireError>| {
        let handling = handle(message);
        tasks.spawn(async move {
            handling.await;
            drop(permit);
        });
    };
    let end = loop {
        let next = async {
            let permit = pool.clone().acquire_owned().await;
            (sources.recv().await, permit)
        };
        let (message, permit) = tokio::select! {
            next = next => next,
            end = &mut stopped => break end.unwrap_or_else(|_| Instant::now()),
        };
        begin(&mut tasks, message, permit);
        while tasks.try_join_next().is_some() {}
    };

    let mut stopped = Stopped::default();
    while tasks.try_join_next().is_some() {}
    sources.forget();
    let last_read = (Instant::now() + LAST_READS).min(end);
    loop {
        tokio::select! {
            biased;
            message = sources.recv() => {
                let Ok(permit) = timeout_at(end, pool.clone().acquire_owned()).await else {
                    stopped.aborted += 1;
                    break;
                };
                begin(&mut tasks, message, permit);
            }
            () = sleep_until(last_read) => break,
        }
    }
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                Some(Ok(())) => stopped.finished += 1,
                Some(Err(_)) => stopped.aborted += 1,
                None => return stopped,
            },
            () = sleep_until(end) => {
                stopped.aborted += tasks.len() as u64;
                return stopped;
            }
        }
    }
}

/// Where messages come from: the receiver's sockets, or in the direct mode queues.
#[derive(Debug)]
struct Sources {
    pull: Pull,
    sub: Sub,
    direct: Vec<mpsc::Receiver<Message>>,
    connected: Vec<Endpoint>,
    /// Which source is asked first: each in turn.
    turn: usize,
}

impl Sources {
    fn open(shared: &Shared, keys: &[String], concurrency: usize) -> Result<Self, StartError> {
        // What waits here can be had by no other server of the topic.
        let options = shared.options().recv_mark(Mark::messages(concurrency.saturating_mul(2)));
        let (pull, sub) = (Pull::new(options), Sub::new(shared.options()));
        sub.subscribe("");
        let (mut direct, mut connected) = (Vec::new(), Vec::new());
        for key in keys {
            let topic = Topic::parse(key.as_bytes())?;
            if let Some(socket) = &shared.direct {
                direct.push(socket.listen(topic.key(), DIRECT_MARK));
                continue;
            }
            let path = topic.socket_path(&shared.settings.ipc_dir)?;
            let endpoint = format!("ipc://{}", path.display());
            connected.push(match topic.kind() {
                Kind::Queue => pull.connect(&endpoint)?,
                Kind::Fanout | Kind::Reply => sub.connect(&endpoint)?,
            });
        }
        Ok(Self { pull, sub, direct, connected, turn: 0 })
    }

    /// The next message. Cancel-safe.
    async fn recv(&mut self) -> Message {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        let count = 2 + self.direct.len();
        for step in 0..count {
            let source = (self.turn + step) % count;
            let polled = match source {
                0 => self.pull.poll_recv(cx),
                1 => self.sub.poll_recv(cx),
                n => match self.direct[n - 2].poll_recv(cx) {
                    Poll::Ready(Some(message)) => Poll::Ready(message),
                    Poll::Ready(None) | Poll::Pending => Poll::Pending,
                },
            };
            if let Poll::Ready(message) = polled {
                self.turn = source + 1;
                return Poll::Ready(message);
            }
        }
        Poll::Pending
    }

    /// Takes no more from peers. What has arrived can still be received.
    fn forget(&mut self) {
        for endpoint in self.connected.drain(..) {
            let _ = self.pull.forget(&endpoint) || self.sub.forget(&endpoint);
        }
        self.direct.iter_mut().for_each(mpsc::Receiver::close);
    }
}

/// Ample for what connections have read when they are told to end.
const LAST_READS: Duration = Duration::from_millis(50);

/// Messages that may wait for a server in the direct mode; as many as for a peer of a socket.
const DIRECT_MARK: usize = 1000;
