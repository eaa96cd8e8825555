//! The line of an event as `oslo.log` writes it: one line of bounded length, whatever a peer put into it.

use std::fmt::{self, Write as _};
use std::process;

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// A line in the making: control characters escaped, and what is too much left out.
pub(super) struct Line {
    text: String,
    is_full: bool,
}

impl Line {
    /// The whole line of an event, with its end.
    pub(super) fn of(event: &Event<'_>) -> String {
        let mut line = Self { text: String::with_capacity(TYPICAL_LINE), is_full: false };
        // Writing to a line cannot fail; what a value's own formatting fails to give is missing.
        let _ = line.head(event);
        event.record(&mut line);
        if line.is_full {
            line.text.push('…');
        }
        line.text.push('\n');
        line.text
    }

    /// A line of the log about itself.
    pub(super) fn own(text: &str) -> String {
        let time = Zoned::now().strftime("%Y-%m-%d %H:%M:%S%.3f");
        format!("{time} {} WARNING zmq_receiver.logging [-] {text}\n", process::id())
    }

    fn head(&mut self, event: &Event<'_>) -> fmt::Result {
        let time = Zoned::now().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
        let level = match *event.metadata().level() {
            Level::WARN => "WARNING",
            level => level.as_str(),
        };
        write!(self, "{time} {} {level} {} [-]", process::id(), module(event))
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.text.len() >= MAX_LINE {
                self.is_full = true;
                break;
            }
            if could_deceive(c) {
                self.text.extend(c.escape_default());
            } else {
                self.text.push(c);
            }
        }
        Ok(())
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            let _ = write!(self, " {value}");
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self, " {value:?}"),
            name => write!(self, " {name}={value:?}"),
        };
    }
}

/// Who speaks, as `oslo.log` would name it: `zmq_receiver.router`.
pub(super) fn module(event: &Event<'_>) -> String {
    let target = event.metadata().target();
    target.strip_prefix("oslo_messaging_").unwrap_or(target).replace("::", ".")
}

/// Whether a character could end the line, move the cursor or reorder what is read.
fn could_deceive(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Octets of a long ordinary line, so that most need one allocation.
const TYPICAL_LINE: usize = 256;

/// Octets after which a line is cut. Syslog daemons take 8 KiB by default.
pub(super) const MAX_LINE: usize = 8 << 10;
