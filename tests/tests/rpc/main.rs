//! `oslo-rpc` with receivers: among ourselves, and with the original driver on the other side.

mod backends;
mod bugs;
mod examples;
mod interop;
mod peers;
mod site;
mod table;
mod zrpc;
