//! The deadline of every wait on our side.

use std::panic::Location;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{sleep, timeout};
use zmtp::{Monitor, SocketEvent};

/// What `future` yields, if it does so in time.
#[track_caller]
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = anyhow::Result<T>> {
    let caller = Location::caller();
    async move { timeout(LIMIT, future).await.with_context(|| format!("waited {LIMIT:?} in vain at {caller}")) }
}

/// Waits until `check` holds.
#[track_caller]
pub(crate) fn until(mut check: impl FnMut() -> bool) -> impl Future<Output = anyhow::Result<()>> {
    soon(async move {
        while !check() {
            sleep(POLL).await;
        }
    })
}

/// The first thing that `look` finds in the events to come.
#[track_caller]
pub(crate) fn event<T>(
    monitor: &mut Monitor,
    mut look: impl FnMut(SocketEvent) -> Option<T>,
) -> impl Future<Output = anyhow::Result<T>> {
    let found = soon(async move {
        while let Some(event) = monitor.recv().await {
            if let Some(found) = look(event) {
                return Some(found);
            }
        }
        None
    });
    async { found.await?.context("the socket is gone") }
}

/// Generous: two cores may be running other tests. What works takes a tenth of it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// How long to wait for what must not come. What is wrong comes at once: both sides have nothing else to do.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

/// How often a state is looked at that sends no notice.
const POLL: Duration = Duration::from_millis(2);
