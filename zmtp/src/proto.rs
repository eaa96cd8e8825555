//! The protocol core: no I/O, no clock, no runtime. [`Connection`] is the type to read first.
//!
//! The modules stand in reading order; each imports only ones before it.

mod error;
mod socket_type;
mod limits;
pub(crate) mod page;
mod frame;
mod greeting;
mod metadata;
mod command;
mod heartbeat;
mod chunks;
mod message;
mod payload;
mod run;
mod sorted;
mod decoder;
mod encoder;
mod mechanism;
mod upstream;
mod event;
mod handshake;
mod connection;

pub use chunks::{Frames, IntoFrames};
pub use command::Command;
pub use connection::Connection;
pub use decoder::{Decoder, Item};
pub use error::{Fault, PeerText, ProtocolError};
pub use event::{Event, PeerInfo, Setup};
pub use frame::Header;
pub use greeting::Greeting;
pub use heartbeat::Heartbeats;
pub use limits::Limits;
pub use mechanism::{Credentials, LoginTooLong, Mechanism, PlainLogin};
#[cfg(feature = "curve")]
pub use mechanism::{Fresh, KeyPair, NoRandomness, NotAKey, PublicKey, SecretKey};
pub use message::{Message, MessageBuilder};
pub use metadata::{MAX_PROPERTIES, Metadata};
pub use payload::{Multipart, Payload};
pub use run::Run;
pub use socket_type::SocketType;
pub use sorted::{Picked, Sorted};
