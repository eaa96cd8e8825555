//! `scheme://address`: where to bind or connect.

use std::{fmt, str::FromStr};

/// A place to bind or connect to: `tcp://127.0.0.1:9501`, `ipc:///run/x.sock`, `ipc://@abstract`, `memory://name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    text: String,
    scheme: usize,
}

/// A text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint \"{}\": {problem}", .text.escape_debug())]
pub struct EndpointError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Endpoint {
    /// `scheme://address` from its parts.
    ///
    /// # Errors
    /// As for [`str::parse`].
    pub fn new(scheme: &str, address: &str) -> Result<Self, EndpointError> {
        format!("{scheme}://{address}").parse()
    }

    /// What is before `://`.
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme]
    }

    /// What is after `://`.
    pub fn address(&self) -> &str {
        &self.text[self.scheme + SEPARATOR.len()..]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refuse = |problem| Err(EndpointError { text: text.into(), problem });
        let Some((scheme, address)) = text.split_once(SEPARATOR) else {
            return refuse("expected SCHEME://ADDRESS, such as tcp://127.0.0.1:9501");
        };
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return refuse("the scheme is made of letters and digits, such as tcp or ipc");
        }
        if address.is_empty() {
            return refuse("nothing after ://");
        }
        if address.chars().any(char::is_control) {
            return refuse("control characters in the address");
        }
        Ok(Self { text: text.into(), scheme: scheme.len() })
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const SEPARATOR: &str = "://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let endpoint: Endpoint = "ipc:///run/a://b".parse().unwrap();
        assert_eq!((endpoint.scheme(), endpoint.address()), ("ipc", "/run/a://b"));
        assert_eq!(Endpoint::new("tcp", "[::1]:1").unwrap().to_string(), "tcp://[::1]:1");
    }

    #[test]
    fn refusals_say_why() {
        for text in ["", "tcp", "tcp:/x", "://x", "t p://x", "ipc://", "ipc://a\nb"] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
