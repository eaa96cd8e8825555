//! Transport URLs (oslo-bugs B5, LP 1400323).
//!
//! | URL | matchmaker |
//! |---|---|
//! | `zmq://` | as the options say |
//! | `zmq+local://` | this machine serves everything |
//! | `zmq+ring:///PATH` | a ring file |
//! | `zmq+redis://:PASSWORD@HOST:PORT/0` | a Redis |
//! | `zmq+consul://HOST:8500` | a Consul |
//!
//! What follows `zmq+` is left to the matchmaker, which knows its own registries. No error shows a
//! login.

use matchmaker::{Locator, LocatorError};
use thiserror::Error;

use super::Settings;

impl Settings {
    /// Lets a transport URL choose the matchmaker.
    ///
    /// # Errors
    ///
    /// [`UrlError`], and the settings are as before.
    pub fn apply_url(&mut self, url: &str) -> Result<(), UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
        let Some(matchmaker) = scheme.strip_prefix("zmq") else { return Err(UrlError::OtherDriver) };
        let locator = match (matchmaker, rest) {
            ("", "" | "/") => return Ok(()),
            ("", _) => return Err(UrlError::Broker),
            ("+local" | "+localhost", "" | "/") => Locator::Localhost,
            ("+local" | "+localhost", _) => return Err(UrlError::LocalHost),
            ("+ring", path) if !path.starts_with('/') => return Err(UrlError::RingHost),
            ("+ring", path) => format!("ring:{path}").parse()?,
            (other, rest) => match other.strip_prefix('+') {
                Some(kind) => format!("{kind}://{rest}").parse()?,
                None => return Err(UrlError::OtherDriver),
            },
        };
        self.matchmaker = locator;
        Ok(())
    }
}

/// What is wrong with a transport URL. No variant holds a part of it: it may have a password in any
/// place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// No `://`.
    #[error("a transport URL begins with its scheme, as zmq:// or zmq+redis://HOST:6379/0")]
    NoScheme,
    /// Another scheme.
    #[error("the scheme is not zmq: use zmq://, zmq+ring:///PATH, zmq+redis://HOST, zmq+consul://HOST or zmq+local://")]
    OtherDriver,
    /// `zmq://` with something after it.
    #[error("zmq:// takes no host, for there is no broker: name a matchmaker, as zmq+redis://HOST:6379/0")]
    Broker,
    /// `zmq+local://` with something after it.
    #[error("zmq+local:// takes no host: it is this machine")]
    LocalHost,
    /// `zmq+ring://` and no third slash.
    #[error("the path of a ring begins with a slash: zmq+ring:///etc/oslo/matchmaker_ring.json")]
    RingHost,
    /// What follows `zmq+` names no registry.
    #[error(transparent)]
    Matchmaker(#[from] LocatorError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(url: &str) -> Result<Locator, UrlError> {
        let mut settings = Settings::new("node7".parse().unwrap());
        settings.matchmaker = Locator::Stub;
        settings.apply_url(url).map(|()| settings.matchmaker)
    }

    #[test]
    fn b05_every_form_of_url() {
        assert_eq!(applied("zmq://"), Ok(Locator::Stub));
        assert_eq!(applied("zmq+local://"), Ok(Locator::Localhost));
        assert_eq!(applied("zmq+ring:///etc/ring.json"), Ok(Locator::Ring("/etc/ring.json".into())));
        #[cfg(feature = "redis")]
        assert!(
            matches!(applied("zmq+redis://:hunter2@h:1/2"), Ok(Locator::Redis(redis)) if redis.to_string() == "redis h:1/2")
        );
    }

    #[test]
    fn b05_errors_name_the_part_and_never_the_password() {
        for (url, expected) in [
            ("redis", UrlError::NoScheme),
            ("rabbit://u:hunter2@h/", UrlError::OtherDriver),
            ("zmqx://hunter2", UrlError::OtherDriver),
            ("zmq://u:hunter2@host:5672/", UrlError::Broker),
            ("zmq+local://hunter2", UrlError::LocalHost),
            ("zmq+ring://hunter2/x", UrlError::RingHost),
        ] {
            assert_eq!(applied(url), Err(expected), "{url}");
        }
        for url in
            ["zmq+rdeis://:hunter2@h", "zmq+redis://:hunter2@", "zmq+redis://:hunter2@h:x", "zmq+consulx://hunter2"]
        {
            let error = applied(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
    }
}
