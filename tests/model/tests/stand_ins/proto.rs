//! The protocol core, in which a payload shows what only the crate itself may see of it.

pub(crate) use zmtp::proto::*;

pub(crate) trait Payload: zmtp::Payload {
    fn octets(&self) -> usize;

    fn into_message(self) -> Message;
}

impl Payload for Message {
    fn octets(&self) -> usize {
        self.octets()
    }

    fn into_message(self) -> Message {
        self
    }
}
