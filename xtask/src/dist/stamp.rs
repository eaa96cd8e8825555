//! The one time that packages bear, in the forms that their formats want: of the commit, so that packing twice gives the same
//! octets (reproducible-builds.org, `SOURCE_DATE_EPOCH`).

use std::process::Command;

use jiff::{Timestamp, tz::TimeZone};

use crate::command::{self, CommandError};
use crate::workspace;

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(i64);

/// There is no such time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StampError {
    #[error("SOURCE_DATE_EPOCH is {0:?}, which is no number of seconds since 1970")]
    Malformed(String),
    #[error("the time of the commit is not to be had; set SOURCE_DATE_EPOCH to the seconds since 1970 of this version")]
    NoCommit(#[source] CommandError),
}

impl Stamp {
    /// `SOURCE_DATE_EPOCH` if it is set, else the time of the commit.
    pub(crate) fn now() -> Result<Self, StampError> {
        let text = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text,
            Err(_) => {
                let mut git = Command::new("git");
                git.current_dir(workspace::root()).args(["log", "-1", "--format=%ct"]);
                command::capture(&mut git).map_err(StampError::NoCommit)?
            }
        };
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, StampError> {
        let seconds =
            text.trim().parse().ok().filter(|seconds| *seconds >= 0 && Timestamp::from_second(*seconds).is_ok());
        seconds.map(Self).ok_or_else(|| StampError::Malformed(text.to_owned()))
    }

    /// For tar headers.
    pub(crate) fn seconds(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// `2026-11-21`, for manual pages.
    pub(crate) fn date(self) -> String {
        self.format("%Y-%m-%d")
    }

    /// `2026-11-21T11:00:00Z` (RFC 3339), for JSON.
    pub(crate) fn instant(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `Sat, 21 Nov 2026 11:00:00 +0000` (RFC 5322), for Debian's changelog.
    pub(crate) fn mail(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S +0000")
    }

    fn format(self, form: &str) -> String {
        let timestamp = Timestamp::from_second(self.0).unwrap_or_default();
        timestamp.to_zoned(TimeZone::UTC).strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_all_its_forms() {
        let stamp = Stamp::parse("1700000000\n").unwrap();
        assert_eq!(stamp.seconds(), 1_700_000_000);
        assert_eq!(stamp.date(), "2023-11-14");
        assert_eq!(stamp.instant(), "2023-11-14T22:13:20Z");
        assert_eq!(stamp.mail(), "Tue, 14 Nov 2023 22:13:20 +0000");
        for text in ["", "-1", "soon", "99999999999999999"] {
            Stamp::parse(text).unwrap_err();
        }
    }
}
