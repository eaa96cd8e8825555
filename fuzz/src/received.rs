//! The frames of a message as a service or a caller gets them: JSON, requests, replies.

use std::str;

use oslo_rpc::envelope::{Body, Style};
use oslo_rpc::json::{JsonError, JsonFault, Text, Value};
use oslo_rpc::received::{Incoming, MessageError, Received, Request};
use oslo_rpc::reply::{Outcome, Reply, ReplyError};
use oslo_rpc::write::{EncodeError, Encoded, Head};
use oslo_rpc::{Context, Envelope, RemoteError};
use serde::de::IgnoredAny;

/// Strict JSON is JSON, and what is more is `NaN` or an infinity; what a request or a reply says is the same when it is
/// written and read once more. In the input an octet that is in no UTF-8 stands between frames.
pub fn received(octets: &[u8]) {
    let frames = octets.split(|octet| *octet == BETWEEN);
    frames.clone().for_each(json);
    let Ok(envelope) = Envelope::decode(frames) else { return };
    if let Ok(received) = Received::decode(envelope.body) {
        assert!(received.context().is_object() && received.message().is_object());
        match received.read() {
            Ok(Incoming::Request(request)) => request_again(&received, &request),
            Ok(Incoming::Notification(notification)) => {
                let _ = (notification.field("event_type"), notification.payload().read::<Value>());
            }
            Err(error) => assert!(!error.reason().is_empty()),
        }
    }
    reply_again(envelope.body);
}

fn json(frame: &[u8]) {
    let parsed = Text::new(frame);
    let Ok(text) = str::from_utf8(frame) else { return assert!(parsed.is_err()) };
    let strict = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match parsed {
        Ok(parsed) => {
            assert!(strict || text.contains("NaN") || text.contains("Infinity"), "more than JSON: {text}");
            let Ok(value) = parsed.read::<Value>() else { return };
            let written = value.to_string();
            assert_eq!(
                Text::new(written.as_bytes())
                    .map(|text| text.read::<Value>().expect("what was decoded encodes again").to_string()),
                Ok(written)
            );
        }
        Err(error) => assert!(!strict || error.fault == JsonFault::TooDeep, "JSON, but {error}: {text}"),
    }
}

fn request_again(received: &Received<'_>, request: &Request<'_>) {
    let (Ok(args), Ok(context)) = (request.args.read::<Value>(), received.context().read::<Value>()) else { return };
    // Written without its caller, a call in a call is a call.
    if request.method == "-reply" {
        return;
    }
    let context = Context::new(&context).expect("what was decoded encodes again");
    let head = Head {
        method: &request.method,
        namespace: request.namespace.as_deref(),
        version: request.version.as_deref().unwrap_or("1.0"),
        reply_to: request.reply_to.as_ref().map(|to| (&*to.id, &*to.topic)),
    };
    for style in [Style::Cast, Style::V2] {
        let written = match Encoded::request(style, &context, head, &args) {
            Ok(written) => written,
            // MessagePack has room for other things in the place of arguments.
            Err(error) => return assert!(matches!((error, &args), (EncodeError::ArgsNoObject, args) if !is_map(args))),
        };
        let again = match Received::decode(written.as_body()) {
            Ok(again) => again,
            // A call in its array and object lies deeper than what it was made of.
            Err(error) => return assert!(matches!(error, MessageError::Json(error) if is_too_deep(error)), "{error}"),
        };
        let Ok(Incoming::Request(again)) = again.read() else { panic!("no request: {request:?}") };
        assert_eq!((&again.method, &again.namespace), (&request.method, &request.namespace));
        assert_eq!((again.version.as_deref(), &again.reply_to), (Some(head.version), &request.reply_to));
        assert_eq!(again.args.read::<Value>().expect("what was decoded encodes again").to_string(), args.to_string());
    }
}

fn reply_again(body: Body<'_>) {
    let Ok(Ok(outcome)) = Reply::decode(body).map(|reply| reply.outcome()) else { return };
    let said = |outcome: &Outcome<'_>| match outcome {
        Outcome::Result(result) => result.read::<Value>().ok().map(|value| value.to_string()),
        Outcome::Error(error) => Some(error.encode().expect("what was decoded encodes again")),
    };
    let Some(first) = said(&outcome) else { return };
    let written = match &outcome {
        Outcome::Result(result) => {
            Encoded::reply(Style::Cast, "id", &result.read::<Value>().expect("what was decoded encodes again"))
                .expect("what was decoded encodes again")
        }
        Outcome::Error(error) => Encoded::failure("id", error).expect("what was decoded encodes again"),
    };
    let again = match Reply::decode(written.as_body()) {
        Ok(again) => again,
        Err(error) => return assert!(matches!(error, ReplyError::Json(error) if is_too_deep(error)), "{error}"),
    };
    let again = again.outcome().expect("what was decoded encodes again");
    assert_eq!(matches!(outcome, Outcome::Error(_)), matches!(again, Outcome::Error(_)));
    assert_eq!(said(&again), Some(first));
    if let Outcome::Error(error) = again {
        let _: (String, bool) = (RemoteError::to_string(&error), error.is("ValueError"));
    }
}

fn is_map(args: &Value) -> bool {
    matches!(args, Value::Null | Value::Object(_))
}

fn is_too_deep(error: JsonError) -> bool {
    error.fault == JsonFault::TooDeep
}

const BETWEEN: u8 = 0xff;
