//! The URL of a registry: `scheme://[user[:password]@]host[:port][,host[:port]]…[/path][?key=value[&…]]`.
//!
//! RFC 3986 with one addition, a list of hosts, which is why no general reader of URLs will do.
//!
//! What always holds: user, password, path and query are unescaped and UTF-8; there is a host; no
//! error shows any part of the text that could hold a password.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::secret::Secret;

/// A URL in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// At least one.
    pub(crate) servers: Vec<Server>,
    /// The segments between slashes, empty ones left out.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
}

/// A host and a port to connect to. Printed as an address, an IPv6 literal in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// Without one, the port that is usual for the protocol.
    pub port: Option<u16>,
}

impl Server {
    /// This machine, at the usual port.
    pub fn here() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: None }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The last one: a password that was not escaped may hold another.
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(login), servers),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (filled(unescaped(user)?), filled(unescaped(password)?)),
            None => (None, None),
        };
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((unescaped(key)?, unescaped(value)?))
        });
        Ok(Self {
            scheme: scheme.to_owned(),
            user,
            password: password.map(Secret::new),
            servers: servers.split(',').map(str::parse).collect::<Result<_, _>>()?,
            path: segments.map(unescaped).collect::<Result<_, _>>()?,
            query: pairs.collect::<Result<_, UrlError>>()?,
        })
    }
}

impl FromStr for Server {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (host, rest) = literal.split_once(']').ok_or(UrlError::Bracket)?;
                (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")).ok_or(UrlError::Bracket)?)
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        let port = match port {
            "" => None,
            digits => Some(digits.parse().ok().filter(|&port| port > 0).ok_or(UrlError::Port)?),
        };
        let strange = |c: char| c.is_control() || c.is_whitespace() || c == '@';
        if host.contains(strange) {
            return Err(UrlError::Host);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What is wrong with a URL. No variant holds a part of it: it may have a password in any place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// No `://`.
    #[error("a URL begins with its scheme: redis://HOST:PORT/0")]
    NoScheme,
    /// An empty host.
    #[error("a host is missing: redis://HOST:PORT/0")]
    NoHost,
    /// A host with a blank or the like.
    #[error("a host has a character that none has: escape '@' and '/' in a password as %40 and %2F")]
    Host,
    /// No number from 1 to 65535 after the colon.
    #[error("a port is no number from 1 to 65535; an IPv6 address goes in brackets: redis://[::1]:6379")]
    Port,
    /// `[` without `]`, or something else than a port after it.
    #[error("an IPv6 address is not closed: redis://[::1]:6379")]
    Bracket,
    /// `%` without two hexadecimal digits, or octets that are not UTF-8.
    #[error("an escape is not % and two hexadecimal digits: write % itself as %25")]
    Escape,
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn unescaped(text: &str) -> Result<String, UrlError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(UrlError::Escape) };
        octets.push(u8::try_from(high * 16 + low).map_err(|_| UrlError::Escape)?);
        rest = &rest[2..];
    }
    String::from_utf8(octets).map_err(|_| UrlError::Escape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn all_parts_are_found() {
        let url = url("redis+x://me:p%40s:s@a:1,[::1]:2,b/name//3?k=v%26&l");
        assert_eq!(url.scheme, "redis+x");
        assert_eq!(url.user.as_deref(), Some("me"));
        assert_eq!(url.password.as_ref().map(Secret::reveal), Some("p@s:s"));
        let servers: Vec<_> = url.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["a:1", "[::1]:2", "b"]);
        assert_eq!(url.path, ["name", "3"]);
        let pairs: Vec<_> = url.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("k", "v&"), ("l", "")]);
    }

    #[test]
    fn a_password_may_stand_alone_and_nothing_is_unset() {
        let with = url("redis://:secret@h");
        assert_eq!((with.user.as_deref(), with.password.as_ref().map(Secret::reveal)), (None, Some("secret")));
        let without = url("redis://@h/");
        assert_eq!((without.user, without.password, without.path.len()), (None, None, 0));
    }

    #[test]
    fn faults_are_told_apart() {
        for (text, fault) in [
            ("redis:h", UrlError::NoScheme),
            ("redis://", UrlError::NoHost),
            ("redis://a,,b", UrlError::NoHost),
            ("redis://:6379", UrlError::NoHost),
            ("redis://h:0", UrlError::Port),
            ("redis://h:65536", UrlError::Port),
            ("redis://::1", UrlError::NoHost),
            ("redis://fe80::1", UrlError::Port),
            ("redis://[::1", UrlError::Bracket),
            ("redis://[::1]6379", UrlError::Bracket),
            ("redis://u:%zz@h", UrlError::Escape),
            ("redis://u:%ff@h", UrlError::Escape),
            ("redis://a b", UrlError::Host),
        ] {
            assert_eq!(text.parse::<Url>(), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_its_password_never_shown(text in "(redis://)?[a-z0-9:@/?%,&=\\[\\]. ]{0,40}") {
            let _ = text.parse::<Url>();
            let shown = format!("{:?}", format!("redis://u:hunter2@{text}").parse::<Url>());
            prop_assert!(!shown.contains("hunter2") || text.contains('@'), "{}", shown);
        }
    }
}
