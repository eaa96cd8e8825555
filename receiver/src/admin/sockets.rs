//! Where the endpoint listens, and with which rights.

use std::fs::DirBuilder;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use zmtp::transport::{Ipc, Listener, Tcp, Transport};

use crate::settings::AdminSocket;

/// The endpoint cannot listen where an operator wants it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The Unix socket.
    #[error("cannot open the admin socket {}: {source}; set admin_socket to a path that this user can make", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The TCP address.
    #[error(
        "cannot open the admin endpoint on {address}: {source}; set admin_listen to a free address of this machine"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Opens the Unix socket, at the first of the places that can be had.
///
/// # Errors
/// That of the first place.
pub(super) async fn unix(places: &[PathBuf]) -> Result<(PathBuf, Box<dyn Listener>), AdminError> {
    let mut first = None;
    for path in places {
        match at(path).await {
            Ok(listener) => return Ok((path.clone(), listener)),
            Err(source) => first = first.or_else(|| Some(AdminError::Socket { path: path.clone(), source })),
        }
    }
    let nowhere = || AdminError::Socket { path: PathBuf::new(), source: io::ErrorKind::NotFound.into() };
    Err(first.unwrap_or_else(nowhere))
}

async fn at(path: &Path) -> io::Result<Box<dyn Listener>> {
    let name = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        // Only the last part: a missing /run is not ours to make.
        DirBuilder::new().mode(DIRECTORY_MODE).create(directory)?;
    }
    Ipc::new().mode(SOCKET_MODE).bind(name).await
}

/// Opens a TCP address.
///
/// # Errors
/// The system refuses it.
pub(super) async fn tcp(address: SocketAddr) -> Result<Box<dyn Listener>, AdminError> {
    let refused = |source| AdminError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(refused)?;
    Tcp::new().adopt(listener.into()).map_err(refused)
}

/// The paths at which the socket of these settings may be: the one that is set, and for the default, which an ordinary
/// user cannot make, one in that user's own directory (`XDG_RUNTIME_DIR`).
pub(super) fn places(socket: &AdminSocket, xdg_runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    let own = xdg_runtime_dir.filter(|directory| directory.is_absolute() && !socket.is_explicit);
    let own = own.map(|directory| directory.join("oslo-zmq/admin.sock"));
    std::iter::once(socket.path.clone()).chain(own).collect()
}

/// Owner and group reach what is in it.
const DIRECTORY_MODE: u32 = 0o750;
/// Owner and group may ask.
const SOCKET_MODE: u32 = 0o660;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_gone_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("oslo-zmq/admin.sock");
        let (_, listener) = unix(std::slice::from_ref(&path)).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().unwrap()) & !DIRECTORY_MODE, 0);
        let told = unix(std::slice::from_ref(&path)).await.map(|_| ()).unwrap_err().to_string();
        assert!(told.contains("another process serves this socket"), "{told}");
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn an_ordinary_user_has_it_in_a_directory_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let socket = AdminSocket { path: "/proc/oslo-zmq/admin.sock".into(), is_explicit: false };
        let all = places(&socket, Some(root.path()));
        let (path, _listener) = unix(&all).await.unwrap();
        assert_eq!(path, root.path().join("oslo-zmq/admin.sock"));
        let chosen = AdminSocket { is_explicit: true, ..socket };
        let told = unix(&places(&chosen, Some(root.path()))).await.map(|_| ()).unwrap_err().to_string();
        assert!(told.starts_with("cannot open the admin socket /proc/oslo-zmq/admin.sock: "), "{told}");
    }
}
