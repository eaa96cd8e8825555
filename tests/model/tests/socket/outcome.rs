//! A message that was not taken, given back.

use crate::proto::Message;

#[derive(Debug)]
pub(crate) enum SendError {
    Full(Message),
    Closed(Message),
}
