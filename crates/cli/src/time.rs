//! Points in time on the command line.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A point in time as it was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimeBound {
    /// This point.
    At(Timestamp),
    /// This long before now.
    Ago(Span),
}

impl TimeBound {
    /// Parses RFC 3339 (`2026-11-21T10:00:00Z`), a date (its first moment in UTC), or how long ago (`2h`, `3d`, `1h30m`).
    ///
    /// # Errors
    /// A text that says what is understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time));
        }
        // A date alone must be all there is: a time of day without an offset could mean any of many moments.
        if text.len() == "2026-11-21".len()
            && let Ok(date) = text.parse::<Date>()
            && let Ok(midnight) = date.to_zoned(TimeZone::UTC)
        {
            return Ok(Self::At(midnight.timestamp()));
        }
        match text.parse::<Span>() {
            Ok(span) => Ok(Self::Ago(span.abs())),
            Err(_) => {
                Err("it is neither a time like 2026-11-21T10:00:00Z, nor a date like 2026-11-21, nor how \
                           long ago like 90s, 2h or 3d"
                    .to_owned())
            }
        }
    }

    /// The point in time, seen from `now`.
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            // Longer ago than time can be told means: since ever.
            Self::Ago(span) => {
                now.to_zoned(TimeZone::UTC).checked_sub(span).map_or(Timestamp::MIN, |time| time.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> String {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        TimeBound::parse(text).unwrap().resolve(now).to_string()
    }

    #[test]
    fn times_dates_and_durations_are_understood() {
        for (text, time) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:00.25+02:00", "2026-11-20T08:00:00.25Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("90s", "2026-11-21T11:58:30Z"),
            ("2h", "2026-11-21T10:00:00Z"),
            ("1h30m", "2026-11-21T10:30:00Z"),
            ("2h ago", "2026-11-21T10:00:00Z"),
            ("3d", "2026-11-18T12:00:00Z"),
            ("1w", "2026-11-14T12:00:00Z"),
            ("15000y", "-009999-01-02T01:59:59Z"),
        ] {
            assert_eq!(resolve(text), time, "{text}");
        }
    }

    #[test]
    fn what_could_mean_several_moments_is_refused() {
        for text in ["", "2026-11-20T10:00:00", "2026-13-01", "yesterday", "5", "tomorrow 2h", "\0"] {
            assert!(TimeBound::parse(text).is_err(), "{text:?}");
        }
    }
}
