//! The text of a ring file: strict JSON, and a lenient form of it (oslo-zmq, section 7.2).
//!
//! ```text
//! ring   = "{" [ entry *( "," entry ) ] "}"
//! entry  = string ":" ( hosts / string )
//! hosts  = "[" [ string *( "," string ) ] "]"
//! ```
//!
//! Strings, escapes and blanks are those of RFC 8259. Beyond it, each noted with its line: single
//! quotes, a comma after the last item, `#` and `//` comments, and a byte order mark, because
//! deployment guides print rings like that. One reader serves both forms: a text that it reads
//! without a note is strict JSON, and it reads every ring that is strict JSON.
//!
//! What always holds: the reader does not recurse, looks at each octet a fixed number of times, and
//! allocates no more than a fixed multiple of the text.
//!
//! Not done here: what makes a name, which is the ring's to check, and what a topic means.

use std::fmt;

use thiserror::Error;

use crate::name::NameError;

/// A ring as it is written: order, repetitions and lines kept, names unchecked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) entries: Vec<Entry>,
    /// One per kind.
    pub(crate) departures: Vec<Departure>,
}

/// A topic and its hosts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) topic: Text,
    pub(crate) hosts: Vec<Text>,
    /// Whether the hosts were one string outside a list.
    pub(crate) bare: bool,
}

/// A string and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) value: String,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Octets of the document before its opening quote.
    pub(crate) offset: usize,
}

/// Where, and how often, a ring is not strict JSON in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) leniency: Leniency,
    /// Of the first.
    pub(crate) line: u32,
    pub(crate) times: u32,
}

impl Document {
    /// Reads the whole text.
    pub(crate) fn read(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader { text, offset: 0, line: 1, departures: Vec::new() };
        match reader.entries() {
            Ok(entries) => Ok(Self { entries, departures: reader.departures }),
            Err(fault) => Err(ParseError::at(text, reader.offset, fault)),
        }
    }
}

/// What the lenient form allows and strict JSON does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leniency {
    /// `'host1'`
    SingleQuotes,
    /// `["host1",]`
    TrailingComma,
    /// `# …` or `// …` to the end of the line
    Comment,
    /// U+FEFF at the very beginning
    ByteOrderMark,
}

impl fmt::Display for Leniency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleQuotes => "single quotes",
            Self::TrailingComma => "a comma after the last item",
            Self::Comment => "a comment",
            Self::ByteOrderMark => "a byte order mark",
        })
    }
}

/// Why a text is no ring: `line:column: fault: hint`, both counted from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {fault}: {}", fault.hint())]
pub struct ParseError {
    /// The line of the fault.
    pub line: u32,
    /// Its place in that line.
    pub column: u32,
    /// What is wrong there.
    pub fault: Fault,
}

impl ParseError {
    /// A fault after `offset` octets of `text`.
    pub(crate) fn at(text: &str, offset: usize, fault: Fault) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let begun = before.rsplit('\n').next().unwrap_or_default();
        Self { line: count(before.matches('\n')), column: count(begun.chars()), fault }
    }
}

/// What is wrong at one place of a ring.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing but blanks and comments.
    #[error("the file is empty")]
    Empty,
    /// The text ends inside the ring.
    #[error("the file ends where {expected} should stand")]
    CutShort {
        /// What could have followed.
        expected: &'static str,
    },
    /// Something else than the grammar has here.
    #[error("{found:?} where {expected} should stand")]
    Unexpected {
        /// What could have followed.
        expected: &'static str,
        /// What does.
        found: char,
    },
    /// A string that runs into the end of its line.
    #[error("a string without its closing quote")]
    OpenString,
    /// A control character, written as itself inside a string.
    #[error("the control character {0:?} in a string")]
    Control(char),
    /// A backslash before anything else than JSON has after one.
    #[error("an escape that JSON does not have")]
    Escape,
    /// Half a surrogate pair.
    #[error("an escape for half a character")]
    Surrogate,
    /// A string that is no name.
    #[error("{0}")]
    Name(NameError),
}

impl Fault {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "the ring of no topics is {}",
            Self::CutShort { .. } => "it may be half written: write rings to another name and rename them",
            Self::Unexpected { .. } => r#"a ring is an object of lists: {"scheduler": ["host1", "host2"]}"#,
            Self::OpenString => "close it on the same line",
            Self::Control(_) => "remove it",
            Self::Escape => r"write the character itself, or \u and four hexadecimal digits",
            Self::Surrogate => "write the character itself",
            Self::Name(_) => "no message could be sent to it",
        }
    }
}

/// A place in the text. A method that fails leaves it at the fault.
struct Reader<'t> {
    text: &'t str,
    /// Octets read.
    offset: usize,
    line: u32,
    departures: Vec<Departure>,
}

impl Reader<'_> {
    fn entries(&mut self) -> Result<Vec<Entry>, Fault> {
        if self.take('\u{feff}') {
            self.note(Leniency::ByteOrderMark);
        }
        self.skip_blanks();
        if self.peek().is_none() {
            return Err(Fault::Empty);
        }
        self.expect('{', "the opening {")?;
        let mut entries = Vec::new();
        self.items('}', "a comma or the closing }", |reader| {
            entries.push(reader.entry()?);
            Ok(())
        })?;
        self.skip_blanks();
        match self.peek() {
            None => Ok(entries),
            Some(_) => Err(self.not("the end of the file")),
        }
    }

    fn entry(&mut self) -> Result<Entry, Fault> {
        let topic = self.string("a topic in quotes")?;
        self.skip_blanks();
        self.expect(':', "a colon")?;
        self.skip_blanks();
        let mut hosts = Vec::new();
        let bare = !self.take('[');
        if bare {
            hosts.push(self.string("a list of hosts")?);
        } else {
            self.items(']', "a comma or the closing ]", |reader| {
                hosts.push(reader.string("a host in quotes")?);
                Ok(())
            })?;
        }
        Ok(Entry { topic, hosts, bare })
    }

    /// Items with commas between them, up to and including `close`.
    fn items(
        &mut self,
        close: char,
        separator: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.skip_blanks();
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_blanks();
            if self.take(close) {
                return Ok(());
            }
            let comma = self.line;
            self.expect(',', separator)?;
            self.skip_blanks();
            if self.take(close) {
                self.note_on(comma, Leniency::TrailingComma);
                return Ok(());
            }
        }
    }

    fn string(&mut self, expected: &'static str) -> Result<Text, Fault> {
        let (line, offset) = (self.line, self.offset);
        let Some(quote @ ('"' | '\'')) = self.peek() else {
            return Err(self.not(expected));
        };
        self.take(quote);
        if quote == '\'' {
            self.note(Leniency::SingleQuotes);
        }
        let mut value = String::new();
        loop {
            match self.peek() {
                None => {
                    let expected = "a closing quote";
                    return Err(Fault::CutShort { expected });
                }
                Some('\n' | '\r') => return Err(Fault::OpenString),
                Some(c) if c < ' ' => return Err(Fault::Control(c)),
                Some('\\') => value.push(self.escape(quote)?),
                Some(c) => {
                    self.take(c);
                    if c == quote {
                        return Ok(Text { value, line, offset });
                    }
                    value.push(c);
                }
            }
        }
    }

    /// One escaped character; `\'` only where single quotes make it needed.
    fn escape(&mut self, quote: char) -> Result<char, Fault> {
        let rest = &self.text[self.offset..];
        let mut after = rest.chars().skip(1);
        let (character, octets) = match after.next() {
            Some('b') => ('\u{8}', 2),
            Some('f') => ('\u{c}', 2),
            Some('n') => ('\n', 2),
            Some('r') => ('\r', 2),
            Some('t') => ('\t', 2),
            Some('u') => unicode_escape(rest)?,
            Some(c) if c == quote || matches!(c, '"' | '\\' | '/') => (c, 2),
            _ => return Err(Fault::Escape),
        };
        self.offset += octets;
        Ok(character)
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some('\n') => {
                    self.line += 1;
                    self.offset += 1;
                }
                Some(' ' | '\t' | '\r') => self.offset += 1,
                Some('#') => self.skip_comment(),
                Some('/') if self.text[self.offset..].starts_with("//") => self.skip_comment(),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        self.note(Leniency::Comment);
        let rest = &self.text[self.offset..];
        self.offset += rest.find('\n').unwrap_or(rest.len());
    }

    fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    /// Steps over `wanted` if it is next.
    fn take(&mut self, wanted: char) -> bool {
        let next = self.peek() == Some(wanted);
        if next {
            self.offset += wanted.len_utf8();
        }
        next
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<(), Fault> {
        if self.take(wanted) { Ok(()) } else { Err(self.not(expected)) }
    }

    fn not(&self, expected: &'static str) -> Fault {
        match self.peek() {
            Some(found) => Fault::Unexpected { expected, found },
            None => Fault::CutShort { expected },
        }
    }

    fn note(&mut self, leniency: Leniency) {
        self.note_on(self.line, leniency);
    }

    fn note_on(&mut self, line: u32, leniency: Leniency) {
        let mut departures = self.departures.iter_mut();
        match departures.find(|known| known.leniency == leniency) {
            Some(known) => known.times += 1,
            None => self.departures.push(Departure { leniency, line, times: 1 }),
        }
    }
}

/// The character of `\uXXXX`, or of two of them that are a surrogate pair, and its length in octets.
fn unicode_escape(text: &str) -> Result<(char, usize), Fault> {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        let hexadecimal = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
        hexadecimal.then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let first = unit(0).ok_or(Fault::Escape)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 6));
    }
    match (first, unit(6)) {
        (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) => {
            let scalar = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            let character = char::from_u32(scalar).ok_or(Fault::Surrogate)?;
            Ok((character, 12))
        }
        _ => Err(Fault::Surrogate),
    }
}

/// One more than the items: the number of the line or column that comes next.
fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).map_or(u32::MAX, |count| count.saturating_add(1))
}
