//! The receiver as a library, between real sockets: every message is accounted for by [`Receiver::totals`].
//!
//! Reading order: [`site`] (a receiver and the peers around it), [`raw`] (a peer that sees octets), then the subjects:
//! [`routing`], [`late`] (who subscribes after the message), [`handover`] (a consumer that dies), [`limits`], [`policies`], [`access`],
//! [`stop`].
//!
//! All runs on one thread, as in the program. What always holds: every wait has a deadline.
//!
//! [`Receiver::totals`]: oslo_messaging_zmq_receiver::Receiver::totals

mod site;
mod raw;
mod routing;
mod late;
mod handover;
mod backends;
mod limits;
mod policies;
mod access;
mod stop;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
