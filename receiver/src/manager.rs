//! The service manager that started us, if one did: systemd's notifications and sockets (sd_notify(3),
//! sd_listen_fds(3)).
//!
//! Without one every call does nothing, and nothing wakes. The watchdog is fed by the task that also reacts to signals, on
//! the only thread, which forwards all messages: when forwarding hangs, feeding does, and systemd starts the daemon anew.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::debug;

use crate::observer::Totals;

/// Our end of the conversation.
#[derive(Debug)]
pub struct Manager {
    /// Twice as often as is asked for.
    watchdog: Option<Interval>,
}

impl Manager {
    /// Needs a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()).map(|period| {
            let mut feeding = interval(period / 2);
            feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
            feeding
        });
        Self { watchdog }
    }

    /// Serving, after the start or after a reload.
    pub fn ready(&self, totals: &Totals) {
        notify(&[NotifyState::Ready, NotifyState::Status(&status(totals))]);
    }

    /// Reading settings; [`ready`](Self::ready) follows.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            // Without the time systemd would wait for it.
            Err(error) => debug!("not told systemd of the reload: {error}"),
        }
    }

    /// Ending.
    pub fn stopping(&self, why: &str) {
        notify(&[NotifyState::Stopping, NotifyState::Status(why)]);
    }

    /// Still alive.
    pub fn feed(&self, totals: Option<&Totals>) {
        match totals {
            Some(totals) => notify(&[NotifyState::Watchdog, NotifyState::Status(&status(totals))]),
            None => notify(&[NotifyState::Watchdog]),
        }
    }

    /// Returns when it is time to [`feed`](Self::feed); never, if nobody watches. Cancel-safe.
    pub async fn hungry(&mut self) {
        match &mut self.watchdog {
            Some(feeding) => {
                feeding.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Default for Manager {
    fn default() -> Self {
        Self::new()
    }
}

/// The first TCP socket that was handed over to this process, if any. Later calls find none.
///
/// # Errors
/// What was handed over is no TCP socket.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0)
}

fn notify(states: &[NotifyState<'_>]) {
    // A manager that is gone or does not listen is no reason to stop serving.
    if let Err(error) = sd_notify::notify(states) {
        debug!("cannot notify the service manager: {error}");
    }
}

fn status(totals: &Totals) -> String {
    let Totals { connections, queued, topics, .. } = totals;
    format!("serving {} topics, {connections} peers, {queued} queued", topics.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_one_line_for_people() {
        let totals = Totals { connections: 4, queued: 3, ..Totals::default() };
        assert_eq!(status(&totals), "serving 0 topics, 4 peers, 3 queued");
    }

    #[tokio::test]
    async fn without_a_manager_nothing_wakes() {
        let mut manager = Manager { watchdog: None };
        let wake = tokio::time::timeout(std::time::Duration::from_millis(20), manager.hungry()).await;
        assert!(wake.is_err());
    }
}
