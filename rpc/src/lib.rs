//! The wire format of oslo.messaging's brokerless `zmq` driver, releases 1.4.1 to 2.5.0.
//!
//! Two types carry it, both views that borrow the octets of the frames:
//!
//! * [`Topic`] is frame 1, checked: the only thing a receiver must understand to forward a message.
//! * [`Envelope`] is a whole multipart, taken apart as far as its frames go.
//!
//! Nothing here does I/O, keeps state or reads JSON. Files in reading order, lowest first, each
//! using only those before it: `excerpt`, `topic`, `socket`, `envelope`.

mod excerpt;
pub mod topic;
pub mod socket;
pub mod envelope;

pub use envelope::Envelope;
pub use excerpt::Excerpt;
pub use topic::Topic;
