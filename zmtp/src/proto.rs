//! The protocol core: no I/O, no clock, no runtime. [`Connection`] is the type to read first.
//!
//! Files in reading order, each importing only ones before it: `error`, `socket_type`, `limits`, `frame`, `greeting`,
//! `metadata`, `command`, `chunks`, `message`, `run`, `decoder`, `encoder`, `mechanism`, `connection`.

mod chunks;
mod command;
mod connection;
mod decoder;
mod encoder;
mod error;
mod frame;
mod greeting;
mod limits;
mod mechanism;
mod message;
mod metadata;
mod run;
mod socket_type;

pub use chunks::{Frames, IntoFrames};
pub use command::Command;
pub use connection::{Connection, Event, PeerInfo, Setup};
pub use decoder::{Decoder, Item};
pub use error::{PeerText, ProtocolError};
pub use frame::Header;
pub use greeting::Greeting;
pub use limits::Limits;
pub use message::{Message, MessageBuilder};
pub use metadata::{MAX_PROPERTIES, Metadata};
pub use run::Run;
pub use socket_type::SocketType;
