//! A checked JSON text, read in place.

use std::borrow::Cow;
use std::fmt;

use super::scan::{self, JsonError};

/// One JSON value as text, checked, without blanks around it. `Debug` shows its length only.
///
/// ```
/// use oslo_rpc::json::Text;
///
/// let text = Text::new(br#"{"method": "add", "args": {"a": 1, "b": 36893488147419103232}}"#)?;
/// let args = text.member("args").ok_or("no args")?;
/// assert_eq!(args.member("b").map(|b| b.as_str()), Some("36893488147419103232"));
///
/// #[derive(serde::Deserialize)]
/// struct Add { a: u8, b: u128 }
/// let add: Add = args.read()?;
/// assert_eq!((add.a, add.b), (1, 1 << 65));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Checks octets.
    ///
    /// # Errors
    ///
    /// [`JsonError`]: they are no JSON of the dialect.
    pub fn new(octets: &'a [u8]) -> Result<Self, JsonError> {
        scan::check(octets).map(Self)
    }

    /// Checks octets that are to be an array of two; its elements. `None`: they are not.
    pub(crate) fn pair(octets: &'a [u8]) -> Option<(Self, Self)> {
        scan::check_pair(octets).map(|(first, second)| (Self(first), Self(second)))
    }

    /// A text that was checked before, such as one kept in a `String`.
    ///
    /// One that was not can make the other methods come to less, never to a panic.
    pub(crate) fn trusted(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.0.starts_with('[')
    }

    /// The elements of an array; none of anything else.
    pub fn elements(&self) -> Elements<'a> {
        Elements(Inside::of(self.0, b'['))
    }

    /// The members of an object in their order, repeated ones too, keys as strings' texts; none of anything else.
    pub fn members(&self) -> Members<'a> {
        Members(Inside::of(self.0, b'{'))
    }

    /// The value of a key of an object: of a repeated one the last.
    pub fn member(&self, key: &str) -> Option<Self> {
        self.members().filter(|(found, _)| found.is_string(key)).last().map(|(_, value)| value)
    }

    /// A string's content, borrowed if nothing in it is escaped. `None` if it is no string, or has a
    /// single surrogate in it, which no string of ours can hold.
    pub fn string(&self) -> Option<Cow<'a, str>> {
        let inside = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if scan::plain(inside.as_bytes()) == inside.len() {
            Some(Cow::Borrowed(inside))
        } else {
            unescaped(inside).map(Cow::Owned)
        }
    }

    fn is_string(&self, content: &str) -> bool {
        self.string().is_some_and(|string| string == content)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} octets)", self.0.len())
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Elements<'a>(Inside<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Text<'a>;

    fn next(&mut self) -> Option<Text<'a>> {
        self.0.begin()?;
        self.0.value()
    }
}

/// The members of an object.
#[derive(Debug, Clone)]
pub struct Members<'a>(Inside<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Text<'a>);

    fn next(&mut self) -> Option<(Text<'a>, Text<'a>)> {
        self.0.begin()?;
        let key = self.0.key()?;
        Some((key, self.0.value()?))
    }
}

/// A walk inside brackets of a text that was checked.
#[derive(Clone)]
struct Inside<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Inside<'a> {
    fn of(text: &'a str, bracket: u8) -> Self {
        let text = if text.as_bytes().first() == Some(&bracket) { text } else { "" };
        Self { text, at: 1 }
    }

    /// Stands before the next item; `None` at the closing bracket.
    fn begin(&mut self) -> Option<()> {
        let octets = self.text.as_bytes();
        self.at = scan::skip_blanks(octets, self.at);
        match octets.get(self.at)? {
            b']' | b'}' => None,
            b',' => {
                self.at = scan::skip_blanks(octets, self.at + 1);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn key(&mut self) -> Option<Text<'a>> {
        let octets = self.text.as_bytes();
        let start = self.at;
        let end = scan::skip_string(octets, start)?;
        let colon = scan::skip_blanks(octets, end);
        self.at = scan::skip_blanks(octets, colon + 1);
        self.text.get(start..end).map(Text)
    }

    fn value(&mut self) -> Option<Text<'a>> {
        let start = self.at;
        self.at = scan::skip(self.text.as_bytes(), start)?;
        self.text.get(start..self.at).map(Text)
    }
}

impl fmt::Debug for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} of {} octets", self.at, self.text.len())
    }
}

/// The content of a string with escapes; `None` for one with a single surrogate.
fn unescaped(text: &str) -> Option<String> {
    let mut content = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        content.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        let mut used = 2;
        content.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = hex(rest.get(at + 2..at + 6)?)?;
                used = 6;
                match unit {
                    0xd800..=0xdbff => {
                        let low = hex(rest.get(at + 6..at + 12)?.strip_prefix("\\u")?)?;
                        used = 12;
                        char::decode_utf16([unit, low]).next()?.ok()?
                    }
                    _ => char::from_u32(unit.into())?,
                }
            }
            other => char::from(other),
        });
        rest = rest.get(at + used..)?;
    }
    content.push_str(rest);
    Some(content)
}

fn hex(digits: &str) -> Option<u16> {
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Text<'_> {
        Text::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn arrays_and_objects_are_walked_in_place() {
        let elements = |t| text(t).elements().map(|e| e.as_str()).collect::<Vec<_>>();
        assert_eq!(elements(" [ 1 , [2, 3] ,\"a,]\",{} ] "), ["1", "[2, 3]", "\"a,]\"", "{}"]);
        assert_eq!(elements("[]"), [""; 0]);
        assert_eq!(elements("{\"a\":1}"), [""; 0]);
        let object = text(r#"{ "a" : 1 , "\u0062": {"a": 5}, "a":[2]}"#);
        assert_eq!(object.member("a").unwrap().as_str(), "[2]");
        assert_eq!(object.member("b").unwrap().member("a").unwrap().as_str(), "5");
        assert_eq!(object.member("c"), None);
        assert_eq!(object.members().count(), 3);
    }

    #[test]
    fn strings_are_borrowed_unless_escaped() {
        assert!(matches!(text("\"abc\"").string(), Some(Cow::Borrowed("abc"))));
        assert_eq!(text(r#""a\n\u00e9\ud83d\ude00\/\"""#).string().unwrap(), "a\né😀/\"");
        for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#, r#""\ud800x""#, r#""\ud83d\ud83d""#] {
            assert_eq!(text(lone).string(), None, "{lone}");
        }
        assert_eq!(text("1").string(), None);
    }

    #[test]
    fn no_content_is_printed() {
        assert_eq!(format!("{:?}", text("\"s3cret\"")), "Text(8 octets)");
        assert!(!format!("{:?}", text("[\"s3cret\"]").elements()).contains("s3cret"));
    }

    proptest! {
        #[test]
        fn strings_are_what_a_strict_parser_makes_of_them(content in "\\PC{0,40}|[\\x00-\\x1f\"\\\\é😀]{0,20}") {
            let encoded = serde_json::to_string(&content).unwrap();
            let decoded = Text::new(encoded.as_bytes()).unwrap().string().unwrap().into_owned();
            prop_assert_eq!(decoded, content);
        }
    }
}
