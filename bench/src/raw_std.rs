//! The yardstick: the same forwarding on plain std sockets, with nothing that makes it a product.
//!
//! A thread per connection reads up to 64 KiB, finds the message ends, and writes each topic's messages of that read with
//! one call; where a whole read is for one topic, straight from the read buffer. What the kernel's copies and wake-ups
//! cost, this costs, and hardly more, so it shows how near a daemon comes to the limit.
//!
//! It waits in place for a topic's one consumer, blocks on a slow one, and gives up on the first fault.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::wire::{self, Reader, SocketType, WireError};

/// What ends the daemon or a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RawStdError {
    /// The port is taken, or accepting failed.
    #[error("cannot serve port {port}: {source}")]
    Serve {
        /// As asked for.
        port: u16,
        /// The system's answer.
        source: io::Error,
    },
    /// The sender broke off or broke the protocol.
    #[error("the sender failed: {0}")]
    Sender(#[from] WireError),
    /// A topic that names no file in the directory, or one too many.
    #[error("no socket for topic {0:?}: it must be a plain file name, and one of at most {MAX_TOPICS}")]
    Topic(String),
    /// The topic's socket or its consumer failed.
    #[error("{path}: {source}")]
    Consumer {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: WireError,
    },
}

/// Serves 127.0.0.1:`port` until the process is killed, binding the sockets of topics in `directory`.
pub(crate) fn run(port: u16, directory: &Path) -> Result<Infallible, RawStdError> {
    let serve = |source| RawStdError::Serve { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(serve)?;
    let routes = Arc::new(Mutex::new(Routes { directory: directory.to_owned(), ..Routes::default() }));
    loop {
        let (stream, _) = listener.accept().map_err(serve)?;
        let routes = Arc::clone(&routes);
        thread::spawn(move || {
            if let Err(error) = forward(stream, &routes) {
                eprintln!("raw-std: {error}");
            }
        });
    }
}

/// Forwards all that one sender sends.
fn forward(mut stream: TcpStream, routes: &Mutex<Routes>) -> Result<(), RawStdError> {
    wire::handshake(&mut stream, SocketType::Pull)?;
    let mut reader = Reader::new(stream);
    while reader.fill().map_err(WireError::from)? > 0 {
        let mut routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
        let read = reader.unread();
        let mut at = 0;
        let mut ahead = wire::message(read)?;
        while let Some(first) = ahead {
            let start = at;
            while let Some(message) = ahead.filter(|message| message.topic == first.topic) {
                at += message.wire.len();
                ahead = wire::message(&read[at..])?;
            }
            // Without a topic a message has nowhere to go.
            if let Some(topic) = first.topic {
                let route = routes.of(topic)?;
                if start == 0 && ahead.is_none() {
                    route.write(&read[..at])?;
                } else {
                    route.pending.extend_from_slice(&read[start..at]);
                }
            }
        }
        reader.consume(at);
        routes.flush()?;
    }
    Ok(())
}

/// The sockets of all topics seen.
#[derive(Debug, Default)]
struct Routes {
    directory: PathBuf,
    index: HashMap<Box<[u8]>, usize>,
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    path: PathBuf,
    consumer: UnixStream,
    /// What the read in hand brought for it.
    pending: Vec<u8>,
}

impl Routes {
    /// The route of `topic`; at its first message, binds its socket and waits for its consumer.
    fn of(&mut self, topic: &[u8]) -> Result<&mut Route, RawStdError> {
        let index = match self.index.get(topic) {
            Some(&index) => index,
            None => {
                let refused = || RawStdError::Topic(String::from_utf8_lossy(topic).into_owned());
                let name = std::str::from_utf8(topic).ok().filter(|name| !name.contains(['/', '\0']));
                let name = name.filter(|_| self.routes.len() < MAX_TOPICS).ok_or_else(refused)?;
                self.routes.push(Route::bind(self.directory.join(format!("zmq_topic_{name}")))?);
                self.index.insert(topic.into(), self.routes.len() - 1);
                self.routes.len() - 1
            }
        };
        Ok(&mut self.routes[index])
    }

    fn flush(&mut self) -> Result<(), RawStdError> {
        self.routes.iter_mut().filter(|route| !route.pending.is_empty()).try_for_each(Route::flush)
    }
}

impl Route {
    fn bind(path: PathBuf) -> Result<Self, RawStdError> {
        let consumer = UnixListener::bind(&path).and_then(|listener| listener.accept()).map_err(WireError::from);
        let greeted = consumer.and_then(|(mut consumer, _)| {
            wire::handshake(&mut consumer, SocketType::Push)?;
            Ok(consumer)
        });
        match greeted {
            Ok(consumer) => Ok(Self { path, consumer, pending: Vec::new() }),
            Err(source) => Err(RawStdError::Consumer { path, source }),
        }
    }

    fn write(&mut self, wire: &[u8]) -> Result<(), RawStdError> {
        let written = self.consumer.write_all(wire);
        written.map_err(|error| RawStdError::Consumer { path: self.path.clone(), source: error.into() })
    }

    fn flush(&mut self) -> Result<(), RawStdError> {
        let mut pending = std::mem::take(&mut self.pending);
        let written = self.write(&pending);
        pending.clear();
        self.pending = pending;
        written
    }
}

/// As many as there are topics in a run, many times over; a bound for a daemon that never forgets one.
const MAX_TOPICS: usize = 1024;
