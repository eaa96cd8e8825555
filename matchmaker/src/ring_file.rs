//! A ring kept in a file that changes (oslo-zmq, section 7.2; oslo-bugs B34).
//!
//! The file is looked at no more than once in [`POLL`], at a lookup or by a task. Device, inode,
//! time of change and size tell whether it is another one, so a rename over it counts, on network
//! and overlay file systems too, where notifications do not.
//!
//! What always holds: a file that cannot be read or parsed never replaces a ring, whatever happens
//! to the file; one that can always does, `{}` included. No lock is held while the disk is waited
//! for, other than the one that keeps a second look from starting.
//!
//! Not done here: writing rings.

use std::fmt;
use std::fs::{self, File};
use std::future::ready;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::backend::{Answer, Backend, Listing, Status};
use crate::document::ParseError;
use crate::exchange::Member;
use crate::name::Topic;
use crate::ring::Ring;

/// The last good ring of a file. To be shared in an [`Arc`].
///
/// A lookup that finds a look due waits for it: microseconds for a local file that has not changed.
/// With feature `tokio` a task can look instead, for files on a network.
#[derive(Debug)]
pub struct RingFile {
    path: PathBuf,
    current: Mutex<Current>,
    poll: Mutex<Poll>,
    /// Tasks that poll; while there is one, lookups do not.
    pub(crate) watches: AtomicUsize,
}

#[derive(Debug)]
struct Current {
    ring: Arc<Ring>,
    status: Status,
}

#[derive(Debug)]
struct Poll {
    due: Instant,
    /// The file as last read; none if it is to be read again whatever it looks like.
    seen: Option<Stamp>,
}

impl RingFile {
    /// Reads the ring.
    ///
    /// Blocks while it does. What is lenient about the file is logged as a warning.
    ///
    /// # Errors
    ///
    /// [`RingError`] if there is no good ring to begin with.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RingError> {
        let path = path.into();
        let seen = Stamp::of(&path);
        let ring = Self::load(&path)?;
        warn_of(&path, &ring);
        Ok(Self {
            current: Mutex::new(Current { ring: Arc::new(ring), status: Status::Current }),
            poll: Mutex::new(Poll { due: Instant::now() + POLL, seen }),
            watches: AtomicUsize::new(0),
            path,
        })
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last good ring, after a look at the file if one is due.
    pub fn ring(&self) -> Arc<Ring> {
        self.poll_if_due();
        self.current().ring.clone()
    }

    /// Reads a ring once, for those who do not go on using the file.
    ///
    /// # Errors
    ///
    /// [`RingError`] if there is no good ring.
    pub fn load(path: &Path) -> Result<Ring, RingError> {
        Ring::parse(&read(path)?).map_err(|error| RingError::Parse { path: path.into(), error })
    }

    /// Looks at the file now, unless somebody is just doing that: for a signal handler, or a thread
    /// of one's own. Waits for the disk; what comes of it is in [`Backend::status`].
    pub fn refresh(&self) {
        if let Some(mut poll) = self.try_poll() {
            self.look(&mut poll);
        }
    }

    /// Looks at the file if nobody has for [`POLL`], unless a task does that.
    fn poll_if_due(&self) {
        if self.watches.load(Ordering::Relaxed) > 0 {
            return;
        }
        if let Some(mut poll) = self.try_poll()
            && Instant::now() >= poll.due
        {
            self.look(&mut poll);
        }
    }

    fn try_poll(&self) -> Option<MutexGuard<'_, Poll>> {
        match self.poll.try_lock() {
            Ok(poll) => Some(poll),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn look(&self, poll: &mut Poll) {
        let stamp = Stamp::of(&self.path);
        if stamp.is_none() || stamp != poll.seen {
            // Looked at before it is read, so that a change in between shows at the next look.
            poll.seen = stamp;
            match Self::load(&self.path) {
                Ok(ring) => self.accept(ring),
                Err(error) => {
                    if matches!(error, RingError::Read { .. }) {
                        poll.seen = None;
                    }
                    self.refuse(error);
                }
            }
        }
        poll.due = Instant::now() + POLL;
    }

    fn accept(&self, ring: Ring) {
        let ring = Arc::new(ring);
        let mut current = self.current();
        let news = !ring.routes_as(&current.ring) || matches!(current.status, Status::Stale { .. });
        current.ring = ring.clone();
        current.status = Status::Current;
        drop(current);
        if news {
            let topics = ring.topics().len();
            tracing::info!(ring = %self.path.display(), topics, "ring reloaded");
            warn_of(&self.path, &ring);
        }
    }

    fn refuse(&self, error: RingError) {
        let mut current = self.current();
        let (since, known) = match &current.status {
            Status::Current => (SystemTime::now(), false),
            Status::Stale { since, cause } => (*since, cause.to_string() == error.to_string()),
        };
        let cause = Arc::new(error);
        current.status = Status::Stale { since, cause: cause.clone() };
        drop(current);
        if !known {
            let error: &dyn std::error::Error = &*cause;
            tracing::warn!(error, "keeping the last good ring");
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for RingFile {
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        Box::pin(ready(Ok(self.ring().members(topic))))
    }

    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        let topics = self.ring().topics().cloned().collect();
        Box::pin(ready(Ok(topics)))
    }

    fn listing(&self) -> Answer<'_, Listing> {
        Box::pin(ready(Ok(self.ring().listing().clone())))
    }

    fn status(&self) -> Status {
        self.poll_if_due();
        self.current().status.clone()
    }
}

impl fmt::Display for RingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ring {}", self.path.display())
    }
}

/// Why a file gives no ring.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// It cannot be opened or read.
    #[error(
        "cannot read ring {}: check `ringfile` in [matchmaker_ring] and who may read it",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a directory, a device or the like.
    #[error("ring {} is not a regular file: name the file itself", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// It has more than [`MAX_RING`] octets.
    #[error("ring {} has more than {MAX_RING} octets: is it a ring?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not UTF-8.
    #[error("{}:{line}: the text is not UTF-8: save it as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first such line, counted from 1.
        line: usize,
    },
    /// It is no ring.
    #[error("{}:{error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: ParseError,
    },
}

/// What distinguishes one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    octets: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The same, and unlike that one not to be set by a copying program.
    changed: (i64, i64),
}

impl Stamp {
    /// None if there is no file, or if a later version of it could have the same stamp.
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let stamp = Self {
            device: file.dev(),
            inode: file.ino(),
            octets: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let now = i64::try_from(now.as_secs()).ok()?;
        let settled = |then: i64| now.abs_diff(then) > COARSEST_CLOCK;
        (settled(stamp.modified.0) && settled(stamp.changed.0)).then_some(stamp)
    }
}

/// The text of a ring file.
pub(crate) fn read(path: &Path) -> Result<String, RingError> {
    let failed = |source| RingError::Read { path: path.into(), source };
    // Before opening, because that waits for ever for the writer of a pipe.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(RingError::NotAFile { path: path.into() });
    }
    let mut octets = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_RING + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > MAX_RING {
        return Err(RingError::TooLarge { path: path.into() });
    }
    String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let lines = error.as_bytes()[..good].iter();
        RingError::NotUtf8 { path: path.into(), line: 1 + lines.filter(|&&octet| octet == b'\n').count() }
    })
}

fn warn_of(path: &Path, ring: &Ring) {
    for finding in ring.findings() {
        tracing::warn!("{}:{finding}", path.display());
    }
}

/// Where the originals look for the ring (oslo-zmq, section 10).
pub const DEFAULT_RING_FILE: &str = "/etc/oslo/matchmaker_ring.json";

/// Time between two looks at the file: half of the two seconds within which a change has to be in
/// effect, so that one missed look does no harm.
pub const POLL: Duration = Duration::from_secs(1);

/// Most octets of a ring: a hundred topics on two thousand hosts each, with names of forty octets.
pub const MAX_RING: u64 = 8 << 20;

/// Seconds in the longest tick of a file system's clock, FAT's. Within one tick a second change of
/// the same size leaves no trace, so a file that young is read at every look.
const COARSEST_CLOCK: u64 = 2;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_young_file_is_read_at_every_look_and_an_old_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.json");
        fs::write(&path, "{}").unwrap();
        assert_eq!(Stamp::of(&path), None);

        thread::sleep(Duration::from_secs(COARSEST_CLOCK + 2));
        let old = Stamp::of(&path);
        assert!(old.is_some());
        assert_eq!(Stamp::of(&path), old);
    }
}
