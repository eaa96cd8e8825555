//! The program `oslo-messaging-zmq-receiver` from start to end, with real peers around it.
//!
//! Reading order: [`start`] (configuration, refusals), [`drop_in`] (in place of the Python daemon), [`config`] (what can be
//! learned of it without a start), [`publish`] (fanouts and replies to libzmq), [`curve`] (peers that encrypt), [`isolation`]
//! (topics do not feel one another), [`limits`] (what an operator sees of them), [`restart`] (after a crash), [`spool`] (what
//! is on disk meanwhile), [`spool_faults`] (when the disk fails), [`signals`] (the end), [`reload`] (other signals), [`manager`] (systemd), [`curl`] (a client of
//! HTTP), [`admin`] (the admin endpoint), [`observe`] (the commands that ask it), [`metrics`] (Prometheus), [`passing`]
//! (messages as they pass), [`log`] (where lines go, and what never stands in one), [`page`] (the status page), [`bugs`] (of
//! the original, what is left of them).
//! What it does to messages in detail is tested in its own crate, in one process; bad input in `hostile.rs`, and that
//! nothing is lost in `nothing_lost.rs`.

mod start;
mod drop_in;
mod config;
mod publish;
mod curve;
mod isolation;
mod limits;
mod restart;
mod spool;
mod spool_faults;
mod signals;
mod reload;
mod manager;
mod curl;
mod admin;
mod observe;
mod metrics;
mod passing;
mod log;
mod page;
mod bugs;
