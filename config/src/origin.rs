//! Where an effective value comes from.
//!
//! Every value keeps its origin, so that an error can name the line to mend and a program can
//! print its settings together with their sources.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The source of one value. `Display` writes it as an operator would look for it:
/// `--debug`, `environment OS_DEFAULT__DEBUG`, `/etc/oslo/oslo.conf:8` or `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A command line flag, as it is spelled there (`--log-file`).
    Flag(&'static str),
    /// An environment variable, by name.
    Environment(String),
    /// An assignment in a file.
    File {
        /// The file, as it was named when it was read.
        file: Arc<Path>,
        /// The line of the assignment, counted from 1; of a continued value, the first.
        line: usize,
    },
    /// Nobody set it: the declared default, or nothing.
    Default,
}

impl Origin {
    /// Whether somebody set the value, be it to the same text as the default.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        *self != Self::Default
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value together with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Who set it. Of a value gathered from several assignments: the last of them.
    pub origin: Origin,
}
