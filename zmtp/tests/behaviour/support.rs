//! Deadlines, and what is looked for again and again.

use std::{path::Path, time::Duration};

use tokio::time::{sleep, timeout};
use zmtp::{Disconnect, Message, Monitor, SocketEvent};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What comes of `future`, in time.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(LIMIT, future).await?)
}

/// Waits until `check` holds.
pub(crate) async fn until(mut check: impl FnMut() -> bool) -> Result {
    soon(async {
        while !check() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// The first of the events to come in which `look` finds something.
pub(crate) async fn event<T>(monitor: &mut Monitor, mut look: impl FnMut(SocketEvent) -> Option<T>) -> Result<T> {
    soon(async {
        while let Some(event) = monitor.recv().await {
            if let Some(found) = look(event) {
                return Ok(found);
            }
        }
        Err("the socket is gone".into())
    })
    .await?
}

/// Why the next connection, or handshake, of the monitor's socket ends.
pub(crate) async fn end(monitor: &mut Monitor) -> Result<Disconnect> {
    event(monitor, |event| match event {
        SocketEvent::HandshakeFailed { cause, .. } | SocketEvent::Disconnected { cause, .. } => Some(cause),
        _ => None,
    })
    .await
}

pub(crate) fn text(message: &Message) -> String {
    message.frames().map(|frame| frame.escape_ascii().to_string()).collect::<Vec<_>>().join("|")
}

/// A TCP endpoint where nobody listens.
pub(crate) fn nobody() -> Result<String> {
    Ok(format!("tcp://{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?))
}

pub(crate) fn ipc(dir: &Path, name: &str) -> String {
    format!("ipc://{}", dir.join(name).display())
}

/// Generous, since two cores may be running much else.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// How long to wait for what must not come.
pub(crate) const MOMENT: Duration = Duration::from_millis(60);
