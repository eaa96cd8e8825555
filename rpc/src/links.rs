//! The links of a transport: one per host, made when first needed, shared by all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matchmaker::Host;
use tokio::task::JoinSet;
use zmtp::{ConnectError, Options};

use crate::counters::Counters;
use crate::link::Link;

/// One link per host.
#[derive(Debug)]
pub(crate) struct Links {
    port: u16,
    options: Options,
    drops: Arc<Counters>,
    links: Mutex<Table>,
}

/// Why there is no link to a host.
#[derive(Debug)]
pub(crate) enum NoLink {
    /// Its name is no address.
    Address(ConnectError),
    /// All have been closed.
    Closed,
}

#[derive(Debug, Default)]
struct Table {
    by_host: HashMap<Box<str>, Entry>,
    closed: bool,
    /// Counts uses, so that the link that was not used for longest is known.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    link: Arc<Link>,
    used: u64,
}

impl Links {
    /// No links yet. `port` is that of every host which does not name its own.
    pub(crate) fn new(port: u16, options: Options, drops: Arc<Counters>) -> Self {
        Self { port, options, drops, links: Mutex::default() }
    }

    /// The link to a host: a name, an IP address, or either with a port of its own.
    pub(crate) fn to(&self, host: &str) -> Result<Arc<Link>, NoLink> {
        let mut table = self.table();
        if table.closed {
            return Err(NoLink::Closed);
        }
        table.uses += 1;
        let now = table.uses;
        if let Some(entry) = table.by_host.get_mut(host) {
            entry.used = now;
            return Ok(entry.link.clone());
        }
        let link = Link::open(&address(host, self.port), self.options.clone(), self.drops.clone());
        let link = Arc::new(link.map_err(NoLink::Address)?);
        if table.by_host.len() >= MAX_LINKS {
            table.give_up_one();
        }
        table.by_host.insert(host.into(), Entry { link: link.clone(), used: now });
        Ok(link)
    }

    /// Closes all of them at once. Returns messages sent since, and dropped.
    pub(crate) async fn close(&self, linger: Duration) -> (u64, u64) {
        let links: Vec<_> = {
            let mut table = self.table();
            table.closed = true;
            table.by_host.drain().map(|(_, entry)| entry.link).collect()
        };
        let mut closing = JoinSet::new();
        for link in links {
            closing.spawn(async move { link.close(linger).await });
        }
        let reports = closing.join_all().await.into_iter();
        reports.fold((0, 0), |(sent, dropped), report| (sent + report.0, dropped + report.1))
    }

    /// Messages that have not left yet.
    pub(crate) fn pending(&self) -> usize {
        self.table().by_host.values().map(|entry| entry.link.pending()).sum()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets an idle link, if need be one that is not. It goes when its last user has dropped it.
    fn give_up_one(&mut self) {
        let oldest = self.by_host.iter().min_by_key(|(_, entry)| (entry.link.pending() > 0, entry.used));
        if let Some(host) = oldest.map(|(host, _)| host.clone()) {
            self.by_host.remove(&host);
        }
    }
}

/// Where to connect. Of matchmaker data in the direct mode the port is part of the host.
fn address(host: &str, port: u16) -> String {
    match host.rsplit_once(':') {
        // One colon, or brackets before it: what follows is a port.
        Some((name, own)) if own.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')) => {
            host.to_owned()
        }
        _ => host.parse::<Host>().map_or_else(|_| format!("{host}:{port}"), |host| host.with_port(port)),
    }
}

/// Most links at once. A caller's host is dialled because a request says so, and whoever reaches a
/// service can make up hosts. Deployments have at most some thousand.
const MAX_LINKS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b36_a_host_becomes_an_address() {
        for (host, expected) in [
            ("host1", "host1:9501"),
            ("10.0.0.1", "10.0.0.1:9501"),
            ("::1", "[::1]:9501"),
            ("fe80::1%eth0", "[fe80::1%eth0]:9501"),
            ("[::1]", "[::1]:9501"),
            ("host1:7000", "host1:7000"),
            ("[::1]:7000", "[::1]:7000"),
            ("host1:x", "host1:x:9501"),
        ] {
            assert_eq!(address(host, 9501), expected);
        }
    }
}
