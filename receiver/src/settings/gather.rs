//! Where the options' values come from: files, environment, flags, in one [`Config`].
//!
//! Flags beat the environment, which beats the files; among these the later one wins. Nothing is
//! checked beyond what it takes to read the files.

use std::ffi::OsString;
use std::path::Path;

use oslo_config::{Config, Declaration, LoadError, config_files, default_files, load};

use super::options;
use crate::cli::{Cli, PROGRAM};

/// Reads the files that the command line names, or the default ones, and adds the variables of
/// the environment and the flags. `HOME` among the variables tells where `~` is.
///
/// # Errors
/// A file or directory that is missing, unreadable or no configuration.
pub fn gather(cli: &Cli, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Config, LoadError> {
    let variables: Vec<_> = variables.into_iter().collect();
    let home = variables.iter().find(|(name, _)| name == "HOME").map(|(_, home)| Path::new(home));

    let mut config = Config::new(options::DECLARED);
    for file in config_files(&cli.sources, default_files(PROJECT, PROGRAM, home))? {
        config.push(load(&file)?);
    }
    config.set_environment(variables);
    for (option, flag, value) in flags(cli) {
        config.set_flag(option, flag, value);
    }
    Ok(config)
}

/// The flags that are options: which, as spelled, and the value.
fn flags(cli: &Cli) -> impl Iterator<Item = (&'static Declaration, &'static str, String)> {
    let switch = |on: Option<bool>, yes, no| on.map(|on| (if on { yes } else { no }, on.to_string()));
    let text = |text: &Option<String>, flag| text.clone().map(|text| (flag, text));
    [
        (options::DEBUG.declaration(), switch(cli.debug, "--debug", "--nodebug")),
        (options::VERBOSE.declaration(), switch(cli.verbose, "--verbose", "--noverbose")),
        (options::LOG_FILE.declaration(), text(&cli.log_file, "--log-file")),
        (options::LOG_DIR.declaration(), text(&cli.log_dir, "--log-dir")),
        (options::USE_SYSLOG.declaration(), switch(cli.use_syslog, "--use-syslog", "--use-syslog")),
        (options::LOG_CONFIG_APPEND.declaration(), text(&cli.log_config_append, "--log-config-append")),
    ]
    .into_iter()
    .filter_map(|(option, given)| given.map(|(flag, value)| (option, flag, value)))
}

/// The project whose default file is read before the program's own.
const PROJECT: &str = "oslo";

#[cfg(test)]
mod tests {
    use std::fs;

    use oslo_config::Source;
    use tracing::Level;

    use super::*;
    use crate::settings::Settings;

    fn variables<const N: usize>(variables: [(&str, &str); N]) -> [(OsString, OsString); N] {
        variables.map(|(name, value)| (name.into(), value.into()))
    }

    #[test]
    fn flags_beat_the_environment_and_the_environment_beats_files() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.conf");
        fs::write(&file, "[DEFAULT]\ndebug = True\nrpc_zmq_port = 1\nrpc_zmq_host = a\n").unwrap();
        let words = [PROGRAM, "--nodebug", "--config-file", file.to_str().unwrap(), "--log-file", "/l"];
        let cli = Cli::parse_from(words).unwrap();

        let environment = [("OS_DEFAULT__RPC_ZMQ_PORT", "2"), ("OS_DEFAULT__DEBUG", "yes"), ("OS_X", "3")];
        let config = gather(&cli, variables(environment)).unwrap();
        let settings = Settings::from_config(&config).unwrap();
        assert_eq!(settings.bind.port, 2);
        assert_eq!(settings.host, "a");
        assert_eq!(settings.log.levels.all, Level::INFO);
        assert_eq!(settings.log.file, Some("/l".into()));
    }

    /// A line that names a file with nothing in it, so that the machine's own files stay out.
    fn no_file() -> Cli {
        Cli { sources: vec![Source::File("/dev/null".into())], ..Cli::default() }
    }

    #[test]
    fn a_wrong_value_is_traced_to_its_variable_or_flag() {
        let config = gather(&no_file(), variables([("OS_ZMQ_RECEIVER__MAX_TOPICS", "0")])).unwrap();
        let told = Settings::from_config(&config).unwrap_err().to_string();
        assert!(told.starts_with("environment OS_ZMQ_RECEIVER__MAX_TOPICS: [zmq_receiver] max_topics: "), "{told}");

        let cli = Cli { log_config_append: Some("/x".to_owned()), ..no_file() };
        let settings = Settings::from_config(&gather(&cli, []).unwrap()).unwrap();
        assert!(settings.warnings[0].to_string().starts_with("--log-config-append: log_config_append has no effect"));
    }

    #[test]
    fn without_a_file_the_one_in_the_home_directory_is_read() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("oslo-messaging-zmq-receiver.conf"), "[DEFAULT]\nrpc_zmq_host = h\n").unwrap();
        let variables = variables([("HOME", home.path().to_str().unwrap())]);
        let config = gather(&Cli::default(), variables).unwrap();
        assert_eq!(Settings::from_config(&config).unwrap().host, "h");
    }

    #[test]
    fn a_missing_file_is_told_in_one_line() {
        let cli = Cli::parse_from([PROGRAM, "--config-file=/nonexistent/x.conf"]).unwrap();
        let told = gather(&cli, []).unwrap_err().to_string();
        assert!(told.contains("/nonexistent/x.conf: No such file or directory"), "{told}");
        assert_eq!(told.lines().count(), 1);
    }
}
