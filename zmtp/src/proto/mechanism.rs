//! Security mechanisms: how two peers come from their greetings to READY.
//!
//! [`Mechanism`] is one side of one handshake and what [`Connection`](super::Connection) drives: it takes the bodies of the
//! peer's commands and says by a [`Step`] what comes next. A server of PLAIN or CURVE does not judge its peer itself:
//! the handshake pauses with the peer's [`Credentials`] until its owner has decided. After a handshake of CURVE a
//! [`Seal`] stands between the wire and the traffic; after the others nothing does.
//!
//! Which side is the server is configured, never read from a greeting, whose as-server octet libzmq always leaves 0.

#[cfg(feature = "curve")]
mod z85;
#[cfg(feature = "curve")]
mod keys;
#[cfg(feature = "curve")]
mod boxes;
mod null;
mod plain;
#[cfg(feature = "curve")]
mod sealed;
#[cfg(feature = "curve")]
mod curve;

#[cfg(feature = "curve")]
pub use keys::{Fresh, KeyPair, NoRandomness, NotAKey, PublicKey, SecretKey};
pub use plain::{LoginTooLong, PlainLogin};

use bytes::Bytes;

use super::{decoder::Item, error::ProtocolError, limits::Limits, message::Message, metadata::Metadata, run::Run};
use null::Null;
use plain::Plain;

/// One side of one handshake, for [`Connection::secured`](super::Connection::secured).
#[derive(Debug)]
pub struct Mechanism(State);

#[derive(Debug)]
enum State {
    Null(Null),
    Plain(Plain),
    #[cfg(feature = "curve")]
    Curve(Box<curve::Curve>),
}

/// What a peer offers to be let in. Names no secret when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Nothing (RFC 37, The NULL Mechanism): only where the stream comes from can speak for the peer.
    Null,
    /// User name and password (RFC 24), as they came: up to 255 octets each, in clear on the wire.
    Plain(PlainLogin),
    /// The lasting public key (RFC 26), to which the peer has proven to have the secret one.
    #[cfg(feature = "curve")]
    Curve(PublicKey),
}

/// What comes next in a handshake.
#[derive(Debug)]
pub(crate) enum Step {
    /// This whole frame is to be sent; the peer answers.
    Send(Bytes),
    /// The peer may come in or not; if it may, [`Mechanism::authorized`] says how to go on.
    Ask(Credentials),
    /// The peer has told its properties. Unless they are refused, `reply` is sent and the handshake over.
    Ready { reply: Option<Bytes>, properties: Metadata, seal: Option<Box<dyn Seal>> },
}

/// What stands between the wire and the traffic of a connection whose frames are sealed one by one.
pub(crate) trait Seal: std::fmt::Debug + Send + Sync {
    /// What a peer may send, and why messages of its are refused, when they are.
    fn hold_to(&mut self, limits: Limits, refuses: Option<&'static str>);

    /// The same for frames that are still sealed.
    fn outer_limits(&self) -> Limits;

    /// Sealed frames came, each as a message of its own. All before were taken by [`next`](Self::next).
    fn arrive(&mut self, run: Run);

    /// What was in them, in order; `None` when more have to come.
    fn next(&mut self) -> Result<Option<Item>, ProtocolError>;

    /// The frames of a message, sealed.
    fn seal(&mut self, message: &Message) -> Bytes;

    /// A whole frame of our own, such as a command, sealed.
    fn seal_frame(&mut self, frame: &[u8]) -> Bytes;

    /// Octets of an unfinished message that are held.
    fn unfinished(&self) -> usize;
}

impl Mechanism {
    /// NULL: no security at all (RFC 37).
    pub fn null() -> Self {
        Self(State::Null(Null { asks: false }))
    }

    /// NULL, as a side that lets in only whom its owner admits.
    pub fn null_server() -> Self {
        Self(State::Null(Null { asks: true }))
    }

    /// PLAIN, as the side that logs in (RFC 24).
    pub fn plain_client(login: PlainLogin) -> Self {
        Self(State::Plain(Plain::client(login)))
    }

    /// PLAIN, as the side that is logged in to (RFC 24).
    pub fn plain_server() -> Self {
        Self(State::Plain(Plain::server()))
    }

    /// CURVE, as the side that knows the other's key beforehand (RFC 26).
    #[cfg(feature = "curve")]
    pub fn curve_client(keys: KeyPair, server: PublicKey, fresh: Fresh) -> Self {
        Self(State::Curve(Box::new(curve::Curve::client(keys, server, fresh))))
    }

    /// CURVE, as the side whose key is known beforehand (RFC 26).
    #[cfg(feature = "curve")]
    pub fn curve_server(keys: KeyPair, fresh: Fresh) -> Self {
        Self(State::Curve(Box::new(curve::Curve::server(keys, fresh))))
    }

    /// The name in the greeting.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            State::Null(_) => Null::NAME,
            State::Plain(_) => Plain::NAME,
            #[cfg(feature = "curve")]
            State::Curve(_) => curve::Curve::NAME,
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        match &self.0 {
            // RFC 37: as-server is 0 under NULL.
            State::Null(_) => false,
            State::Plain(plain) => plain.is_server(),
            #[cfg(feature = "curve")]
            State::Curve(curve) => curve.is_server(),
        }
    }

    /// Whether it asks nothing of a peer.
    pub(crate) fn lets_everybody_in(&self) -> bool {
        matches!(self.0, State::Null(Null { asks: false }))
    }

    /// What to do first, when ours is the side that begins. `ours` is our property list, here and below.
    pub(crate) fn start(&mut self, ours: &[u8]) -> Result<Option<Step>, ProtocolError> {
        match &mut self.0 {
            State::Null(null) => Ok(Some(null.start(ours))),
            State::Plain(plain) => Ok(plain.start()),
            #[cfg(feature = "curve")]
            State::Curve(curve) => curve.start(),
        }
    }

    /// The body of a command of the peer.
    pub(crate) fn handle(&mut self, ours: &[u8], body: Bytes) -> Result<Step, ProtocolError> {
        match &mut self.0 {
            State::Null(null) => null.handle(body),
            State::Plain(plain) => plain.handle(ours, body),
            #[cfg(feature = "curve")]
            State::Curve(curve) => curve.handle(ours, body),
        }
    }

    /// The peer may come in.
    pub(crate) fn authorized(&mut self, ours: &[u8]) -> Result<Step, ProtocolError> {
        match &mut self.0 {
            State::Null(null) => Ok(null.ready(ours)),
            State::Plain(plain) => plain.authorized(),
            #[cfg(feature = "curve")]
            State::Curve(curve) => curve.authorized(),
        }
    }
}
