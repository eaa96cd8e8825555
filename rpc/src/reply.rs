//! From a reply's envelope to a result or an error (oslo-zmq, section 4).
//!
//! ```text
//! [CONTEXT, {"method": "-process_reply", "args": {"msg_id": ID, "response": RESPONSE}}]
//! RESPONSE   [[R]]   the result R        [R]   the same, if R is no array        [{"exc": TEXT}]   an error
//! ```

use std::borrow::Cow;

use thiserror::Error;

use crate::envelope::Body;
use crate::json::{JsonError, Text};
use crate::payload::Payload;
use crate::remote_error::RemoteError;

/// What became of a call, in its text. `Debug` shows lengths only.
#[derive(Debug, Clone)]
pub struct Reply<'a> {
    message: Text<'a>,
    /// A result that is in no JSON.
    packed: Option<&'a [u8]>,
}

/// The two ways in which a call ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<'a> {
    /// Its result.
    Result(Payload<'a>),
    /// The error that the service sent.
    Error(Box<RemoteError>),
}

impl<'a> Reply<'a> {
    /// Takes the JSON of a reply.
    ///
    /// # Errors
    ///
    /// [`ReplyError`].
    pub fn decode(body: Body<'a>) -> Result<Self, ReplyError> {
        let (message, packed) = match body {
            // The originals look at the last element only; in it no envelope is opened.
            Body::Cast { json } => match Text::pair(json) {
                Some((_, message)) => (message, None),
                None => (Text::new(json)?.elements().last().ok_or(ReplyError::NoResponse)?, None),
            },
            Body::V2 { message, .. } => (Text::new(message)?, None),
            Body::MessagePack { message, payload, .. } => (Text::new(message)?, Some(payload)),
        };
        Ok(Self { message, packed })
    }

    /// The result, or the error.
    ///
    /// # Errors
    ///
    /// [`ReplyError`].
    pub fn outcome(&self) -> Result<Outcome<'a>, ReplyError> {
        let response = self.message.member("args").and_then(|args| args.member("response"));
        let response = response.filter(Text::is_array).ok_or(ReplyError::NoResponse)?;
        let mut last = None;
        for element in response.elements() {
            if let Some(failure) = element.member("exc") {
                return remote_error(failure).map(|error| Outcome::Error(Box::new(error)));
            }
            last = Some(element);
        }
        let last = last.ok_or(ReplyError::NoResponse)?;
        let result = if last.is_array() { last.elements().last() } else { Some(last) };
        let result = Payload::Json(result.unwrap_or_else(|| Text::trusted("null")));
        Ok(Outcome::Result(self.packed.map_or(result, Payload::MessagePack)))
    }
}

/// The object of an error, which is sent as a string.
fn remote_error(failure: Text<'_>) -> Result<RemoteError, ReplyError> {
    let content = failure.string().unwrap_or(Cow::Borrowed(failure.as_str()));
    RemoteError::decode(Text::new(content.as_bytes())?).ok_or(ReplyError::NoError)
}

/// A reply that is none. The service is at fault; nothing of its content is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// No JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No `response` in it, or an empty one.
    #[error("the reply holds no response: the service must send one")]
    NoResponse,
    /// Its `exc` is no object.
    #[error("the reply holds an error without a description: the service must send an object")]
    NoError,
}
