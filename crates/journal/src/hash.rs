//! Identity of records: id hashes and the content fingerprint of a turn (specification §2.5).
//!
//! Every hash is the first 16 hexadecimal digits of the SHA-256 of a text whose parts are joined by `|`:
//!
//! | record | parts |
//! |---|---|
//! | turn | source, sessionId, messageId |
//! | compaction | source, sessionId, ts |
//! | relationship | source, sessionId, relationshipType, relatedSessionId, agentId, parentToolUseId |
//! | tool-result event | source, sessionId, toolUseId, eventIndex |
//! | user turn | source, sessionId, userUuid |
//! | fingerprint of a turn | ts, model, input + output, cacheRead, cacheCreate5m + cacheCreate1h, first 4 characters of the first call's argsHash |
//!
//! A part that is missing prints as nothing in relationships, events and fingerprints, and as `undefined` or `null` in
//! the others: that is how the hashes of existing ledgers were made.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::fields::pick;
use crate::json::{Object, Parser, Value, number_text};
use crate::line::Kind;

/// The first 64 bits of a SHA-256; prints as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash64(pub u64);

impl Hash64 {
    /// Hashes a text.
    pub fn of(text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    /// Reads 16 lower-case hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        text.iter().try_fold(0_u64, |sum, byte| Some((sum << 4) | u64::from(digit(*byte)?))).map(Self)
    }
}

impl fmt::Display for Hash64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How many members a hash is made of at most.
pub(crate) const PARTS: usize = 7;

/// The members that id and fingerprint of a kind are made of, in the order that [`id_of`] expects.
pub(crate) const fn parts(kind: Kind) -> &'static [&'static str; PARTS] {
    match kind {
        Kind::Turn => &["source", "sessionId", "messageId", "ts", "model", "usage", "toolCalls"],
        Kind::Compaction => &["source", "sessionId", "ts", "", "", "", ""],
        Kind::UserTurn => &["source", "sessionId", "userUuid", "", "", "", ""],
        Kind::Relationship => {
            &["source", "sessionId", "relationshipType", "relatedSessionId", "agentId", "parentToolUseId", ""]
        }
        Kind::ToolResultEvent => &["source", "sessionId", "toolUseId", "eventIndex", "", "", ""],
        Kind::Stamp => &[""; PARTS],
    }
}

/// The id of a record of a kind; `None` for stamps, which have none.
pub fn record_id(kind: Kind, record: Object<'_>) -> Option<Hash64> {
    id_of(kind, &pick(&mut Parser::new(record.text()), parts(kind)).ok()?)
}

/// The content fingerprint of a turn; `None` when its `usage` or `toolCalls` cannot be looked into.
pub fn fingerprint(turn: Object<'_>) -> Option<Hash64> {
    fingerprint_of(&pick(&mut Parser::new(turn.text()), parts(Kind::Turn)).ok()?)
}

/// The id, from the members that [`parts`] lists.
pub(crate) fn id_of(kind: Kind, members: &[Option<Value<'_>>; PARTS]) -> Option<Hash64> {
    let (count, absent, null) = match kind {
        Kind::Turn | Kind::Compaction | Kind::UserTurn => (3, "undefined", "null"),
        Kind::Relationship => (6, "", ""),
        Kind::ToolResultEvent => (4, "", ""),
        Kind::Stamp => return None,
    };
    let mut text = Joined::default();
    members.iter().take(count).for_each(|value| text.add(|out| write_part(out, *value, absent, null)));
    Some(text.hash())
}

/// Parts joined by `|`.
#[derive(Default)]
struct Joined {
    text: String,
    parts: usize,
}

impl Joined {
    fn add(&mut self, write: impl FnOnce(&mut String)) {
        if self.parts == 0 {
            // One allocation for nearly all.
            self.text.reserve(192);
        } else {
            self.text.push('|');
        }
        self.parts += 1;
        write(&mut self.text);
    }

    fn hash(&self) -> Hash64 {
        Hash64::of(&self.text)
    }
}

/// The fingerprint, from the members that [`parts`] lists for a turn.
pub(crate) fn fingerprint_of(members: &[Option<Value<'_>>; PARTS]) -> Option<Hash64> {
    const USAGE: [&str; 5] = ["input", "output", "cacheRead", "cacheCreate5m", "cacheCreate1h"];
    let [_, _, _, ts, model, usage, calls] = *members;
    let usage = match usage? {
        Value::Null => return None,
        Value::Object(usage) => pick(&mut Parser::new(usage.text()), &USAGE).ok()?,
        _ => [None; 5],
    };
    let [input, output, cache_read, cache_5m, cache_1h] = usage;
    let args = match calls?.as_array()?.items().next() {
        Some(Value::Null) => return None,
        Some(Value::Object(call)) => call.get("argsHash").and_then(Value::as_str),
        _ => None,
    };
    let mut text = Joined::default();
    text.add(|out| write_part(out, ts, "", ""));
    text.add(|out| write_part(out, model, "", ""));
    text.add(|out| write_sum(out, input, output));
    text.add(|out| write_part(out, cache_read, "", ""));
    text.add(|out| write_sum(out, cache_5m, cache_1h));
    text.add(|out| out.push_str(&args.map(|args| first_units(&args.decode(), 4)).unwrap_or_default()));
    Some(text.hash())
}

fn write_part(out: &mut String, value: Option<Value<'_>>, absent: &str, null: &str) {
    match value {
        None => out.push_str(absent),
        Some(Value::Null) => out.push_str(null),
        Some(Value::String(text)) => out.push_str(&text.decode()),
        Some(value) => out.push_str(&js_string(value)),
    }
}

/// `String(value)`
fn js_string(value: Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => number_text(value),
        Value::String(text) => text.decode().into_owned(),
        // Nested arrays print their elements; one level is as far as this is worth following.
        Value::Array(array) => {
            let items: Vec<String> = array
                .items()
                .map(|item| match item {
                    Value::Null => String::new(),
                    Value::Array(_) | Value::Object(_) => "[object Object]".to_owned(),
                    other => js_string(other),
                })
                .collect();
            items.join(",")
        }
        Value::Object(_) => "[object Object]".to_owned(),
    }
}

/// `String(a + b)`: a sum, or a concatenation as soon as one of the two is no number.
fn write_sum(out: &mut String, a: Option<Value<'_>>, b: Option<Value<'_>>) {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        out.push_str(&number_text(a + b));
    } else {
        write_part(out, a, "undefined", "null");
        write_part(out, b, "undefined", "null");
    }
}

fn number(value: Option<Value<'_>>) -> Option<f64> {
    match value {
        None => Some(f64::NAN),
        Some(Value::Null) => Some(0.0),
        Some(Value::Bool(value)) => Some(f64::from(u8::from(value))),
        Some(Value::Number(value)) => Some(value),
        Some(_) => None,
    }
}

/// The first `count` UTF-16 units, as `String.prototype.slice` cuts.
fn first_units(text: &str, count: usize) -> String {
    match text.get(..count) {
        Some(start) if start.is_ascii() => start.to_owned(),
        _ => String::from_utf16_lossy(&text.encode_utf16().take(count).collect::<Vec<u16>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn id(kind: Kind, text: &str) -> String {
        record_id(kind, parse(text).unwrap().as_object().unwrap()).unwrap().to_string()
    }

    /// The vectors of specification §2.5.
    #[test]
    fn ids_are_those_of_the_original() {
        let vectors = [
            (
                Kind::Turn,
                r#"{"source":"claude-code","sessionId":"s-1","messageId":"msg-1"}"#,
                "bde6f27f146314fe",
            ),
            (Kind::Turn, r#"{"source":"codex","sessionId":"sess_ü","messageId":"日本"}"#, "368e5087eff37999"),
            (
                Kind::Compaction,
                r#"{"source":"claude-code","sessionId":"s-1","ts":"2026-04-20T00:00:00.000Z"}"#,
                "d2dc4081560c3d0b",
            ),
            (
                Kind::Relationship,
                r#"{"source":"claude-code","sessionId":"s-1","relationshipType":"root"}"#,
                "c5ff518b530105b8",
            ),
            (
                Kind::Relationship,
                r#"{"source":"spawn-env","sessionId":"s-child","relationshipType":"subagent","relatedSessionId":"ag-parent","agentId":"ag-child"}"#,
                "cb930510593fe961",
            ),
            (
                Kind::ToolResultEvent,
                r#"{"source":"claude-code","sessionId":"s-1","toolUseId":"tu-1","eventIndex":0}"#,
                "92b020c4c3866aee",
            ),
            (
                Kind::ToolResultEvent,
                r#"{"source":"claude-code","sessionId":"s-1","toolUseId":"tu-1"}"#,
                "1756324987a8d0db",
            ),
            (
                Kind::UserTurn,
                r#"{"source":"claude-code","sessionId":"s-1","userUuid":"user-1"}"#,
                "12c6750faff0dcc9",
            ),
        ];
        for (kind, text, expected) in vectors {
            assert_eq!(id(kind, text), expected, "{text}");
        }
    }

    #[test]
    fn fingerprints_are_those_of_the_original() {
        let turn = |calls| {
            format!(
                r#"{{"ts":"2026-04-20T00:00:00.000Z","model":"claude-sonnet-4-6","usage":{{"input":100,"output":50,"cacheRead":1000,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":{calls}}}"#
            )
        };
        let hash = |calls| {
            let text = turn(calls);
            fingerprint(parse(&text).unwrap().as_object().unwrap()).unwrap().to_string()
        };
        assert_eq!(hash("[]"), "3a856e9b3c55997e");
        assert_eq!(hash(r#"[{"argsHash":"abcdef"}]"#), "123e047eac667f1c");
    }

    #[test]
    fn missing_parts_print_as_the_original_prints_them() {
        assert_eq!(id(Kind::Turn, r#"{"source":null}"#), Hash64::of("null|undefined|undefined").to_string());
        assert_eq!(
            id(Kind::Turn, r#"{"source":"\ud83d"}"#),
            Hash64::of("\u{fffd}|undefined|undefined").to_string()
        );
        assert_eq!(id(Kind::ToolResultEvent, r#"{"eventIndex":1.0}"#), Hash64::of("|||1").to_string());
    }
}
