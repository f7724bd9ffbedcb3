//! Entries as the Python tool `read_ledger` prints them; times are UTC.

use std::fmt::Write as _;

use crate::format::{Entry, FormatError, PublicDomain};

/// The text of an entry; every line ends in a line break.
///
/// # Errors
/// A [`FormatError`] if it cannot be read.
pub fn entry(entry: &Entry<'_>) -> Result<String, FormatError> {
    tables(entry, None)
}

/// The same with those maps only whose name passes; nothing if there is none of them.
///
/// # Errors
/// As [`entry`].
pub fn tables(entry: &Entry<'_>, wanted: Option<&dyn Fn(&str) -> bool>) -> Result<String, FormatError> {
    let maps = PublicDomain::parse(entry.public)?.maps().collect::<Result<Vec<_>, _>>()?;
    let flags = match entry.flags.bits() {
        0 => String::new(),
        bits => format!(", flags={bits:#x}"),
    };
    let mut out = format!(
        "  txid {} ({}) [{} bytes{flags}]\n",
        entry.txid(),
        counted(maps.len() as u64, "public table"),
        entry.bytes.len()
    );
    // Writing to a string cannot fail.
    if wanted.is_none() && !entry.private.is_empty() {
        _ = writeln!(out, "  -- private: {} bytes", entry.private.len());
    }
    if wanted.is_some_and(|wanted| !maps.iter().any(|map| wanted(map.name))) {
        return Ok(String::new());
    }
    for map in maps.iter().filter(|map| wanted.is_none_or(|wanted| wanted(map.name))) {
        let count = map.write_count().saturating_add(map.remove_count());
        _ = writeln!(out, "    table \"{}\" ({}):", map.name, counted(count, "write"));
        let form = Form::of(map.name);
        for (key, value) in map.iter() {
            let key = form.key(key);
            _ = match value {
                Some(value) => {
                    let value = form.value(value).replace('\n', "\n        ");
                    writeln!(out, "      {key}:\n        {value}")
                }
                None => writeln!(out, "      Removed {key}"),
            };
        }
    }
    Ok(out)
}

fn counted(count: u64, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// How keys and values of a map are shown.
#[derive(Clone, Copy)]
enum Form {
    /// Keys as numbers, values as JSON.
    Single,
    /// Keys as text, values as JSON.
    Named,
    /// Keys begin with a time, values are JSON.
    Timed,
    /// Bytes.
    Raw,
}

impl Form {
    fn of(map: &str) -> Self {
        if map.starts_with("public:ccf.internal.") {
            return Self::Single;
        }
        let Some(rest) = map.strip_prefix("public:ccf.gov.") else { return Self::Raw };
        if rest == "cose_recent_proposals" {
            return Self::Timed;
        }
        if ["service", "network", "constitution"].iter().any(|word| rest.contains(word)) {
            Self::Single
        } else {
            Self::Named
        }
    }

    fn key(self, key: &[u8]) -> String {
        match self {
            // The tool prints longer ones as numbers too, which takes it for ever.
            Self::Single if key.len() > 128 => bytes_literal(key),
            Self::Single => {
                format!("<u{}: {}>", key.len().saturating_mul(8), decimal(key))
            }
            Self::Named => String::from_utf8_lossy(key).into_owned(),
            Self::Timed => {
                let text = String::from_utf8_lossy(key);
                let seconds = text.split_once(':').and_then(|(seconds, _)| seconds.parse().ok());
                let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
                time.map_or_else(
                    || text.clone().into_owned(),
                    |time| format!("[{}] {text}", time.to_string().trim_end_matches('Z')),
                )
            }
            Self::Raw => bytes_literal(key),
        }
    }

    fn value(self, value: &[u8]) -> String {
        match self {
            Self::Single | Self::Named | Self::Timed => {
                indented_json(value).unwrap_or_else(|| bytes_literal(value))
            }
            Self::Raw => bytes_literal(value),
        }
    }
}

/// A little-endian number of any length.
fn decimal(bytes: &[u8]) -> String {
    // Least significant digit first.
    let mut digits = vec![0u8];
    for byte in bytes.iter().rev() {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = u32::from(*digit).saturating_mul(256).saturating_add(carry);
            *digit = u8::try_from(value % 10).unwrap_or_default();
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap_or_default());
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0'.saturating_add(*digit))).collect()
}

/// Bytes as a Python literal.
fn bytes_literal(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut out = format!("b{quote}");
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if char::from(*byte) == quote => _ = write!(out, "\\{quote}"),
            0x20..0x7f => out.push(char::from(*byte)),
            byte => _ = write!(out, "\\x{byte:02x}"),
        }
    }
    out.push(quote);
    out
}

/// JSON with an indent of two, members in their order, everything beyond ASCII escaped. `None` if it is not JSON.
fn indented_json(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut out = String::new();
    let mut depth = 0usize;
    let mut characters = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                let mut raw = String::from('"');
                let mut escaped = false;
                for inner in characters.by_ref() {
                    raw.push(inner);
                    if inner == '"' && !escaped {
                        break;
                    }
                    escaped = inner == '\\' && !escaped;
                }
                out.push_str(&ascii_string(&raw)?);
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth = depth.saturating_add(1);
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            white if white.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    Some(out)
}

/// A JSON string as Python writes it: short escapes, and `\uXXXX` for what is not ASCII.
fn ascii_string(raw: &str) -> Option<String> {
    let text: String = serde_json::from_str(raw).ok()?;
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            '\u{7f}' => out.push(character),
            other => other.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}")),
        }
    }
    out.push('"');
    Some(out)
}
