//! From requests, replies and notifications to the JSON of an envelope (oslo-zmq, sections 2 to 5).
//!
//! A body is written front to back into one buffer, which becomes the frame: arguments and results are
//! serialized where they will lie. Always sent are a version (oslo-bugs B21), the context in both of its
//! places, and only the three known keys beside a call.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::context::Context;
use crate::envelope::{Body, Style};
use crate::payload::{as_map, pack};
use crate::received::CALL;
use crate::remote_error::RemoteError;

/// The body of an envelope, owned. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub enum Encoded {
    /// Style `cast`.
    Cast {
        /// As [`Body::Cast`].
        json: Vec<u8>,
    },
    /// Style `impl_zmq_v2`.
    V2 {
        /// As [`Body::V2`].
        context: Vec<u8>,
        /// As [`Body::V2`].
        message: Vec<u8>,
    },
    /// Style `msgpack`.
    MessagePack {
        /// As [`Body::MessagePack`].
        context: Vec<u8>,
        /// As [`Body::MessagePack`].
        message: Vec<u8>,
        /// As [`Body::MessagePack`].
        payload: Vec<u8>,
    },
}

/// What a request says beside its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a str,
    /// Its namespace, if any.
    pub namespace: Option<&'a str>,
    /// The version of the interface that the caller knows, as `1.0`.
    pub version: &'a str,
    /// The message id and the topic for a reply, if it is a call.
    pub reply_to: Option<(&'a str, &'a str)>,
}

/// What a notification says beside its payload.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names are those of the wire (oslo-zmq, section 3)")]
pub struct NotificationHead<'a> {
    pub message_id: &'a str,
    pub publisher_id: &'a str,
    pub event_type: &'a str,
    pub priority: &'a str,
    pub timestamp: &'a str,
}

impl Encoded {
    /// A request. `args` must be what serde writes as an object; `null`, as `()` is, stands for none.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn request(
        style: Style,
        context: &Context,
        head: Head<'_>,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Self, EncodeError> {
        if style == Style::MessagePack {
            let payload = as_map(pack(args).map_err(EncodeError::MessagePack)?).ok_or(EncodeError::ArgsNoObject)?;
            return Ok(Self::request(Style::V2, context, head, &())?.with_payload(payload));
        }
        Self::message(style, context, |out| {
            let Some((id, topic)) = head.reply_to else {
                return request(out, head, args);
            };
            out.extend_from_slice(b"{\"method\": \"");
            out.extend_from_slice(CALL.as_bytes());
            out.extend_from_slice(b"\", \"args\": {\"msg_id\": ");
            string(out, id)?;
            out.extend_from_slice(b", \"topic\": ");
            string(out, topic)?;
            out.extend_from_slice(b", \"msg\": [");
            string(out, context.text().as_str())?;
            out.extend_from_slice(b", ");
            request(out, head, args)?;
            out.extend_from_slice(b"]}}");
            Ok(())
        })
    }

    /// A reply with a result: as MessagePack to a request in that style, else a `cast` as the originals send.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn reply(style: Style, id: &str, result: &(impl Serialize + ?Sized)) -> Result<Self, EncodeError> {
        if style == Style::MessagePack {
            let payload = pack(result).map_err(EncodeError::MessagePack)?;
            let mut message = Vec::with_capacity(SMALL);
            response(&mut message, id, |out| {
                out.extend_from_slice(b"[null]");
                Ok(())
            })?;
            return Ok(Self::MessagePack { context: b"{}".to_vec(), message, payload });
        }
        Self::response(id, |out| {
            out.push(b'[');
            serde_json::to_writer(&mut *out, result).map_err(EncodeError::Json)?;
            out.push(b']');
            Ok(())
        })
    }

    /// A reply with an error.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn failure(id: &str, error: &RemoteError) -> Result<Self, EncodeError> {
        Self::response(id, |out| {
            out.extend_from_slice(b"{\"exc\": ");
            string(out, &error.encode().map_err(EncodeError::Json)?)?;
            out.push(b'}');
            Ok(())
        })
    }

    /// A notification. It may reach any listener, so never in MessagePack: that style stands for `impl_zmq_v2`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn notification(
        style: Style,
        context: &Context,
        head: NotificationHead<'_>,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Self, EncodeError> {
        Self::message(style, context, |out| {
            serde_json::to_writer(&mut *out, &head).map_err(EncodeError::Json)?;
            // The object is left open for one more member.
            out.pop();
            out.extend_from_slice(b", \"payload\": ");
            serde_json::to_writer(&mut *out, payload).map_err(EncodeError::Json)?;
            out.push(b'}');
            Ok(())
        })
    }

    /// It, borrowed.
    pub fn as_body(&self) -> Body<'_> {
        match self {
            Self::Cast { json } => Body::Cast { json },
            Self::V2 { context, message } => Body::V2 { context, message },
            Self::MessagePack { context, message, payload } => Body::MessagePack { context, message, payload },
        }
    }

    fn with_payload(self, payload: Vec<u8>) -> Self {
        match self {
            Self::V2 { context, message } => Self::MessagePack { context, message, payload },
            other => other,
        }
    }

    /// A response without a context: nobody reads that of a reply, and it would only carry a token along.
    fn response(id: &str, write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Result<Self, EncodeError> {
        let mut json = Vec::with_capacity(SMALL);
        json.extend_from_slice(b"[\"{}\", ");
        response(&mut json, id, write)?;
        json.push(b']');
        Ok(Self::Cast { json })
    }

    fn message(
        style: Style,
        context: &Context,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<Self, EncodeError> {
        let context = context.text().as_str();
        let mut out = Vec::with_capacity(SMALL + context.len());
        match style {
            Style::Cast => {
                out.push(b'[');
                string(&mut out, context)?;
                out.extend_from_slice(b", ");
                write(&mut out)?;
                out.push(b']');
                Ok(Self::Cast { json: out })
            }
            Style::V2 | Style::MessagePack => {
                write(&mut out)?;
                Ok(Self::V2 { context: context.into(), message: out })
            }
        }
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_body().fmt(f)
    }
}

/// What a program wanted to send cannot be written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// As JSON.
    #[error("it cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// As MessagePack.
    #[error("it cannot be written as MessagePack")]
    MessagePack(#[source] rmp_serde::encode::Error),
    /// As keyword arguments.
    #[error("arguments must be an object: use a struct or a map")]
    ArgsNoObject,
}

/// The message of a reply.
fn response(
    out: &mut Vec<u8>,
    id: &str,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    out.extend_from_slice(b"{\"method\": \"-process_reply\", \"args\": {\"msg_id\": ");
    string(out, id)?;
    out.extend_from_slice(b", \"response\": [");
    write(out)?;
    out.extend_from_slice(b"]}}");
    Ok(())
}

fn request(out: &mut Vec<u8>, head: Head<'_>, args: &(impl Serialize + ?Sized)) -> Result<(), EncodeError> {
    out.extend_from_slice(b"{\"method\": ");
    string(out, head.method)?;
    out.extend_from_slice(b", \"args\": ");
    let start = out.len();
    serde_json::to_writer(&mut *out, args).map_err(EncodeError::Json)?;
    match out.get(start) {
        Some(b'{') => {}
        Some(b'n') => {
            out.truncate(start);
            out.extend_from_slice(b"{}");
        }
        _ => return Err(EncodeError::ArgsNoObject),
    }
    out.extend_from_slice(b", \"version\": ");
    string(out, head.version)?;
    if let Some(namespace) = head.namespace {
        out.extend_from_slice(b", \"namespace\": ");
        string(out, namespace)?;
    }
    out.push(b'}');
    Ok(())
}

fn string(out: &mut Vec<u8>, content: &str) -> Result<(), EncodeError> {
    serde_json::to_writer(out, content).map_err(EncodeError::Json)
}

/// Octets of a request or reply of a few small arguments, so that its buffer need not grow.
const SMALL: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encoded: &Encoded) -> &str {
        match encoded {
            Encoded::Cast { json: text }
            | Encoded::V2 { message: text, .. }
            | Encoded::MessagePack { message: text, .. } => std::str::from_utf8(text).unwrap(),
        }
    }

    #[test]
    fn b21_a_version_is_always_sent() {
        let head = Head { method: "m", namespace: None, version: "1.0", reply_to: None };
        let cast = Encoded::request(Style::Cast, &Context::default(), head, &()).unwrap();
        assert_eq!(text(&cast), r#"["{}", {"method": "m", "args": {}, "version": "1.0"}]"#);
        let call = Head { namespace: Some("n"), reply_to: Some(("7", "zmq_replies.h")), ..head };
        let call = Encoded::request(Style::V2, &Context::default(), call, &()).unwrap();
        let msg = r#"["{}", {"method": "m", "args": {}, "version": "1.0", "namespace": "n"}]"#;
        let args = format!(r#"{{"msg_id": "7", "topic": "zmq_replies.h", "msg": {msg}}}"#);
        assert_eq!(text(&call), format!(r#"{{"method": "-reply", "args": {args}}}"#));
    }

    #[test]
    fn arguments_are_keyword_arguments() {
        let head = Head { method: "m", namespace: None, version: "1.0", reply_to: None };
        for args in ["[1]", "\"x\"", "7"] {
            let args: serde_json::Value = serde_json::from_str(args).unwrap();
            let error = Encoded::request(Style::Cast, &Context::default(), head, &args).unwrap_err();
            assert!(matches!(error, EncodeError::ArgsNoObject), "{args}");
        }
    }

    #[test]
    fn a_reply_is_an_array_in_an_array() {
        let reply = Encoded::reply(Style::V2, "7", &()).unwrap();
        let expected = r#"["{}", {"method": "-process_reply", "args": {"msg_id": "7", "response": [[null]]}}]"#;
        assert_eq!(text(&reply), expected);
    }
}
