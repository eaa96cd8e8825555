//! What runs the loops of a process: threads for libraries that block, a tokio runtime for those that do not.
//!
//! On tokio's runtime of one thread each socket's loop is a task, for every library. As the runtime's main future it would
//! cost each of them one more `epoll_wait` per wake, two for a round trip instead of one, for the main future's turn
//! comes between two looks at the system's events; the rates differ by less than they vary.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};
use tokio::task::{JoinSet, LocalSet};

use crate::library::Failure;

/// How one process runs its sockets' loops.
#[derive(Debug)]
pub enum Executor {
    /// A thread for each socket. Futures must be ready at their first poll.
    Threads,
    /// A task for each socket, all on the thread that entered this runtime.
    CurrentThread(LocalRuntime),
    /// A library's own tasks on worker threads. The loops are the program's main task, as in `#[tokio::main]`, for not
    /// every library's futures may move between threads.
    MultiThread(Runtime),
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
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).map(Self::CurrentThread)
    }

    /// Tokio's runtime of as many worker threads as there are CPUs.
    pub fn multi_thread() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build().map(Self::MultiThread)
    }

    /// Calls `make` where it may start tasks, if there is a runtime.
    pub fn enter<T>(&self, make: impl FnOnce() -> T) -> T {
        let _entered = match self {
            Self::Threads => None,
            Self::CurrentThread(runtime) => Some(runtime.enter()),
            Self::MultiThread(runtime) => Some(runtime.enter()),
        };
        make()
    }

    /// How loops on this executor wait.
    pub(crate) fn pause(&self) -> Pause {
        match self {
            Self::Threads => Pause::Blocking,
            Self::CurrentThread(_) | Self::MultiThread(_) => Pause::Timer,
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
            Self::CurrentThread(runtime) => runtime.block_on(as_tasks(sockets, looped)),
            Self::MultiThread(runtime) if sockets == 1 => failure_of(runtime.block_on(looped(0))),
            Self::MultiThread(runtime) => LocalSet::new().block_on(runtime, as_tasks(sockets, looped)),
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

/// The first failure of the loops, each of which is a task on this thread.
async fn as_tasks<L>(sockets: u16, looped: impl Fn(u16) -> L) -> Failure
where
    L: Future<Output = Result<Infallible, Failure>> + 'static,
{
    let mut tasks = JoinSet::new();
    for socket in 0..sockets {
        tasks.spawn_local(looped(socket));
    }
    match tasks.join_next().await {
        Some(Ok(end)) => failure_of(end),
        Some(Err(error)) => error.into(),
        None => "no socket".into(),
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
