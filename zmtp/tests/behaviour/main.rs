//! How the sockets behave towards users, peers and strangers: what the rows of `tests/CONFORMANCE.md` and the threats of
//! `SECURITY.md` ask for. Peers are our own sockets or, where the octets matter, a bare TCP stream ([`raw`]).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
mod raw;
mod flow;
mod publish;
mod reconnect;
mod endpoints;
mod monitor;
mod commands;
mod strangers;
mod limits;
mod stress;
