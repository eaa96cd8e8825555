//! ZMTP 3.1 without libzmq: a sans-IO protocol core, and tokio sockets PUSH, PULL, PUB and SUB on top of it.
//!
//! Wire-compatible with libzmq 4 (ZMTP 3.0 and 3.1; NULL, PLAIN and CURVE security) and on request with libzmq 3.2 (ZMTP
//! 2.0), over TCP, Unix sockets, in memory, and any stream of octets that a program brings.
//!
//! # How it is to be thought of
//! A socket is no connection but a place where messages are dealt out or collected. It has any number of peers, which come and
//! go; it finds them by [binding](Push::bind), [connecting](Push::connect), or being [given a stream](Push::attach), in any
//! order, and whoever binds, the messages go the same way. Each peer has a queue with a [`Mark`]. What happens when a queue
//! is full is the pattern: [`Push`] passes that peer over, and waits when all are full; [`Pub`] drops for it, and counts.
//!
//! A message has one or more frames. It *is* its octets on the wire, so receiving and forwarding take nothing apart.
//!
//! Whatever a peer does wrong ends its connection and nothing else. It is told by the [`Monitor`] and counted in [`Stats`],
//! and never comes out of `recv`. Whatever a peer can make this side hold has a limit, finite by default.
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
//! # Features
//!
//! | feature | default | what | crates that it brings |
//! |---|---|---|---|
//! | `tokio` | yes | the sockets | `tokio`, `socket2`, `if-addrs`, `spin`, `futures-core` |
//! | `curve` | no | [`Security::CurveClient`], [`Security::CurveServer`] | `x25519-dalek`, `crypto_secretbox`, `getrandom` |
//! | `tracing` | no | a span for each connection, and what the monitor tells as events | `tracing` |
//!
//! Without any there is the sans-IO core, on `bytes`, `thiserror` and `zeroize`. All of it is Rust, without `unsafe` of its own.
//! It is made for Linux; other Unix systems lack abstract names and [`Tcp::device`](transport::Tcp::device).
//!
//! # What it does not do
//! No REQ, REP, DEALER or ROUTER; no GSSAPI; no peers of ZMTP 1.0 (libzmq 2.x), which it refuses by name.

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
    Credentials, Fault, Limits, LoginTooLong, Message, MessageBuilder, Multipart, Payload, Picked, PlainLogin,
    ProtocolError, Run, Sorted,
};
#[cfg(feature = "curve")]
pub use proto::{KeyPair, NoRandomness, NotAKey, PublicKey, SecretKey};
#[cfg(feature = "tokio")]
pub use session::{Disconnect, Traffic};
#[cfg(feature = "tokio")]
pub use socket::{
    Applicant, Authenticator, BindError, CloseReport, ConnectError, GiveUp, Inbox, Intake, Metric, Monitor,
    NotAProperty, Options, Pub, Pull, Push, Security, SendError, SocketEvent, Stats, Sub, Verdict,
};
#[cfg(feature = "tokio")]
pub use transport::{Endpoint, EndpointError};
