//! Names and lookups for the tests of the matchmaker, and waiting for what a server does in its own time.

use std::time::{Duration, Instant};

use anyhow::ensure;
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

/// Polls until `found` says yes.
pub async fn until(
    limit: Duration,
    what: &str,
    mut found: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    while !found().await? {
        ensure!(Instant::now() < end, "after {limit:?} still not: {what}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// How often a state is looked at that sends no notice.
const POLL: Duration = Duration::from_millis(20);
