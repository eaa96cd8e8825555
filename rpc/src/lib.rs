//! OpenStack's RPC over oslo.messaging's brokerless `zmq` driver, releases 1.4.1 to 2.5.0: calls, casts, fanouts and
//! notifications, to and from services in Python and in Rust.
//!
//! # The types to read first
//! - [`Transport`]: what the clients and servers of a process share, made of [`Settings`].
//! - [`Client`] calls and casts to a [`Target`]; [`Notifier`] tells what happened.
//! - [`Server`] runs the methods of its [`Endpoint`]s; [`Listener`] hears notifications.
//! - [`RemoteError`]: an exception that crossed the wire, either way.
//! - [`Topic`] and [`Envelope`], views that borrow the octets of the frames, for those who forward: they need no
//!   features.
//!
//! # A server and a client in one process
//! ```
//! # #[cfg(not(feature = "driver"))]
//! # fn main() {}
//! # #[cfg(feature = "driver")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use matchmaker::{MatchMaker, Memory};
//! use oslo_rpc::{Client, Context, Endpoint, RemoteError, Server, Settings, Target, Transport};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Add { a: i64, b: i64 }
//!
//! // Listening itself, it needs no receiver.
//! let settings = Settings { listen: Some("127.0.0.1:0".to_owned()), ..Settings::new("localhost".parse()?) };
//! let transport = Transport::with_matchmaker(settings, MatchMaker::new(Arc::new(Memory::new()))).await?;
//!
//! let methods = Endpoint::new().method("add", async |_: Context, add: Add| Ok::<_, RemoteError>(add.a + add.b));
//! let server = Server::builder("calculator").endpoint(methods).start(&transport).await?;
//!
//! let client = Client::new(&transport);
//! let sum: i64 = client.call(&Target::topic("calculator"), "add", &Add { a: 2, b: 3 }).await?;
//! assert_eq!(sum, 5);
//! server.stop(std::time::Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! `driver` (default) is all of this. `message` is the JSON of the wire without any I/O. Without features there are
//! frames and topics only, which is what a receiver needs.
//!
//! Modules stand in reading order, lowest first, each using only those before it.

mod excerpt;
pub mod topic;
pub mod socket;
pub mod envelope;
#[cfg(feature = "message")]
pub mod json;
#[cfg(feature = "message")]
pub mod context;
#[cfg(feature = "message")]
pub mod remote_error;
#[cfg(feature = "message")]
pub mod payload;
#[cfg(feature = "message")]
pub mod received;
#[cfg(feature = "message")]
pub mod reply;
#[cfg(feature = "message")]
pub mod write;
#[cfg(feature = "message")]
pub mod mask;
#[cfg(feature = "message")]
pub mod told;

#[cfg(feature = "driver")]
pub mod settings;
#[cfg(feature = "driver")]
mod counters;
#[cfg(feature = "driver")]
mod deadline;
#[cfg(feature = "driver")]
mod link;
#[cfg(feature = "driver")]
mod links;
#[cfg(feature = "driver")]
mod pending;
#[cfg(feature = "driver")]
mod direct;
#[cfg(feature = "driver")]
pub mod transport;
#[cfg(feature = "driver")]
mod target;
#[cfg(feature = "driver")]
pub mod client;
#[cfg(feature = "driver")]
mod notifier;
#[cfg(feature = "driver")]
pub mod dispatch;
#[cfg(feature = "driver")]
mod consumer;
#[cfg(feature = "driver")]
pub mod server;
#[cfg(feature = "driver")]
mod listener;

#[cfg(feature = "driver")]
pub use client::{CallError, CastError, Client, Stage, TimedOut};
#[cfg(feature = "message")]
pub use context::Context;
#[cfg(feature = "driver")]
pub use dispatch::Endpoint;
pub use envelope::Envelope;
pub use excerpt::Excerpt;
#[cfg(feature = "driver")]
pub use listener::{Heard, Listener, ListenerBuilder};
#[cfg(feature = "driver")]
pub use notifier::{Notifier, Priority};
#[cfg(feature = "message")]
pub use payload::Payload;
#[cfg(feature = "message")]
pub use remote_error::RemoteError;
#[cfg(feature = "driver")]
pub use server::{Server, ServerBuilder};
#[cfg(feature = "driver")]
pub use settings::Settings;
#[cfg(feature = "driver")]
pub use target::Target;
pub use topic::Topic;
#[cfg(feature = "driver")]
pub use transport::Transport;
