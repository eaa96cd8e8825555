//! The program: command line, settings, log, signals. Everything else is in the library.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use oslo_messaging_zmq_receiver::Receiver;
use oslo_messaging_zmq_receiver::cli::{Cli, PROGRAM};
use oslo_messaging_zmq_receiver::descriptors;
use oslo_messaging_zmq_receiver::logging::Log;
use oslo_messaging_zmq_receiver::runtime_dir::RuntimeDir;
use oslo_messaging_zmq_receiver::settings::{Settings, gather};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

fn main() -> ExitCode {
    let cli = Cli::parse_from(env::args_os()).unwrap_or_else(|error| error.exit());
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{PROGRAM}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::from_config(&gather(cli, env::vars_os())?)?;
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let dir = RuntimeDir::prepare(&settings.ipc_dir, runtime_dir.as_deref())?;
    let log = Log::init(&settings.log)?;
    if let Some(notice) = &dir.notice {
        warn!("{notice}");
    }
    settings.warnings.extend(descriptors::fit(&mut settings.limits, descriptors::raise()));
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&settings, &dir, &log))
}

async fn serve(settings: &Settings, dir: &RuntimeDir, log: &Log) -> Result<(), Box<dyn Error>> {
    // Before the port is open: whoever sees it open may send the signal.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut stop = async || loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            // What logrotate sends; by default it would end the process.
            _ = hangup.recv() => match log.reopen() {
                Ok(()) => info!("SIGHUP: log reopened; settings are read at start only"),
                Err(error) => warn!("SIGHUP: {error}"),
            },
        }
    };
    let receiver = Receiver::start(settings, &dir.path).await?;
    let name = stop().await;
    info!("{name}: stopping, at most {:?}; a second one stops at once", settings.drain_timeout);
    tokio::select! {
        _ = receiver.stop() => {}
        name = stop() => warn!("{name}: stopped without handing on the rest"),
    }
    Ok(())
}
