//! Whether Consul is away, since when and why: logged once when it goes and once when it is back.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use crate::backend::Status;
use crate::consul::api::ConsulFault;
use crate::consul::settings::ConsulSettings;

/// What the requests of all tasks together say.
#[derive(Debug)]
pub(super) struct Outage {
    away: Mutex<Option<Away>>,
    /// Told when Consul is back: it may have lost what was registered.
    returned: Arc<Notify>,
}

#[derive(Debug)]
struct Away {
    since: SystemTime,
    /// The same by a clock that nobody sets.
    gone: Instant,
    cause: Arc<ConsulFault>,
}

impl Outage {
    /// It is there, as far as is known.
    pub(super) fn new(returned: Arc<Notify>) -> Self {
        Self { away: Mutex::default(), returned }
    }

    /// Takes note of what came of a request.
    pub(super) fn note<T>(
        &self,
        settings: &ConsulSettings,
        outcome: Result<T, ConsulFault>,
    ) -> Result<T, Arc<ConsulFault>> {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = match outcome {
            Ok(answer) => {
                let was = away.take();
                drop(away);
                if let Some(Away { gone, .. }) = was {
                    tracing::info!(seconds = gone.elapsed().as_secs(), "{settings} is back");
                    self.returned.notify_one();
                }
                return Ok(answer);
            }
            Err(fault) => Arc::new(fault),
        };
        if fault.is_absence() && away.is_none() {
            *away = Some(Away { since: SystemTime::now(), gone: Instant::now(), cause: fault.clone() });
            drop(away);
            let error: &dyn Error = &*fault;
            tracing::warn!(error, "{settings} is away: keeping its last answers");
        }
        Err(fault)
    }

    pub(super) fn status(&self) -> Status {
        match &*self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Status::Current,
            Some(away) => Status::Stale { since: away.since, cause: away.cause.clone() },
        }
    }
}
