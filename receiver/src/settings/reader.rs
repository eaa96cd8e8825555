//! Reading options one by one, and noting on the way what an operator should know.
//!
//! The text `None`, which some tools write for "unset", means unset, with a warning (oslo-bugs,
//! B12). The original takes it for a name of four letters, or for a wrong number.

use oslo_config::{Config, Opt, OptType, Setting, ValueError};

use super::options;
use super::types::Octets;

/// Options and the warnings about them so far.
pub(super) struct Reader<'a> {
    config: &'a Config,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self { config, warnings: Vec::new() }
    }

    /// The value of an option; if somebody wrote `None`, its default.
    pub(super) fn get<T: OptType>(&mut self, option: &Opt<T>) -> Result<Setting<Option<T>>, ValueError> {
        let Setting { value: texts, origin } = self.config.texts(option.declaration())?;
        if texts != ["None"] {
            return self.config.get(option);
        }
        let declared = option.declaration();
        let default = declared.default.unwrap_or("none");
        self.warnings.push(format!("{origin}: {} = None is taken as unset; the default is {default}", declared.name));
        Config::new(options::DECLARED).get(option)
    }

    /// The value of an option that cannot do without one.
    pub(super) fn require<T: OptType>(&mut self, option: &Opt<T>) -> Result<Setting<T>, ValueError> {
        self.get(option)?.required(option)
    }

    /// An amount that is of no use above another one, called `of`. A default follows in silence.
    pub(super) fn at_most(&mut self, option: &Opt<Octets>, limit: usize, of: &str) -> Result<usize, ValueError> {
        let Setting { value: Octets(amount), origin } = self.require(option)?;
        if amount > limit && origin.is_explicit() {
            let name = option.declaration().name;
            self.warnings.push(format!("{origin}: {name} is lowered to {limit} octets, the {of}; raise both"));
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
            self.warnings.push(format!("{origin}: {} {text}", declared.name));
        }
    }

    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}
