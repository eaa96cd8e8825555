//! What can be wrong with the value of an option, told so that an operator can mend it: who set
//! it, which option, what is expected. A secret value is never shown.

use thiserror::Error;

use crate::option::Declaration;
use crate::origin::Origin;

/// An option's value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{origin}: [{group}] {name}: {fault}")]
pub struct ValueError {
    /// Who set the value.
    pub origin: Origin,
    /// The option's group.
    pub group: &'static str,
    /// The option's name.
    pub name: &'static str,
    /// What is wrong.
    pub fault: ValueFault,
}

impl ValueError {
    /// An error about a value of `option` that came from `origin`.
    #[must_use]
    pub fn new(option: &Declaration, origin: Origin, fault: ValueFault) -> Self {
        Self { origin, group: option.group, name: option.name, fault }
    }
}

/// The ways a value can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueFault {
    /// The text is no value of the option's type.
    #[error("expected {expected}, found {found:?}")]
    Malformed {
        /// What the type takes.
        expected: &'static str,
        /// The text as written, references not replaced, shortened; stars if it is secret.
        found: String,
    },
    /// The option needs a value and has none.
    #[error("expected {expected}, found nothing")]
    Unset {
        /// What the type takes.
        expected: &'static str,
    },
    /// A reference names no declared option.
    #[error("${0} is no option of this program; for a dollar sign write $$")]
    UnknownReference(String),
    /// Following references leads back to this option.
    #[error("${0} leads back to this option; give one of them a value without references")]
    Cycle(String),
    /// References insert more than 1 MiB.
    #[error("its references insert more than {MAX_INSERTED} octets; shorten the values")]
    TooLong,
}

impl ValueFault {
    pub(crate) fn malformed(option: &Declaration, written: &str) -> Self {
        let found = if option.secret { "***".to_owned() } else { written.chars().take(MAX_SHOWN).collect() };
        Self::Malformed { expected: option.expected, found }
    }
}

/// Characters of a wrong value that an error shows: enough to find it in the file.
const MAX_SHOWN: usize = 80;

/// Octets that the references of one value may insert, counted over all nested ones. As large as
/// a whole file may be: no honest value comes near, and doubling chains end at once.
pub(crate) const MAX_INSERTED: usize = 1 << 20;
