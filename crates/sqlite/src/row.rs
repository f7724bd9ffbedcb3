//! Columns to entries and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use ledger_streams::{Damaged, Entry, Filter};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::error::Failure;

/// What a row turned out to be.
pub(crate) enum Decoded {
    /// An entry that meets the filter.
    Entry(Entry<i64, Bytes>),
    /// An entry that does not.
    Filtered,
    /// A record that cannot be understood.
    Damaged(Damaged<i64>),
}

/// Reads an entry from a row of the statement of [`Table`](crate::ops::Table); the payload is copied only if the entry meets the filter.
pub(crate) fn decode(row: &Row<'_>, stream: Arc<str>, filter: &Filter) -> Result<Decoded, Failure> {
    let id: i64 = row.get(0)?;
    let attributes = match attributes(row, id, stream.clone()) {
        Ok(attributes) => attributes,
        Err((field, reason)) => return Ok(Decoded::Damaged(Damaged { id, stream, field, reason })),
    };
    if !filter.matches(&attributes) {
        return Ok(Decoded::Filtered);
    }
    let payload = Bytes::copy_from_slice(payload(row)?);
    Ok(Decoded::Entry(attributes.try_map(|()| Ok::<_, Failure>(payload))?))
}

/// The bytes of the payload, in place.
pub(crate) fn payload<'r>(row: &'r Row<'_>) -> Result<&'r [u8], Failure> {
    match row.get_ref(1)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(bytes),
        _ => Ok(&[]),
    }
}

type Field<T> = Result<T, (&'static str, String)>;

fn attributes(row: &Row<'_>, id: i64, stream: Arc<str>) -> Field<Entry<i64, ()>> {
    Ok(Entry {
        id,
        stream,
        payload: (),
        order_key: text(row, 2, "order_key")?.unwrap_or_default().to_owned(),
        dedup_key: text(row, 3, "dedup_key")?.unwrap_or_default().to_owned(),
        schema_version: row.get(4).map_err(|error| ("schema_version", error.to_string()))?,
        metadata: pairs(row, 5, "metadata")?,
        tags: tags(row)?,
        annotations: pairs(row, 7, "annotations")?,
        source_id: text(row, 8, "source_id")?.unwrap_or_default().to_owned(),
        created_at: time(row, 9, "created_at")?.ok_or(("created_at", "it is NULL".to_owned()))?,
        updated_at: time(row, 10, "updated_at")?,
    })
}

fn text<'r>(row: &'r Row<'_>, index: usize, field: &'static str) -> Field<Option<&'r str>> {
    let value = row.get_ref(index).map_err(|error| (field, error.to_string()))?;
    value.as_str_or_null().map_err(|error| (field, error.to_string()))
}

fn tags(row: &Row<'_>) -> Field<Vec<String>> {
    match text(row, 6, "tags")? {
        None | Some("[]") => Ok(Vec::new()),
        Some(json) => parse_tags(json).map_err(|error| ("tags", error.to_string())),
    }
}

fn pairs(row: &Row<'_>, index: usize, field: &'static str) -> Field<BTreeMap<String, String>> {
    parse_pairs(text(row, index, field)?).map_err(|error| (field, error.to_string()))
}

fn time(row: &Row<'_>, index: usize, field: &'static str) -> Field<Option<Timestamp>> {
    let Some(text) = text(row, index, field)? else { return Ok(None) };
    match parse_time(text) {
        Some(time) => Ok(Some(time)),
        None => Err((field, format!("{text:?} is not a time of the form YYYY-MM-DDTHH:MM:SS.mmm"))),
    }
}

/// Reads a JSON array of strings; `null` is empty.
pub(crate) fn parse_tags(json: &str) -> Result<Vec<String>, serde_json::Error> {
    Ok(serde_json::from_str::<Option<Vec<String>>>(json)?.unwrap_or_default())
}

/// Reads a JSON object of strings; NULL, `{}` and `null` are empty.
pub(crate) fn parse_pairs(json: Option<&str>) -> Result<BTreeMap<String, String>, serde_json::Error> {
    match json {
        None | Some("{}") => Ok(BTreeMap::new()),
        Some(json) => Ok(serde_json::from_str::<Option<_>>(json)?.unwrap_or_default()),
    }
}

/// A JSON object of strings, or `None` (NULL) if there are none.
pub(crate) fn pairs_text(pairs: &BTreeMap<String, String>) -> Result<Option<String>, Failure> {
    if pairs.is_empty() { Ok(None) } else { json_text(pairs).map(Some) }
}

/// A JSON array of strings.
pub(crate) fn tags_text(tags: &[String]) -> Result<String, Failure> {
    if tags.is_empty() { Ok("[]".to_owned()) } else { json_text(tags) }
}

/// Any value as JSON text.
pub(crate) fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Sqlite(rusqlite::Error::ToSqlConversionFailure(error.into())))
}

/// The one form in which times are written: `YYYY-MM-DDTHH:MM:SS.mmm`, UTC.
pub(crate) fn time_text(time: Timestamp) -> String {
    let time = Offset::UTC.to_datetime(time);
    let mut text = String::with_capacity(24);
    push_digits(&mut text, i64::from(time.year()), 4);
    for (separator, value) in [
        ('-', time.month()),
        ('-', time.day()),
        ('T', time.hour()),
        (':', time.minute()),
        (':', time.second()),
    ] {
        text.push(separator);
        push_digits(&mut text, i64::from(value), 2);
    }
    text.push('.');
    push_digits(&mut text, i64::from(time.subsec_nanosecond()).wrapping_div(1_000_000), 3);
    text
}

fn push_digits(text: &mut String, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value.wrapping_div(10_i64.pow(place)).rem_euclid(10);
        text.push(char::from_digit(u32::try_from(digit).unwrap_or(0), 10).unwrap_or('0'));
    }
}

/// Reads the form above, and others that SQLite's own functions make.
fn parse_time(text: &str) -> Option<Timestamp> {
    let time = match parse_fixed_form(text.as_bytes()) {
        Some(time) => time,
        None => text.parse::<DateTime>().ok()?,
    };
    Offset::UTC.to_timestamp(time).ok()
}

fn parse_fixed_form(text: &[u8]) -> Option<DateTime> {
    let text: &[u8; 23] = text.try_into().ok()?;
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        text.get(range)?.iter().try_fold(0_i16, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| i16::from(byte.wrapping_sub(b'0')))?;
            value.checked_mul(10)?.checked_add(digit)
        })
    };
    let small = |range| number(range).and_then(|value| i8::try_from(value).ok());
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')];
    if separators.iter().any(|(at, separator)| text.get(*at) != Some(separator)) {
        return None;
    }
    let nanoseconds = i32::from(number(20..23)?).checked_mul(1_000_000)?;
    DateTime::new(
        number(0..4)?,
        small(5..7)?,
        small(8..10)?,
        small(11..13)?,
        small(14..16)?,
        small(17..19)?,
        nanoseconds,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_as_the_original_writes_them() {
        let time: Timestamp = "2026-01-02T03:04:05.006789Z".parse().unwrap();
        assert_eq!(time_text(time), "2026-01-02T03:04:05.006");
        assert_eq!(time_text(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000");
    }

    #[test]
    fn other_forms_of_time_are_understood_and_nonsense_is_not() {
        for (text, expected) in [
            ("2026-01-02T03:04:05.006", "2026-01-02T03:04:05.006Z"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.123456", "2026-01-02T03:04:05.123456Z"),
            ("0001-01-01T00:00:00.000", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse_time(text), Some(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "yesterday", "2026-13-02T03:04:05.006", "2026-01-02T03:04:05x006", "1795233264"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_in_milliseconds_round_trips(ms in -62_000_000_000_000_i64..250_000_000_000_000) {
            let time = Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(parse_time(&time_text(time)), Some(time));
        }

        #[test]
        fn any_text_is_a_time_or_is_not(text in "\\PC{0,30}|[0-9T:. -]{23}") {
            let _ = parse_time(&text);
        }
    }
}
