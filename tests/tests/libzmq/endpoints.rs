//! Endpoints of every transport that we share with libzmq.

use tempfile::TempDir;
use tests::loopback;

use crate::ours::Ours;
use crate::peer::{Peer, Theirs};

/// A directory for Unix sockets, and the names of abstract ones.
#[derive(Debug)]
pub(crate) struct Endpoints {
    directory: TempDir,
    made: usize,
}

impl Endpoints {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { directory: tempfile::tempdir()?, made: 0 })
    }

    /// One of each transport, unused, that can be bound a second time under the same name.
    pub(crate) fn of_every_transport(&mut self) -> anyhow::Result<[String; 3]> {
        self.made += 1;
        let path = self.directory.path().join(self.made.to_string());
        let path = path.display();
        Ok([format!("tcp://127.0.0.1:{}", loopback::free_port()?), format!("ipc://{path}"), format!("ipc://@{path}")])
    }
}

/// Which side binds; the other connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binder {
    Ours,
    Theirs,
}

impl Binder {
    pub(crate) const EITHER: [Self; 2] = [Self::Ours, Self::Theirs];

    /// Binds the one socket and connects the other.
    pub(crate) async fn join(self, endpoint: &str, ours: &Ours, peer: &mut Peer, theirs: Theirs) -> anyhow::Result<()> {
        match self {
            Self::Ours => peer.connect(theirs, &ours.bind(endpoint).await?),
            Self::Theirs => ours.connect(&peer.bind(theirs, endpoint)?),
        }
    }
}
