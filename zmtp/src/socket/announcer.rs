//! Tells what happens to whoever asked: the readers of a monitor, and `tracing`.

use std::sync::OnceLock;

use tokio::sync::broadcast;

use super::{
    monitor::{Monitor, SocketEvent},
    trace,
};

/// The sending side. Made on demand, since thousands of sockets may never have a reader.
#[derive(Debug, Default)]
pub(crate) struct Announcer(OnceLock<broadcast::Sender<SocketEvent>>);

impl Announcer {
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor::new(self.0.get_or_init(|| broadcast::channel(KEPT).0).subscribe())
    }

    pub(crate) fn announce(&self, event: impl FnOnce() -> SocketEvent) {
        if trace::wants_events() {
            let event = event();
            trace::event(&event);
            self.send(|| event);
        } else {
            self.send(event);
        }
    }

    fn send(&self, event: impl FnOnce() -> SocketEvent) {
        if let Some(sender) = self.0.get() {
            // An error says only that nobody listens any more.
            let _ = sender.send(event());
        }
    }
}

/// Events kept for a slow reader: a burst of a few hundred reconnects fits.
const KEPT: usize = 1024;
