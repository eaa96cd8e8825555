//! Effective values: what every option is, and who set it, for people and for programs.
//!
//! A value is shown as the text that counts, references replaced; one that cannot be had is shown as its fault. The value
//! of a secret option is never shown.

use std::fmt;

use oslo_config::{Config, Declaration, Origin, Setting};
use serde::Serialize;

/// The values of all declared options, in the order of their declaration. `Display` writes them as a configuration file
/// would, each with its source in brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Effective(Vec<Value>);

/// The value of one option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Value {
    group: &'static str,
    name: &'static str,
    /// `None`: unset, or not to be had.
    value: Option<String>,
    /// Who set it, such as `x.conf:3` or `default`.
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl Effective {
    /// The values that the sources of `config` amount to.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self(config.declared().iter().map(|option| Value::of(option, config)).collect())
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for value in &self.0 {
            if value.group != group {
                let blank = if group.is_empty() { "" } else { "\n" };
                group = value.group;
                writeln!(f, "{blank}[{group}]")?;
            }
            writeln!(f, "{value}")?;
        }
        Ok(())
    }
}

impl Value {
    fn of(option: &Declaration, config: &Config) -> Self {
        let (group, name) = (option.group, option.name);
        let Setting { value: texts, origin } = match config.texts(option) {
            Ok(setting) => setting,
            Err(error) => {
                let (source, fault) = (error.origin.to_string(), Some(error.fault.to_string()));
                return Self { group, name, value: None, source, fault };
            }
        };
        let (texts, source) = if texts == ["None"] {
            let default = Config::new(config.declared()).texts(option);
            (default.map_or_else(|_| Vec::new(), |default| default.value), format!("default, as {origin} says None"))
        } else {
            (texts, origin.to_string())
        };
        let is_set = !texts.is_empty();
        let text = if option.secret { MASK.to_owned() } else { texts.join(", ") };
        Self { group, name, value: is_set.then_some(text), source, fault: None }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, source, fault, .. } = self;
        match (value, fault) {
            (Some(value), _) => write!(f, "{name} = {}  ({source})", value.escape_debug()),
            (None, Some(fault)) => write!(f, "# {name}: {fault}  ({source})"),
            (None, None) if *source == Origin::Default.to_string() => write!(f, "# {name} is unset"),
            (None, None) => write!(f, "# {name} is unset  ({source})"),
        }
    }
}

/// What stands for a secret.
const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use oslo_config::{Opt, parse};

    use super::*;

    const NAME: Opt<String> = Opt::new("name", "");
    const PATH: Opt<String> = Opt::new("path", "").or("/run/$port");
    const PORT: Opt<i64> = Opt::new("port", "").or("1");
    const PASSWORD: Opt<String> = Opt::new("password", "").in_group("redis").secret();
    const OPTIONS: &[Declaration] =
        &[*NAME.declaration(), *PATH.declaration(), *PORT.declaration(), *PASSWORD.declaration()];

    fn effective(text: &str) -> Effective {
        let mut config = Config::new(OPTIONS);
        config.push(parse(text.as_bytes(), "x.conf".as_ref()).unwrap());
        Effective::of(&config)
    }

    #[test]
    fn values_are_shown_with_their_source_and_secrets_are_not() {
        let effective = effective("[DEFAULT]\nport = 2\n[redis]\npassword = hunter2\n");
        let shown = "[DEFAULT]\n# name is unset\npath = /run/2  (default)\nport = 2  (x.conf:2)\n\n\
                     [redis]\npassword = ***  (x.conf:4)\n";
        assert_eq!(effective.to_string(), shown);
        let json = serde_json::to_value(&effective).unwrap();
        assert_eq!(
            json[2],
            serde_json::json!({"group": "DEFAULT", "name": "port", "value": "2", "source": "x.conf:2"})
        );
        assert!(!json.to_string().contains("hunter2"));
    }

    #[test]
    fn what_is_no_value_is_told() {
        let shown = effective("[DEFAULT]\nport = None\nname = $nobody\npath =\n").to_string();
        assert!(shown.contains("port = 1  (default, as x.conf:2 says None)\n"), "{shown}");
        assert!(shown.contains("# name: $nobody is no option of this program"), "{shown}");
        assert!(shown.contains("path =   (x.conf:4)\n"), "{shown}");
    }
}
