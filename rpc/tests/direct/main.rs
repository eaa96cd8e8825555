//! Clients and servers against each other in the direct mode: one process, real sockets, no receiver.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod site;
mod opening;
mod calls;
mod casts;
mod ends;
mod hostile;
