//! The task that repeats announcements, because registries forget those who fall silent.
//!
//! What always holds: one task per registry, however many announcements (oslo-bugs B17); no failure
//! ends it; it ends with its registry; no beat runs while somebody holds its turn, so that none brings
//! back what is just being taken back. It counts by the monotonic clock, so a stepped clock neither
//! hurries nor delays it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{MutexGuard, Notify};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::backend::BackendError;
use crate::backoff::{Backoff, jittered};

/// A registry whose announcements expire.
pub(crate) trait Beat: fmt::Display + Send + Sync + 'static {
    /// Announces all that stands once more. What fails is tried again soon.
    fn beat(&self) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Whether the registry is known, and said, to be away.
    fn is_away(&self) -> bool;
}

/// A registry's heartbeat, from its first announcement on.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    task: Mutex<Option<JoinHandle<()>>>,
    wake: Arc<Notify>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Heartbeat {
    /// Starts it unless it runs. To be called within a tokio runtime.
    pub(crate) fn keep<B: Beat>(&self, registry: &Arc<B>, every: Duration) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        // A runtime that was shut down has taken its tasks with it.
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(run(Arc::downgrade(registry), self.wake.clone(), self.turn.clone(), every)));
        }
    }

    /// Keeps beats off until it is dropped. Waits for the one under way.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// What to notify for a beat at once: when the registry has come back, perhaps empty.
    pub(crate) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

async fn run<B: Beat>(registry: Weak<B>, wake: Arc<Notify>, turn: Arc<tokio::sync::Mutex<()>>, every: Duration) {
    let mut backoff = Backoff::default();
    let mut wait = jittered(every);
    let mut refused = false;
    loop {
        // Either way it is time: the wait is over, or somebody notified.
        let _ = timeout(wait, wake.notified()).await;
        let Some(registry) = registry.upgrade() else { return };
        let turn = turn.lock().await;
        let outcome = registry.beat().await;
        drop(turn);
        wait = match outcome {
            Ok(()) => {
                backoff.reset();
                refused = false;
                jittered(every)
            }
            Err(error) => {
                if !refused && !registry.is_away() {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "{registry} does not take announcements: this machine will not be found");
                    refused = true;
                }
                backoff.next().min(every)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Instant, sleep};

    use super::*;

    #[derive(Default)]
    struct Counting {
        heartbeat: Heartbeat,
        beats: AtomicU32,
        failures: u32,
    }

    impl Beat for Counting {
        async fn beat(&self) -> Result<(), BackendError> {
            let done = self.beats.fetch_add(1, Ordering::Relaxed) >= self.failures;
            if done { Ok(()) } else { Err(BackendError::new(fmt::Error)) }
        }

        fn is_away(&self) -> bool {
            true
        }
    }

    impl fmt::Display for Counting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("counting")
        }
    }

    const EVERY: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn there_is_one_beat_a_period_however_often_it_is_started() {
        let registry = Arc::new(Counting::default());
        for _ in 0..3 {
            registry.heartbeat.keep(&registry, EVERY);
        }
        sleep(EVERY * 10).await;
        let beats = registry.beats.load(Ordering::Relaxed);
        assert!((10..=12).contains(&beats), "{beats}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_soon_and_ends_nothing() {
        let registry = Arc::new(Counting { failures: 5, ..Counting::default() });
        registry.heartbeat.keep(&registry, EVERY);
        registry.heartbeat.wake().notify_one();
        let start = Instant::now();
        while registry.beats.load(Ordering::Relaxed) < 6 {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(start.elapsed() < EVERY / 10, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_registry() {
        let registry = Arc::new(Counting::default());
        registry.heartbeat.keep(&registry, EVERY);
        let weak = Arc::downgrade(&registry);
        drop(registry);
        sleep(EVERY * 2).await;
        assert!(weak.upgrade().is_none());
    }
}
