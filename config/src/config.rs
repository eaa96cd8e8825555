//! What an option's value is, and who set it: the texts of the sources, references replaced, read
//! as the option's type.
//!
//! A `$reference` means the option of that name in the same group, else in `DEFAULT`;
//! `${group.name}` means what it says. What is inserted is the text of that option, its own
//! references replaced first: nothing if it is unset, several values with commas between them.
//! Only declared options can be referred to. Chains end: an option that comes back to itself is
//! an error, and so is a value that grows beyond bounds.
//!
//! Nothing is read here: files, environment and flags are given as values.

use std::ffi::OsString;
use std::fmt;

use crate::error::{MAX_INSERTED, ValueError, ValueFault};
use crate::ini::{File, normal_group};
use crate::interpolation::{Piece, pieces};
use crate::option::{Declaration, Malformed, Opt, OptType};
use crate::origin::{Origin, Setting};
use crate::sources::{Place, Sources};

/// Sources in their order, and the options a program declares. `Debug` shows the files but no
/// values: some are secret.
///
/// ```
/// use std::path::Path;
/// use oslo_config::{Config, Declaration, Opt, parse};
///
/// const PORT: Opt<i64> = Opt::new("port", "port to listen on").or("9501");
/// const DECLARED: &[Declaration] = &[*PORT.declaration()];
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = Config::new(DECLARED);
/// config.push(parse(b"[DEFAULT]\nport = 9601\n", Path::new("demo.conf"))?);
/// let port = config.require(&PORT)?;
/// assert_eq!((port.value, port.origin.to_string()), (9601, "demo.conf:2".to_owned()));
/// # Ok(())
/// # }
/// ```
pub struct Config {
    declared: &'static [Declaration],
    sources: Sources,
}

impl Config {
    /// No sources yet: every option has its default. `declared` lists all options that
    /// `$references` may name.
    #[must_use]
    pub fn new(declared: &'static [Declaration]) -> Self {
        Self { declared, sources: Sources::default() }
    }

    /// Adds a file; it overrides those added before it.
    pub fn push(&mut self, file: File) {
        self.sources.files.push(file);
    }

    /// Takes the variables named `OS_<GROUP>__<OPTION>`, all upper case, out of an environment.
    /// Octets that are not UTF-8 become U+FFFD. For an option of several values the variable
    /// is its one value.
    pub fn set_environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        self.sources.set_environment(self.declared, variables);
    }

    /// Sets an option from the command line; `flag` is how it is spelled there (`--debug`).
    pub fn set_flag(&mut self, option: &Declaration, flag: &'static str, value: String) {
        self.sources.set_flag(option, flag, value);
    }

    /// The files, in the order in which they were added.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.sources.files
    }

    /// The options that were declared.
    #[must_use]
    pub fn declared(&self) -> &'static [Declaration] {
        self.declared
    }

    /// The value of an option; `None` if it is unset and has no default.
    ///
    /// # Errors
    /// The value does not fit the type, or its references cannot be replaced.
    pub fn get<T: OptType>(&self, option: &Opt<T>) -> Result<Setting<Option<T>>, ValueError> {
        let declaration = option.declaration();
        let Setting { value: texts, origin } = self.texts(declaration)?;
        match T::from_texts(&texts) {
            Ok(value) => Ok(Setting { value, origin }),
            Err(Malformed) => {
                // As written: what a reference stands for may be the secret of another option.
                let written = self.sources.written(declaration).pop().map_or_else(String::new, |written| written.value);
                Err(ValueError::new(declaration, origin, ValueFault::malformed(declaration, &written)))
            }
        }
    }

    /// The value of an option that cannot do without one.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if there is no value.
    pub fn require<T: OptType>(&self, option: &Opt<T>) -> Result<Setting<T>, ValueError> {
        self.get(option)?.required(option)
    }

    /// The effective text of any option, references replaced, not yet read as its type: one
    /// text, several for a multi-valued option, none if it is unset. Those of a
    /// [`secret`](Declaration::secret) option are not for printing.
    ///
    /// # Errors
    /// References that cannot be replaced.
    pub fn texts(&self, option: &Declaration) -> Result<Setting<Vec<String>>, ValueError> {
        Expansion { config: self, under_way: Vec::new(), room: MAX_INSERTED }.texts(option)
    }

    /// The declared option that a `$reference` in a value of `group` means.
    fn referred(&self, group: &str, reference: &str) -> Option<&'static Declaration> {
        let declared =
            |group: &str, name: &str| self.declared.iter().find(|option| option.group == group && option.name == name);
        match reference.split_once('.') {
            Some((group, name)) => declared(&normal_group(group), name),
            None => declared(group, reference).or_else(|| declared("DEFAULT", reference)),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("files", &self.sources.files).finish_non_exhaustive()
    }
}

impl<T: OptType> Setting<Option<T>> {
    /// The same, of an option that cannot do without a value.
    ///
    /// # Errors
    /// There is none.
    pub fn required(self, option: &Opt<T>) -> Result<Setting<T>, ValueError> {
        let Self { value, origin } = self;
        match value {
            Some(value) => Ok(Setting { value, origin }),
            None => {
                let fault = ValueFault::Unset { expected: T::EXPECTED };
                Err(ValueError::new(option.declaration(), origin, fault))
            }
        }
    }
}

/// One walk along references.
struct Expansion<'a> {
    config: &'a Config,
    /// The options whose texts are being put together, outermost first: never twice the same,
    /// so never more than are declared.
    under_way: Vec<Place>,
    /// How many octets references may still insert.
    room: usize,
}

impl Expansion<'_> {
    fn texts(&mut self, option: &Declaration) -> Result<Setting<Vec<String>>, ValueError> {
        self.under_way.push((option.group, option.name));
        let mut texts = Setting { value: Vec::new(), origin: Origin::Default };
        for written in self.config.sources.written(option) {
            let text = self.replaced(option, &written.value).map_err(|stop| stop.at(option, &written.origin))?;
            texts.value.push(text);
            texts.origin = written.origin;
        }
        self.under_way.pop();
        Ok(texts)
    }

    fn replaced(&mut self, option: &Declaration, text: &str) -> Result<String, Stop> {
        let mut replaced = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => replaced.push_str(text),
                Piece::Reference(name) => replaced.push_str(&self.inserted(option, name)?),
            }
        }
        Ok(replaced)
    }

    fn inserted(&mut self, option: &Declaration, reference: &str) -> Result<String, Stop> {
        let referred = self
            .config
            .referred(option.group, reference)
            .ok_or_else(|| ValueFault::UnknownReference(reference.to_owned()))?;
        if self.under_way.contains(&(referred.group, referred.name)) {
            return Err(ValueFault::Cycle(reference.to_owned()).into());
        }
        let text = self.texts(referred)?.value.join(",");
        // An empty text costs too: the walk must end even if it inserts nothing.
        self.room = self.room.checked_sub(text.len() + 1).ok_or(ValueFault::TooLong)?;
        Ok(text)
    }
}

/// Why a walk ends early: for a reason in the text at hand, or in one it refers to.
enum Stop {
    Here(ValueFault),
    Elsewhere(ValueError),
}

impl Stop {
    fn at(self, option: &Declaration, origin: &Origin) -> ValueError {
        match self {
            Self::Here(fault) => ValueError::new(option, origin.clone(), fault),
            Self::Elsewhere(error) => error,
        }
    }
}

impl From<ValueFault> for Stop {
    fn from(fault: ValueFault) -> Self {
        Self::Here(fault)
    }
}

impl From<ValueError> for Stop {
    fn from(error: ValueError) -> Self {
        Self::Elsewhere(error)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::{MultiStr, parse};

    const S: Opt<String> = Opt::new("s", "");
    const T: Opt<String> = Opt::new("t", "").or("$s!");
    const I: Opt<i64> = Opt::new("i", "").or("7");
    const J: Opt<i64> = Opt::new("j", "");
    const KEY: Opt<i64> = Opt::new("key", "").secret();
    const NEW: Opt<String> = Opt::new("new", "").in_group("g");
    const M: Opt<MultiStr> = Opt::new("m", "");
    const DECLARED: &[Declaration] = &[
        *S.declaration(),
        *T.declaration(),
        *I.declaration(),
        *KEY.declaration(),
        *NEW.declaration(),
        *M.declaration(),
    ];

    fn config(texts: &[&str]) -> Config {
        let mut config = Config::new(DECLARED);
        for (index, text) in texts.iter().enumerate() {
            let name = format!("{index}.conf");
            config.push(parse(text.as_bytes(), Path::new(&name)).unwrap());
        }
        config
    }

    fn shown<T: OptType>(config: &Config, option: &Opt<T>) -> (Option<T>, String) {
        let setting = config.get(option).unwrap();
        (setting.value, setting.origin.to_string())
    }

    #[test]
    fn debugging_output_shows_no_values() {
        let mut config = config(&["[DEFAULT]\nkey = hunter2\n"]);
        config.set_environment([("OS_DEFAULT__KEY".into(), "hunter2".into())]);
        config.set_flag(KEY.declaration(), "--key", "hunter2".to_owned());
        let assignment = &config.files()[0].assignments("DEFAULT", "key")[0];
        assert!(!format!("{config:?} {assignment:?}").contains("hunter2"));
    }

    #[test]
    fn references_reach_defaults_flags_and_the_unset() {
        let mut config = config(&["[DEFAULT]\ns = <$new${g.new}>\n[g]\nnew = $i\n"]);
        let error = config.get(&T).unwrap_err().to_string();
        assert_eq!(error, "0.conf:2: [DEFAULT] s: $new is no option of this program; for a dollar sign write $$");
        config.set_flag(S.declaration(), "--s", "${g.new}".to_owned());
        assert_eq!(shown(&config, &T), (Some("7!".to_owned()), "default".into()));
        assert_eq!(shown(&self::config(&[]), &T).0.as_deref(), Some("!"));
        let several = self::config(&["[DEFAULT]\nm = 1\nm = $i\ns = $m\n"]);
        assert_eq!(shown(&several, &S).0.as_deref(), Some("1,7"));
    }

    #[test]
    fn a_reference_to_itself_is_an_error() {
        let itself = config(&["[DEFAULT]\ns = $s\n"]).get(&S).unwrap_err();
        assert_eq!(itself.fault, ValueFault::Cycle("s".to_owned()));
        let error = config(&["[DEFAULT]\ns = a$t\n"]).get(&S).unwrap_err().to_string();
        assert_eq!(
            error,
            "default: [DEFAULT] t: $s leads back to this option; \
             give one of them a value without references"
        );
    }

    #[test]
    fn a_chain_that_multiplies_ends_even_if_it_inserts_nothing() {
        let (many_t, many_new) = ("$t".repeat(1500), "${g.new}".repeat(1500));
        let text = format!("[DEFAULT]\ns = {many_t}\nt = {many_new}\n[g]\nnew =\n");
        let error = config(&[&text]).get(&S).unwrap_err();
        assert_eq!((error.name, error.fault), ("t", ValueFault::TooLong));
    }

    #[test]
    fn a_type_error_names_place_value_and_expectation() {
        let config = config(&["[DEFAULT]\n\ni = 95o1\u{1b}\nkey = hunter2\nj = $key\n"]);
        assert_eq!(
            config.get(&I).unwrap_err().to_string(),
            "0.conf:3: [DEFAULT] i: expected a decimal whole number, found \"95o1\\u{1b}\""
        );
        let referring = config.get(&J).unwrap_err().to_string();
        assert_eq!(referring, "0.conf:5: [DEFAULT] j: expected a decimal whole number, found \"$key\"");
        let secret = config.get(&KEY).unwrap_err().to_string();
        assert_eq!(secret, "0.conf:4: [DEFAULT] key: expected a decimal whole number, found \"***\"");
    }

    #[test]
    fn what_is_required_must_be_there() {
        let error = config(&["[DEFAULT]\ni =\n"]).require(&I).unwrap_err().to_string();
        assert_eq!(error, "0.conf:2: [DEFAULT] i: expected a decimal whole number, found nothing");
        assert_eq!(config(&[]).require(&I).unwrap().value, 7);
    }

    proptest! {
        #[test]
        fn any_references_end(s in "[$\\\\{}.stg new]{0,30}", new in "[$\\\\{}.stg new]{0,30}") {
            let config = config(&[&format!("[DEFAULT]\ns = {s}\n[g]\nnew = {new}\n")]);
            for option in DECLARED {
                let _ = config.texts(option);
            }
        }
    }
}
