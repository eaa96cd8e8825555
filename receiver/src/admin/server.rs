//! The connections of the endpoint: few, short, and with small requests, so that nobody who may ask can hold up more than
//! the endpoint itself.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};
use zmtp::transport::{Link, Listener};

use super::answer::{Caller, answer};
use super::desk::Desk;
use super::sockets::{self, AdminError, places};
use crate::settings::AdminSettings;

/// The open endpoint. Dropping it closes it and removes its socket.
#[derive(Debug)]
pub(crate) struct Admin {
    _tasks: JoinSet<()>,
}

impl Admin {
    /// Opens the endpoint where the settings say. A default that cannot be had is a warning in the log; messages are more
    /// important.
    ///
    /// # Errors
    /// A place that an operator chose cannot be had.
    pub(crate) async fn open(
        settings: &AdminSettings,
        desk: Arc<Desk>,
        xdg_runtime_dir: Option<&Path>,
    ) -> Result<Self, AdminError> {
        let mut tasks = JoinSet::new();
        if let Some(socket) = &settings.socket {
            match sockets::unix(&places(socket, xdg_runtime_dir)).await {
                Ok((path, listener)) => {
                    info!("admin endpoint on {}", path.display());
                    tasks.spawn(serve(listener, Caller::Admitted, desk.clone()));
                }
                Err(error) if socket.is_explicit => return Err(error),
                Err(error) => warn!("no admin endpoint: {error}"),
            }
        }
        if let Some(address) = settings.listen {
            let listener = sockets::tcp(address).await?;
            info!("admin endpoint, for reading, on http://{address}/");
            tasks.spawn(serve(listener, Caller::Anybody, desk));
        }
        Ok(Self { _tasks: tasks })
    }
}

/// Serves whoever connects, a few at a time.
async fn serve(mut listener: Box<dyn Listener>, caller: Caller, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Others wait in the listen backlog until a place is free.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok(link) => {
                let desk = desk.clone();
                connections.spawn(async move {
                    converse(link, caller, &desk).await;
                    drop(place);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Most likely no descriptors are left; messages need them more.
                debug!("admin endpoint: cannot accept: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(link: Link, caller: Caller, desk: &Desk) {
    // Whoever watches may stay; the places of taps are few as it is.
    let watching = &AtomicBool::new(false);
    let service = service_fn(|request| async move {
        let answer = answer(desk, caller, request).await;
        watching.store(matches!(answer.body(), Either::Right(_)), Ordering::Relaxed);
        Ok::<_, Infallible>(answer)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(BUFFER);
    let mut connection = pin!(http.serve_connection(TokioIo::new(link.stream), service));
    loop {
        match timeout(CONNECTION_TIME, connection.as_mut()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => return debug!(peer = link.peer, "admin endpoint: {error}"),
            Err(_) if watching.load(Ordering::Relaxed) => {}
            Err(_) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    // What is being answered may be finished.
    let _ = timeout(HEADER_TIME, connection).await;
}

/// At once, for each socket: a scraper, a page, an operator's commands, and as many again.
const CONNECTIONS: usize = 16;
/// How long a request's header may take, and an idle connection wait for one.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a connection is kept, so that nobody holds a place for good.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Octets of a header, and of what is buffered of an answer: the least that hyper takes.
const BUFFER: usize = 8 << 10;
/// Before accepting is tried again.
const PAUSE: Duration = Duration::from_millis(500);
