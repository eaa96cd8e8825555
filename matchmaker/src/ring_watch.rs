//! A task that looks at a ring file, so that no lookup waits for the disk.
//!
//! Worth it where the file lies on a network; a look at a local file takes microseconds. The task
//! ends with its [`RingWatch`] or with the last other owner of the file.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::ring_file::{POLL, RingFile};

/// Keeps the task alive. Once it has ended, lookups look at the file again.
#[derive(Debug)]
#[must_use = "the task ends when this is dropped"]
pub struct RingWatch {
    task: JoinHandle<()>,
}

impl RingFile {
    /// Has a task look at the file every [`POLL`], on the runtime's threads for blocking work.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn watch(self: &Arc<Self>) -> RingWatch {
        let watched = Watched::new(self);
        RingWatch { task: tokio::spawn(watched.poll()) }
    }
}

impl Drop for RingWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts the task among the file's watches, however it ends: with the runtime, for one.
struct Watched(Weak<RingFile>);

impl Watched {
    fn new(file: &Arc<RingFile>) -> Self {
        file.watches.fetch_add(1, Ordering::Relaxed);
        Self(Arc::downgrade(file))
    }

    async fn poll(self) {
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let Some(file) = self.0.upgrade() else {
                return;
            };
            // It fails only where the runtime shuts down, and then this task is next.
            let _ = spawn_blocking(move || file.refresh()).await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(file) = self.0.upgrade() {
            file.watches.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
