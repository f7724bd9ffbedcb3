//! Keys: entries of an index as bytes that compare as the entries do.
//!
//! | value | bytes |
//! |---|---|
//! | NULL | 01 |
//! | number | 02; the nearest double, 8 bytes with the sign turned; how far the number is from it, 2 bytes |
//! | text | 03; the text, with 00 ff in the place of 00; 00 |
//! | rowid | 8 bytes, at the end |

use std::borrow::Cow;

use super::super::field::Field;
use super::record::Record;

const NULL: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
/// What a 00 in a text is followed by; behind the 00 at its end comes a smaller byte: one of those above, or the first of a
/// rowid.
const INSIDE: u8 = 0xff;
const ROWID_BYTES: usize = 8;
const SIGN: u64 = 1 << 63;

/// Appends a value.
pub(super) fn put(key: &mut Vec<u8>, field: &Field<'_>) {
    match field {
        Field::Null => key.push(NULL),
        Field::Integer(value) => put_integer(key, *value),
        Field::Real(value) => put_number(key, *value, 0),
        Field::Text(text) => {
            key.push(TEXT);
            let mut parts = text.split(|byte| *byte == 0);
            key.extend_from_slice(parts.next().unwrap_or_default());
            for part in parts {
                key.extend_from_slice(&[0, INSIDE]);
                key.extend_from_slice(part);
            }
            key.push(0);
        }
    }
}

/// Appends the rowid, which ends the key.
pub(super) fn put_rowid(key: &mut Vec<u8>, rowid: u64) {
    key.extend_from_slice(&rowid.to_be_bytes());
}

/// The key without its rowid.
pub(super) fn without_rowid(key: &[u8]) -> &[u8] {
    key.get(..key.len().saturating_sub(ROWID_BYTES)).unwrap_or_default()
}

fn put_integer(key: &mut Vec<u8>, value: i64) {
    #[expect(clippy::cast_precision_loss, reason = "what is lost is written too")]
    let nearest = value as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a double is off by 512 at most")]
    let off = (i128::from(value) - nearest as i128) as i16;
    put_number(key, nearest, off);
}

fn put_number(key: &mut Vec<u8>, nearest: f64, off: i16) {
    let bits = nearest.to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    key.push(NUMBER);
    key.extend_from_slice(&ordered.to_be_bytes());
    key.extend_from_slice(&off.wrapping_sub(i16::MIN).to_be_bytes());
}

fn number(ordered: u64, off: [u8; 2]) -> Field<'static> {
    let bits = if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN };
    let nearest = f64::from_bits(bits);
    #[expect(clippy::cast_possible_truncation, reason = "what is no integer is not taken for one below")]
    let value = nearest as i128 + i128::from(i16::from_be_bytes(off).wrapping_add(i16::MIN));
    // An integer column keeps whole numbers as integers.
    match i64::try_from(value) {
        Ok(value) if nearest.fract() == 0.0 && value != i64::MIN => Field::Integer(value),
        _ => Field::Real(nearest),
    }
}

/// Puts the values of a key into a record.
pub(super) fn to_record(key: &[u8], record: &mut Record) {
    record.clear();
    let (mut rest, rowid) = key.split_at_checked(without_rowid(key).len()).unwrap_or_default();
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let field = match *kind {
            NULL => Field::Null,
            NUMBER => take_number(&mut rest),
            _ => Field::Text(take_text(&mut rest)),
        };
        record.push(&field);
    }
    let rowid = rowid.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    record.push(&Field::Integer(rowid));
}

fn take_number(rest: &mut &[u8]) -> Field<'static> {
    let Some((ordered, after)) = rest.split_first_chunk() else { return Field::Null };
    let Some((off, after)) = after.split_first_chunk() else { return Field::Null };
    *rest = after;
    number(u64::from_be_bytes(*ordered), *off)
}

fn take_text<'k>(rest: &mut &'k [u8]) -> Cow<'k, [u8]> {
    let mut whole: Option<Vec<u8>> = None;
    loop {
        let end = memchr::memchr(0, rest).unwrap_or(rest.len());
        let (part, after) = rest.split_at_checked(end).unwrap_or_default();
        let after = after.get(1..).unwrap_or_default();
        // The rowid is cut off, so a text at the end has nothing behind it.
        if let Some((&INSIDE, after)) = after.split_first() {
            whole.get_or_insert_default().extend(part.iter().chain(&[0]));
            *rest = after;
            continue;
        }
        *rest = after;
        return match whole {
            None => part.into(),
            Some(mut whole) => {
                whole.extend_from_slice(part);
                whole.into()
            }
        };
    }
}
