//! Key files for CURVE: one key a line in Z85 (ZeroMQ RFC 32), as `zmq_curve_keypair` prints them; what follows `#` is for people.
//!
//! A secret key is in a file that only its owner can read, and nowhere else: it is not logged, not shown, and not taken from
//! the command line or the environment.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zmtp::{KeyPair, NoRandomness, PublicKey, SecretKey};

/// A key file that cannot be used, or made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The system refuses.
    #[error("cannot {action} the key file {}: {source}{}", path.display(), hint(source))]
    System {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could read a secret.
    #[error("others can read the key file {}: chmod 600 it, and make new keys if they may have", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// A line is no key.
    #[error("{}:{line}: expected a key, 40 characters in Z85; oslo-messaging-zmq-receiver keygen FILE makes one", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1; behind the last if there is none.
        line: usize,
    },
    /// The system gives no random numbers.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Makes a pair of keys and writes the secret one to a new file. Returns the public one.
///
/// # Errors
/// [`KeyError`]: among others when there is such a file.
pub fn generate(path: &Path) -> Result<PublicKey, KeyError> {
    let keys = KeyPair::generate()?;
    let system = |source| KeyError::System { action: "make", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(system)?;
    let text = format!("# the public key is {}\n", keys.public());
    file.write_all(text.as_bytes())
        .and_then(|()| file.write_all(keys.secret().to_z85().as_bytes()))
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .map_err(system)?;
    Ok(keys.public())
}

/// The pair whose secret key is in a file.
///
/// # Errors
/// [`KeyError`]: among others when others can read it.
pub fn load(path: &Path) -> Result<KeyPair, KeyError> {
    let metadata = fs::metadata(path).map_err(reading(path))?;
    if metadata.mode() & OTHERS != 0 {
        return Err(KeyError::Open { path: path.to_owned() });
    }
    let mut keys: Vec<SecretKey> = lines(path)?;
    match keys.pop() {
        Some(key) if keys.is_empty() => Ok(key.into()),
        _ => Err(KeyError::NoKey { path: path.to_owned(), line: 2 }),
    }
}

/// The public keys in a file.
///
/// # Errors
/// [`KeyError`].
pub fn load_public(path: &Path) -> Result<Vec<PublicKey>, KeyError> {
    lines(path)
}

fn lines<K: std::str::FromStr>(path: &Path) -> Result<Vec<K>, KeyError> {
    let text = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(reading(path))?);
    let mut keys = Vec::new();
    for (line, text) in text.lines().enumerate() {
        // Z85 has a # of its own and no blank.
        let key = text.split_once(" #").map_or(text, |(key, _)| key).trim();
        if key.is_empty() || key == "#" || key.starts_with("# ") {
            continue;
        }
        keys.push(key.parse().map_err(|_| KeyError::NoKey { path: path.to_owned(), line: line + 1 })?);
    }
    Ok(keys)
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::System { action: "read", path: path.to_owned(), source }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; oslo-messaging-zmq-receiver keygen FILE makes one",
        io::ErrorKind::AlreadyExists => "; peers may know its public key, so remove it yourself if it is not needed",
        _ => "",
    }
}

/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_that_was_made_is_loaded_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let public = generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(load(&path).unwrap().public(), public);
        let again = generate(&path).unwrap_err().to_string();
        assert!(again.contains("remove it yourself"), "{again}");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let told = load(&path).unwrap_err().to_string();
            assert!(told.contains("chmod 600"), "{told}");
        }
    }

    #[test]
    fn public_keys_stand_on_lines_with_comments() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients");
        let keys = [(); 3].map(|()| KeyPair::generate().unwrap().public());
        fs::write(&path, format!("# compute nodes\n{} # host1\n\n  {}\n{}\n", keys[0], keys[1], keys[2])).unwrap();
        assert_eq!(load_public(&path).unwrap(), keys);
        fs::write(&path, "# nobody\n").unwrap();
        assert_eq!(load_public(&path).unwrap(), []);
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "# x\nsecret but short\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let told = load(&path).unwrap_err().to_string();
        assert!(told.contains("key:2: expected a key") && !told.contains("short"), "{told}");
        fs::write(&path, "").unwrap();
        assert!(matches!(load(&path), Err(KeyError::NoKey { .. })));
        let missing = load(&dir.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("keygen FILE"), "{missing}");
    }
}
