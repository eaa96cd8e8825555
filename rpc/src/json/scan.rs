//! One pass over a text: is it JSON of the dialect, and where does each value end?
//!
//! The pass keeps the kinds of the open brackets in the bits of one number, so that depth costs
//! neither stack nor heap.

use std::str::from_utf8;

use thiserror::Error;

/// Octets that are no JSON, and where. The peer is at fault; none of its octets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no JSON at octet {offset}: {fault}")]
pub struct JsonError {
    /// Octets before the fault.
    pub offset: usize,
    /// What is wrong.
    pub fault: JsonFault,
}

/// Each way in which octets fail to be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonFault {
    /// Not UTF-8.
    #[error("the sender must encode it as UTF-8")]
    NotUtf8,
    /// Something else than the grammar allows.
    #[error("unexpected character")]
    Unexpected,
    /// It stops too early.
    #[error("it ends too early")]
    Truncated,
    /// More than [`MAX_DEPTH`] brackets open at once.
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// The text, if it is exactly one value with blanks around it.
pub(super) fn check(octets: &[u8]) -> Result<&str, JsonError> {
    let text =
        from_utf8(octets).map_err(|error| JsonError { offset: error.valid_up_to(), fault: JsonFault::NotUtf8 })?;
    let start = skip_blanks(octets, 0);
    let end = value(octets, start)?;
    match octets.get(skip_blanks(octets, end)) {
        None => Ok(&text[start..end]),
        Some(_) => Err(unexpected(octets, skip_blanks(octets, end))),
    }
}

/// The two values of an array of two, with no more than blanks around it. `None`: it is something else, or no JSON.
pub(super) fn check_pair(octets: &[u8]) -> Option<(&str, &str)> {
    let text = from_utf8(octets).ok()?;
    let next = |at: usize, expected: u8| {
        let at = skip_blanks(octets, at);
        (octets.get(at) == Some(&expected)).then(|| skip_blanks(octets, at + 1))
    };
    let first = next(0, b'[')?;
    let first_end = value(octets, first).ok()?;
    let second = next(first_end, b',')?;
    let second_end = value(octets, second).ok()?;
    let end = next(second_end, b']')?;
    octets.get(end).is_none().then_some((&text[first..first_end], &text[second..second_end]))
}

/// The offset behind the value that begins at `at`.
pub(super) fn value(octets: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let mut open = Open::default();
    loop {
        at = skip_blanks(octets, at);
        match octets.get(at) {
            Some(b'"') => at = string(octets, at)?,
            Some(b'{') => {
                open.push(true, at)?;
                at = skip_blanks(octets, at + 1);
                if octets.get(at) != Some(&b'}') {
                    at = key(octets, at)?;
                    continue;
                }
                open.pop();
                at += 1;
            }
            Some(b'[') => {
                open.push(false, at)?;
                at = skip_blanks(octets, at + 1);
                if octets.get(at) != Some(&b']') {
                    continue;
                }
                open.pop();
                at += 1;
            }
            _ => at = scalar(octets, at)?,
        }
        loop {
            let Some(is_object) = open.top() else { return Ok(at) };
            at = skip_blanks(octets, at);
            match (octets.get(at), is_object) {
                (Some(b','), false) => at += 1,
                (Some(b','), true) => at = key(octets, skip_blanks(octets, at + 1))?,
                (Some(b']'), false) | (Some(b'}'), true) => {
                    open.pop();
                    at += 1;
                    continue;
                }
                _ => return Err(unexpected(octets, at)),
            }
            break;
        }
    }
}

/// The offset of the first octet from `at` on that is no blank.
#[inline]
pub(super) fn skip_blanks(octets: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = octets.get(at) {
        at += 1;
    }
    at
}

/// The offset behind the value that begins at `at` of a text that was checked. Only quotes and brackets are looked at.
pub(super) fn skip(octets: &[u8], mut at: usize) -> Option<usize> {
    let mut open = 0_usize;
    loop {
        at = match octets.get(at)? {
            b'"' => skip_string(octets, at)?,
            b'{' | b'[' => {
                open += 1;
                at + 1
            }
            b'}' | b']' => {
                open = open.checked_sub(1)?;
                at + 1
            }
            _ => {
                let rest = octets.get(at..)?.iter();
                at + rest
                    .take_while(|octet| !matches!(octet, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))
                    .count()
            }
        };
        if open == 0 {
            return Some(at);
        }
        at += before(octets.get(at..)?, structure);
    }
}

/// As [`skip`], of a string.
pub(super) fn skip_string(octets: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += plain(octets.get(at..)?);
        match octets.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => return None,
        }
    }
}

/// The offset behind the string that begins at `at`. Escapes are checked; surrogates may be single.
pub(super) fn string(octets: &[u8], at: usize) -> Result<usize, JsonError> {
    if octets.get(at) != Some(&b'"') {
        return Err(unexpected(octets, at));
    }
    let mut at = at + 1;
    loop {
        at += plain(octets.get(at..).unwrap_or_default());
        match (octets.get(at), octets.get(at + 1)) {
            (Some(b'"'), _) => return Ok(at + 1),
            (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => at += 2,
            (Some(b'\\'), Some(b'u')) => {
                let digits = octets.get(at + 2..).unwrap_or_default().iter().take(4);
                let good = digits.take_while(|octet| octet.is_ascii_hexdigit()).count();
                if good < 4 {
                    return Err(unexpected(octets, at + 2 + good));
                }
                at += 6;
            }
            (Some(b'\\'), _) => return Err(unexpected(octets, at + 1)),
            _ => return Err(unexpected(octets, at)),
        }
    }
}

/// The offset behind a key and its colon.
pub(super) fn key(octets: &[u8], at: usize) -> Result<usize, JsonError> {
    let colon = skip_blanks(octets, string(octets, at)?);
    if octets.get(colon) == Some(&b':') { Ok(colon + 1) } else { Err(unexpected(octets, colon)) }
}

/// The count of octets that stand for themselves in a string, from the first on.
pub(super) fn plain(octets: &[u8]) -> usize {
    let near = octets.get(..CHUNK).unwrap_or(octets);
    let count = before(near, special);
    if count < near.len() {
        return count;
    }
    // A long string. Without a branch per octet the compiler compares many at once.
    let special_octet = |octet: u8| u8::from(octet == b'"') | u8::from(octet == b'\\') | u8::from(octet < 0x20);
    let (chunks, _) = octets.as_chunks::<CHUNK>();
    let is_plain = |chunk: &&[u8; CHUNK]| chunk.iter().fold(0, |found, &octet| found | special_octet(octet)) == 0;
    let whole = chunks.iter().take_while(is_plain).count() * CHUNK;
    whole + before(octets.get(whole..).unwrap_or_default(), special)
}

/// The count of octets before the first that is marked. `marks` takes eight octets, the first the lowest, and sets the
/// highest bit of each that it means; above the lowest that it means it may be wrong.
#[inline]
fn before(octets: &[u8], marks: impl Fn(u64) -> u64) -> usize {
    let (words, rest) = octets.as_chunks();
    for (n, word) in words.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return n * WORD + found.trailing_zeros() as usize / 8;
        }
    }
    // Few octets, and a call to copy them costs more than this.
    let word = rest.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet));
    let found = marks(word);
    words.len() * WORD + rest.len().min(found.trailing_zeros() as usize / 8)
}

/// Marks quotes, backslashes and controls.
#[inline]
fn special(word: u64) -> u64 {
    let below_blank = word.wrapping_sub(ONES * 0x20) & !word & HIGHEST;
    equal(word, b'"') | equal(word, b'\\') | below_blank
}

/// Marks quotes and brackets.
#[inline]
fn structure(word: u64) -> u64 {
    // `[` and `]` are `{` and `}` without this bit.
    let curled = word | (ONES * 0x20);
    equal(word, b'"') | equal(curled, b'{') | equal(curled, b'}')
}

/// Marks octets that are this one. What is borrowed in the subtraction is borrowed from octets above.
#[inline]
fn equal(word: u64, octet: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(octet));
    difference.wrapping_sub(ONES) & !difference & HIGHEST
}

fn scalar(octets: &[u8], at: usize) -> Result<usize, JsonError> {
    let rest = octets.get(at..).unwrap_or_default();
    if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word)) {
        return Ok(at + word.len());
    }
    let digits = |at: usize| {
        let digits = octets.get(at..).unwrap_or_default().iter();
        match digits.take_while(|octet| octet.is_ascii_digit()).count() {
            0 => Err(unexpected(octets, at)),
            n => Ok(at + n),
        }
    };
    let start = at + usize::from(octets.get(at) == Some(&b'-'));
    // No digit may follow a leading zero.
    let mut at = if octets.get(start) == Some(&b'0') { start + 1 } else { digits(start)? };
    if octets.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = octets.get(at) {
        at = digits(at + 1 + usize::from(matches!(octets.get(at + 1), Some(b'+' | b'-'))))?;
    }
    Ok(at)
}

fn unexpected(octets: &[u8], offset: usize) -> JsonError {
    let fault = if offset < octets.len() { JsonFault::Unexpected } else { JsonFault::Truncated };
    JsonError { offset, fault }
}

/// The brackets that are open: one bit each, set for an object, the innermost lowest.
#[derive(Default)]
struct Open {
    kinds: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, is_object: bool, offset: usize) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError { offset, fault: JsonFault::TooDeep });
        }
        self.kinds = self.kinds << 1 | u128::from(is_object);
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.kinds & 1 == 1)
    }
}

/// Most brackets open at once: the bits of the number that holds them. Messages of real services nest
/// about ten deep, and what reads a text into nested types recurses as deep.
pub const MAX_DEPTH: u32 = 128;

/// Octets of a number that is compared at once.
const WORD: usize = size_of::<u64>();

/// One, and the highest bit, in each octet.
const ONES: u64 = u64::MAX / 0xff;
const HIGHEST: u64 = ONES << 7;

/// Octets of a long string compared at once: two of the registers that every x86-64 has.
const CHUNK: usize = 32;

const WORDS: &[&[u8]] = &[b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> (usize, JsonFault) {
        let error = check(text.as_bytes()).unwrap_err();
        (error.offset, error.fault)
    }

    #[test]
    fn the_dialect_is_taken() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "10",
            "1.5",
            "1e+22",
            "1.5E-07",
            "NaN",
            "Infinity",
            "-Infinity",
            "\"\"",
            r#""\ud800""#,
            r#""\u007f\"\\\/\b\f\n\r\t""#,
            "[]",
            "{}",
            "[[],{}]",
            r#"{"a": [1, {"b": null}], "a": 2}"#,
            "123456789012345678901234567890123456789012345678901234567890",
            "\"é\u{7f}\"",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(text));
        }
        assert_eq!(check(b" \t\r\n[1 , 2 ]\n"), Ok("[1 , 2 ]"));
        assert_eq!(check_pair(b" [ \"a\" , {\"b\":[]} ]\n"), Some(("\"a\"", "{\"b\":[]}")));
        for other in
            [&b"[1]"[..], b"[1,2,3]", b"{\"a\":1}", b"[1,2", b"[1,2]]", b"[1,]", b"[,]", b"", b"[1 2]", b"[\xff,1]"]
        {
            assert_eq!(check_pair(other), None);
        }
    }

    #[test]
    fn anything_else_is_refused_at_its_place() {
        use JsonFault::{NotUtf8, TooDeep, Truncated, Unexpected};
        for (text, offset, expected) in [
            ("", 0, Truncated),
            ("{", 1, Truncated),
            ("[1,", 3, Truncated),
            ("\"a", 2, Truncated),
            ("-", 1, Truncated),
            ("01", 1, Unexpected),
            ("1.", 2, Truncated),
            ("1e", 2, Truncated),
            ("+1", 0, Unexpected),
            ("nul", 0, Unexpected),
            ("[1 2]", 3, Unexpected),
            ("[1,]", 3, Unexpected),
            ("[1}", 2, Unexpected),
            ("{1:2}", 1, Unexpected),
            ("{\"a\" 2}", 5, Unexpected),
            ("{\"a\":2,}", 7, Unexpected),
            ("\"\\x\"", 2, Unexpected),
            ("\"\\u12g4\"", 5, Unexpected),
            ("\"\n\"", 1, Unexpected),
            ("[] []", 3, Unexpected),
            ("'a'", 0, Unexpected),
            ("-NaN", 1, Unexpected),
        ] {
            assert_eq!(fault(text), (offset, expected), "{text}");
        }
        assert_eq!(fault(&"[".repeat(200)), (128, TooDeep));
        let deepest = "[".repeat(128) + &"]".repeat(128);
        assert!(check(deepest.as_bytes()).is_ok());
        assert_eq!(check(b"\"\xff\"").unwrap_err(), JsonError { offset: 1, fault: NotUtf8 });
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_strict_parser(text in "[\\[\\]{},:\"\\\\u0-9a-f.eE+ -]{0,24}") {
            let strict = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(text.as_bytes()).is_ok(), strict, "{}", text);
        }

        #[test]
        fn any_octets_are_taken_or_refused(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (check(&octets), skip(&octets, 0));
        }

        #[test]
        fn a_value_that_was_checked_ends_where_the_check_found_it(text in "[\\[\\]{},:\"\\\\u0-9a-f.eE+ -]{0,24}", n in 0..40_usize) {
            let padded = format!("[\"{}\",{text}]", "é".repeat(n));
            for text in [text, padded] {
                if let Ok(text) = check(text.as_bytes()) {
                    prop_assert_eq!(skip(text.as_bytes(), 0), Some(text.len()), "{}", text);
                }
            }
        }

        #[test]
        fn a_string_is_plain_up_to_the_first_that_is_not(octets in prop::collection::vec(any::<u8>(), 0..80), common in prop::bool::ANY) {
            let octets: Vec<u8> = octets.into_iter().map(|octet| if common { octet | 0x80 } else { octet }).collect();
            let expected = octets.iter().take_while(|octet| !matches!(octet, b'"' | b'\\' | 0..0x20)).count();
            prop_assert_eq!(plain(&octets), expected);
        }
    }
}
