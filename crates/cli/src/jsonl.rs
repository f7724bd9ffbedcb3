//! The format of `export` and `import`: entries as JSON Lines.
//!
//! One entry is one JSON object on one line that ends with a newline; the text is UTF-8. An example:
//!
//! ```json
//! {"id":"1","stream":"orders","payload":{"amount": 42},"order_key":"customer-1","dedup_key":"req-7","schema_version":1,"metadata":{"env":"prod"},"tags":["new","paid"],"annotations":{"carrier":"UPS"},"source_id":"9001","created_at":"2026-11-21T03:55:21.444Z","updated_at":"2026-11-21T04:00:00Z"}
//! {"id":"3","stream":"orders","payload_base64":"AP8K","schema_version":0,"created_at":"2026-11-21T03:55:22Z"}
//! ```
//!
//! | key | value | when left out |
//! |---|---|---|
//! | `id` | string: id in the store that wrote the line | import gives new ids and does not look at it |
//! | `stream` | string | import needs `--stream` |
//! | `payload` | any JSON value: **its text, byte for byte, is the payload** | `payload_base64` is there |
//! | `payload_base64` | string: the payload in padded standard base64 | `payload` is there |
//! | `order_key` | string | none |
//! | `dedup_key` | string | none |
//! | `schema_version` | integer | 1; export always writes it |
//! | `metadata` | object of strings | none |
//! | `tags` | array of strings | none |
//! | `annotations` | object of strings | none |
//! | `source_id` | string | none |
//! | `created_at` | RFC 3339 | the time of the import |
//! | `updated_at` | RFC 3339 | never changed |
//!
//! Export writes `payload` if the payload's bytes are one JSON value without white space around it and without line
//! breaks in it, and `payload_base64` otherwise; exactly one of them is there. Keys may come in any order and only
//! once. A key that is not in the table is an error, so that nothing is lost unnoticed. Lines of white space mean
//! nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use ledger_streams::limits::{MAX_ATTRIBUTE_BYTES, MAX_KEY_BYTES, MAX_PAYLOAD_BYTES, MAX_STREAM_NAME_BYTES};
use ledger_streams::{Append, Entry, EntryId, Origin};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::batch::{BadLine, ForStream, Input};

/// Most bytes of a line that can be stored: the largest payload in base64 and the largest attributes, every character
/// of them escaped.
pub(crate) const MAX_LINE_BYTES: usize =
    MAX_PAYLOAD_BYTES / 3 * 4 + 6 * (MAX_ATTRIBUTE_BYTES + 3 * MAX_KEY_BYTES + MAX_STREAM_NAME_BYTES) + 4096;

/// A line as it is written.
#[derive(Serialize)]
struct Written<'e> {
    id: String,
    stream: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'e RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    order_key: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dedup_key: &'e str,
    schema_version: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'e BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'e [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'e BTreeMap<String, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    source_id: &'e str,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
}

/// A line as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine<'l> {
    #[serde(default, rename = "id")]
    _id: Option<serde::de::IgnoredAny>,
    #[serde(default, borrow)]
    stream: Option<Cow<'l, str>>,
    #[serde(default, borrow, deserialize_with = "even_null")]
    payload: Option<&'l RawValue>,
    #[serde(default, borrow)]
    payload_base64: Option<Cow<'l, str>>,
    #[serde(default)]
    order_key: String,
    #[serde(default)]
    dedup_key: String,
    #[serde(default = "first_version")]
    schema_version: i64,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    source_id: String,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
}

/// The payload `null` is a payload; an `Option` by itself would take it for a missing one.
fn even_null<'l, D: Deserializer<'l>>(deserializer: D) -> Result<Option<&'l RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn first_version() -> i64 {
    1
}

/// Writes the line of an entry.
pub(crate) fn write_line<Id: EntryId>(out: &mut dyn Write, entry: &Entry<Id, Bytes>) -> io::Result<()> {
    let payload = as_json_on_one_line(&entry.payload);
    let line = Written {
        id: entry.id.to_string(),
        stream: &entry.stream,
        payload,
        payload_base64: payload.is_none().then(|| STANDARD.encode(&entry.payload)),
        order_key: &entry.order_key,
        dedup_key: &entry.dedup_key,
        schema_version: entry.schema_version,
        metadata: &entry.metadata,
        tags: &entry.tags,
        annotations: &entry.annotations,
        source_id: &entry.source_id,
        created_at: entry.created_at,
        updated_at: entry.updated_at,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// The payload, if it can stand in a line byte for byte.
fn as_json_on_one_line(payload: &[u8]) -> Option<&RawValue> {
    if payload.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let json: &RawValue = serde_json::from_slice(payload).ok()?;
    (json.get().len() == payload.len()).then_some(json)
}

/// Lines of this format, to be stored.
pub(crate) struct Exported {
    /// The stream that all entries go to, whatever the lines say.
    pub(crate) stream: Option<String>,
}

impl Input for Exported {
    fn max_line_bytes(&self) -> usize {
        MAX_LINE_BYTES
    }

    fn parse<'l>(&'l self, line: &'l Bytes) -> Result<Option<ForStream<'l>>, BadLine> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let read: ReadLine<'_> = serde_json::from_str(std::str::from_utf8(line)?)?;
        let payload = match (read.payload, read.payload_base64) {
            (Some(json), None) => line.slice_ref(json.get().as_bytes()),
            (None, Some(text)) => Bytes::from(STANDARD.decode(text.as_bytes())?),
            (None, None) => return Err(BadLine::NoPayload),
            (Some(_), Some(_)) => return Err(BadLine::TwoPayloads),
        };
        let stream = match &self.stream {
            Some(stream) => Cow::Borrowed(stream.as_str()),
            None => read.stream.ok_or(BadLine::NoStream)?,
        };
        let origin = Origin {
            source_id: read.source_id,
            annotations: read.annotations,
            created_at: read.created_at,
            updated_at: read.updated_at,
        };
        let entry = Append {
            payload,
            order_key: read.order_key,
            dedup_key: read.dedup_key,
            schema_version: read.schema_version,
            metadata: read.metadata,
            tags: read.tags,
            origin: (origin != Origin::default()).then(|| Box::new(origin)),
        };
        Ok(Some((stream, entry)))
    }
}
