//! ZMTP 3.1 without libzmq: a sans-IO protocol core, and tokio sockets PUSH, PULL, PUB and SUB on top of it.
//!
//! Wire-compatible with libzmq 4 (ZMTP 3.0 and 3.1; NULL, PLAIN and CURVE security), over TCP, Unix sockets, in memory, and any stream
//! of octets that a program brings.
//!
//! # The types to read first
//! - [`Message`] *is* its wire bytes. What was received is a slice of the read buffer whatever the number of frames;
//!   forwarding it encodes nothing.
//! - [`Push`], [`Pull`], [`Pub`], [`Sub`]: four small types, so that a PUSH has no `recv` to misuse. Each may bind and
//!   connect, any number of times, in any order; connections come back by themselves.
//! - [`Options`]: every limit, finite by default.
//! - [`Security`]: none, a login in clear, or keys, with the feature `curve`; and who decides who is let in.
//! - [`proto::Connection`]: the protocol as a value, for other runtimes, fuzzers and odd transports. It builds
//!   without tokio (`default-features = false`).
//! - [`Intake`]: a PULL for forwarders, which hands on runs of messages without a queue in between.
//!
//! # Example
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zmtp::{Message, Options, Pull, Push};
//!
//! let mut pull = Pull::new(Options::new());
//! let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
//! let push = Push::new(Options::new());
//! push.connect(endpoint.as_str())?;
//! push.send(Message::builder().more("topic").last("body")).await?;
//! assert_eq!(pull.recv().await.frame(1), Some(&b"body"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//! No REQ, REP, DEALER or ROUTER; no GSSAPI; no peers older than ZMTP 3.0 (libzmq 3.x and
//! before), which it refuses by name.

pub mod proto;
pub mod pattern;
#[cfg(feature = "tokio")]
pub mod transport;
#[cfg(feature = "tokio")]
mod session;
#[cfg(feature = "tokio")]
mod socket;

pub use pattern::{Budget, LateJoiners, Mark, Overflow, SubscriptionLimits, Tally};
pub use proto::{
    Credentials, Fault, Limits, LoginTooLong, Message, MessageBuilder, Multipart, Payload, PlainLogin, ProtocolError,
    Run,
};
#[cfg(feature = "curve")]
pub use proto::{KeyPair, NoRandomness, NotAKey, PublicKey, SecretKey};
#[cfg(feature = "tokio")]
pub use session::{Disconnect, Traffic};
#[cfg(feature = "tokio")]
pub use socket::{
    Applicant, Authenticator, BindError, CloseReport, ConnectError, GiveUp, Inbox, Intake, Metric, Monitor, Options,
    Pub, Pull, Push, Security, SendError, SocketEvent, Stats, Sub, Verdict,
};
#[cfg(feature = "tokio")]
pub use transport::{Endpoint, EndpointError};
