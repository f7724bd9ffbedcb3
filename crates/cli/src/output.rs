//! Entries as text and as JSON (specification §7), and texts in quotes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use ledger_streams::{Entry, EntryId, Page};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::console::Console;
use crate::errors::Failure;

/// How entries are printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Form {
    /// Print entries as JSON objects, one per line, with the payload in base64
    #[arg(long)]
    json: bool,
    /// In text output, write newlines, tabs, backslashes and other control characters of a payload as \n, \t, \\
    /// and \xNN, so that every entry is exactly one line
    #[arg(long, conflicts_with = "json")]
    escape: bool,
}

impl Form {
    /// Prints one entry.
    pub(crate) fn print<Id: EntryId>(self, out: &mut dyn Write, entry: &Entry<Id, Bytes>) -> io::Result<()> {
        if self.json {
            return print_json(out, entry);
        }
        write!(out, "{}\t", entry.id)?;
        match (unwrapped(&entry.payload), self.escape) {
            (Text::Null, false) => {}
            (Text::Null, true) => out.write_all(b"null")?,
            (Text::Unwrapped(text), false) => out.write_all(text.as_bytes())?,
            (Text::Unwrapped(text), true) => write_escaped(out, text.as_bytes())?,
            (Text::Raw(payload), false) => out.write_all(payload)?,
            (Text::Raw(payload), true) => write_escaped(out, payload)?,
        }
        out.write_all(b"\n")
    }
}

/// What the text output shows of a payload.
enum Text<'p> {
    /// JSON `null`, which shows as nothing.
    Null,
    /// A JSON string, shown as the text that it is.
    Unwrapped(String),
    /// Anything else, shown as it is.
    Raw(&'p [u8]),
}

fn unwrapped(payload: &[u8]) -> Text<'_> {
    match payload.trim_ascii() {
        b"null" => Text::Null,
        [b'"', ..] => serde_json::from_slice(payload).map_or(Text::Raw(payload), Text::Unwrapped),
        _ => Text::Raw(payload),
    }
}

/// Writes bytes on one line. What is not UTF-8 is written as `\xNN`, so the bytes can be told from the text.
fn write_escaped(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => out.write_all(b"\\\\")?,
                '\n' => out.write_all(b"\\n")?,
                '\t' => out.write_all(b"\\t")?,
                '\r' => out.write_all(b"\\r")?,
                control if control.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(control))?,
                other => write!(out, "{other}")?,
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// The JSON object of an entry: keys in this order, left out when empty, zero or absent.
#[derive(Serialize)]
struct JsonEntry<'e> {
    id: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    stream: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    order_key: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dedup_key: &'e str,
    #[serde(skip_serializing_if = "is_zero")]
    schema_version: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'e BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'e [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'e BTreeMap<String, String>,
    created_at: JsonTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<JsonTime>,
}

/// A point in time: seconds since 1970, and nanoseconds after them.
#[derive(Serialize)]
struct JsonTime {
    #[serde(skip_serializing_if = "is_zero")]
    seconds: i64,
    #[serde(skip_serializing_if = "is_zero")]
    nanos: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl From<Timestamp> for JsonTime {
    fn from(time: Timestamp) -> Self {
        let (seconds, nanos) = (time.as_second(), i64::from(time.subsec_nanosecond()));
        // Before 1970 the fraction counts backwards; on the wire it always counts forwards.
        if nanos < 0 {
            Self { seconds: seconds.saturating_sub(1), nanos: nanos.saturating_add(1_000_000_000) }
        } else {
            Self { seconds, nanos }
        }
    }
}

fn print_json<Id: EntryId>(out: &mut dyn Write, entry: &Entry<Id, Bytes>) -> io::Result<()> {
    let payload = Some(&entry.payload).filter(|payload| !payload.is_empty());
    let object = JsonEntry {
        id: entry.id.to_string(),
        stream: &entry.stream,
        payload: payload.map(|payload| Base64Display::new(payload, &STANDARD).to_string()),
        order_key: &entry.order_key,
        dedup_key: &entry.dedup_key,
        schema_version: entry.schema_version,
        metadata: &entry.metadata,
        tags: &entry.tags,
        annotations: &entry.annotations,
        created_at: entry.created_at.into(),
        updated_at: entry.updated_at.map(JsonTime::from),
    };
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, HtmlSafe))?;
    out.write_all(b"\n")
}

/// Compact JSON in which `<`, `>`, `&`, U+2028 and U+2029 are escaped, as the original's encoder does (specification
/// §3.2).
struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, before)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// A text in double quotes, in the notation of the original's `%q`: printable characters as they are, others as
/// `\n`, `\x00`, `\u00ad`.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            control if control.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            ' ' => quoted.push(' '),
            hidden if is_hidden(hidden) && u32::from(hidden) > 0xffff => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(hidden)));
            }
            hidden if is_hidden(hidden) => quoted.push_str(&format!("\\u{:04x}", u32::from(hidden))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Characters without a shape of their own: controls, blanks, marks of direction and the like.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(
            character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}'
                | '\u{e0000}'..='\u{10ffff}'
        )
}

/// Prints the entries of a page, and reports what is damaged.
///
/// # Errors
/// [`Failure::Output`].
pub(crate) fn print_page<Id: EntryId>(
    console: &mut Console<'_>,
    form: Form,
    page: Page<Id, Bytes>,
) -> Result<(), Failure> {
    page.damaged.iter().for_each(|record| console.damaged(record));
    page.entries.iter().try_for_each(|entry| Ok(form.print(console.out, entry)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: &[u8]) -> Entry<i64, Bytes> {
        Entry {
            id: 2,
            stream: "default".into(),
            payload: Bytes::copy_from_slice(payload),
            order_key: String::new(),
            dedup_key: String::new(),
            schema_version: 0,
            metadata: BTreeMap::new(),
            tags: Vec::new(),
            annotations: BTreeMap::new(),
            source_id: String::new(),
            created_at: "2026-11-21T03:54:24.235Z".parse().unwrap(),
            updated_at: None,
        }
    }

    fn printed(form: Form, entry: &Entry<i64, Bytes>) -> String {
        let mut out = Vec::new();
        form.print(&mut out, entry).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_byte_for_byte_that_of_the_original() {
        let json = Form { json: true, escape: false };
        let mut full = entry(br#"{"a": 1,  "b":[1,2]}"#);
        full.order_key = "ok1".to_owned();
        full.dedup_key = "d1".to_owned();
        full.metadata.insert("env".to_owned(), "prod".to_owned());
        full.tags = vec!["x".to_owned(), "y".to_owned()];
        let sample = r#"{"id":"2","stream":"default","payload":"eyJhIjogMSwgICJiIjpbMSwyXX0=","order_key":"ok1","dedup_key":"d1","metadata":{"env":"prod"},"tags":["x","y"],"created_at":{"seconds":1795233264,"nanos":235000000}}"#;
        assert_eq!(printed(json, &full), format!("{sample}\n"));

        let mut odd = entry(b"");
        odd.tags = vec!["<a&b>\u{2028}\u{2029}\u{8}\u{c}\u{1}\u{7f}\"\\".to_owned()];
        odd.schema_version = 3;
        odd.annotations.insert("k<".to_owned(), String::new());
        odd.created_at = Timestamp::UNIX_EPOCH;
        odd.updated_at = Some("1969-12-31T23:59:59.75Z".parse().unwrap());
        let expected = r#"{"id":"2","stream":"default","schema_version":3,"tags":["\u003ca\u0026b\u003e\u2028\u2029\b\f\u0001DEL\"\\"],"annotations":{"k\u003c":""},"created_at":{},"updated_at":{"seconds":-1,"nanos":750000000}}"#;
        assert_eq!(printed(json, &odd), format!("{}\n", expected.replace("DEL", "\u{7f}")));
    }

    #[test]
    fn text_unwraps_strings_and_leaves_everything_else_as_it_is() {
        let text = Form::default();
        for (payload, shown) in [
            (&br#""a\tb\nc""#[..], "a\tb\nc"),
            (br#"{"a": 1}"#, r#"{"a": 1}"#),
            (b"null", ""),
            (b" null ", ""),
            (br#" "x" "#, "x"),
            (b"", ""),
            (b"\"open", "\"open"),
            (br#""\ud800""#, r#""\ud800""#),
            (b"nullx", "nullx"),
        ] {
            assert_eq!(printed(text, &entry(payload)), format!("2\t{shown}\n"));
        }
    }

    #[test]
    fn escaped_text_is_one_line_whatever_the_payload() {
        let escaped = Form { json: false, escape: true };
        for (payload, shown) in [
            (&br#""a\tb\nc\\d\r\u0000\u001b""#[..], r"a\tb\nc\\d\r\x00\x1b"),
            (b"null", "null"),
            (b"{\n \"a\": 1}", "{\\n \"a\": 1}"),
            (b"\xff\xfe ok \xc3\xa4", "\\xff\\xfe ok ä"),
        ] {
            assert_eq!(printed(escaped, &entry(payload)), format!("2\t{shown}\n"));
        }
    }

    #[test]
    fn quotes_are_those_of_the_original() {
        for (text, expected) in [
            ("plain ä 日本 😀", r#""plain ä 日本 😀""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x07\x08\x0c\n\r\t\x0b\0\x7f", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            ("\u{a0}\u{200b}\u{2028}\u{85}\u{10ffff}", r#""\u00a0\u200b\u2028\u0085\U0010ffff""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
