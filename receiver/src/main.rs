//! The program: what each command does, and the exit code. Everything else is in the library.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oslo_config::{Config, LoadError};
use oslo_messaging_zmq_receiver::admin::places;
use oslo_messaging_zmq_receiver::check::{Level, Report};
use oslo_messaging_zmq_receiver::cli::{Cli, Command, PROGRAM};
use oslo_messaging_zmq_receiver::descriptors;
use oslo_messaging_zmq_receiver::dir_lock::DirLock;
use oslo_messaging_zmq_receiver::effective::Effective;
use oslo_messaging_zmq_receiver::keys;
use oslo_messaging_zmq_receiver::logging::Log;
use oslo_messaging_zmq_receiver::manager::inherited_listener;
use oslo_messaging_zmq_receiver::observe::{ObserveError, observe};
use oslo_messaging_zmq_receiver::runtime_dir::RuntimeDir;
use oslo_messaging_zmq_receiver::sample::Sample;
use oslo_messaging_zmq_receiver::service::{Reading, Service};
use oslo_messaging_zmq_receiver::settings::{AdminSocket, DECLARED, Settings, SettingsError, gather};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tracing::{error, warn};

fn main() -> ExitCode {
    let cli = Cli::parse_from(env::args_os()).unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        Command::Run => run(&cli).map(|()| ExitCode::SUCCESS),
        Command::CheckConfig => check_config(&cli),
        Command::ConfigShow => config_show(&cli),
        Command::Keygen => keygen(&cli).map(|()| ExitCode::SUCCESS),
        Command::ConfigSample => print(&Sample(DECLARED)).map(|()| ExitCode::SUCCESS),
        _ => ask(&cli),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{PROGRAM}: {error}");
        let is_configuration = error.is::<LoadError>() || error.is::<SettingsError>();
        if is_configuration { WRONG_CONFIGURATION.into() } else { ExitCode::FAILURE }
    })
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let reading = reading(cli)?;
    let settings = &reading.settings;
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let dir = RuntimeDir::prepare(&settings.ipc_dir, runtime_dir.as_deref())?;
    let _ours = DirLock::take(&dir.path)?;
    let log = Log::init(&settings.log)?;
    // Standard error may lead nowhere, as with start-stop-daemon --background.
    let is_told = settings.log.stderr;
    serve(cli, reading, &dir, runtime_dir.as_deref(), &log).inspect_err(|fault| {
        if !is_told {
            error!("{fault}");
        }
    })
}

fn serve(
    cli: &Cli,
    mut reading: Reading,
    dir: &RuntimeDir,
    xdg_runtime_dir: Option<&Path>,
    log: &Log,
) -> Result<(), Box<dyn Error>> {
    let settings = &mut reading.settings;
    if let Some(notice) = &dir.notice {
        warn!("{notice}");
    }
    if let Some(notice) = descriptors::fit(&mut settings.limits, descriptors::raise()) {
        warn!("{notice}");
    }
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    let listener = inherited_listener()?;
    if let Some(address) = listener.as_ref().and_then(|listener| listener.local_addr().ok())
        && address.port() != settings.bind.port
    {
        let wanted = settings.bind.port;
        warn!("the socket that was handed over has port {}: rpc_zmq_port = {wanted} is not used", address.port());
    }
    let service = Service { dir: &dir.path, listener, log, xdg_runtime_dir, reread: || read(cli) };
    Ok(runtime()?.block_on(service.run(reading))?)
}

/// Settings as the sources say now, within what the system allows.
fn read(cli: &Cli) -> Result<Reading, Box<dyn Error>> {
    let mut reading = reading(cli)?;
    descriptors::fit(&mut reading.settings.limits, descriptors::allowed());
    Ok(reading)
}

fn reading(cli: &Cli) -> Result<Reading, Box<dyn Error>> {
    let config = gather(cli, env::vars_os())?;
    Ok(Reading { settings: Settings::from_config(&config)?, effective: Effective::of(&config) })
}

fn check_config(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let report = match gather(cli, env::vars_os()) {
        Ok(config) => runtime()?.block_on(Report::of(&config, !cli.no_environment)),
        Err(fault) => Report::unreadable(&fault),
    };
    answer(cli, &report)?;
    Ok(match report.worst() {
        Level::Error => WRONG_CONFIGURATION.into(),
        Level::Warning if cli.strict => ExitCode::FAILURE,
        Level::Warning | Level::Ok => ExitCode::SUCCESS,
    })
}

fn keygen(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let file = cli.ask.subject.as_deref().unwrap_or_default();
    let public = keys::generate(Path::new(file))?;
    print(&format_args!("{public}\n"))
}

fn config_show(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let config: Config = gather(cli, env::vars_os())?;
    answer(cli, &Effective::of(&config))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the receiver that runs, at the socket that is named or configured.
fn ask(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let places = match &cli.ask.admin_socket {
        Some(path) => vec![path.clone()],
        None => {
            let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
            // Of a configuration that is being mended, too.
            let socket = AdminSocket::configured(&gather(cli, env::vars_os())?)?;
            socket.map(|socket| places(&socket, runtime_dir.as_deref())).unwrap_or_default()
        }
    };
    let print = |text: &str| {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    };
    match runtime()?.block_on(observe(cli, &places, print)) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // Whoever reads has had enough, as head has.
        Err(ObserveError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

/// Prints an answer for people or, with `--json`, for programs.
fn answer(cli: &Cli, answer: &(impl Serialize + std::fmt::Display)) -> Result<(), Box<dyn Error>> {
    if cli.json { print(&format_args!("{}\n", serde_json::to_string(answer)?)) } else { print(answer) }
}

/// Writes to standard output; one that is closed early, as by `head`, has had enough.
fn print(text: &impl std::fmt::Display) -> Result<(), Box<dyn Error>> {
    match write!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// `EX_CONFIG` of sysexits.h, which a systemd unit names in `RestartPreventExitStatus`.
const WRONG_CONFIGURATION: u8 = 78;
