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
