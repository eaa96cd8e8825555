//! The daemon `oslo-messaging-zmq-receiver`: takes RPC messages on one TCP port and hands each to the local Unix socket
//! of its topic.
//!
//! It replaces the Python daemon of the same name: same flags, configuration files, socket paths and wire. The whole
//! of what is done to a message stands in `router`; [`Receiver`] is the daemon as a library, which tests run on a port
//! of the system's choice.
//!
//! The modules stand in reading order; each imports only ones before it.

pub mod cli;
mod pattern;
pub mod logging;
pub mod settings;
pub mod effective;
pub mod sample;
pub mod runtime_dir;
pub mod dir_lock;
pub mod descriptors;
pub mod keys;
pub mod view;
mod figure;
mod clock;
mod spool;
mod drops;
mod transit;
mod consumers;
mod ages;
mod senders;
mod passing;
mod recorder;
mod taps;
mod route;
mod routes;
mod posting;
mod backends;
mod recent;
mod router;
mod gate;
mod front;
mod observer;
mod receiver;
pub mod reload;
pub mod manager;
pub mod admin;
pub mod check;
pub mod observe;
pub mod service;

pub use observer::{Observer, Totals};
pub use receiver::{Receiver, StartError, Stopped};
pub use view::SpoolTotals;
