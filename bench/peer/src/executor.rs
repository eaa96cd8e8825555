//! What runs the loops of a process: threads for libraries that block, a tokio runtime for those that do not.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet};

use crate::library::Failure;

/// How one process runs its sockets' loops.
#[derive(Debug)]
pub enum Executor {
    /// A thread for each socket. Futures must be ready at their first poll.
    Threads,
    /// A task for each socket, all on the thread that entered this runtime; for one socket, the program's main task.
    Tokio(Runtime),
    /// As before, but in a set of local tasks in any case, for libraries that start such tasks.
    Local(Runtime),
}

/// How a loop waits a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pause {
    /// By blocking its thread.
    Blocking,
    /// By a timer of tokio's.
    Timer,
}

impl Executor {
    /// Tokio's runtime of one thread.
    pub fn current_thread() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self::Tokio)
    }

    /// Tokio's runtime of one thread, with a set of local tasks.
    pub fn local() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self::Local)
    }

    /// Tokio's runtime of as many worker threads as there are CPUs.
    pub fn multi_thread() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build().map(Self::Tokio)
    }

    /// Calls `make` where it may start tasks, if there is a runtime.
    pub fn enter<T>(&self, make: impl FnOnce() -> T) -> T {
        match self {
            Self::Threads => make(),
            Self::Tokio(runtime) | Self::Local(runtime) => {
                let _entered = runtime.enter();
                make()
            }
        }
    }

    /// How loops on this executor wait.
    pub(crate) fn pause(&self) -> Pause {
        match self {
            Self::Threads => Pause::Blocking,
            Self::Tokio(_) | Self::Local(_) => Pause::Timer,
        }
    }

    /// Runs one loop for each socket. Loops end only by failing; the first failure is returned.
    pub(crate) fn run<L>(&self, sockets: u16, looped: impl Fn(u16) -> L + Send + Sync + 'static) -> Failure
    where
        L: Future<Output = Result<Infallible, Failure>> + 'static,
    {
        match self {
            Self::Threads => {
                let (failed, failure) = mpsc::channel();
                let looped = Arc::new(looped);
                for socket in 0..sockets {
                    let (failed, looped) = (failed.clone(), Arc::clone(&looped));
                    // Nobody listens any more only if another has failed first.
                    thread::spawn(move || failed.send(failure_of(at_once(looped(socket)))));
                }
                failure.recv().unwrap_or_else(|error| error.into())
            }
            Self::Tokio(runtime) if sockets == 1 => failure_of(runtime.block_on(looped(0))),
            Self::Tokio(runtime) | Self::Local(runtime) => LocalSet::new().block_on(runtime, async {
                if sockets == 1 {
                    return failure_of(looped(0).await);
                }
                let mut tasks = JoinSet::new();
                for socket in 0..sockets {
                    tasks.spawn_local(looped(socket));
                }
                match tasks.join_next().await {
                    Some(Ok(end)) => failure_of(end),
                    Some(Err(error)) => error.into(),
                    None => "no socket".into(),
                }
            }),
        }
    }
}

impl Pause {
    /// Waits.
    pub(crate) async fn wait(self, time: Duration) {
        match self {
            Self::Blocking => thread::sleep(time),
            Self::Timer => tokio::time::sleep(time).await,
        }
    }
}

fn failure_of(end: Result<Infallible, Failure>) -> Failure {
    match end {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

/// The result of a future that never waits.
fn at_once(future: impl Future<Output = Result<Infallible, Failure>>) -> Result<Infallible, Failure> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err("a library that blocks returned a future that waits".into()),
    }
}
