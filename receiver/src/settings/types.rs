//! The types of the daemon's options: what a text means, and which texts are refused.
//!
//! `oslo.config` takes any text for an address and any number for a port; a mistake then shows
//! up late, or in the traffic. Here each option has the narrowest type that takes every value
//! that can work. For all of them an empty text is no value.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use oslo_config::{Malformed, OptType};
use tracing::Level;
use zmtp::transport::Network;

use crate::logging::{Facility, level};

/// Where to listen: `*`, an IP address (IPv6 bare or in brackets), or the name of a network
/// interface. Kept without brackets.
#[derive(Debug, PartialEq)]
pub(super) struct Address(pub(super) String);

impl OptType for Address {
    const EXPECTED: &'static str = "\"*\", an IP address or the name of a network interface";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let is_address = bare == "*" || bare.parse::<IpAddr>().is_ok() || is_interface_name(text);
        unless_empty(text, is_address.then(|| Self(bare.to_owned())))
    }
}

/// A TCP port that peers can dial.
#[derive(Debug, PartialEq)]
pub(super) struct Port(pub(super) u16);

impl OptType for Port {
    const EXPECTED: &'static str = "a port, 1 to 65535";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let port = text.parse::<NonZeroU16>().ok();
        unless_empty(text, port.map(|port| Self(port.get())))
    }
}

/// An address to listen on for this machine.
#[derive(Debug, PartialEq)]
pub(super) struct Listen(pub(super) SocketAddr);

impl OptType for Listen {
    const EXPECTED: &'static str = "an IP address and a port, such as 127.0.0.1:9510 or [::1]:9510";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let address = text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
        unless_empty(text, address.map(Self))
    }
}

/// Levels of single modules.
#[derive(Debug, PartialEq)]
pub(super) struct ModuleLevels(pub(super) Vec<(String, Level)>);

impl OptType for ModuleLevels {
    const EXPECTED: &'static str = "modules and levels, such as zmtp=DEBUG,zmq_receiver.drops=ERROR";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let read = |pair: &str| {
            let (module, name) = pair.split_once('=')?;
            Some((module.trim().to_owned(), level(name.trim())?))
        };
        unless_empty(text, pairs.map(read).collect::<Option<_>>().map(Self))
    }
}

/// A level of Python's `logging`.
#[derive(Debug, PartialEq)]
pub(super) struct LevelName(pub(super) Level);

impl OptType for LevelName {
    const EXPECTED: &'static str = "CRITICAL, ERROR, WARNING, INFO or DEBUG";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, level(text).map(Self))
    }
}

/// A facility of syslog.
#[derive(Debug, PartialEq)]
pub(super) struct SyslogFacility(pub(super) Facility);

impl OptType for SyslogFacility {
    const EXPECTED: &'static str = "a facility of syslog, such as LOG_USER, LOG_DAEMON or LOG_LOCAL0";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, Facility::named(text).map(Self))
    }
}

/// The name of a machine, such as matchmaker data holds.
#[derive(Debug, PartialEq)]
pub(super) struct HostName(pub(super) String);

impl OptType for HostName {
    const EXPECTED: &'static str = "a host name of at most 253 octets, without blanks or slashes";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '\\';
        let is_name = text.len() <= MAX_HOST_NAME && !text.contains(strange);
        unless_empty(text, is_name.then(|| Self(text.to_owned())))
    }
}

/// A path that means the same to every program on the machine.
#[derive(Debug, PartialEq)]
pub(super) struct AbsolutePath(pub(super) PathBuf);

impl OptType for AbsolutePath {
    const EXPECTED: &'static str = "a path that begins with /";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let is_absolute = text.starts_with('/') && !text.contains('\0');
        unless_empty(text, is_absolute.then(|| Self(text.into())))
    }
}

/// Any path.
#[derive(Debug, PartialEq)]
pub(super) struct AnyPath(pub(super) PathBuf);

impl OptType for AnyPath {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, (!text.contains('\0')).then(|| Self(text.into())))
    }
}

/// Networks as `ADDRESS/BITS`, or single addresses, separated by commas.
#[derive(Debug, PartialEq)]
pub(super) struct Networks(pub(super) Vec<Network>);

impl OptType for Networks {
    const EXPECTED: &'static str = "networks or addresses separated by commas, such as 10.0.0.0/8, fd00::/8, 127.0.0.1";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let network = |item: &str| item.parse::<Network>().ok();
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let networks: Option<Vec<_>> = items.map(network).collect();
        let networks = networks.ok_or(Malformed)?;
        Ok((!networks.is_empty()).then_some(Self(networks)))
    }
}

/// When what is written has to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// When the system likes.
    Never,
    /// At once.
    Always,
    /// So long after it was written at most.
    Within(Duration),
}

impl OptType for Fsync {
    const EXPECTED: &'static str = "never, always, or milliseconds from 1 to 60000, such as 200 ms";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let known = match text {
            "never" => Some(Self::Never),
            "always" => Some(Self::Always),
            _ => milliseconds(text).map(Self::Within),
        };
        unless_empty(text, known)
    }
}

/// How many of something there may be.
#[derive(Debug, PartialEq)]
pub(super) struct Count(pub(super) usize);

impl OptType for Count {
    const EXPECTED: &'static str = "a whole number, 1 to 4294967295";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let count = text.parse::<NonZeroU32>().ok();
        unless_empty(text, count.and_then(|count| usize::try_from(count.get()).ok()).map(Self))
    }
}

/// An amount of memory.
#[derive(Debug, PartialEq)]
pub(super) struct Octets(pub(super) usize);

impl OptType for Octets {
    const EXPECTED: &'static str = "octets above 0, such as 65536, 512 KiB, 64 MiB or 1 GiB";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, octets(text).filter(|octets| *octets > 0).map(Self))
    }
}

/// How long to wait for something; zero is not to wait.
#[derive(Debug, PartialEq)]
pub(super) struct Wait(pub(super) Duration);

impl OptType for Wait {
    const EXPECTED: &'static str = "seconds from 0 to 3600, such as 2 or 0.5";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, seconds(text).map(Self))
    }
}

/// How long a peer may take before we give up on it.
#[derive(Debug, PartialEq)]
pub(super) struct Deadline(pub(super) Duration);

impl OptType for Deadline {
    const EXPECTED: &'static str = "seconds above 0 and up to 3600, such as 10 or 0.5";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, seconds(text).filter(|wait| !wait.is_zero()).map(Self))
    }
}

/// How long a connection may look for more before it sleeps.
#[derive(Debug, PartialEq)]
pub(super) struct Moment(pub(super) Duration);

impl OptType for Moment {
    const EXPECTED: &'static str = "microseconds, 0 to 150";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let moment = text.parse().ok().filter(|number| *number <= MAX_MOMENT);
        unless_empty(text, moment.map(Duration::from_micros).map(Self))
    }
}

fn unless_empty<T>(text: &str, value: Option<T>) -> Result<Option<T>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    value.map(Some).ok_or(Malformed)
}

/// A name the kernel would take for an interface. Whether there is one shows on binding.
fn is_interface_name(text: &str) -> bool {
    let strange = |c: char| !c.is_ascii_graphic() || c == '/' || c == ':' || c == '*';
    text.len() <= MAX_INTERFACE_NAME && text != "." && text != ".." && !text.contains(strange)
}

fn octets(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_ascii() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

fn milliseconds(text: &str) -> Option<Duration> {
    let number = text.strip_suffix("ms")?.trim_ascii_end();
    number.parse().ok().filter(|number| (1..=MAX_MILLISECONDS).contains(number)).map(Duration::from_millis)
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// `IFNAMSIZ` of Linux without its closing NUL.
const MAX_INTERFACE_NAME: usize = 15;

/// The longest name DNS can hold.
const MAX_HOST_NAME: usize = 253;

/// What a connection looks after one read at most; see `Options::busy_poll` of zmtp.
const MAX_MOMENT: u64 = 150;

/// A minute: who can lose more in a failure of power wants `never`.
const MAX_MILLISECONDS: u64 = 60_000;

/// An hour: longer than any sensible wait, short enough that clock arithmetic cannot overflow.
const MAX_SECONDS: f64 = 3600.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value of a text that is one.
    fn value<T: OptType>(text: &str) -> Option<T> {
        T::from_text(text).ok().flatten()
    }

    fn refused<T: OptType>(texts: &[&str]) {
        for text in texts {
            assert!(matches!(T::from_text(text), Err(Malformed)), "{text:?}");
        }
    }

    #[test]
    fn addresses() {
        for text in ["*", "0.0.0.0", "::1", "eth0", "br-mgmt.12", "veth@if3"] {
            assert_eq!(value(text), Some(Address(text.to_owned())));
        }
        assert_eq!(value("[fe80::1]"), Some(Address("fe80::1".to_owned())));
        assert_eq!(Address::from_text(""), Ok(None));
        let sixteen = "abcdefghijklmnop";
        refused::<Address>(&["fe80::zz", "eth0 ", "a/b", "..", "tcp://*", "[*", "a*", sixteen]);
    }

    #[test]
    fn ports() {
        assert_eq!(value("1"), Some(Port(1)));
        assert_eq!(value("65535"), Some(Port(65535)));
        refused::<Port>(&["0", "65536", "-1", "0x2", "9501.0", "95 01", "http"]);
    }

    #[test]
    fn addresses_of_our_own() {
        assert_eq!(value("127.0.0.1:9510"), Some(Listen(([127, 0, 0, 1], 9510).into())));
        assert_eq!(Listen::from_text(""), Ok(None));
        refused::<Listen>(&["127.0.0.1", "127.0.0.1:0", "localhost:1", ":9510", "9510", "::1:9510x"]);
    }

    #[test]
    fn host_names() {
        assert_eq!(value("node7.example.com"), Some(HostName("node7.example.com".to_owned())));
        refused::<HostName>(&["a b", "a/b", "..\\b", "a\n", "a\0", &"a".repeat(254)]);
    }

    #[test]
    fn directories_and_paths() {
        assert_eq!(value("/run/x"), Some(AbsolutePath("/run/x".into())));
        refused::<AbsolutePath>(&["run/x", "~/x", "/a\0b"]);
        assert_eq!(value("x.log"), Some(AnyPath("x.log".into())));
        assert_eq!(AnyPath::from_text(""), Ok(None));
        refused::<AnyPath>(&["\0"]);
    }

    #[test]
    fn counts() {
        assert_eq!(value("4096"), Some(Count(4096)));
        refused::<Count>(&["0", "-1", "4294967296", "1e3", "unlimited"]);
    }

    #[test]
    fn levels_and_facilities() {
        let levels = vec![("amqp".to_owned(), Level::WARN), ("zmtp".to_owned(), Level::DEBUG)];
        assert_eq!(value("amqp=WARN, zmtp = debug,"), Some(ModuleLevels(levels)));
        refused::<ModuleLevels>(&["zmtp", "zmtp=loud", "=,"]);
        assert_eq!(value("CRITICAL"), Some(LevelName(Level::ERROR)));
        refused::<LevelName>(&["LOUD", "10"]);
        refused::<SyslogFacility>(&["LOG_NONSENSE", "24"]);
    }

    #[test]
    fn amounts_of_memory() {
        assert_eq!(value("65536"), Some(Octets(65536)));
        assert_eq!(value("1 KiB"), Some(Octets(1024)));
        assert_eq!(value("64MiB"), Some(Octets(64 << 20)));
        assert_eq!(value("1 GiB"), Some(Octets(1 << 30)));
        refused::<Octets>(&["0", "0 MiB", "64M", "64 mib", "1.5 MiB", "-1", "MiB", "99999999999 GiB"]);
    }

    #[test]
    fn times() {
        assert_eq!(value("2"), Some(Wait(Duration::from_secs(2))));
        assert_eq!(value("0.5"), Some(Deadline(Duration::from_millis(500))));
        assert_eq!(value("0"), Some(Wait(Duration::ZERO)));
        refused::<Wait>(&["-1", "3601", "inf", "NaN", "2s", "1 000"]);
        refused::<Deadline>(&["0", "0.0", "-0", "1e-30"]);
    }

    #[test]
    fn moments_of_fsync() {
        assert_eq!((value("never"), value("always")), (Some(Fsync::Never), Some(Fsync::Always)));
        assert_eq!(value("200 ms"), Some(Fsync::Within(Duration::from_millis(200))));
        assert_eq!(value("1ms"), Some(Fsync::Within(Duration::from_millis(1))));
        // Other times are in seconds.
        refused::<Fsync>(&["200", "0 ms", "60001 ms", "0.2", "2 s", "ms", "-1 ms", "sometimes"]);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.0/33", "host1", "10.0.0", "fd00::/129", "10.0.0.0/8 127.0.0.1"] {
            assert_eq!(Networks::from_text(text), Err(Malformed), "{text}");
        }
        assert_eq!(Networks::from_text(""), Ok(None));
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_refused(text in "\\PC{0,20}") {
            let _ = value::<Address>(&text);
            let _ = value::<Octets>(&text);
            let _ = value::<Deadline>(&text);
        }
    }
}
