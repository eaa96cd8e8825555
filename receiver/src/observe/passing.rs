//! Messages that pass, and messages that passed: `watch` and `where`.

use std::fmt;

use serde_json::Value;

use crate::figure::{duration, octets};
use crate::view::{RecordView, Trace};

/// A line of `watch`, as the endpoint gives it.
pub(super) struct Sighting<'a>(pub(super) &'a Value);

/// `where`
pub(super) struct Whereabouts<'a> {
    pub(super) id: &'a str,
    pub(super) trace: &'a Trace,
}

impl fmt::Display for Sighting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |field: &str| self.0[field].as_str().unwrap_or("-").escape_debug().to_string();
        if let lost @ 1.. = self.0["lost"].as_u64().unwrap_or_default() {
            writeln!(f, "({lost} passed too fast to be shown)")?;
        }
        let size = octets(self.0["octets"].as_u64().unwrap_or_default());
        write!(f, "{} {} -> {} ", text("time"), text("peer"), text("topic"))?;
        match self.0["fault"].as_str() {
            Some(fault) => write!(f, "({}) ", fault.escape_debug())?,
            None => write!(f, "{} ", text("kind"))?,
        }
        if self.0["method"].is_string() {
            write!(f, "{} ", text("method"))?;
        }
        let reply_to = self.0["reply_to"]["id"].as_str();
        let own = self.0["id"].as_str().filter(|id| !matches!(*id, "" | "0"));
        if let Some(id) = reply_to.or(own) {
            write!(f, "id {} ", id.escape_debug())?;
        }
        write!(f, "{size} {}", text("outcome"))?;
        if self.0["reason"].is_string() {
            write!(f, " ({})", text("reason"))?;
        }
        for field in ["context", "args", "message", "result", "error"] {
            // JSON escapes what could steer a terminal, but for what is beyond ASCII.
            if !self.0[field].is_null() {
                write!(
                    f,
                    "\n    {field} {}",
                    self.0[field].to_string().escape_debug().to_string().replace("\\\"", "\"")
                )?;
            }
        }
        writeln!(f)
    }
}

impl fmt::Display for Whereabouts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, trace } = self;
        for RecordView { time, peer, topic, messages, octets: size, outcome, reason, seconds_ago, .. } in &trace.records
        {
            let topic = if topic.is_empty() { "no topic".to_owned() } else { topic.escape_debug().to_string() };
            let ago = duration(*seconds_ago);
            write!(f, "{time} ({ago} ago) {peer} -> {topic}, {}: {outcome}", octets(*size as u64))?;
            if let Some(reason) = reason {
                write!(f, " ({})", reason.escape_debug())?;
            }
            let bulk = if *messages > 1 { format!(", first of {messages} in bulk") } else { String::new() };
            writeln!(f, "{bulk}")?;
        }
        if trace.records.is_empty() {
            let since = trace.since_seconds.map_or_else(|| "start".to_owned(), |since| duration(since) + " ago");
            write!(f, "no message with the id {:?} among the last {}, since {since}", id, trace.kept)?;
            let bulk = trace.without_id;
            writeln!(f, "; of {bulk} more since the start, which came in bulk, there is no id")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sighting_is_a_line_and_what_it_says_lines_of_their_own() {
        let mut line = json!({
            "time": "2026-11-21T11:40:01.123Z", "peer": "10.0.0.7:512", "topic": "compute.h\u{1b}", "kind": "call",
            "method": "m", "id": "0", "reply_to": {"id": "3f2a", "topic": "zmq_replies.h"}, "octets": 312,
            "outcome": "queued", "reason": null, "lost": 0,
        });
        let told = "2026-11-21T11:40:01.123Z 10.0.0.7:512 -> compute.h\\u{1b} call m id 3f2a 312 B queued\n";
        assert_eq!(Sighting(&line).to_string(), told);
        line["lost"] = 7.into();
        line["args"] = json!({"a": "\u{202e}"});
        let told = Sighting(&line).to_string();
        assert!(told.starts_with("(7 passed too fast to be shown)\n2026"), "{told}");
        assert!(told.ends_with("queued\n    args {\"a\":\"\\u{202e}\"}\n"), "{told}");
        let fault = json!({"fault": "1 frames", "octets": 3, "outcome": "dropped", "reason": "no-topic"});
        assert_eq!(Sighting(&fault).to_string(), "- - -> - (1 frames) 3 B dropped (no-topic)\n");
    }

    #[test]
    fn what_is_not_recorded_is_told_with_what_there_is() {
        let trace = Trace { kept: 812, since_seconds: Some(60.0), without_id: 9, ..Trace::default() };
        let told = Whereabouts { id: "3f", trace: &trace }.to_string();
        assert!(
            told.starts_with("no message with the id \"3f\" among the last 812, since 60 s ago; of 9 more"),
            "{told}"
        );
    }
}
