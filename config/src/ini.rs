//! One file of the oslo INI dialect: text in, assignments with their lines out.
//!
//! The dialect (held to `oslo.config` by the captured cases in `tests/vectors/oslo/config.json`):
//!
//! - `[section]` alone on its line. Blanks inside the brackets count; sections of one name merge.
//! - `name = value` or `name: value`, split at whichever sign comes first; blanks around both
//!   sides go; if the value begins and ends with the same quote, that pair goes too.
//! - A line that begins with a space or tab continues the value above it, joined by a newline. A
//!   blank line or a comment ends a value.
//! - `#` or `;` in the first column makes a comment. There are no comments behind a value.
//! - Line ends are LF or CRLF. Nothing but comments and blank lines may stand before a section.
//!
//! Always true: every value knows its line, and no input makes the parser panic, recurse or
//! take more memory than a small multiple of the input. What an option means (types, defaults,
//! `$references`, which of several assignments wins) is not known here.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// The assignments of one file, by section and name. `Debug` shows no values: some are secret.
#[derive(Clone)]
pub struct File {
    path: Arc<Path>,
    sections: HashMap<String, HashMap<String, Vec<Assignment>>>,
}

/// One `name = value` of a file. `Debug` does not show the value, which may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The value without quotes, continuation lines joined by newlines.
    pub value: String,
    /// The line the assignment begins on, counted from 1.
    pub line: usize,
}

impl File {
    /// The name the file was parsed under.
    #[must_use]
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// All assignments to one option, in the order of the file; empty if there are none.
    ///
    /// Group names are compared without regard to case, other than `DEFAULT`, which is only
    /// ever spelled so; option names are compared exactly.
    #[must_use]
    pub fn assignments(&self, group: &str, name: &str) -> &[Assignment] {
        self.sections.get(&normal_group(group)).and_then(|section| section.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The names that are assigned to in a group, in no order, each with the line of its first assignment.
    pub fn names(&self, group: &str) -> impl Iterator<Item = (&str, usize)> {
        let section = self.sections.get(&normal_group(group));
        section.into_iter().flatten().filter_map(|(name, all)| Some((name.as_str(), all.first()?.line)))
    }

    /// The groups in which something is assigned, as they are looked up and in no order, each with the line of its first
    /// assignment.
    pub fn groups(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sections.iter().filter_map(|(group, section)| {
            let lines = section.values().filter_map(|all| Some(all.first()?.line));
            Some((group.as_str(), lines.min()?))
        })
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment").field("line", &self.line).finish_non_exhaustive()
    }
}

/// Parses the text of a file; `name` is how errors and origins call it.
///
/// The text must be UTF-8, without a byte order mark; only comments may hold other octets, as
/// files written for older programs sometimes do.
///
/// # Errors
/// The first line that breaks the dialect, with its number.
pub fn parse(text: &[u8], name: &Path) -> Result<File, ParseError> {
    let mut parser = Parser { file: File { path: name.into(), sections: HashMap::new() }, group: None, open: None };
    for (index, line) in text.split(|&octet| octet == b'\n').enumerate() {
        parser.line(line.trim_ascii_end(), index + 1).map_err(|fault| ParseError {
            file: name.to_owned(),
            line: index + 1,
            fault,
        })?;
    }
    parser.close();
    Ok(parser.file)
}

/// A line that breaks the dialect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}:{line}: {fault}", file.display())]
pub struct ParseError {
    /// The file, as named to [`parse`].
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The ways a line can break the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file begins with the octets EF BB BF.
    #[error("the file begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// A section name, option name or value is not UTF-8.
    #[error("the line is not UTF-8; save the file as UTF-8")]
    NotUtf8,
    /// An assignment stands before the first section.
    #[error("an option stands before the first section; put a line [DEFAULT] above it")]
    NoSection,
    /// A line begins with `[` but does not end with `]`.
    #[error("a section line must end with its \"]\"; nothing may follow, not even a comment")]
    SectionEnd,
    /// `[]`.
    #[error("the section has no name; write [DEFAULT] or the name of a group")]
    SectionName,
    /// Neither `=` nor `:`.
    #[error("the line has neither \"=\" nor \":\"; write name = value, or # for a comment")]
    NoSeparator,
    /// Nothing before the `=` or `:`.
    #[error("the option has no name; write name = value")]
    NoName,
    /// An indented line with no value above it to continue.
    #[error(
        "an indented line continues the value directly above it, and there is none; \
         remove the blanks at its start"
    )]
    StrayContinuation,
}

/// The spelling under which a group is looked up.
pub(crate) fn normal_group(group: &str) -> String {
    if group == "DEFAULT" { group.to_owned() } else { group.to_lowercase() }
}

struct Parser {
    file: File,
    /// The section the file is in, in its normal spelling.
    group: Option<String>,
    /// The name and value that the next line may still continue.
    open: Option<(String, Assignment)>,
}

impl Parser {
    /// Takes one line without the blanks at its end.
    fn line(&mut self, line: &[u8], number: usize) -> Result<(), Fault> {
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            return Err(Fault::ByteOrderMark);
        }
        match line.first() {
            None | Some(b'#' | b';') => {
                self.close();
                Ok(())
            }
            Some(b' ' | b'\t') => self.continuation(text(line)?),
            Some(b'[') => {
                self.close();
                self.section(text(line)?)
            }
            Some(_) => {
                self.close();
                self.assignment(text(line)?, number)
            }
        }
    }

    fn continuation(&mut self, line: &str) -> Result<(), Fault> {
        let (_, assignment) = self.open.as_mut().ok_or(Fault::StrayContinuation)?;
        assignment.value.push('\n');
        assignment.value.push_str(line.trim_ascii_start());
        Ok(())
    }

    fn section(&mut self, line: &str) -> Result<(), Fault> {
        let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(Fault::SectionEnd)?;
        if name.is_empty() {
            return Err(Fault::SectionName);
        }
        self.group = Some(normal_group(name));
        Ok(())
    }

    fn assignment(&mut self, line: &str, number: usize) -> Result<(), Fault> {
        let (name, value) = line.split_once(['=', ':']).ok_or(Fault::NoSeparator)?;
        let name = name.trim_ascii();
        if name.is_empty() {
            return Err(Fault::NoName);
        }
        if self.group.is_none() {
            return Err(Fault::NoSection);
        }
        let value = unquoted(value.trim_ascii()).to_owned();
        self.open = Some((name.to_owned(), Assignment { value, line: number }));
        Ok(())
    }

    /// Files the open value: no later line can continue it.
    fn close(&mut self) {
        if let (Some((name, assignment)), Some(group)) = (self.open.take(), &self.group) {
            let section = self.file.sections.entry(group.clone()).or_default();
            section.entry(name).or_default().push(assignment);
        }
    }
}

fn text(line: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(line).map_err(|_| Fault::NotUtf8)
}

/// Removes one pair of equal quotes around a value. A quote alone is a pair of its own.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return if rest.is_empty() { rest } else { rest.strip_suffix(quote).unwrap_or(value) };
        }
    }
    value
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<File, ParseError> {
        parse(text.as_bytes(), Path::new("x.conf"))
    }

    fn fault(text: &str) -> (usize, Fault) {
        let error = parsed(text).unwrap_err();
        (error.line, error.fault)
    }

    fn values(file: &File, group: &str, name: &str) -> Vec<(String, usize)> {
        let assignments = file.assignments(group, name);
        assignments.iter().map(|a| (a.value.clone(), a.line)).collect()
    }

    #[test]
    fn every_value_keeps_its_first_line() {
        let file = parsed("# top\n[DEFAULT]\na = 1\n  2\n\na: 3\n[b]\nc =\n").unwrap();
        assert_eq!(values(&file, "DEFAULT", "a"), [("1\n2".to_owned(), 3), ("3".to_owned(), 6)]);
        assert_eq!(values(&file, "b", "c"), [(String::new(), 8)]);
        assert_eq!(values(&file, "b", "a"), []);
    }

    #[test]
    fn the_names_of_a_group_have_the_lines_of_their_first_assignments() {
        let file = parsed("[g]\na = 1\nb = 2\n[DEFAULT]\nc = 3\n[G]\na = 4\n").unwrap();
        let mut names: Vec<_> = file.names("g").collect();
        names.sort_unstable();
        assert_eq!(names, [("a", 2), ("b", 3)]);
        assert_eq!(file.names("h").count(), 0);
    }

    #[test]
    fn groups_but_default_ignore_case() {
        let file = parsed("[Nova]\na=1\n[NOVA]\na=2\n[default]\nb=3\n").unwrap();
        assert_eq!(values(&file, "nova", "a").len(), 2);
        assert_eq!(values(&file, "DEFAULT", "b"), []);
        assert_eq!(values(&file, "nova", "A"), []);
    }

    #[test]
    fn each_fault_is_named_with_its_line() {
        assert_eq!(fault("\n[a] # c\n"), (2, Fault::SectionEnd));
        assert_eq!(fault("[]"), (1, Fault::SectionName));
        assert_eq!(fault("[a]\nword\n"), (2, Fault::NoSeparator));
        assert_eq!(fault("[a]\n = x\n"), (2, Fault::StrayContinuation));
        assert_eq!(fault("[a]\n= x\n"), (2, Fault::NoName));
        assert_eq!(fault("a = 1\n[b]\n"), (1, Fault::NoSection));
        assert_eq!(fault("[a]\nx = 1\n[b]\n y\n"), (4, Fault::StrayContinuation));
        assert_eq!(fault("\u{feff}# comment\n"), (1, Fault::ByteOrderMark));
        let error = parsed("[a]\nword\n").unwrap_err().to_string();
        assert!(error.starts_with("x.conf:2: the line has neither \"=\""), "{error}");
    }

    #[test]
    fn octets_outside_utf8_pass_in_comments_only() {
        let name = Path::new("x.conf");
        assert!(parse(b"# caf\xe9\n[a]\nb = c\n", name).is_ok());
        let error = parse(b"[a]\nb = caf\xe9\n", name).unwrap_err();
        assert_eq!((error.line, error.fault), (2, Fault::NotUtf8));
    }

    #[test]
    fn indented_hash_continues_a_value() {
        let file = parsed("[a]\nb = c\n  # d\n").unwrap();
        assert_eq!(values(&file, "a", "b"), [("c\n# d".to_owned(), 2)]);
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&text, Path::new("x.conf"));
        }

        #[test]
        fn nor_do_lines_that_look_right(
            text in "((\\[[a-zA-Z ]{0,3}\\]?|[ab]? ?[=:]? ?['\"$a]{0,3}|[ \t#;].{0,3})\r?\n){0,12}",
        ) {
            if let Ok(file) = parsed(&text) {
                // No more lines of values than the text has lines.
                let lines: usize = file
                    .sections
                    .values()
                    .flat_map(HashMap::values)
                    .flatten()
                    .map(|assignment| assignment.value.split('\n').count())
                    .sum();
                prop_assert!(lines <= text.lines().count());
            }
        }

        #[test]
        fn what_is_written_is_read(
            names in proptest::collection::vec("[a-zA-Z_][a-z_0-9 -]{0,8}[a-z]", 1..8),
            value in "[a-z$#;:=][ -~&&[^\"']]{0,20}[a-z]",
        ) {
            let mut text = "[g]\n".to_owned();
            for name in &names {
                text.push_str(&format!("{name} = {value}\r\n"));
            }
            let file = parsed(&text).unwrap();
            for (index, name) in names.iter().enumerate() {
                let found = values(&file, "G", name);
                prop_assert!(found.contains(&(value.clone(), index + 2)));
            }
        }
    }
}
