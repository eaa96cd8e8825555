//! `matchmaker watch`: topics and hosts as they come and go.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use matchmaker::{Backend, BackendError, Listing, Status, Topic, differences};
use tokio::time::sleep;

use crate::report::{change, table};

/// Looks every `interval` until the output ends. On a terminal it shows all there is, anew at each
/// change; elsewhere a line for each change, all there is being the first.
pub(crate) async fn watch(
    backend: &dyn Backend,
    topic: Option<&Topic>,
    interval: Duration,
    json: bool,
) -> Result<(), io::Error> {
    let drawn = io::stdout().is_terminal() && !json;
    let mut known = Listing::new();
    let mut trouble = None;
    let mut first = true;
    loop {
        let (now, said) = match look(backend, topic).await {
            Ok(now) => (now, staleness(backend)),
            Err(error) => (known.clone(), Some(crate::chain(&error))),
        };
        let changes = differences(&known, &now);
        if drawn && (first || said != trouble || !changes.is_empty()) {
            draw(backend, &now, said.as_deref())?;
        } else if !drawn {
            if let Some(said) = said.as_ref().filter(|said| Some(*said) != trouble.as_ref()) {
                eprintln!("matchmaker: {said}");
            }
            let mut out = io::stdout().lock();
            for one in &changes {
                if json { writeln!(out, "{}", change(one)) } else { writeln!(out, "{one}") }?;
            }
            out.flush()?;
        }
        (known, trouble, first) = (now, said, false);
        sleep(interval).await;
    }
}

/// Why the answers are not the newest, if they are not.
fn staleness(backend: &dyn Backend) -> Option<String> {
    match backend.status() {
        Status::Current => None,
        Status::Stale { cause, .. } => Some(crate::chain(&*cause)),
    }
}

async fn look(backend: &dyn Backend, topic: Option<&Topic>) -> Result<Listing, BackendError> {
    match topic {
        None => backend.listing().await,
        Some(topic) => Ok([(topic.clone(), backend.members(topic).await?)].into()),
    }
}

fn draw(backend: &dyn Backend, listing: &Listing, trouble: Option<&str>) -> Result<(), io::Error> {
    let rows = listing.iter().map(|(topic, members)| {
        let hosts: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        [topic.to_string(), hosts.len().to_string(), hosts.join(" ")]
    });
    let table = table(["TOPIC", "HOSTS", "WHICH"], rows);
    let mut out = io::stdout().lock();
    // The cursor to the corner and what is below it away: no scrolling, no flicker.
    write!(out, "\x1b[H\x1b[J{backend}\n{}\n{table}", trouble.unwrap_or_default())?;
    out.flush()
}
