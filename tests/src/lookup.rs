//! Names and lookups for the tests of the matchmaker, and waiting for what a server does in its own time.

use std::time::{Duration, Instant};

use matchmaker::{Backend, BackendError, Host, NameError, Topic};

/// A topic.
///
/// # Panics
///
/// The text is none.
pub fn topic(text: &str) -> Topic {
    text.parse().unwrap_or_else(|error: NameError| panic!("{error}"))
}

/// A host.
///
/// # Panics
///
/// The text is none.
pub fn host(text: &str) -> Host {
    text.parse().unwrap_or_else(|error: NameError| panic!("{error}"))
}

/// The names of the hosts that a registry finds for a topic.
pub async fn hosts(registry: &dyn Backend, of: &str) -> Result<Vec<String>, BackendError> {
    let members = registry.members(&topic(of)).await?;
    Ok(members.iter().map(|member| member.name.to_string()).collect())
}

/// What did not come about.
#[derive(Debug, thiserror::Error)]
#[error("after {limit:?} still not: {what}")]
pub struct Overdue {
    limit: Duration,
    what: String,
}

/// Polls until `found` says yes.
pub async fn until<E: From<Overdue>>(
    limit: Duration,
    what: &str,
    mut found: impl AsyncFnMut() -> Result<bool, E>,
) -> Result<(), E> {
    let end = Instant::now() + limit;
    while !found().await? {
        if Instant::now() >= end {
            return Err(Overdue { limit, what: what.to_owned() }.into());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// How often a state is looked at that sends no notice.
const POLL: Duration = Duration::from_millis(20);
