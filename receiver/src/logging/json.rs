//! A line of the log as one JSON object, with the keys of `oslo.log`'s JSON formatter and our fields beside them.
//!
//! ```text
//! {"asctime":"2026-11-21 02:34:59.123","levelname":"WARNING","name":"zmq_receiver.drops","message":"dropped: ...",
//!  "process":4711,"hostname":"node7","context":{},"reason":"topic-backlog","messages":3}
//! ```
//!
//! An object is one line, since control characters are escaped, and its length is bounded, like that of a line of text. Keys stand in no particular order.

use std::fmt::{self, Write as _};
use std::process;

use jiff::Zoned;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// An event as a line, with its end. `module` is who speaks, `hostname` this machine.
pub(super) fn line(event: &Event<'_>, module: &str, hostname: &str) -> String {
    let level = match *event.metadata().level() {
        Level::WARN => "WARNING",
        level => level.as_str(),
    };
    let head = [
        ("asctime", Zoned::now().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string().into()),
        ("levelname", level.into()),
        ("name", module.into()),
        ("message", "".into()),
        ("process", process::id().into()),
        ("hostname", hostname.into()),
        ("context", Value::Object(Map::new())),
    ];
    let fields = head.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut object = Object { fields, room: MAX_TEXT };
    event.record(&mut object);
    format!("{}\n", Value::Object(object.fields))
}

/// An object in the making.
struct Object {
    fields: Map<String, Value>,
    /// Octets that texts may still take.
    room: usize,
}

impl Object {
    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Text { text: String::new(), room: self.room, is_full: false };
        // Writing cannot fail; what a value's own formatting fails to give is missing.
        let _ = text.write_fmt(value);
        if text.is_full {
            text.text.push('…');
        }
        self.room = text.room;
        self.put(field, text.text.into());
    }

    /// A field of ours never takes the place of a key that every line has.
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let is_taken = name != "message" && self.fields.contains_key(name);
        self.fields.insert(if is_taken { format!("{name}_") } else { name.to_owned() }, value);
    }
}

/// A text that grows as far as there is room.
struct Text {
    text: String,
    room: usize,
    is_full: bool,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match self.room.checked_sub(c.len_utf8()) {
                Some(room) => self.room = room,
                None => {
                    self.is_full = true;
                    break;
                }
            }
            self.text.push(c);
        }
        Ok(())
    }
}

impl Visit for Object {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

/// Octets of all texts of one line together, before escaping. As many as a line of text may have.
const MAX_TEXT: usize = 8 << 10;
