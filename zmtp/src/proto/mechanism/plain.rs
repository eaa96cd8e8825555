//! The PLAIN mechanism: a user name and a password in clear (RFC 24).
//!
//! ```text
//!  client                      server
//!    HELLO user password  --->   asks whether they are right
//!                         <---   WELCOME, or ERROR
//!    INITIATE properties  --->
//!                         <---   READY properties
//! ```
//! After it the traffic is that of NULL. It hides nothing: for networks where nobody listens, or inside TLS.
//!
//! libzmq's server spells its ERROR `^RROR`, an escape in its source gone wrong, which a client here understands; its
//! client takes the right spelling for an unexpected command and hangs up all the same.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Credentials, Step};
use crate::proto::{
    command::{self, Command},
    error::{PeerText, ProtocolError},
    metadata::Metadata,
};

/// A user name and a password, each of at most 255 octets. The memory of the password is wiped when dropped, and it is
/// never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainLogin {
    username: Box<[u8]>,
    password: Zeroizing<Box<[u8]>>,
}

/// A user name or a password is longer than the wire can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {what} of {octets} octets; PLAIN carries at most 255, so choose a shorter one")]
pub struct LoginTooLong {
    what: &'static str,
    octets: usize,
}

impl PlainLogin {
    /// A login.
    ///
    /// # Errors
    /// One of the two is longer than 255 octets.
    pub fn new(username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Result<Self, LoginTooLong> {
        let (username, password) = (username.as_ref(), password.as_ref());
        for (what, octets) in [("user name", username.len()), ("password", password.len())] {
            if octets > MAX_OCTETS {
                return Err(LoginTooLong { what, octets });
            }
        }
        Ok(Self { username: username.into(), password: Zeroizing::new(password.into()) })
    }

    /// The user name.
    pub fn username(&self) -> &[u8] {
        &self.username
    }

    /// Whether this is the password, in a time that tells neither where it differs nor how long it is.
    pub fn has_password(&self, password: &[u8]) -> bool {
        let at = |octets: &[u8], n| octets.get(n).copied().unwrap_or_default();
        let lengths = self.password.len() ^ password.len();
        let differing = (0..MAX_OCTETS)
            .fold(lengths, |bits, n| std::hint::black_box(bits | usize::from(at(&self.password, n) ^ at(password, n))));
        differing == 0
    }

    /// The password, for a check that is made elsewhere.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// HELLO, a whole frame.
    fn hello(&self) -> Bytes {
        let mut data = Zeroizing::new(Vec::with_capacity(2 + self.username.len() + self.password.len()));
        for part in [&*self.username, &**self.password] {
            data.push(part.len() as u8);
            data.extend_from_slice(part);
        }
        command::frame("HELLO", &data)
    }

    /// The data of a HELLO.
    fn decode(data: &[u8]) -> Result<Self, ProtocolError> {
        let malformed = |problem| ProtocolError::MalformedCommand { command: "HELLO", problem };
        let part = |octets: &mut &[u8]| {
            let (len, rest) = octets.split_first()?;
            let (part, rest) = rest.split_at_checked(usize::from(*len))?;
            *octets = rest;
            Some(Box::<[u8]>::from(part))
        };
        let mut rest = data;
        let username = part(&mut rest).ok_or_else(|| malformed("user name cut short"))?;
        let password = part(&mut rest).ok_or_else(|| malformed("password cut short"))?;
        if !rest.is_empty() {
            return Err(malformed("octets behind the password"));
        }
        Ok(Self { username, password: Zeroizing::new(password) })
    }
}

impl fmt::Debug for PlainLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainLogin").field("username", &PeerText::new(&self.username)).finish_non_exhaustive()
    }
}

/// One side of a handshake, by what it waits for.
#[derive(Debug)]
pub(crate) enum Plain {
    ClientBegins(PlainLogin),
    ClientAwaitsWelcome,
    ClientAwaitsReady,
    ServerAwaitsHello,
    ServerAwaitsVerdict,
    ServerAwaitsInitiate,
}

impl Plain {
    pub(crate) const NAME: &'static str = "PLAIN";

    pub(crate) fn client(login: PlainLogin) -> Self {
        Self::ClientBegins(login)
    }

    pub(crate) fn server() -> Self {
        Self::ServerAwaitsHello
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Self::ServerAwaitsHello | Self::ServerAwaitsVerdict | Self::ServerAwaitsInitiate)
    }

    pub(crate) fn start(&mut self) -> Option<Step> {
        let Self::ClientBegins(login) = self else { return None };
        let hello = login.hello();
        *self = Self::ClientAwaitsWelcome;
        Some(Step::Send(hello))
    }

    pub(crate) fn handle(&mut self, ours: &[u8], body: Bytes) -> Result<Step, ProtocolError> {
        if let Some(refusal) = body.strip_prefix(LIBZMQ_ERROR).filter(|_| !self.is_server()) {
            let reason = refusal.split_first().map_or(&[][..], |(_, reason)| reason);
            return Err(ProtocolError::PeerRefused { reason: PeerText::new(reason) });
        }
        let (name, data) = command::split_name(body)?;
        match (&*self, &name[..]) {
            (Self::ServerAwaitsHello, b"HELLO") => {
                let login = PlainLogin::decode(&data)?;
                *self = Self::ServerAwaitsVerdict;
                Ok(Step::Ask(Credentials::Plain(login)))
            }
            (Self::ClientAwaitsWelcome, b"WELCOME") => {
                if !data.is_empty() {
                    return Err(ProtocolError::MalformedCommand { command: "WELCOME", problem: "it carries data" });
                }
                *self = Self::ClientAwaitsReady;
                Ok(Step::Send(command::frame("INITIATE", ours)))
            }
            (Self::ServerAwaitsInitiate, b"INITIATE") => {
                Ok(Step::Ready { reply: Some(command::ready(ours)), properties: Metadata::decode(data)?, seal: None })
            }
            (Self::ClientAwaitsReady, b"READY") => {
                Ok(Step::Ready { reply: None, properties: Metadata::decode(data)?, seal: None })
            }
            (_, b"ERROR") => Err(ProtocolError::PeerRefused { reason: Command::decode_error(&data)? }),
            _ => Err(ProtocolError::UnexpectedCommand { name: PeerText::new(&name), state: "in the PLAIN handshake" }),
        }
    }

    pub(crate) fn authorized(&mut self) -> Result<Step, ProtocolError> {
        let Self::ServerAwaitsVerdict = self else { return Err(ProtocolError::UNASKED) };
        *self = Self::ServerAwaitsInitiate;
        Ok(Step::Send(command::frame("WELCOME", &[])))
    }
}

/// One octet tells the length.
const MAX_OCTETS: usize = u8::MAX as usize;
/// What libzmq's server writes for `\x05ERROR`, in every version since 4.3.0.
const LIBZMQ_ERROR: &[u8] = b"^RROR";

#[cfg(test)]
mod tests {
    use super::*;

    fn body(frame: &[u8]) -> Bytes {
        Bytes::copy_from_slice(&frame[2..])
    }

    fn login(data: &[u8]) -> Result<PlainLogin, ProtocolError> {
        PlainLogin::decode(data)
    }

    #[test]
    fn a_login_is_never_printed_and_compared_whole() {
        let login = PlainLogin::new("ad\nmin", "secret").unwrap();
        assert_eq!(format!("{login:?}"), r#"PlainLogin { username: "ad\nmin", .. }"#);
        assert!(login.has_password(b"secret"));
        for other in [&b""[..], b"secre", b"secret2", b"Secret"] {
            assert!(!login.has_password(other));
        }
        assert_eq!(PlainLogin::new("u", [0; 256]).unwrap_err().octets, 256);
        assert!(PlainLogin::new([0; 256], "p").is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "how long an interpreter takes tells nothing")]
    fn how_long_a_comparison_takes_does_not_tell_how_long_the_password_is() {
        let known = [b'x'; 255];
        let [short, long] = [1, 255].map(|octets| PlainLogin::new("u", &known[..octets]).unwrap());
        let time = |login: &PlainLogin| {
            let begun = std::time::Instant::now();
            for _ in 0..500 {
                std::hint::black_box(login.has_password(std::hint::black_box(&known)));
            }
            begun.elapsed()
        };
        // The least of many tries, so that nothing else that runs counts.
        let least = |login| (0..30).map(|_| time(login)).min().unwrap().as_secs_f64();
        let ratio = least(&long) / least(&short);
        assert!((0.3..3.0).contains(&ratio), "{ratio}; 255 if each octet of the guess counted");
    }

    #[test]
    fn every_cut_of_hello_is_malformed() {
        let whole = b"\x05admin\x06secret";
        assert_eq!(login(whole).unwrap(), PlainLogin::new("admin", "secret").unwrap());
        assert_eq!(login(b"\x00\x00").unwrap(), PlainLogin::new("", "").unwrap());
        for cut in 0..whole.len() {
            assert!(login(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(login(b"\x05admin\x06secret!").is_err());
    }

    #[test]
    fn commands_out_of_order_are_refused() {
        let order =
            [&b"\x00\x08\x07WELCOME"[..], b"\x00\x09\x08INITIATE", b"\x00\x06\x05READY", b"\x00\x05\x04PING\x00\x00"];
        for frame in order {
            let mut server = Plain::server();
            let result = server.handle(b"", body(frame));
            assert!(matches!(result, Err(ProtocolError::UnexpectedCommand { .. })), "{result:?}");
        }
        let mut client = Plain::client(PlainLogin::new("u", "p").unwrap());
        client.start().unwrap();
        assert!(client.handle(b"", body(b"\x00\x06\x05READY")).is_err());
        // A server that has asked waits for the verdict: a second HELLO is no second try.
        let mut server = Plain::server();
        let hello = body(b"\x00\x0a\x05HELLO\x01u\x01p");
        assert!(matches!(server.handle(b"", hello.clone()), Ok(Step::Ask(_))));
        assert!(server.handle(b"", hello).is_err());
    }

    #[test]
    fn both_spellings_of_a_refusal_are_understood() {
        for frame in [&b"\x04\x0a\x05ERROR\x03400"[..], b"\x04\x09^RROR\x03400"] {
            let mut client = Plain::client(PlainLogin::new("u", "p").unwrap());
            client.start().unwrap();
            let result = client.handle(b"", body(frame)).unwrap_err();
            assert_eq!(result, ProtocolError::PeerRefused { reason: PeerText::new(b"400") });
        }
    }
}
