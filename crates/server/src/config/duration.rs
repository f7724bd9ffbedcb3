//! Durations as the configuration file of the original writes them: `1m30s`, `500ms`.

use std::time::Duration;

const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Parses a duration that is larger than zero.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not a duration; write a number and a unit, such as 500ms, 5s or 1m30s");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let unit_bytes = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_bytes);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        seconds += number * factor;
        rest = behind;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(wrong()),
    }
}

/// The shortest text that [`parse`] reads back, to the millisecond.
pub(super) fn format(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_original_writes_them() {
        for (text, ms) in
            [("5s", 5_000), ("1m30s", 90_000), ("500ms", 500), ("1.5s", 1_500), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(ms), "{text}");
            assert_eq!(parse(&format(parse(text).unwrap())).unwrap(), parse(text).unwrap());
        }
        for text in ["", "5", "s", "0s", "-1s", "5 s x", "1e9999h", "99999999999999999999h", "5parsecs"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
