//! Where a topic's local socket lies (oslo-zmq, sections 1 and 6; oslo-bugs B4, LP 1367614).
//!
//! ```text
//! <rpc_zmq_ipc_dir>/zmq_topic_compute.host1                       the originals' name, if it fits
//! <rpc_zmq_ipc_dir>/zmq_topic_e38fe2512c2e2184d7be298d0a392d77    else a hash of the key
//! ```
//!
//! Client, service and receiver find the same file because all of them ask [`Topic::socket_path`].
//! What always holds for a path given here: it has at most [`MAX_SOCKET_PATH`] octets, and it is the
//! directory with one component that begins with [`SOCKET_PREFIX`], whatever the network called the
//! topic.
//!
//! Not done here: anything with the file system.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::topic::Topic;

impl Topic<'_> {
    /// The socket's name as the originals give it, of any length: [`SOCKET_PREFIX`] and the key.
    pub fn socket_name(&self) -> String {
        [SOCKET_PREFIX, self.key()].concat()
    }

    /// The path of the topic's socket in `dir`.
    ///
    /// [`Topic::socket_name`] where the path then has at most [`MAX_SOCKET_PATH`] octets; else a hash
    /// of the key takes the place of the key.
    ///
    /// Two keys can have one path: a peer may spell a hash as its topic. No original makes such a
    /// topic, having neither a dot nor a tilde, so it suffices that binding a path twice fails.
    ///
    /// # Errors
    ///
    /// [`SocketDirError`] if not even the hash fits. Once [`check_socket_dir`] has passed, it does.
    pub fn socket_path(&self, dir: &Path) -> Result<PathBuf, SocketDirError> {
        let plain = dir.join(self.socket_name());
        if fits(&plain) { Ok(plain) } else { hashed_path(dir, self.key()) }
    }
}

/// Whether every topic has a path in `dir`: to be asked at start, before any topic is known.
///
/// # Errors
///
/// [`SocketDirError`] if the directory leaves no room for a hashed name.
pub fn check_socket_dir(dir: &Path) -> Result<(), SocketDirError> {
    hashed_path(dir, "").map(drop)
}

/// A socket directory whose own path is too long. The configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "sockets in {dir:?} need paths of {len} octets, and the system allows {MAX_SOCKET_PATH}: \
     set rpc_zmq_ipc_dir to a directory of at most {MAX_SOCKET_DIR} octets"
)]
pub struct SocketDirError {
    /// The directory as configured.
    pub dir: PathBuf,
    /// Octets of a path with a hashed name.
    pub len: usize,
}

fn hashed_path(dir: &Path, key: &str) -> Result<PathBuf, SocketDirError> {
    let mut name = String::from(SOCKET_PREFIX);
    let digest = Sha256::digest(key);
    let hex = digest.iter().map(|octet| format!("{octet:02x}"));
    name.extend(hex.take(HASH_OCTETS));
    let path = dir.join(name);
    if fits(&path) {
        return Ok(path);
    }
    Err(SocketDirError { dir: dir.to_owned(), len: path.as_os_str().len() })
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_SOCKET_PATH
}

/// What every socket's name begins with.
pub const SOCKET_PREFIX: &str = "zmq_topic_";

/// Most octets in a socket's path: `sun_path` of Linux has 108, the last for the closing NUL.
pub const MAX_SOCKET_PATH: usize = 107;

/// Most octets in a socket directory, written without a slash at its end: what a hashed name leaves.
pub const MAX_SOCKET_DIR: usize = MAX_SOCKET_PATH - "/".len() - SOCKET_PREFIX.len() - 2 * HASH_OCTETS;

/// Octets of SHA-256 in a hashed name, two hex digits each. All 32 would leave the directory 32,
/// while B4 asks for 60. 16 leave it 64, and to match a given hash still takes 2^128 attempts.
const HASH_OCTETS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(dir: &Path, topic: &str) -> Result<PathBuf, SocketDirError> {
        Topic::parse(topic.as_bytes()).unwrap().socket_path(dir)
    }

    /// An absolute directory of `len` octets.
    fn dir_of(len: usize) -> PathBuf {
        PathBuf::from(format!("/{}", "d".repeat(len - 1)))
    }

    #[test]
    fn a_path_of_107_octets_is_plain_and_of_108_hashed() {
        let dir = Path::new("/run/openstack");
        let room = MAX_SOCKET_PATH - "/run/openstack/zmq_topic_".len();
        let topic = "x".repeat(room);
        let plain = path(dir, &topic).unwrap();
        assert_eq!(plain, dir.join(format!("zmq_topic_{topic}")));
        assert_eq!(plain.as_os_str().len(), 107);

        // The first half of what `printf 'x%.0s' {1..83} | sha256sum` prints.
        let hashed = path(dir, &"x".repeat(room + 1)).unwrap();
        let name = "zmq_topic_e38fe2512c2e2184d7be298d0a392d77";
        assert_eq!(hashed, dir.join(name));
    }

    #[test]
    fn hosts_share_the_hash_of_a_fanout_and_have_each_their_own_otherwise() {
        let dir = Path::new("/run/openstack");
        let long = "x".repeat(150);
        let paths = |prefix: &str| ["host1", "host2"].map(|host| path(dir, &format!("{prefix}{long}.{host}")).unwrap());
        let [one, two] = paths("fanout~");
        assert_eq!(one, two);
        for prefix in ["", "zmq_replies."] {
            let [one, two] = paths(prefix);
            assert_ne!(one, two);
        }
    }

    #[test]
    fn a_directory_of_60_octets_holds_a_topic_of_200() {
        let dir = dir_of(60);
        assert_eq!(check_socket_dir(&dir), Ok(()));
        assert!(path(&dir, &"x".repeat(200)).is_ok());
    }

    #[test]
    fn a_directory_too_long_for_the_hash_is_refused_with_the_remedy() {
        assert_eq!(check_socket_dir(&dir_of(MAX_SOCKET_DIR)), Ok(()));

        let dir = dir_of(MAX_SOCKET_DIR + 1);
        let error = check_socket_dir(&dir).unwrap_err();
        assert_eq!(error.len, 108);
        assert!(error.to_string().contains("rpc_zmq_ipc_dir"), "{error}");
        assert_eq!(path(&dir, &"x".repeat(200)), Err(error));
        // What fits plainly is still found where an original service would look for it.
        assert!(path(&dir, "compute.host1").is_ok());
    }

    proptest! {
        #[test]
        fn a_socket_stays_in_its_directory(
            dir in "(/[a-z.]{1,12}){0,8}/?",
            topic in "(fanout~|zmq_replies|)[a-z.é]{3,120}",
        ) {
            let dir = Path::new(&dir);
            prop_assert!(check_socket_dir(dir).is_err() || path(dir, &topic).is_ok());
            if let Ok(path) = path(dir, &topic) {
                prop_assert!(path.as_os_str().len() <= MAX_SOCKET_PATH);
                prop_assert_eq!(path.parent(), Some(dir));
                let name = path.strip_prefix(dir)?;
                prop_assert_eq!(name.components().count(), 1);
                prop_assert!(name.to_string_lossy().starts_with(SOCKET_PREFIX));
            }
        }
    }
}
