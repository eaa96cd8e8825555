//! Messages as they pass, a line of JSON each, secrets masked before they leave this process.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use oslo_rpc::Excerpt;
use oslo_rpc::told::told;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::clock::Clock;
use crate::observer::{outcome_of, rfc3339};
use crate::pattern::matches;
use crate::taps::Sight;

/// The body of an answer that goes on until somebody has enough.
#[derive(Debug)]
pub(super) struct Lines {
    sights: Receiver<Sight>,
    clock: Clock,
    /// Whether to show what a message says, and not only what it is.
    bodies: bool,
    /// A pattern of the methods that are shown; `None`: all.
    method: Option<String>,
    /// Messages that were not shown to this one since the last that was, because it was too slow.
    lost: u64,
    /// Said at once, so that whoever asked knows that it began.
    greeting: Option<Bytes>,
}

impl Lines {
    pub(super) fn new(sights: Receiver<Sight>, clock: Clock, bodies: bool, method: Option<String>) -> Self {
        Self { sights, clock, bodies, method, lost: 0, greeting: Some(Bytes::from_static(b"{\"watching\":true}\n")) }
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(Ok(Frame::data(greeting))));
        }
        loop {
            let Some(sight) = ready!(self.sights.poll_recv(cx)) else { return Poll::Ready(None) };
            let lost = self.lost + sight.lost;
            let said = said(&sight, lost, self.clock, self.bodies);
            if self.method.as_deref().is_none_or(|pattern| has_method(&said, pattern)) {
                self.lost = 0;
                return Poll::Ready(Some(Ok(Frame::data(format!("{said}\n").into()))));
            }
            self.lost = lost;
        }
    }
}

fn has_method(said: &Value, pattern: &str) -> bool {
    said["method"].as_str().is_some_and(|method| matches(pattern, method))
}

fn said(sight: &Sight, lost: u64, clock: Clock, bodies: bool) -> Value {
    let frame = |at: usize| sight.copy.frames.get(at).map(|frame| Excerpt::of(frame).to_string());
    let mut said = if sight.copy.is_whole {
        told(&sight.copy.frames)
    } else {
        json!({ "id": frame(0), "topic": frame(1), "style": frame(2), "fault": "too long to be shown" })
    };
    if let Value::Object(said) = &mut said {
        if !bodies {
            BODIES.iter().for_each(|field| drop(said.remove(*field)));
        }
        let (outcome, reason) = outcome_of(sight.outcome);
        said.insert("time".to_owned(), rfc3339(clock.wall(sight.at)).into());
        said.insert("peer".to_owned(), sight.peer.as_str().into());
        said.insert("octets".to_owned(), sight.copy.octets.into());
        said.insert("outcome".to_owned(), outcome.into());
        said.insert("reason".to_owned(), reason.into());
        said.insert("lost".to_owned(), lost.into());
    }
    said
}

/// Fields that have something of a message's content, be it masked.
const BODIES: &[&str] = &["context", "args", "message", "result", "error"];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zmtp::Message;

    use super::*;
    use crate::passing::{Copy, Outcome};

    fn shown(frames: &[&str], bodies: bool) -> Value {
        let message = Message::from_frames(frames.iter().map(|frame| frame.as_bytes().to_vec())).unwrap();
        let copy = Arc::new(Copy::of(&message));
        let sight = Sight { at: 0, peer: "a:1".to_owned(), copy, outcome: Outcome::Dropped("no-topic"), lost: 3 };
        let said = said(&sight, 3, Clock::new(), bodies);
        let line = said.to_string();
        assert!(line.lines().count() == 1 && !line.contains("s3cret"), "{line}");
        said
    }

    #[test]
    fn a_line_says_what_a_message_is_and_on_request_what_it_says_without_secrets() {
        let body = r#"["{\"auth_token\": \"s3cret\"}", {"method": "m", "args": {"a": 1, "admin_password": "s3cret"}}]"#;
        let frames = ["0", "compute.host1", "cast", body];
        let line = shown(&frames, false);
        assert_eq!((&line["method"], &line["topic"], &line["lost"]), (&json!("m"), &json!("compute.host1"), &json!(3)));
        assert_eq!((&line["outcome"], &line["reason"]), (&json!("dropped"), &json!("no-topic")));
        assert!(line["args"].is_null() && line["context"].is_null(), "{line}");
        assert!(has_method(&line, "m") && has_method(&line, "*") && !has_method(&line, "n"), "{line}");
        let line = shown(&frames, true);
        assert_eq!(line["args"], json!({"a": 1, "admin_password": "***"}));
        assert_eq!(line["context"], json!({"auth_token": "***"}));
    }

    #[test]
    fn what_is_no_message_or_too_long_is_shown_as_far_as_it_goes() {
        assert!(shown(&["s3cret"], true)["fault"].is_string());
        assert!(shown(&["0", "t", "cast", "{\"password\": \"s3cret"], true)["fault"].is_string());
        let long = format!("{{\"token\": \"s3cret{}", "x".repeat(100_000));
        let line = shown(&["0", "t", "cast", &long], true);
        assert_eq!((&line["topic"], &line["fault"]), (&json!("t"), &json!("too long to be shown")));
        assert!(line["octets"].as_u64() > Some(100_000));
    }
}
