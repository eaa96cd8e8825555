//! What the configuration needs of this machine: a port, a directory, a name that leads here, a log.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use oslo_rpc::socket::check_socket_dir;
use rustix::fs::{Access, access};
use zmtp::{BindError, Options, Pull};

use super::{Finding, Level};
use crate::admin::AdminError;
use crate::dir_lock::{DirLock, DirLockError};
use crate::keys;
use crate::logging::{JOURNAL, LogSettings, SYSLOG};
use crate::receiver::StartError;
use crate::settings::{AdminSocket, Bind, CurveSettings, IpcDir, Settings, SpoolSettings};

/// Looks at everything, whatever is found.
pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    let running = match DirLock::take(&settings.ipc_dir.path) {
        Err(held @ DirLockError::Held { .. }) => Some(held.to_string()),
        _ => None,
    };
    let is_running = running.is_some();
    let mut findings = vec![port(&settings.bind, "rpc_zmq_port", is_running).await, directory(&settings.ipc_dir)];
    findings.push(match running {
        // A check is made of a changed configuration while the daemon runs; to start a second one would be the mistake.
        Some(held) => warning(held),
        None => ok("no other receiver runs with this rpc_zmq_ipc_dir".to_owned()),
    });
    findings.push(host(&settings.host));
    if let Some(curve) = &settings.curve {
        findings.push(port(&curve.bind, "curve_port", is_running).await);
        findings.extend(key_files(curve));
    }
    findings.extend(settings.spool.iter().map(spool));
    findings.extend(settings.admin.socket.iter().map(admin_socket));
    findings.extend(settings.admin.listen.map(|address| admin_listen(address, is_running)));
    findings.extend(log_file(settings.log.file.as_deref()));
    findings.extend(log_daemons(&settings.log));
    findings
}

async fn port(bind: &Bind, option: &'static str, is_running: bool) -> Finding {
    let endpoint = bind.endpoint();
    let socket = Pull::new(Options::new());
    let bound = socket.bind(&endpoint).await;
    socket.close(Duration::ZERO).await;
    match bound {
        Ok(_) => ok(format!("{endpoint} is free")),
        Err(BindError::Io { cause, .. }) if is_running && cause.kind() == io::ErrorKind::AddrInUse => {
            warning(format!("{endpoint} is in use, perhaps by the receiver that runs"))
        }
        Err(cause) => error(StartError::Bind { option, cause }.to_string()),
    }
}

/// Without it messages are handed on all the same.
fn spool(settings: &SpoolSettings) -> Finding {
    let shown = settings.dir.display();
    match makeable(&settings.dir) {
        Ok(()) => ok(format!("spool_dir {shown} can be written")),
        Err(cause) => warning(format!(
            "spool_dir {shown} cannot be written: {cause}; nothing would be kept: make it for the daemon's user, mode 0700"
        )),
    }
}

fn admin_socket(socket: &AdminSocket) -> Finding {
    let shown = socket.path.display();
    let parent = socket.path.parent().unwrap_or_else(|| Path::new("/"));
    // The start makes one directory and not those above it.
    let made_in = if parent.exists() { parent } else { parent.parent().unwrap_or(parent) };
    match writable(made_in) {
        Ok(()) => ok(format!("the admin socket {shown} can be made")),
        Err(source) => {
            let text = AdminError::Socket { path: socket.path.clone(), source }.to_string();
            // A default that cannot be had is done without.
            if socket.is_explicit { error(text) } else { warning(text) }
        }
    }
}

fn admin_listen(address: SocketAddr, is_running: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => ok(format!("admin_listen {address} is free")),
        Err(cause) if is_running && cause.kind() == io::ErrorKind::AddrInUse => {
            warning(format!("admin_listen {address} is in use, perhaps by the receiver that runs"))
        }
        Err(source) => error(AdminError::Listen { address, source }.to_string()),
    }
}

fn key_files(curve: &CurveSettings) -> Vec<Finding> {
    let own = match keys::load(&curve.key_file) {
        Ok(keys) => ok(format!("the public key for curve_port is {}", keys.public())),
        Err(cause) => error(cause.to_string()),
    };
    let clients = match curve.clients.as_deref().map(keys::load_public) {
        None => warning("curve_clients is unset: everybody who knows the public key may connect".to_owned()),
        Some(Ok(clients)) => ok(format!("{} keys may connect to curve_port", clients.len())),
        Some(Err(cause)) => error(cause.to_string()),
    };
    vec![own, clients]
}

fn directory(dir: &IpcDir) -> Finding {
    let shown = dir.path.display();
    // The default gives way to a directory of the user's own.
    let refused = |text: String| if dir.is_explicit { error(text) } else { warning(text) };
    if let Err(cause) = check_socket_dir(&dir.path) {
        return error(cause.to_string());
    }
    match fs::metadata(&dir.path) {
        Ok(found) if !found.is_dir() => refused(format!("rpc_zmq_ipc_dir {shown} is not a directory")),
        Ok(found) => match writable(&dir.path) {
            Ok(()) => {
                let (user, group, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
                ok(format!("rpc_zmq_ipc_dir {shown} is of user {user}, group {group}, mode {mode:04o}"))
            }
            Err(cause) => {
                refused(format!("rpc_zmq_ipc_dir {shown} cannot be written to: {cause}; see its mode and groups"))
            }
        },
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            match dir.path.ancestors().find(|path| path.exists()) {
                Some(parent) if writable(parent).is_ok() => {
                    ok(format!("rpc_zmq_ipc_dir {shown} will be made at start"))
                }
                _ => {
                    refused(format!("rpc_zmq_ipc_dir {shown} does not exist and cannot be made; make it for this user"))
                }
            }
        }
        Err(cause) => refused(format!("rpc_zmq_ipc_dir {shown} cannot be looked at: {cause}")),
    }
}

/// Whether peers that use this name reach this machine.
fn host(name: &str) -> Finding {
    let addresses: Vec<IpAddr> = match (name, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(cause) => {
            return warning(format!("rpc_zmq_host {name:?} does not resolve: {cause}; peers that use it must know it"));
        }
    };
    if let Some(loopback) = addresses.iter().find(|address| address.is_loopback()) {
        return warning(format!(
            "rpc_zmq_host {name:?} resolves to {loopback}: peers that use this name reach themselves if theirs does too; \
             see /etc/hosts"
        ));
    }
    // Only an address of this machine can be bound.
    match addresses.iter().find(|address| UdpSocket::bind((**address, 0)).is_err()) {
        Some(foreign) => warning(format!("rpc_zmq_host {name:?} resolves to {foreign}, no address of this machine")),
        None => ok(format!("rpc_zmq_host {name:?} resolves to this machine")),
    }
}

/// Without its daemon the log goes on, elsewhere.
fn log_daemons(settings: &LogSettings) -> Vec<Finding> {
    let wanted = [("use_syslog", settings.syslog.is_some(), SYSLOG), ("use_journal", settings.journal, JOURNAL)];
    let absent = wanted.into_iter().filter(|(_, wanted, socket)| *wanted && !Path::new(socket).exists());
    absent
        .map(|(option, _, socket)| warning(format!("{option}: nobody listens on {socket}; lines go to standard error")))
        .collect()
}

fn log_file(file: Option<&Path>) -> Option<Finding> {
    let file = file?;
    let shown = file.display();
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let place = if file.exists() { access(file, Access::WRITE_OK).map_err(io::Error::from) } else { writable(parent) };
    Some(match place {
        Ok(()) => ok(format!("the log file {shown} can be written")),
        Err(cause) => error(format!(
            "the log file {shown} cannot be written: {cause}; let this user write there, or change log_file and log_dir"
        )),
    })
}

/// Whether a directory is there, or can be made, and files in it.
fn makeable(directory: &Path) -> io::Result<()> {
    if directory.exists() {
        return writable(directory);
    }
    let parent = directory.ancestors().find(|path| path.exists());
    parent.map_or_else(|| Err(io::ErrorKind::NotFound.into()), writable)
}

/// Whether files can be made in a directory.
fn writable(directory: &Path) -> io::Result<()> {
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn ok(text: String) -> Finding {
    finding(Level::Ok, text)
}

fn warning(text: String) -> Finding {
    finding(Level::Warning, text)
}

fn error(text: String) -> Finding {
    finding(Level::Error, text)
}

fn finding(level: Level, text: String) -> Finding {
    Finding { level, place: None, text, hint: None }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::Fsync;

    fn dir(path: &Path, is_explicit: bool) -> IpcDir {
        IpcDir { path: path.to_owned(), is_explicit }
    }

    #[test]
    fn a_directory_is_looked_at_and_never_made() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(directory(&dir(root.path(), true)).level, Level::Ok);
        let missing = root.path().join("a/b");
        assert!(directory(&dir(&missing, true)).text.ends_with("will be made at start"));
        assert!(!missing.exists() && !root.path().join("a").exists());

        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(directory(&dir(&file, true)).level, Level::Error);
        assert_eq!(directory(&dir(&file, false)).level, Level::Warning);
        assert_eq!(directory(&dir(&file.join("x"), true)).level, Level::Error);
    }

    #[test]
    fn a_name_that_leads_to_loopback_is_worth_a_warning() {
        let found = host("localhost");
        assert!(found.level == Level::Warning && found.text.contains("reach themselves"), "{found}");
        assert_eq!(host("192.0.2.1").level, Level::Warning);
    }

    #[test]
    fn what_was_chosen_must_be_possible_and_a_default_need_not() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let socket = |path: PathBuf, is_explicit| admin_socket(&AdminSocket { path, is_explicit }).level;
        assert_eq!(socket(root.path().join("new/admin.sock"), true), Level::Ok);
        assert_eq!(socket(root.path().join("a/b/admin.sock"), true), Level::Error);
        assert_eq!(socket(root.path().join("a/b/admin.sock"), false), Level::Warning);
        let spool = |dir: PathBuf| spool(&SpoolSettings { dir, max_octets: 1, fsync: Fsync::Never }).level;
        assert_eq!((spool(root.path().join("a/b")), spool(file.join("x"))), (Level::Ok, Level::Warning));
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = admin_listen(busy.local_addr().unwrap(), false);
        assert!(found.level == Level::Error && found.text.contains("set admin_listen"), "{found}");
        assert_eq!(admin_listen(busy.local_addr().unwrap(), true).level, Level::Warning);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let to = |file: &Path| log_file(Some(file));
        assert_eq!(to(&root.path().join("x.log")).unwrap().level, Level::Ok);
        assert!(!root.path().join("x.log").exists());
        assert_eq!(to(&root.path().join("none/x.log")).unwrap().level, Level::Error);
    }
}
