//! From a scheme to its transport.

use std::{io, sync::Arc};

use super::{Transport, endpoint::Endpoint, ipc::Ipc, memory::Memory, tcp::Tcp};

/// The transports of one socket: the user's first, then the built-in ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    own: Vec<(String, Arc<dyn Transport>)>,
}

impl Registry {
    pub(crate) fn add(&mut self, scheme: &str, transport: Arc<dyn Transport>) {
        self.own.insert(0, (scheme.to_owned(), transport));
    }

    pub(crate) fn find(&self, endpoint: &Endpoint) -> io::Result<&dyn Transport> {
        let scheme = endpoint.scheme();
        if let Some((_, transport)) = self.own.iter().find(|(own, _)| own == scheme) {
            return Ok(&**transport);
        }
        match scheme {
            "tcp" => Ok(&TCP),
            "ipc" => Ok(&IPC),
            "memory" => Ok(&Memory),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no transport for this scheme; built in are tcp, ipc and memory",
            )),
        }
    }
}

static TCP: Tcp = Tcp::new();
static IPC: Ipc = Ipc::new();
