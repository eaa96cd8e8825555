//! References inside a value: `$name` and `${name}` stand for another option.
//!
//! `$$` and `\$` are a dollar sign. A bare name is `[A-Za-z_][A-Za-z0-9_]*`; between braces it
//! may also hold dots, for `${group.name}`. A dollar sign before anything else stays as it is.
//! What a name stands for is the caller's to say; this file only finds the names.

/// A run of a value between two references, or a reference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Goes into the result as it is.
    Text(&'a str),
    /// Goes into the result as the value of this option: `name` or `group.name`.
    Reference(&'a str),
}

/// Cuts a value into pieces; joined, with references replaced, they are its meaning.
pub(crate) fn pieces(value: &str) -> Pieces<'_> {
    Pieces { rest: value }
}

/// Iterator over the pieces of a value.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (piece, length) = match self.rest.as_bytes() {
            [] => return None,
            [b'$', b'$', ..] | [b'\\', b'$', ..] => (Piece::Text("$"), 2),
            [b'$', b'{', ..] => match braced(self.rest) {
                Some(name) => (Piece::Reference(name), name.len() + "${}".len()),
                None => (Piece::Text("$"), 1),
            },
            [b'$', ..] => match bare(&self.rest[1..]) {
                "" => (Piece::Text("$"), 1),
                name => (Piece::Reference(name), name.len() + "$".len()),
            },
            [b'\\', ..] => (Piece::Text("\\"), 1),
            _ => {
                let end = self.rest.find(['$', '\\']).unwrap_or(self.rest.len());
                (Piece::Text(&self.rest[..end]), end)
            }
        };
        self.rest = &self.rest[length..];
        Some(piece)
    }
}

/// The name in `${name}`, if the braces hold a name and close.
fn braced(value: &str) -> Option<&str> {
    let (name, _) = value.strip_prefix("${")?.split_once('}')?;
    let first = name.bytes().next()?;
    let rest_is_name = name.bytes().all(|octet| octet == b'.' || is_name_octet(octet));
    (rest_is_name && !first.is_ascii_digit() && first != b'.').then_some(name)
}

/// The longest name at the start; empty if there is none.
fn bare(value: &str) -> &str {
    if value.starts_with(|first: char| first.is_ascii_digit()) {
        return "";
    }
    let end = value.bytes().position(|octet| !is_name_octet(octet)).unwrap_or(value.len());
    &value[..end]
}

fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(value: &str) -> String {
        pieces(value)
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Reference(name) => format!("<{name}>"),
            })
            .collect()
    }

    #[test]
    fn finds_names_and_leaves_the_rest() {
        assert_eq!(marked("$a/${b}c"), "<a>/<b>c");
        assert_eq!(marked("${g.n}$g.n"), "<g.n><g>.n");
        assert_eq!(marked("$a1$1a"), "<a1>$1a");
        assert_eq!(marked("é$_é"), "é<_>é");
    }

    #[test]
    fn dollar_signs_can_be_escaped() {
        assert_eq!(marked("$$a \\$a"), "$a $a");
        assert_eq!(marked("$$$a"), "$<a>");
        assert_eq!(marked("\\\\$a \\n"), "\\$a \\n");
    }

    #[test]
    fn what_is_no_reference_stays() {
        for value in ["$", "a$", "${", "${}", "${a", "${a b}", "${.a}", "${1}", "$-", "\\"] {
            assert_eq!(marked(value), value);
        }
    }

    proptest! {
        #[test]
        fn ends_on_any_text(value in "[$\\\\{}.a1é ]{0,40}") {
            prop_assert!(pieces(&value).count() <= value.len());
        }

        #[test]
        fn text_without_signs_is_itself(value in "[^$\\\\]{0,40}") {
            prop_assert_eq!(marked(&value), value);
        }
    }
}
