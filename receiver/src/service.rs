//! The life of the daemon: from the open port through reloads to the end, by signals.
//!
//! | signal | what |
//! |---|---|
//! | TERM, INT | takes no more, hands on what is queued for at most `drain_timeout`, ends; a second one ends it at once |
//! | USR2 | takes no more connections, serves those that are for `lame_duck_time`, then as TERM |
//! | HUP | reads the settings anew and opens the log file anew; wrong settings change nothing |
//! | USR1 | opens the log file anew |

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::admin::{Admin, AdminError, Desk, Order};
use crate::effective::Effective;
use crate::logging::Log;
use crate::manager::Manager;
use crate::receiver::{Receiver, StartError};
use crate::reload::Reload;
use crate::settings::Settings;
use crate::view::{Phase, Reloaded};

/// What a daemon is started with.
pub struct Service<'a, R> {
    /// Where sockets are made.
    pub dir: &'a Path,
    /// The socket to listen on, if it is open already.
    pub listener: Option<TcpListener>,
    /// The log, whose level can change.
    pub log: &'a Log,
    /// For a default that this user cannot make: `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<&'a Path>,
    /// Reads the settings anew.
    pub reread: R,
}

/// A configuration, read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What it means.
    pub settings: Settings,
    /// What it says.
    pub effective: Effective,
}

/// The daemon cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// It cannot listen.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It cannot be administered as configured.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Signals cannot be received.
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] io::Error),
}

impl<R, E> Service<'_, R>
where
    R: Fn() -> Result<Reading, E>,
    E: std::fmt::Display,
{
    /// Serves until a signal ends it. Returns when all is handed on, or the time for that is over.
    ///
    /// # Errors
    /// [`ServiceError`]; once it serves, nothing ends it but signals.
    pub async fn run(self, reading: Reading) -> Result<(), ServiceError> {
        let Reading { mut settings, effective } = reading;
        // Before the port is open: whoever sees it open may send the signal.
        let mut signals = Signals::register()?;
        let mut manager = Manager::new();
        let mut receiver = Receiver::start_on(self.listener, &settings, self.dir).await?;
        let (desk, mut orders) = Desk::new(receiver.observer(), self.log.clone(), &settings, effective);
        let desk = Arc::new(desk);
        let _admin = Admin::open(&settings.admin, desk.clone(), self.xdg_runtime_dir).await?;
        manager.ready(&receiver.totals());
        let mut end = None;
        let why = loop {
            tokio::select! {
                request = signals.next() => match request {
                    Request::Stop(name) => break name,
                    Request::Reopen => reopen(self.log),
                    Request::Reload => {
                        manager.reloading();
                        reopen(self.log);
                        // What came of it is in the log.
                        let _ = reload("SIGHUP", &self.reread, &mut settings, &mut receiver, self.log, &desk);
                        manager.ready(&receiver.totals());
                    }
                    Request::LameDuck => {
                        begin_to_end("SIGUSR2", &receiver, &desk, settings.lame_duck_time, &mut end);
                    }
                },
                Some(order) = orders.recv() => match order {
                    Order::Reload(done) => {
                        manager.reloading();
                        reopen(self.log);
                        let outcome = reload(ADMIN, &self.reread, &mut settings, &mut receiver, self.log, &desk);
                        // Whoever asked may be gone.
                        let _ = done.send(outcome);
                        manager.ready(&receiver.totals());
                    }
                    Order::LameDuck => begin_to_end(ADMIN, &receiver, &desk, settings.lame_duck_time, &mut end),
                    Order::Drain => break ADMIN,
                },
                why = over(end), if end.is_some() => break why,
                () = manager.hungry() => manager.feed(Some(&receiver.totals())),
            }
        };
        info!("{why}: stopping, at most {:?}; a second one stops at once", settings.drain_timeout);
        manager.stopping("handing on what is queued");
        desk.set_phase(Phase::Draining);
        drop(orders);
        let mut stopping = pin!(receiver.stop());
        loop {
            tokio::select! {
                _ = &mut stopping => return Ok(()),
                request = signals.next() => match request {
                    Request::Stop(name) => {
                        warn!("{name}: stopped without handing on the rest");
                        return Ok(());
                    }
                    Request::Reopen | Request::Reload => reopen(self.log),
                    Request::LameDuck => {}
                },
                () = manager.hungry() => manager.feed(None),
            }
        }
    }
}

impl<R> std::fmt::Debug for Service<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("dir", &self.dir).field("listener", &self.listener).finish_non_exhaustive()
    }
}

fn reopen(log: &Log) {
    match log.reopen() {
        Ok(()) => info!("log reopened"),
        Err(error) => warn!("{error}"),
    }
}

/// Takes no more connections; when those that are have to end is in `end`, with who asked for it first.
fn begin_to_end(
    why: &'static str,
    receiver: &Receiver,
    desk: &Desk,
    time: Duration,
    end: &mut Option<(Instant, &'static str)>,
) {
    info!("{why}: no more connections; those that are go on for {time:?}");
    receiver.stop_listening();
    desk.set_phase(Phase::LameDuck);
    end.get_or_insert_with(|| (Instant::now() + time, why));
}

/// Until the time has come; then who asked for it. Cancel-safe.
async fn over(end: Option<(Instant, &'static str)>) -> &'static str {
    let (at, why) = end.unwrap_or_else(|| (Instant::now(), ADMIN));
    sleep_until(at).await;
    why
}

fn reload<E: std::fmt::Display>(
    why: &str,
    reread: &impl Fn() -> Result<Reading, E>,
    settings: &mut Settings,
    receiver: &mut Receiver,
    log: &Log,
    desk: &Desk,
) -> Result<Reloaded, String> {
    let Reading { settings: wanted, effective } = reread().map_err(|fault| {
        error!("{why}: the settings stay as they are: {fault}");
        desk.note_refused_reload();
        fault.to_string()
    })?;
    let changes = Reload::of(settings, &wanted);
    *settings = changes.settings;
    receiver.apply(settings);
    log.set_levels(settings.log.levels.clone());
    info!(
        "{why}: settings read; changed: {}",
        if changes.applied.is_empty() { "none".to_owned() } else { changes.applied.join(", ") }
    );
    settings.warnings.iter().for_each(|warning| warn!("{warning}"));
    changes.pending.iter().for_each(|option| warn!("needs restart: {option}"));
    let owned = |options: Vec<&str>| options.into_iter().map(str::to_owned).collect();
    let pending: Vec<_> = owned(changes.pending);
    desk.note_reload(effective, &pending);
    Ok(Reloaded {
        applied: owned(changes.applied),
        pending,
        warnings: settings.warnings.iter().map(ToString::to_string).collect(),
    })
}

/// Who asked, if it was no signal.
const ADMIN: &str = "admin endpoint";

/// What a signal asks for.
enum Request {
    /// With its name.
    Stop(&'static str),
    Reload,
    Reopen,
    LameDuck,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one. Cancel-safe.
    async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            _ = self.hangup.recv() => Request::Reload,
            _ = self.user1.recv() => Request::Reopen,
            _ = self.user2.recv() => Request::LameDuck,
        }
    }
}
