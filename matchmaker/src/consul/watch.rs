//! The hosts of one service, kept up to date by a task that waits at Consul for each change.
//!
//! A blocking query returns when its answer has changed, or after a while. Its index names the
//! version of the answer; one that goes backwards, as after a restore of the servers, starts over.
//!
//! What always holds: a query that fails never replaces an answer; between two queries there is a
//! pause, longer after each failure; the task ends with the [`Watch`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::backoff::{Backoff, jittered};
use crate::consul::api::{Api, ConsulFault};
use crate::consul::outage::Outage;
use crate::exchange::Member;

/// A service that somebody asks for.
#[derive(Debug)]
pub(super) struct Watch {
    answers: watch::Receiver<State>,
    used: Mutex<Instant>,
    task: JoinHandle<()>,
}

/// What is known of a service.
#[derive(Debug, Clone, Default)]
struct State {
    /// The last answer.
    members: Option<Arc<[Member]>>,
    /// Why there is no newer one.
    fault: Option<Arc<ConsulFault>>,
}

impl Watch {
    /// Starts the task. To be called within a tokio runtime.
    pub(super) fn start(api: Api, outage: Arc<Outage>, service: String) -> Self {
        let (sender, answers) = watch::channel(State::default());
        let task = tokio::spawn(follow(api, outage, service, sender));
        Self { answers, used: Mutex::new(Instant::now()), task }
    }

    /// The last answer, if there is one.
    pub(super) fn known(&self) -> Option<Arc<[Member]>> {
        *self.used() = Instant::now();
        self.answers.borrow().members.clone()
    }

    /// A future that has the first answer, or the fault in place of it.
    pub(super) fn first(&self) -> impl Future<Output = Result<Arc<[Member]>, Arc<ConsulFault>>> + Send + use<> {
        let mut answers = self.answers.clone();
        async move {
            let there = |state: &State| state.members.is_some() || state.fault.is_some();
            let state = match answers.wait_for(there).await {
                Ok(state) => state.clone(),
                // The task ended before it had any: its runtime is gone.
                Err(_) => State::default(),
            };
            match (state.members, state.fault) {
                (Some(members), _) => Ok(members),
                (None, Some(fault)) => Err(fault),
                (None, None) => Ok(Arc::default()),
            }
        }
    }

    /// Whether its task still runs.
    pub(super) fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }

    /// When it was last asked.
    pub(super) fn last_used(&self) -> Instant {
        *self.used()
    }

    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(api: Api, outage: Arc<Outage>, service: String, answers: watch::Sender<State>) {
    let mut index = 0;
    let mut backoff = Backoff::default();
    while !answers.is_closed() {
        let outcome = api.health(&service, index, jittered(WAIT)).await;
        let pause = match outage.note(api.settings(), outcome) {
            Ok(health) => {
                index = following(index, health.index);
                backoff.reset();
                let members: Arc<[Member]> = health.members.into();
                answers.send_if_modified(|state| {
                    let news = state.fault.is_some() || state.members.as_ref() != Some(&members);
                    *state = State { members: Some(members), fault: None };
                    news
                });
                jittered(GAP)
            }
            Err(fault) => {
                answers.send_modify(|state| state.fault = Some(fault));
                // What has changed meanwhile is to be told at once.
                index = 0;
                backoff.next()
            }
        };
        sleep(pause).await;
    }
}

/// The index to ask with after an answer.
fn following(asked: u64, answered: u64) -> u64 {
    if answered < asked { 0 } else { answered }
}

/// How long a query waits for a change: the time in which an agent that no longer answers is noticed.
const WAIT: Duration = Duration::from_secs(10);

/// The least time between two queries, so that a service that never rests costs ten a second.
const GAP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_goes_backwards_starts_over() {
        assert_eq!(following(0, 7), 7);
        assert_eq!(following(7, 7), 7);
        assert_eq!(following(7, 9), 9);
        assert_eq!(following(9, 8), 0);
        assert_eq!(following(9, 0), 0);
    }
}
