//! A message for people to read: what its frames say, secrets masked (oslo-bugs B8).
//!
//! Fields: `id`, `topic`, `style`, `octets`; of a request `kind` (`call`, `cast`), `context`, `method`, `args`, `version`,
//! `namespace`, `reply_to`; of a notification `kind` and `message`; of a reply `kind`, and `result` or `error`; `fault`,
//! where it is none of these.

use serde_json::{Map, json};

use crate::envelope::Envelope;
use crate::excerpt::Excerpt;
use crate::json::{Text, Value};
use crate::mask::masked;
use crate::payload::Payload;
use crate::received::{Incoming, Received};
use crate::reply::{Outcome, Reply};
use crate::topic::Kind;

/// What a multipart says, as one JSON object. Whatever the octets are, it is an object; what is wrong with them is its
/// `fault`.
#[must_use]
pub fn told<F: AsRef<[u8]>>(frames: &[F]) -> serde_json::Value {
    let octets: usize = frames.iter().map(|frame| frame.as_ref().len()).sum();
    let envelope = match Envelope::decode(frames.iter().map(AsRef::as_ref)) {
        Ok(envelope) => envelope,
        Err(error) => return json!({ "frames": frames.len(), "octets": octets, "fault": error.to_string() }),
    };
    let mut said = Map::new();
    said.insert("id".to_owned(), Excerpt::of(envelope.id).to_string().into());
    said.insert("topic".to_owned(), envelope.topic.as_str().into());
    said.insert("style".to_owned(), envelope.body.style().as_str().into());
    said.insert("octets".to_owned(), octets.into());
    let content = if envelope.topic.kind() == Kind::Reply { reply(&envelope) } else { request(&envelope) };
    match content {
        Ok(content) => said.extend(content),
        Err(fault) => {
            said.insert("fault".to_owned(), fault.into());
        }
    }
    said.into()
}

fn request(envelope: &Envelope<'_>) -> Result<Map<String, serde_json::Value>, String> {
    let received = Received::decode(envelope.body).map_err(|error| error.to_string())?;
    let mut said = Map::new();
    said.insert("context".to_owned(), plain(received.context()));
    match received.read().map_err(|error| error.to_string())? {
        Incoming::Request(request) => {
            let kind = if request.reply_to.is_some() { "call" } else { "cast" };
            said.insert("kind".to_owned(), kind.into());
            said.insert("method".to_owned(), request.method.into());
            said.insert("args".to_owned(), payload(request.args));
            said.insert("version".to_owned(), request.version.map(String::from).into());
            said.insert("namespace".to_owned(), request.namespace.map(String::from).into());
            if let Some(to) = request.reply_to {
                said.insert("reply_to".to_owned(), json!({ "id": to.id, "topic": to.topic }));
            }
        }
        Incoming::Notification(told) => {
            said.insert("kind".to_owned(), "notification".into());
            said.insert("message".to_owned(), plain(told.message));
        }
    }
    Ok(said)
}

fn reply(envelope: &Envelope<'_>) -> Result<Map<String, serde_json::Value>, String> {
    let reply = Reply::decode(envelope.body).map_err(|error| error.to_string())?;
    let outcome = reply.outcome().map_err(|error| error.to_string())?;
    let mut said = Map::new();
    said.insert("kind".to_owned(), "reply".into());
    match outcome {
        Outcome::Result(result) => said.insert("result".to_owned(), payload(result)),
        Outcome::Error(error) => said.insert("error".to_owned(), plain_value(Value::of(&error).unwrap_or_default())),
    };
    Ok(said)
}

fn payload(payload: Payload<'_>) -> serde_json::Value {
    payload.read().map_or_else(|error| error.to_string().into(), plain_value)
}

fn plain(text: Text<'_>) -> serde_json::Value {
    text.read().map_or_else(|error| error.to_string().into(), plain_value)
}

fn plain_value(value: Value) -> serde_json::Value {
    serde_json::to_value(masked(value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_without_its_secrets() {
        let body = r#"["{\"auth_token\": \"s3cret\"}", {"method": "-reply", "args": {"msg_id": "7", "topic": "zmq_replies.h",
            "msg": ["{}", {"method": "m", "args": {"admin_pass": "s3cret", "a": 1}}]}}]"#;
        let said = told(&["0", "compute.host1", "cast", body]);
        assert_eq!((&said["kind"], &said["method"], &said["args"]["a"]), (&json!("call"), &json!("m"), &json!(1)));
        assert_eq!(said["reply_to"], json!({"id": "7", "topic": "zmq_replies.h"}));
        assert!(!said.to_string().contains("s3cret"), "{said}");
    }

    #[test]
    fn what_is_no_message_is_told_without_its_octets() {
        let said = told(&[&b"s3cret"[..], b"\xff"]);
        assert!(said["fault"].is_string() && !said.to_string().contains("s3cret"), "{said}");
        let said = told(&[r#"{"token": "s3cret"}"#, "t", "cast", "{}"]);
        assert!(said["id"] == "…" && !said.to_string().contains("s3cret"), "{said}");
    }
}
