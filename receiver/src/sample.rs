//! A configuration file in which every option is explained and commented out, as `oslo-config-generator` writes them.

use std::fmt;

use oslo_config::Declaration;

/// The file as `Display`: installed as it is it changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Sample(pub &'static [Declaration]);

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for option in self.0 {
            if option.group != group {
                let blank = if group.is_empty() { "" } else { "\n" };
                group = option.group;
                writeln!(f, "{blank}[{group}]")?;
            }
            writeln!(f, "\n# {}\n# Expected: {}.", option.help, option.expected)?;
            match option.default {
                Some(default) => writeln!(f, "#{} = {default}", option.name)?,
                None => writeln!(f, "#{} = None", option.name)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use oslo_config::{Config, parse};

    use super::*;
    use crate::settings::{DECLARED, Settings};

    fn read(text: &str) -> Config {
        let mut config = Config::new(DECLARED);
        config.push(parse(text.as_bytes(), "sample".as_ref()).unwrap());
        config
    }

    #[test]
    fn as_it_is_it_changes_nothing() {
        let config = read(&Sample(DECLARED).to_string());
        assert!(DECLARED.iter().all(|option| !config.texts(option).unwrap().origin.is_explicit()));
    }

    #[test]
    fn with_every_line_taken_it_says_the_defaults() {
        let sample = Sample(DECLARED).to_string();
        let lines = sample.lines().map(|line| match line.strip_prefix('#') {
            Some(assignment) if !assignment.starts_with(' ') => assignment,
            _ => line,
        });
        let config = read(&lines.collect::<Vec<_>>().join("\n"));
        assert!(DECLARED.iter().all(|option| config.texts(option).unwrap().origin.is_explicit()));
        let (taken, defaults) = (Settings::from_config(&config), Settings::from_config(&read("")));
        let (taken, defaults) = (taken.unwrap(), defaults.unwrap());
        assert_eq!((taken.bind, taken.limits, taken.log), (defaults.bind, defaults.limits, defaults.log));
        assert_eq!((taken.host, taken.topic_backlog), (defaults.host, defaults.topic_backlog));
    }
}
