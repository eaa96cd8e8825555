//! The beginning of a frame, made safe for an error text.
//!
//! An error about a peer's octets should show some of them, and a log must not suffer for it. So an
//! excerpt is bounded, holds no reference into the message, is escaped when printed, and ends before
//! the first octet that opens a JSON text: if a body turns up where a name was due, none of it, and
//! so no token or password, reaches a log (oslo-bugs B8).

use std::fmt;

/// At most 40 octets from the start of a frame, and the frame's length.
///
/// Printed as ASCII with everything else escaped; an ellipsis stands for what is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    octets: [u8; CAPACITY],
    shown: usize,
    len: usize,
}

impl Excerpt {
    /// Copies the beginning of `frame`.
    pub fn of(frame: &[u8]) -> Self {
        let mut excerpt = Self { octets: [0; CAPACITY], shown: 0, len: frame.len() };
        let name = frame.iter().take_while(|octet| !JSON_OPENERS.contains(octet));
        for (slot, octet) in excerpt.octets.iter_mut().zip(name) {
            *slot = *octet;
            excerpt.shown += 1;
        }
        excerpt
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.octets[..self.shown].escape_ascii())?;
        if self.shown < self.len { f.write_str("…") } else { Ok(()) }
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Enough for a message id, which has 32 octets, and for a service's topic on a host with a short name;
/// an error that holds this much is still cheap to return by value.
const CAPACITY: usize = 40;

/// No topic, style or version in use has one of these; every context and message starts with one.
const JSON_OPENERS: &[u8] = b"{[\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_whole_and_what_does_not_is_cut() {
        assert_eq!(Excerpt::of(b"compute.host1").to_string(), "compute.host1");
        assert_eq!(Excerpt::of(&[b'x'; 40]).to_string(), "x".repeat(40));
        assert_eq!(Excerpt::of(&[b'x'; 41]).to_string(), "x".repeat(40) + "…");
        assert_eq!(Excerpt::of(b"").to_string(), "");
    }

    #[test]
    fn nothing_reaches_a_terminal_unescaped() {
        let all: Vec<u8> = (0..=255).collect();
        for chunk in all.chunks(CAPACITY) {
            let text = Excerpt::of(chunk).to_string();
            let plain = text.trim_end_matches('…');
            assert!(plain.bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{plain}");
        }
    }

    #[test]
    fn a_body_in_the_wrong_place_is_not_shown() {
        for body in [r#"["{\"auth_token\": \"s3cret"#, r#"{"auth_token": "s3cret"}"#, "\"s3cret\""] {
            assert_eq!(Excerpt::of(body.as_bytes()).to_string(), "…");
        }
    }
}
