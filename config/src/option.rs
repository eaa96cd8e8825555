//! How a program declares an option, and how an option's text becomes a value.
//!
//! An [`Opt`] is a constant: name, group, type, default, older names, help. The types of
//! `oslo.config` are Rust types here: `String`, `i64`, `bool`, `Vec<String>` (one line, comma
//! separated) and [`MultiStr`] (one assignment per item). A program adds its own by implementing
//! [`OptType`], and gets the error with file, line and expectation for free.

use std::marker::PhantomData;

/// A declared option whose value is a `T`.
///
/// ```
/// use oslo_config::Opt;
///
/// const PORT: Opt<i64> = Opt::new("rpc_zmq_port", "TCP port of the receiver").or("9501");
/// const RINGFILE: Opt<String> = Opt::new("ringfile", "topic to hosts, as JSON")
///     .in_group("matchmaker_ring")
///     .or("/etc/oslo/matchmaker_ring.json")
///     .formerly(&[("DEFAULT", "matchmaker_ringfile")]);
/// assert_eq!(PORT.declaration().group, "DEFAULT");
/// ```
#[derive(Debug)]
pub struct Opt<T> {
    declaration: Declaration,
    /// An option makes values of `T` and holds none.
    value: PhantomData<fn() -> T>,
}

/// What is said of an option, whatever its type: enough to list it, to look its text up and to
/// write a sample file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// The section; `DEFAULT` or lower case.
    pub group: &'static str,
    /// The name in files, with underscores.
    pub name: &'static str,
    /// What its value must look like, to end the sentence "expected ...".
    pub expected: &'static str,
    /// Whether all assignments count ([`OptType::MULTI`]), not only the last.
    pub multi: bool,
    /// The text it has when nobody sets it.
    pub default: Option<&'static str>,
    /// Older places, as (group, name), still read.
    pub deprecated: &'static [(&'static str, &'static str)],
    /// Whether its value must never be printed.
    pub secret: bool,
    /// One sentence for an operator.
    pub help: &'static str,
}

impl<T: OptType> Opt<T> {
    /// An option of the group `DEFAULT`, without a default.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            declaration: Declaration {
                group: "DEFAULT",
                name,
                expected: T::EXPECTED,
                multi: T::MULTI,
                default: None,
                deprecated: &[],
                secret: false,
                help,
            },
            value: PhantomData,
        }
    }

    /// Puts the option into a group; the name must be lower case.
    #[must_use]
    pub const fn in_group(mut self, group: &'static str) -> Self {
        self.declaration.group = group;
        self
    }

    /// Gives it a default, written as in a file (`$references` included).
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.declaration.default = Some(default);
        self
    }

    /// Names the (group, name) pairs under which it is still read.
    #[must_use]
    pub const fn formerly(mut self, names: &'static [(&'static str, &'static str)]) -> Self {
        self.declaration.deprecated = names;
        self
    }

    /// Keeps its value out of error texts and listings.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.declaration.secret = true;
        self
    }

    /// The option without its type.
    #[must_use]
    pub const fn declaration(&self) -> &Declaration {
        &self.declaration
    }
}

/// A type that options can have.
pub trait OptType: Sized {
    /// What a value must look like, to end the sentence "expected ...".
    const EXPECTED: &'static str;

    /// Whether the assignments of all files add up instead of replacing one another.
    const MULTI: bool = false;

    /// Reads one text, its references already replaced. `Ok(None)` means that the text stands
    /// for no value at all, as an empty integer does.
    ///
    /// # Errors
    /// [`Malformed`], if the text is no value of the type.
    fn from_text(text: &str) -> Result<Option<Self>, Malformed>;

    /// Reads all the texts that count: one, unless [`MULTI`](Self::MULTI); none if unset.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text).
    fn from_texts(texts: &[String]) -> Result<Option<Self>, Malformed> {
        texts.last().map_or(Ok(None), |text| Self::from_text(text))
    }
}

/// The text is no value of the type; [`OptType::EXPECTED`] says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Several strings, one assignment each, gathered over all files (`MultiStrOpt`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MultiStr(pub Vec<String>);

impl OptType for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        Ok(Some(text.to_owned()))
    }
}

impl OptType for i64 {
    const EXPECTED: &'static str = "a decimal whole number";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        match text.trim_ascii() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| Malformed),
        }
    }
}

impl OptType for bool {
    const EXPECTED: &'static str = "true, yes, on, 1 or false, no, off, 0";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Some(true)),
            "false" | "no" | "off" | "0" => Ok(Some(false)),
            _ => Err(Malformed),
        }
    }
}

/// `ListOpt`: items are trimmed, and a comma at the end begins an empty item.
impl OptType for Vec<String> {
    const EXPECTED: &'static str = "a list separated by commas";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        if text.trim_ascii().is_empty() {
            return Ok(Some(Self::new()));
        }
        Ok(Some(text.split(',').map(|item| item.trim_ascii().to_owned()).collect()))
    }
}

impl OptType for MultiStr {
    const EXPECTED: &'static str = "text";
    const MULTI: bool = true;

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        Ok(Some(Self(vec![text.to_owned()])))
    }

    fn from_texts(texts: &[String]) -> Result<Option<Self>, Malformed> {
        Ok((!texts.is_empty()).then(|| Self(texts.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_decimal_and_signed() {
        assert_eq!(i64::from_text("-7"), Ok(Some(-7)));
        assert_eq!(i64::from_text("+010"), Ok(Some(10)));
        assert_eq!(i64::from_text(" "), Ok(None));
        for text in ["0x10", "1.0", "1_000", "None", "99999999999999999999"] {
            assert_eq!(i64::from_text(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn booleans_ignore_case_and_nothing_else() {
        assert_eq!(bool::from_text("oN"), Ok(Some(true)));
        assert_eq!(bool::from_text("FALSE"), Ok(Some(false)));
        assert_eq!(bool::from_text(""), Err(Malformed));
        assert_eq!(bool::from_text("y"), Err(Malformed));
    }

    #[test]
    fn an_empty_list_has_no_items_but_a_comma_makes_two() {
        assert_eq!(Vec::from_text(""), Ok(Some(vec![])));
        assert_eq!(Vec::from_text(","), Ok(Some(vec![String::new(), String::new()])));
    }

    #[test]
    fn multi_is_unset_without_assignments() {
        assert_eq!(MultiStr::from_texts(&[]), Ok(None));
    }
}
