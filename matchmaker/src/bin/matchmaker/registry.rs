//! Changing what a backend lists. A ring file is edited; a server is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use matchmaker::{
    Backend, BackendError, Host, Listing, Member, RingError, RingFile, RingWriter, Topic, WriteError, ring_text,
};
use thiserror::Error;

/// A backend that can be written to.
pub(crate) enum Registry {
    Ring(PathBuf),
    Server(Arc<dyn Backend>),
}

impl Registry {
    /// Lists these hosts under their topics, and leaves what else is listed.
    pub(crate) async fn add(&self, listing: &Listing) -> Result<(), RegistryError> {
        match self {
            Self::Ring(file) => edit(file, |ring| {
                for (topic, members) in listing {
                    let listed = ring.remove(topic).unwrap_or_default();
                    let new = members.iter().filter(|new| listed.iter().all(|old| old.name != new.name));
                    ring.insert(topic.clone(), listed.iter().chain(new).cloned().collect());
                }
            }),
            Self::Server(backend) => {
                for (topic, members) in listing {
                    for member in members.iter() {
                        backend.register(topic, &member.name).await?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes one host out of a topic; a topic without hosts goes from a ring.
    pub(crate) async fn remove(&self, topic: &Topic, host: &Host) -> Result<(), RegistryError> {
        match self {
            Self::Ring(file) => edit(file, |ring| {
                let listed = ring.remove(topic).unwrap_or_default();
                let left: Arc<[Member]> = listed.iter().filter(|member| member.name != *host).cloned().collect();
                if !left.is_empty() {
                    ring.insert(topic.clone(), left);
                }
            }),
            Self::Server(backend) => Ok(backend.unregister(topic, host).await?),
        }
    }
}

fn edit(file: &Path, change: impl FnOnce(&mut Listing)) -> Result<(), RegistryError> {
    let mut ring = match RingFile::load(file) {
        Ok(ring) => ring.listing().clone(),
        Err(RingError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Listing::new(),
        Err(error) => return Err(error.into()),
    };
    let before = ring.clone();
    change(&mut ring);
    if ring != before {
        RingWriter::default().replace(file, &ring_text(&ring))?;
    }
    Ok(())
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub(crate) enum RegistryError {
    #[error("the backend did not take it")]
    Server(#[from] BackendError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Write(#[from] WriteError),
}
