//! Writing values as `JSON.stringify` does.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Object, Str, Value, number_text};

/// Deeper values are copied as they stand in the text instead of being normalised.
const MAX_DEPTH: usize = 200;

/// The compact text of a value, member order included: integer-like names first and ascending, the others in the order
/// of their first appearance, each with its last value (specification §2.1).
///
/// ```
/// use relayburn_ledger::json::{parse, stringify};
///
/// let value = parse(r#"{ "b": 1.0, "1": "\u00e9", "b": [null ] }"#)?;
/// assert_eq!(stringify(value), r#"{"1":"é","b":[null]}"#);
/// # Ok::<(), relayburn_ledger::json::SyntaxError>(())
/// ```
pub fn stringify(value: Value<'_>) -> String {
    let mut out = String::new();
    write_value(value, &mut out, MAX_DEPTH);
    out
}

/// A text as a JSON string, quotes included.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_quoted(text.chars().map(Ok), &mut out);
    out
}

fn write_value(value: Value<'_>, out: &mut String, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Value::Number(value) if value.is_finite() => out.push_str(&number_text(value)),
        Value::Number(_) => out.push_str("null"),
        Value::String(text) => write_str(text, out),
        Value::Array(array) if depth == 0 => out.push_str(array.text()),
        Value::Object(object) if depth == 0 => out.push_str(object.text()),
        Value::Array(array) => {
            out.push('[');
            for (index, item) in array.items().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out, depth - 1);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (index, (name, value)) in ordered_members(object).into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_str(name, out);
                out.push(':');
                write_value(value, out, depth - 1);
            }
            out.push('}');
        }
    }
}

/// The members as a JavaScript object enumerates them.
pub(crate) fn ordered_members(object: Object<'_>) -> Vec<(Str<'_>, Value<'_>)> {
    let mut members: Vec<(Str<'_>, Value<'_>)> = Vec::new();
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut integers = false;
    for (name, value) in object.members() {
        // Two names that differ only in lone surrogates must not be taken for one.
        let key = if name.is_escaped() { Cow::Owned(name.canonical()) } else { Cow::Borrowed(name.raw()) };
        integers |= array_index(&key).is_some();
        let place = *places.entry(key).or_insert(members.len());
        match members.get_mut(place) {
            Some(member) => member.1 = value,
            None => members.push((name, value)),
        }
    }
    if integers {
        // Stable: names that are no indexes keep their order, behind those that are.
        members.sort_by_key(|(name, _)| array_index(&name.decode()).map_or(u64::MAX, u64::from));
    }
    members
}

impl Str<'_> {
    /// As `JSON.stringify` writes it, without the quotes: equal for equal strings, lone surrogates included.
    pub(crate) fn canonical(self) -> String {
        if !self.is_escaped() {
            return self.raw().to_owned();
        }
        let mut out = String::new();
        write_quoted(self.units(), &mut out);
        out.get(1..out.len() - 1).unwrap_or_default().to_owned()
    }
}

/// Where a member of that canonical name stands among the others.
pub(crate) fn array_index_of_quoted(name: &str) -> u64 {
    array_index(name).map_or(u64::MAX, u64::from)
}

/// The number of a canonical array index: 0 … 2³² − 2 without leading zeros.
fn array_index(name: &str) -> Option<u32> {
    let canonical = name == "0" || (name.len() <= 10 && !name.starts_with('0'));
    if !canonical || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse().ok().filter(|index| *index != u32::MAX)
}

fn write_str(text: Str<'_>, out: &mut String) {
    if text.is_escaped() {
        write_quoted(text.units(), out);
    } else {
        out.push('"');
        out.push_str(text.raw());
        out.push('"');
    }
}

fn write_quoted(units: impl Iterator<Item = Result<char, u16>>, out: &mut String) {
    out.push('"');
    for unit in units {
        match unit {
            Ok('"') => out.push_str("\\\""),
            Ok('\\') => out.push_str("\\\\"),
            Ok('\u{8}') => out.push_str("\\b"),
            Ok('\t') => out.push_str("\\t"),
            Ok('\n') => out.push_str("\\n"),
            Ok('\u{c}') => out.push_str("\\f"),
            Ok('\r') => out.push_str("\\r"),
            Ok(control) if control < ' ' => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            Ok(character) => out.push(character),
            Err(surrogate) => {
                let _infallible = write!(out, "\\u{surrogate:04x}");
            }
        }
    }
    out.push('"');
}
