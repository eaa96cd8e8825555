//! Reading options one by one, and noting on the way what an operator should know.
//!
//! A value that cannot be meant is noted and its default taken instead, so that one reading finds
//! all that is wrong. Who asks for settings to use must look at [`Reader::faults`] before.
//!
//! The text `None`, which some tools write for "unset", means unset, with a warning (oslo-bugs,
//! B12). The original takes it for a name of four letters, or for a wrong number.

use std::fmt;

use oslo_config::{Config, Declaration, Opt, OptType, Origin, Setting, ValueError};

use super::options;
use super::types::Octets;

/// Something odd that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Who set the option.
    pub origin: Origin,
    /// Which option, what is odd, and what to do.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// Options, and what was found about them so far.
pub(super) struct Reader<'a> {
    config: &'a Config,
    /// In the order of reading.
    pub(super) faults: Vec<ValueError>,
    /// In the order of reading.
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self { config, faults: Vec::new(), warnings: Vec::new() }
    }

    /// The value of an option; its default if somebody wrote `None`, or what cannot be meant.
    ///
    /// # Errors
    /// The default itself cannot be meant.
    pub(super) fn get<T: OptType>(&mut self, option: &Opt<T>) -> Result<Setting<Option<T>>, ValueError> {
        let read = match self.is_none(option.declaration()) {
            Ok(true) => return default(option),
            Ok(false) => self.config.get(option),
            Err(fault) => Err(fault),
        };
        read.or_else(|fault| {
            self.faults.push(fault);
            default(option)
        })
    }

    /// The value of an option that cannot do without one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn require<T: OptType>(&mut self, option: &Opt<T>) -> Result<Setting<T>, ValueError> {
        self.get(option)?.required(option).or_else(|fault| {
            self.faults.push(fault);
            default(option)?.required(option)
        })
    }

    /// Whether somebody wrote `None`, which is worth a warning.
    ///
    /// # Errors
    /// References that cannot be replaced.
    pub(super) fn is_none(&mut self, option: &Declaration) -> Result<bool, ValueError> {
        let Setting { value: texts, origin } = self.config.texts(option)?;
        let is_none = texts == ["None"];
        if is_none {
            let default = option.default.unwrap_or("none");
            self.warn(origin, format!("{} = None is taken as unset; the default is {default}", option.name));
        }
        Ok(is_none)
    }

    /// An amount that is of no use above another one, called `of`. A default follows in silence.
    pub(super) fn at_most(&mut self, option: &Opt<Octets>, limit: usize, of: &str) -> Result<usize, ValueError> {
        let Setting { value: Octets(amount), origin } = self.require(option)?;
        if amount > limit && origin.is_explicit() {
            let name = option.declaration().name;
            self.warn(origin, format!("{name} is lowered to {limit} octets, the {of}; raise both"));
        }
        Ok(amount.min(limit))
    }

    /// Warns of an option that somebody has set, whatever to.
    pub(super) fn warn_if_set<T: OptType>(&mut self, option: &Opt<T>, text: &str) {
        let declared = option.declaration();
        let origin = match self.config.texts(declared) {
            Ok(Setting { origin, .. }) | Err(ValueError { origin, .. }) => origin,
        };
        if origin.is_explicit() {
            self.warn(origin, format!("{} {text}", declared.name));
        }
    }

    /// Notes something odd that works.
    pub(super) fn warn(&mut self, origin: Origin, text: String) {
        self.warnings.push(Warning { origin, text });
    }
}

/// What an option is when nobody sets it.
fn default<T: OptType>(option: &Opt<T>) -> Result<Setting<Option<T>>, ValueError> {
    Config::new(options::DECLARED).get(option)
}
