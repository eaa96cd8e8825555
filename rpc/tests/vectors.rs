//! What the original releases sent, and what their services accepted: every captured multipart.
//!
//! `wire-*.json` was recorded from the running driver, `tolerance-*.json` holds made-up input with
//! the fate it met in a real service.

#![allow(clippy::unwrap_used, reason = "a vector that cannot be read has to fail its test")]

use std::path::Path;

use oslo_rpc::Excerpt;
use oslo_rpc::envelope::{Body, Envelope, EnvelopeError, Style};
use oslo_rpc::topic::{Kind, Topic};
use serde_json::Value;

const RELEASES: [&str; 3] = ["1.4.1", "1.8.3", "2.5.0"];

#[test]
fn every_captured_multipart_decodes_and_encodes_alike() {
    for release in RELEASES {
        let mut seen = 0;
        for multipart in multiparts(&vectors("wire", release)) {
            let frames = frames(multipart);
            let envelope = decode(&frames).unwrap();
            assert!(envelope.encode().eq(frames.iter().map(Vec::as_slice)));
            assert_eq!(envelope.id, frames[0]);
            assert_eq!(envelope.topic.as_str().as_bytes(), frames[1]);
            seen += 1;
        }
        // 63 vectors of one multipart each, 8 legs of the traced call, 5 legs beside casts and fanouts.
        assert_eq!(seen, 63 + 8 + 5, "{release}");
    }
}

#[test]
fn the_parts_are_what_the_driver_was_given() {
    for release in RELEASES {
        let document = vectors("wire", release);
        for vector in document["vectors"].as_array().unwrap() {
            let Some(style) = vector["format"].as_str() else {
                continue;
            };
            let name = vector["name"].as_str().unwrap();
            let frames = frames(vector);
            let envelope = decode(&frames).unwrap();
            assert_eq!(envelope.body.style().as_str(), style, "{name}");

            let (context, message) = json(envelope.body);
            assert_eq!(context, vector["context"], "{name}");
            let id = match vector["kind"].as_str().unwrap() {
                "call-reply" => message["args"]["msg_id"].as_str().unwrap(),
                "call-request" => {
                    assert_eq!(message["args"]["msg"][1], vector["message"], "{name}");
                    "0"
                }
                _ => {
                    // Python's own types stand in the vector by name and on the wire as JSON.
                    if name != "cast_python_types" {
                        assert_eq!(message, vector["message"], "{name}");
                    }
                    "0"
                }
            };
            assert_eq!(envelope.id, id.as_bytes(), "{name}");
        }
    }
}

#[test]
fn topics_lead_to_the_sockets_of_the_original_receiver() {
    let dir = Path::new("/var/run/openstack");
    for release in RELEASES {
        let document = vectors("wire", release);
        let mut seen = 0;
        for leg in multiparts(&document) {
            let ipc_dir = "ipc:///var/run/openstack/";
            let at_addr = leg["addr"].as_str().and_then(|addr| addr.strip_prefix(ipc_dir));
            let Some(file) = leg["ipc_file"].as_str().or(at_addr) else {
                continue;
            };
            let frames = frames(leg);
            let topic = Topic::parse(&frames[1]).unwrap();
            assert_eq!(topic.socket_path(dir), Ok(dir.join(file)));
            let published = matches!(leg["socket_type"].as_str().unwrap(), "PUB" | "SUB");
            assert_eq!(topic.kind() != Kind::Queue, published, "{file}");
            seen += 1;
        }
        assert_eq!(seen, 4 + 5, "{release}: IPC legs of the traced call, and those beside vectors");

        let routed = document["vectors"].as_array().unwrap().iter().find(|v| v["kind"] == "routing");
        for step in routed.unwrap()["sequence"].as_array().unwrap() {
            let text = step["topic_frame"].as_str().unwrap();
            let topic = Topic::parse(text.as_bytes()).unwrap();
            assert_eq!(topic.kind(), Kind::Queue);
            assert_eq!(topic.socket_name(), format!("zmq_topic_{text}"));
        }
    }
}

#[test]
fn what_a_service_tolerates_decodes_and_the_rest_is_refused_by_kind() {
    for release in RELEASES {
        let document = vectors("tolerance", release);
        let inputs = document["service_side_tolerance"].as_array().unwrap();
        assert_eq!(inputs.len(), 37, "{release}");
        for input in inputs {
            let name = input["name"].as_str().unwrap();
            let unsupported = |version: &[u8]| EnvelopeError::UnsupportedVersion { version: Excerpt::of(version) };
            // Whatever else kills a consumer does so within the JSON, above this layer.
            let expected = match name {
                "two frames only" => Some(EnvelopeError::TooFewFrames { found: 2 }),
                "three frames only" => Some(EnvelopeError::TooFewFrames { found: 3 }),
                "unknown style" => Some(EnvelopeError::UnknownStyle { style: Excerpt::of(b"impl_zmq_v3") }),
                "v2 version 2.1" => Some(unsupported(b"2.1")),
                "v2 version 3.0" => Some(unsupported(b"3.0")),
                "v2 version 2" => Some(unsupported(b"2")),
                "v2 no version" => Some(EnvelopeError::MissingKey { key: "oslo.version" }),
                "v2 empty envelope" => Some(EnvelopeError::MissingKey { key: "oslo.message" }),
                _ => None,
            };
            let frames = frames(input);
            let decoded = decode(&frames);
            assert_eq!(decoded.err(), expected, "{name}");

            if let Ok(envelope) = decoded
                && envelope.body.style() == Style::V2
            {
                let (context, message) = json(envelope.body);
                let dispatched = &input["dispatched"][0];
                assert_eq!(context, dispatched["context"], "{name}");
                // 1.4.1 hands its application the parts of the message, later releases the whole.
                let reached = dispatched.get("message").unwrap_or(dispatched);
                for (key, value) in message.as_object().unwrap() {
                    assert_eq!(value, &reached[key], "{release}, {name}");
                }
            }
        }
    }
}

fn decode(frames: &[Vec<u8>]) -> Result<Envelope<'_>, EnvelopeError> {
    Envelope::decode(frames.iter().map(Vec::as_slice))
}

/// Context and message of a body known to be JSON.
fn json(body: Body<'_>) -> (Value, Value) {
    let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
    match body {
        Body::Cast { json } => {
            let [context, message] = serde_json::from_slice::<[Value; 2]>(json).unwrap();
            (parse(context.as_str().unwrap().as_bytes()), message)
        }
        Body::V2 { context, message } => (parse(context), parse(message)),
        Body::MessagePack { .. } => panic!("no vector is in this style"),
    }
}

/// Every object with frames in it, however deep.
fn multiparts(value: &Value) -> Vec<&Value> {
    let inner = match value {
        Value::Array(items) => items.iter().flat_map(multiparts).collect(),
        Value::Object(fields) => fields.values().flat_map(multiparts).collect(),
        _ => Vec::new(),
    };
    value.get("frames_hex").map(|_| value).into_iter().chain(inner).collect()
}

fn frames(multipart: &Value) -> Vec<Vec<u8>> {
    let frames = multipart["frames_hex"].as_array().unwrap().iter();
    frames.map(|frame| unhex(frame.as_str().unwrap())).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.is_ascii() && text.len().is_multiple_of(2), "{text}");
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

fn vectors(kind: &str, release: &str) -> Value {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/oslo");
    let text = std::fs::read(dir.join(format!("{kind}-{release}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}
