//! One topic's local socket.
//!
//! A queue is a PUSH with a backlog: messages wait for a consumer, each goes to one, and what a vanished consumer left
//! unwritten goes to the next. Fanouts and replies are a PUB that holds messages a moment for subscribers which are
//! still connecting, since the socket is made by its first message.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oslo_rpc::socket::SocketDirError;
use oslo_rpc::topic::{Kind, Topic};
use thiserror::Error;
use zmtp::{BindError, Budget, CloseReport, LateJoiners, Mark, Options, Pub, Push, Run, SendError, Stats};

use crate::settings::Settings;

/// What all routes have in common.
#[derive(Debug)]
pub(crate) struct Rules {
    dir: PathBuf,
    options: Options,
    backlog: Mark,
    late_joiners: Option<LateJoiners>,
    pub(crate) budget: Budget,
}

impl Rules {
    pub(crate) fn new(settings: &Settings, dir: &Path) -> Self {
        let octets = settings.limits.topic_max_octets;
        let budget = Budget::new(settings.limits.memory_limit);
        let options = Options::new()
            .send_mark(Mark { octets, ..Mark::default() })
            .handshake_timeout(settings.handshake_timeout)
            .budget(budget.clone());
        let held = Mark { octets, ..Mark::default() };
        let hold = !settings.hold_time.is_zero();
        Self {
            dir: dir.to_owned(),
            options,
            backlog: Mark { messages: settings.topic_backlog.unwrap_or(usize::MAX), octets },
            late_joiners: hold.then_some(LateJoiners { time: settings.hold_time, mark: held }),
            budget,
        }
    }

    /// Whether a topic's queue is at its mark in octets, or as near as the next message makes no difference.
    pub(crate) fn is_over_octets(&self, stats: &Stats) -> bool {
        stats.queued < self.backlog.messages
    }
}

/// A bound socket and what goes out of it.
#[derive(Debug)]
pub(crate) struct Route {
    key: String,
    outlet: Outlet,
}

#[derive(Debug)]
enum Outlet {
    Queue(Push),
    Broadcast(Pub),
}

/// A topic's socket cannot be made.
#[derive(Debug, Error)]
pub(crate) enum RouteError {
    #[error(transparent)]
    Path(#[from] SocketDirError),
    #[error("the socket path {0:?} is not UTF-8: set rpc_zmq_ipc_dir to one that is")]
    NotUtf8(PathBuf),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("binding the socket did not end at once")]
    Slow(#[source] io::Error),
}

impl Route {
    /// Binds the socket of `topic`. Needs a tokio runtime.
    pub(crate) fn open(topic: &Topic<'_>, rules: &Rules) -> Result<Self, RouteError> {
        let path = topic.socket_path(&rules.dir)?;
        let Some(path) = path.to_str() else { return Err(RouteError::NotUtf8(path)) };
        let endpoint = format!("ipc://{path}");
        let options = rules.options.clone();
        let outlet = match topic.kind() {
            Kind::Queue => {
                let push = Push::new(options.backlog(rules.backlog));
                at_once(push.bind(&endpoint))?;
                Outlet::Queue(push)
            }
            Kind::Fanout | Kind::Reply => {
                let options = match rules.late_joiners {
                    Some(late) => options.late_joiners(late),
                    None => options,
                };
                let publisher = Pub::new(options);
                at_once(publisher.bind(&endpoint))?;
                Outlet::Broadcast(publisher)
            }
        };
        Ok(Self { key: topic.key().to_owned(), outlet })
    }

    /// [`Topic::key`] of the topics that go here.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Hands messages on; returns what found no room.
    pub(crate) fn push(&self, run: Run) -> Run {
        let result = match &self.outlet {
            Outlet::Queue(push) => push.try_send_run(run),
            Outlet::Broadcast(publisher) => publisher.send_run(run),
        };
        match result {
            Ok(()) => Run::default(),
            Err(SendError::Full(rest) | SendError::Closed(rest)) => rest,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match &self.outlet {
            Outlet::Queue(push) => push.stats(),
            Outlet::Broadcast(publisher) => publisher.stats(),
        }
    }

    /// Stops listening, hands on what is queued for at most `linger`, and removes the socket.
    pub(crate) async fn close(self, linger: Duration) -> CloseReport {
        match self.outlet {
            Outlet::Queue(push) => push.close(linger).await,
            Outlet::Broadcast(publisher) => publisher.close(linger).await,
        }
    }
}

/// Polls a future once. Binding a Unix socket waits for nothing, and the first message of a topic is to find it bound.
fn at_once<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T, RouteError>
where
    RouteError: From<E>,
{
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result?),
        Poll::Pending => Err(RouteError::Slow(io::ErrorKind::WouldBlock.into())),
    }
}
