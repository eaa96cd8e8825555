//! The JSON of every captured message, both ways: what the releases sent is understood, what this crate
//! sends means the same, and what ended a real service's consumer is refused.

#![cfg(feature = "message")]
#![allow(clippy::unwrap_used, reason = "a vector that cannot be read has to fail its test")]

use std::path::Path;

use oslo_rpc::envelope::{Body, Envelope, Style};
use oslo_rpc::json::{Text, Value};
use oslo_rpc::received::{Incoming, Received, Request};
use oslo_rpc::reply::{Outcome, Reply};
use oslo_rpc::write::{Encoded, Head, NotificationHead};
use oslo_rpc::{Context, RemoteError};

const RELEASES: [&str; 3] = ["1.4.1", "1.8.3", "2.5.0"];

#[test]
fn every_vector_of_every_release_is_understood_and_said_alike() {
    for release in RELEASES {
        let vectors = vectors("wire", release);
        let mut seen = 0;
        for vector in list(&vectors, "vectors") {
            let name = text(vector, "name").to_owned();
            match text(vector, "kind") {
                "cast" | "fanout" => request(vector, &name, false),
                "call-request" => request(vector, &name, true),
                "call-reply" => reply(vector, &name),
                "notification" => notification(vector, &name),
                "remote-exception-json" => remote_error(vector, &name),
                "trace" => list(vector, "legs").iter().for_each(leg),
                "envelope" => keys_in_order(vector),
                // Held by the matchmaker's tests; no message is in it.
                "routing" => {}
                other => panic!("{name}: a vector of kind {other}"),
            }
            seen += 1;
        }
        assert_eq!(seen, 70, "{release}");
    }
}

#[test]
fn what_a_service_took_is_taken_and_what_ended_it_is_refused() {
    for release in RELEASES {
        let vectors = vectors("tolerance", release);
        for vector in list(&vectors, "service_side_tolerance") {
            let name = text(vector, "name");
            let frames = frames(vector);
            let taken = Envelope::decode(frames.iter().map(Vec::as_slice))
                .map_err(|error| error.reason())
                .and_then(|envelope| Received::decode(envelope.body).map_err(|error| error.reason()));
            let dispatched = list(vector, "dispatched");
            // A v2 envelope without one of its keys reached the application as a message without a method.
            let is_junk = ["v2 no version", "v2 empty envelope"].contains(&name);
            // 1.4.1 drops notifications (B32).
            let is_notification = name == "legacy no method";
            if is_junk || dispatched.is_empty() && !is_notification {
                let refused = taken.as_ref().map_or(true, |received| received.read().is_err());
                assert!(refused, "{release} {name}");
                continue;
            }
            let received = taken.unwrap_or_else(|reason| panic!("{release} {name}: {reason}"));
            match received.read().unwrap() {
                Incoming::Request(request) => {
                    assert_eq!(value(received.context()), *member(&dispatched[0], "context"), "{name}");
                    // 1.4.1 hands its application the parts of the message, later releases the whole.
                    same_request(&request, dispatched[0].get("message").unwrap_or(&dispatched[0]), name);
                }
                Incoming::Notification(told) => {
                    assert!(is_notification, "{name}");
                    assert_eq!(told.field("event_type").as_deref(), Some("x"));
                }
            }
        }
    }
}

#[test]
fn b41_an_empty_frame_0_is_taken() {
    let frames = ["", "c.host1", "cast", r#"["{}", {"method": "m"}]"#].map(str::as_bytes);
    let received = Received::decode(Envelope::decode(frames).unwrap().body).unwrap();
    assert!(matches!(received.read(), Ok(Incoming::Request(request)) if request.method == "m"));
}

/// Decodes, compares with what the driver was given, encodes that again, and compares once more.
fn request(vector: &Value, name: &str, is_call: bool) {
    let frames = frames(vector);
    let envelope = Envelope::decode(frames.iter().map(Vec::as_slice)).unwrap();
    let received = Received::decode(envelope.body).unwrap();
    let Incoming::Request(request) = received.read().unwrap() else { panic!("{name}: no request") };
    assert_eq!(request.reply_to.is_some(), is_call, "{name}");
    assert_eq!(value(received.context()), *member(vector, "context"), "{name}");
    let given = member(vector, "message");
    // Python's own types stand in the vector by name and on the wire as JSON.
    if name != "cast_python_types" {
        same_request(&request, given, name);
    }

    let context = Context::new(member(vector, "context")).unwrap();
    let head = Head {
        method: &request.method,
        namespace: request.namespace.as_deref(),
        version: request.version.as_deref().unwrap_or("1.0"),
        reply_to: request.reply_to.as_ref().map(|to| (&*to.id, &*to.topic)),
    };
    let args: Value = request.args.read().unwrap();
    let again = Encoded::request(envelope.body.style(), &context, head, &args).unwrap();
    let (ours, mut theirs) = (content(again.as_body()), content(envelope.body));
    if given_version(given).is_none() {
        // A version is always sent: two of the releases fail a request without one (B21).
        assert!(name.contains("no_version"), "{name}");
        insert(&mut theirs[1], "version", "1.0".into());
    }
    assert_eq!(ours, theirs, "{name}");
}

fn reply(vector: &Value, name: &str) {
    let frames = frames(vector);
    let envelope = Envelope::decode(frames.iter().map(Vec::as_slice)).unwrap();
    let reply = Reply::decode(envelope.body).unwrap();
    let expected = member(vector, "client_outcome");
    let id = std::str::from_utf8(envelope.id).unwrap();
    let again = match reply.outcome().unwrap() {
        Outcome::Result(result) => {
            let result: Value = result.read().unwrap();
            assert_eq!(result, *member(expected, "returned"), "{name}");
            Encoded::reply(Style::Cast, id, &result).unwrap()
        }
        Outcome::Error(error) => {
            let raised = text(expected, "raised_type");
            assert!(error.is(raised) || raised == "RemoteError", "{name}: {error}");
            assert!(text(expected, "raised_str").contains(&*error.message), "{name}: {error}");
            Encoded::failure(id, &error).unwrap()
        }
    };
    let ([_, ours], [_, theirs]) = (content(again.as_body()), content(envelope.body));
    assert_eq!(opened(ours), opened(theirs), "{name}");
}

fn notification(vector: &Value, name: &str) {
    let frames = frames(vector);
    let envelope = Envelope::decode(frames.iter().map(Vec::as_slice)).unwrap();
    let received = Received::decode(envelope.body).unwrap();
    let Incoming::Notification(told) = received.read().unwrap() else { panic!("{name}: no notification") };
    let field = |name: &str| told.field(name).unwrap().into_owned();
    let head = NotificationHead {
        message_id: &field("message_id"),
        publisher_id: &field("publisher_id"),
        event_type: &field("event_type"),
        priority: &field("priority"),
        timestamp: &field("timestamp"),
    };
    let payload = value(told.payload());
    let context = Context::new(member(vector, "context")).unwrap();
    let again = Encoded::notification(envelope.body.style(), &context, head, &payload).unwrap();
    assert_eq!(content(again.as_body()), content(envelope.body), "{name}");
    assert_eq!(payload, *member(member(vector, "message"), "payload"), "{name}");
}

fn remote_error(vector: &Value, name: &str) {
    let sent = text(vector, "json_text");
    let error = RemoteError::decode(Text::new(sent.as_bytes()).unwrap()).unwrap();
    let again = error.encode().unwrap();
    assert_eq!(value(Text::new(again.as_bytes()).unwrap()), *member(vector, "parsed"), "{name}");
}

/// A leg of the traced call: one and the same request and reply, all the way.
fn leg(leg: &Value) {
    let frames = frames(leg);
    let envelope = Envelope::decode(frames.iter().map(Vec::as_slice)).unwrap();
    if envelope.id == b"0" {
        assert!(matches!(Received::decode(envelope.body).unwrap().read(), Ok(Incoming::Request(_))));
    } else {
        let reply = Reply::decode(envelope.body).unwrap();
        assert!(matches!(reply.outcome(), Ok(Outcome::Result(result)) if result.read() == Ok(true)));
    }
}

fn keys_in_order(vector: &Value) {
    let context = Context::default();
    let head = Head { method: "m", namespace: None, version: "1.0", reply_to: None };
    let body = Encoded::request(Style::V2, &context, head, &()).unwrap();
    let topic = oslo_rpc::Topic::parse(b"t.h").unwrap();
    let frames: Vec<_> = Envelope { id: b"0", topic, body: body.as_body() }.encode().map(<[u8]>::to_vec).collect();
    let keys: Vec<Value> = [4, 6].map(|n| std::str::from_utf8(&frames[n]).unwrap().into()).into();
    assert_eq!(*member(vector, "keys_in_wire_order"), Value::Array(keys));
}

fn same_request(request: &Request<'_>, expected: &Value, name: &str) {
    assert_eq!(request.method, text(expected, "method"), "{name}");
    assert_eq!(request.version.as_deref(), given_version(expected), "{name}");
    assert_eq!(request.namespace.as_deref(), expected.get("namespace").and_then(Value::as_str), "{name}");
    match request.args.read::<Value>() {
        Ok(args) => assert_eq!(marked(args), *member(expected, "args"), "{name}"),
        // Such a string can be passed on as text and not be read.
        Err(error) => assert!(name.contains("surrogate") && error.to_string().contains("surrogate"), "{name}"),
    }
}

/// Floats that are no numbers, as the vectors write them.
fn marked(value: Value) -> Value {
    match value {
        Value::Float(n) if n.is_nan() => "float:nan".into(),
        Value::Float(n) if n.is_infinite() => if n > 0.0 { "float:inf" } else { "float:-inf" }.into(),
        Value::Array(values) => Value::Array(values.into_iter().map(marked).collect()),
        Value::Object(members) => Value::Object(members.into_iter().map(|(k, v)| (k, marked(v))).collect()),
        other => other,
    }
}

fn given_version(message: &Value) -> Option<&str> {
    message.get("version").and_then(Value::as_str)
}

/// Context and message of a body.
fn content(body: Body<'_>) -> [Value; 2] {
    match body {
        Body::Cast { json } => {
            let pair: (String, Value) = Text::new(json).unwrap().read().unwrap();
            [value(Text::new(pair.0.as_bytes()).unwrap()), inner_context_opened(pair.1)]
        }
        Body::V2 { context, message } => {
            [value(Text::new(context).unwrap()), inner_context_opened(value(Text::new(message).unwrap()))]
        }
        Body::MessagePack { .. } => panic!("no vector is in this style"),
    }
}

/// The context inside a call is JSON in a string, with keys in any order.
fn inner_context_opened(mut message: Value) -> Value {
    if let Value::Object(members) = &mut message
        && let Some(Value::Object(args)) = members.get_mut("args")
        && let Some(Value::Array(msg)) = args.get_mut("msg")
        && let Some(Value::String(context)) = msg.first()
    {
        msg[0] = value(Text::new(context.as_bytes()).unwrap());
    }
    message
}

/// A reply's message with the error in it, also JSON in a string, opened.
fn opened(mut message: Value) -> Value {
    if let Value::Object(members) = &mut message
        && let Some(Value::Object(args)) = members.get_mut("args")
        && let Some(Value::Array(response)) = args.get_mut("response")
        && let Some(Value::Object(failure)) = response.first_mut()
        && let Some(Value::String(error)) = failure.get("exc")
    {
        let error = value(Text::new(error.as_bytes()).unwrap());
        failure.insert("exc".to_owned(), error);
    }
    message
}

fn insert(object: &mut Value, key: &str, value: Value) {
    let Value::Object(members) = object else { panic!("no object") };
    members.insert(key.to_owned(), value);
}

fn vectors(set: &str, release: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/vectors/oslo/{set}-{release}.json"));
    let octets = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    value(Text::new(&octets).unwrap())
}

fn frames(vector: &Value) -> Vec<Vec<u8>> {
    let hex = |frame: &Value| {
        let digits = frame.as_str().unwrap();
        let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
        pairs.collect()
    };
    list(vector, "frames_hex").iter().map(hex).collect()
}

fn value(text: Text<'_>) -> Value {
    text.read().unwrap()
}

fn member<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.get(key).unwrap_or_else(|| panic!("no {key}"))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    member(object, key).as_str().unwrap()
}

fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    match member(object, key) {
        Value::Array(values) => values,
        _ => panic!("{key} is no list"),
    }
}
