//! Times as people write them: `500ms`, `2s`, `1m`, and `2s:10s` for a rest and the longest wait for it.

use std::str::FromStr;
use std::time::Duration;

/// How long a catalogue has to rest, and for how long that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) rest: Duration,
    pub(crate) longest: Duration,
}

impl FromStr for Pace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, longest) = match text.split_once(':') {
            Some((rest, longest)) => (time(rest)?, time(longest)?),
            None => (time(text)?, time(text)? * 4),
        };
        if rest > longest {
            return Err("the rest comes first and is the shorter: 2s:10s");
        }
        Ok(Self { rest, longest })
    }
}

/// One time; a bare number is seconds.
pub(crate) fn time(text: &str) -> Result<Duration, &'static str> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number = digits.parse::<u32>().map_err(|_| WRONG)?;
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "" | "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(WRONG),
    };
    Ok(unit * number)
}

const WRONG: &str = "a time is a number and ms, s, m or h: 500ms, 2s";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in
            [("500ms", 500), ("2s", 2000), ("2", 2000), ("1m", 60_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "s", "2 s", "-1s", "1d", "99999999999s", "²s"] {
            assert_eq!(time(text), Err(WRONG), "{text}");
        }
        let pace: Pace = "2s:10s".parse().unwrap();
        assert_eq!((pace.rest.as_secs(), pace.longest.as_secs()), (2, 10));
        assert_eq!("3s".parse::<Pace>().unwrap().longest.as_secs(), 12);
        assert!("10s:2s".parse::<Pace>().is_err());
    }
}
