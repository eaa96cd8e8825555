//! `check-config`: all that is wrong or odd with the configuration, and with this machine for it.
//!
//! Unlike the start, which stops at the first fault, a check goes on and tells all of them. Nothing is changed: no directory
//! is made, and the port is closed again.

mod unknown;
mod environment;

use std::fmt;

use oslo_config::{Config, Declaration, LoadError, Origin, ValueError};
use serde::Serialize;

use self::environment::examine;
use self::unknown::unknown;
use crate::effective::Effective;
use crate::settings::{Settings, SettingsError};

/// What a check found. `Display` writes one line for each finding, then the effective values.
#[derive(Debug, Serialize)]
pub struct Report {
    findings: Vec<Finding>,
    options: Effective,
}

/// One line of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where to look, such as `/etc/oslo/oslo.conf:8`; `None` if it is about the machine.
    pub place: Option<String>,
    /// What was found.
    pub text: String,
    /// What to do, if the text does not say that.
    pub hint: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but perhaps not as meant.
    Warning,
    /// The daemon would not start.
    Error,
}

impl Report {
    /// Checks a configuration. With `environment` also the machine: port, directory, host name, log. That resolves a name
    /// and may so take seconds; it needs a tokio runtime.
    pub async fn of(config: &Config, environment: bool) -> Self {
        let (faults, warnings) = Settings::examine(config);
        let mut found: Vec<_> = faults.iter().map(|fault| Finding::of_fault(fault, config.declared())).collect();
        found.extend(warnings.into_iter().map(|warning| Finding::at(&warning.origin, Level::Warning, warning.text)));
        found.extend(unknown(config));
        // As somebody goes through the files.
        found.sort_by_key(|(origin, _)| rank(origin, config));
        let mut findings: Vec<_> = found.into_iter().map(|(_, finding)| finding).collect();
        if let (true, Ok(settings)) = (environment, Settings::from_config(config)) {
            findings.extend(examine(&settings).await);
        }
        Self { findings, options: Effective::of(config) }
    }

    /// What there is to tell of files that cannot be read or are no configuration.
    #[must_use]
    pub fn unreadable(fault: &LoadError) -> Self {
        let (place, text) = match fault {
            LoadError::Parse(error) => {
                (Some(format!("{}:{}", error.file.display(), error.line)), error.fault.to_string())
            }
            _ => (None, fault.to_string()),
        };
        let findings = vec![Finding { level: Level::Error, place, text, hint: None }];
        Self { findings, options: Effective::default() }
    }

    /// The worst that was found.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        let options = self.options.to_string();
        let blank = if self.findings.is_empty() || options.is_empty() { "" } else { "\n" };
        write!(f, "{blank}{options}")
    }
}

impl Finding {
    fn at(origin: &Origin, level: Level, text: String) -> (Origin, Self) {
        (origin.clone(), Self { level, place: place(origin), text, hint: None })
    }

    fn of_fault(fault: &SettingsError, declared: &[Declaration]) -> (Origin, Self) {
        match fault {
            SettingsError::Value(ValueError { origin, group, name, fault }) => {
                let (origin, finding) = Self::at(origin, Level::Error, format!("[{group}] {name}: {fault}"));
                (origin, Self { hint: help(group, name, declared), ..finding })
            }
            SettingsError::NoHostName => Self::at(&Origin::Default, Level::Error, fault.to_string()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, place, text, hint } = self;
        if let Some(place) = place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{level}: {text}")?;
        hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where an operator would look for a value; nobody looks for a default.
fn place(origin: &Origin) -> Option<String> {
    origin.is_explicit().then(|| origin.to_string())
}

/// What an option is for, to whoever got it wrong.
fn help(group: &str, name: &str, declared: &[Declaration]) -> Option<String> {
    let option = declared.iter().find(|option| option.group == group && option.name == name)?;
    let help = option.help.trim_end_matches('.');
    Some(option.default.map_or_else(|| help.to_owned(), |default| format!("{help} (default {default})")))
}

/// The order of findings: by file and line, then those of no file.
fn rank(origin: &Origin, config: &Config) -> (usize, usize) {
    let Origin::File { file, line } = origin else { return (usize::MAX, 0) };
    let at = config.files().iter().position(|read| read.path() == file);
    (at.unwrap_or(usize::MAX), *line)
}

#[cfg(test)]
mod tests {
    use oslo_config::parse;

    use super::*;
    use crate::settings::DECLARED;

    async fn report(text: &str) -> Report {
        let mut config = Config::new(DECLARED);
        config.push(parse(text.as_bytes(), "x.conf".as_ref()).unwrap());
        Report::of(&config, false).await
    }

    #[tokio::test]
    async fn each_finding_has_place_level_text_and_hint() {
        let text = "[DEFAULT]\nrpc_zmq_contexts = 2\nrpc_zmq_port = 95o1\nnova_own = 1\n\
                    [zmq_receiver]\nmax_topic = 1\nxyz = 2\n";
        let report = report(text).await;
        let lines: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        let expected = [
            "x.conf:2: warning: rpc_zmq_contexts has no effect here",
            "x.conf:3: error: [DEFAULT] rpc_zmq_port: expected a port, 1 to 65535, found \"95o1\"; \
             TCP port to listen on, the same on every machine (default 9501)",
            "x.conf:6: warning: [zmq_receiver] has no option \"max_topic\"; perhaps max_topics is meant",
            "x.conf:7: warning: [zmq_receiver] has no option \"xyz\"; config-sample prints those there are",
        ];
        assert_eq!(lines, expected);
        assert_eq!(report.worst(), Level::Error);
        assert!(report.to_string().contains("\n\n[DEFAULT]\nrpc_zmq_bind_address = *  (default)\n"), "{report}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["findings"][0]["level"], &json["options"][0]["value"]), (&"warning".into(), &"*".into()));
    }

    #[test]
    fn what_is_no_configuration_is_a_finding_too() {
        let broken = parse(b"[DEFAULT]\nno separator\n", "x.conf".as_ref()).unwrap_err();
        let report = Report::unreadable(&broken.into());
        assert_eq!(report.worst(), Level::Error);
        assert!(report.to_string().starts_with("x.conf:2: error: the line has neither \"=\" nor \":\"; "), "{report}");
        assert_eq!(serde_json::to_value(&report).unwrap()["findings"][0]["place"], "x.conf:2");
    }

    #[tokio::test]
    async fn nothing_wrong_is_nothing_to_tell() {
        let report = report("[DEFAULT]\nrpc_zmq_port = 9601\n").await;
        assert_eq!((report.worst(), report.findings.len()), (Level::Ok, 0));
    }
}
