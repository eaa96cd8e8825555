//! The types of a transport's options: what a text means, and which texts are refused. For all of them
//! an empty text is no value.

use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use oslo_config::{Malformed, OptType};

/// A TCP port that peers can dial.
pub(super) struct Port(pub(super) u16);

impl OptType for Port {
    const EXPECTED: &'static str = "a port, 1 to 65535";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        unless_empty(text, text.parse::<NonZeroU16>().ok().map(|port| Self(port.get())))
    }
}

/// A file or a directory that means the same to every program on the machine.
pub(super) struct AbsolutePath(pub(super) PathBuf);

impl OptType for AbsolutePath {
    const EXPECTED: &'static str = "a path that begins with /";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let is_absolute = text.starts_with('/') && !text.contains('\0');
        unless_empty(text, is_absolute.then(|| Self(text.into())))
    }
}

/// How many of something there may be.
pub(super) struct Count(pub(super) usize);

impl OptType for Count {
    const EXPECTED: &'static str = "a whole number, 1 to 1000000";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let count = text.parse::<NonZeroU32>().ok().filter(|count| count.get() <= 1_000_000);
        unless_empty(text, count.and_then(|count| usize::try_from(count.get()).ok()).map(Self))
    }
}

/// An amount of memory.
pub(super) struct Octets(pub(super) usize);

impl OptType for Octets {
    const EXPECTED: &'static str = "octets above 0, such as 65536, 512 KiB or 64 MiB";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim_ascii() {
            "" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        let octets = number.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
        unless_empty(text, octets.filter(|octets| *octets > 0).map(Self))
    }
}

/// How long something may take.
pub(super) struct Time(pub(super) Duration);

impl OptType for Time {
    const EXPECTED: &'static str = "seconds above 0 and up to 86400, such as 60 or 0.5";

    fn from_text(text: &str) -> Result<Option<Self>, Malformed> {
        let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= MAX_SECONDS);
        unless_empty(text, seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(Self))
    }
}

fn unless_empty<T>(text: &str, value: Option<T>) -> Result<Option<T>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    value.map(Some).ok_or(Malformed)
}

/// A day: longer than any sensible wait, short enough that clock arithmetic cannot overflow.
const MAX_SECONDS: f64 = 86400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_work_is_taken_and_the_rest_refused() {
        assert!(matches!(Time::from_text("0.2"), Ok(Some(Time(time))) if time == Duration::from_millis(200)));
        assert!(matches!(Octets::from_text("2 KiB"), Ok(Some(Octets(2048)))));
        assert!(matches!(Port::from_text(""), Ok(None)));
        for text in ["0", "-1", "x", "1e9", "NaN"] {
            assert!(Time::from_text(text).is_err(), "{text}");
            assert!(Port::from_text(text).is_err(), "{text}");
            assert!(Count::from_text(text).is_err(), "{text}");
            assert!(Octets::from_text(text).is_err(), "{text}");
        }
        assert!(AbsolutePath::from_text("run").is_err());
    }
}
