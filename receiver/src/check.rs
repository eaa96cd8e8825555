//! `check-config`: all that is wrong or odd with the configuration, and with this machine for it.
//!
//! Unlike the start, which stops at the first fault, a check goes on and tells all of them. Nothing is changed: no directory
//! is made, and the port is closed again.

mod environment;

use std::fmt;

use oslo_config::{Config, Declaration, Origin, ValueError};
use serde::Serialize;

use self::environment::examine;
use crate::effective::Effective;
use crate::settings::{OURS, Settings, SettingsError};

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
        let mut findings: Vec<_> = faults.iter().map(|fault| Finding::of_fault(fault, config.declared())).collect();
        findings.extend(warnings.into_iter().map(|warning| Finding {
            level: Level::Warning,
            place: place(&warning.origin),
            text: warning.text,
            hint: None,
        }));
        findings.extend(unknown(config));
        if let (true, Ok(settings)) = (environment, Settings::from_config(config)) {
            findings.extend(examine(&settings).await);
        }
        Self { findings, options: Effective::of(config) }
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
        let blank = if self.findings.is_empty() { "" } else { "\n" };
        write!(f, "{blank}{}", self.options)
    }
}

impl Finding {
    fn of_fault(fault: &SettingsError, declared: &[Declaration]) -> Self {
        let (place, text, hint) = match fault {
            SettingsError::Value(error) => {
                let ValueError { origin, group, name, fault } = error;
                (place(origin), format!("[{group}] {name}: {fault}"), help(group, name, declared))
            }
            SettingsError::NoHostName => (None, fault.to_string(), None),
        };
        Self { level: Level::Error, place, text, hint }
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

/// Names in our own group that nobody reads. Those of other groups are the services' business.
fn unknown(config: &Config) -> Vec<Finding> {
    let ours = || config.declared().iter().filter(|option| option.group == OURS).map(|option| option.name);
    let mut findings = Vec::new();
    for file in config.files() {
        let mut names: Vec<_> = file.names(OURS).filter(|(name, _)| ours().all(|known| known != *name)).collect();
        names.sort_unstable_by_key(|(_, line)| *line);
        findings.extend(names.into_iter().map(|(name, line)| {
            let near = ours().map(|known| (strsim::jaro_winkler(known, name), known));
            let nearest = near.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(likeness, _)| *likeness > LIKE);
            Finding {
                level: Level::Warning,
                place: Some(format!("{}:{line}", file.path().display())),
                text: format!("[{OURS}] has no option {:?}", name.chars().take(MAX_SHOWN).collect::<String>()),
                hint: Some(match nearest {
                    Some((_, known)) => format!("perhaps {known} is meant"),
                    None => "config-sample prints those there are".to_owned(),
                }),
            }
        }));
    }
    findings
}

/// From here on two names are taken for one that was mistyped: a letter or two in a name of usual length.
const LIKE: f64 = 0.85;

/// Characters of an unknown name that are shown.
const MAX_SHOWN: usize = 40;

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
        let text = "[DEFAULT]\nrpc_zmq_port = 95o1\nrpc_zmq_contexts = 2\nnova_own = 1\n[zmq_receiver]\nmax_topic = 1\nxyz = 2\n";
        let report = report(text).await;
        let lines: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        let expected = [
            "x.conf:2: error: [DEFAULT] rpc_zmq_port: expected a port, 1 to 65535, found \"95o1\"; \
             TCP port to listen on, the same on every machine (default 9501)",
            "x.conf:3: warning: rpc_zmq_contexts has no effect here",
            "x.conf:6: warning: [zmq_receiver] has no option \"max_topic\"; perhaps max_topics is meant",
            "x.conf:7: warning: [zmq_receiver] has no option \"xyz\"; config-sample prints those there are",
        ];
        assert_eq!(lines, expected);
        assert_eq!(report.worst(), Level::Error);
        assert!(report.to_string().contains("\n\n[DEFAULT]\nrpc_zmq_bind_address = *  (default)\n"), "{report}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["findings"][1]["level"], &json["options"][0]["value"]), (&"warning".into(), &"*".into()));
    }

    #[tokio::test]
    async fn nothing_wrong_is_nothing_to_tell() {
        let report = report("[DEFAULT]\nrpc_zmq_port = 9601\n").await;
        assert_eq!((report.worst(), report.findings.len()), (Level::Ok, 0));
    }
}
