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

use crate::load::{BadLine, ForStream, Input};

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
        let text = std::str::from_utf8(line)?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(BadLine::NoObject);
        }
        let read: ReadLine<'_> = serde_json::from_str(text)?;
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

#[cfg(test)]
mod tests {
    use ledger_streams::{Expect, MemoryStore, Read, Store};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    /// The lines of the example in the documentation of this module.
    fn example() -> Vec<&'static str> {
        let example = include_str!("jsonl.rs").split("//! ```").nth(1).unwrap();
        example.lines().skip(1).filter_map(|line| line.strip_prefix("//! ")).collect()
    }

    fn parse(line: &str) -> Result<(String, Append<Bytes>), BadLine> {
        let format = Exported { stream: None };
        let line = Bytes::copy_from_slice(line.as_bytes());
        let (stream, entry) = format.parse(&line)?.expect("an entry");
        Ok((stream.into_owned(), entry))
    }

    /// Stores entries and writes the lines of what was stored.
    fn through_a_store(entries: Vec<(String, Append<Bytes>)>) -> Vec<String> {
        let store = MemoryStore::new("copy").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (stream, entry) in entries {
                store.append(&stream, vec![entry], Expect::Any).await.unwrap();
            }
            let mut out = Vec::new();
            for stream in store.list_streams(None, 1000).await.unwrap() {
                for entry in store.read(&stream, &Read::new()).await.unwrap() {
                    write_line(&mut out, &entry).unwrap();
                }
            }
            String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
        })
    }

    fn without_id(line: &str) -> &str {
        line.strip_prefix("{\"id\":\"").unwrap().split_once("\",").unwrap().1
    }

    #[test]
    fn the_documented_example_is_what_is_read_and_written() {
        let example = example();
        assert_eq!(example.len(), 2);
        let entries = example.iter().map(|line| parse(line).unwrap()).collect();
        let written = through_a_store(entries);
        assert_eq!(
            written.iter().map(|line| without_id(line)).collect::<Vec<_>>(),
            example.iter().map(|line| without_id(line)).collect::<Vec<_>>()
        );
        let (stream, entry) = parse(example[0]).unwrap();
        assert_eq!((stream.as_str(), &*entry.payload), ("orders", &br#"{"amount": 42}"#[..]));
        assert_eq!(entry.source_id(), "9001");
        assert_eq!(&*parse(example[1]).unwrap().1.payload, b"\x00\xff\n");
    }

    #[test]
    fn the_payload_null_is_a_payload() {
        assert_eq!(&*parse(r#"{"stream":"s","payload":null}"#).unwrap().1.payload, b"null");
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let (_, entry) = parse(r#"{"stream":"s","payload":1}"#).unwrap();
        assert_eq!(entry, Append::new(Bytes::from_static(b"1")));
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, problem) in [
            (r#"{"stream":"s"}"#, "there is neither `payload` nor `payload_base64`"),
            (
                r#"{"stream":"s","payload":1,"payload_base64":"MQ=="}"#,
                "there are both `payload` and `payload_base64`",
            ),
            (r#"{"payload":1}"#, "there is no `stream`; name one with --stream"),
            (
                r#"{"stream":"s","payload":1,"colour":2}"#,
                "not an entry: unknown field `colour`, expected one of",
            ),
            (
                r#"{"stream":"s","payload":1,"payload":2}"#,
                "not an entry: duplicate field `payload` (column 35)",
            ),
            (r#"{"stream":"s","payload":{"a":}}"#, "not valid JSON: expected value (column 30)"),
            (r#"{"stream":"s","payload":1"#, "not valid JSON: EOF while parsing an object (column 25)"),
            (
                r#"{"stream":"s","payload":1,"tags":[1]}"#,
                "not an entry: invalid type: integer `1`, expected a string",
            ),
            (r#"{"stream":"s","payload":1,"created_at":"today"}"#, "not an entry: "),
            (r#"{"stream":"s","payload_base64":"MQ"}"#, "`payload_base64` is not padded standard base64: "),
            (r#"[1,"s",2]"#, "not an entry: it does not begin with {"),
            ("{}", "there is neither `payload` nor `payload_base64`"),
        ] {
            let found = parse(line).unwrap_err().to_string();
            assert!(found.starts_with(problem), "{line}: {found}");
        }
    }

    #[test]
    fn a_line_can_hold_the_largest_entry() {
        let text = "\u{1}".repeat(MAX_ATTRIBUTE_BYTES);
        let key = "\u{1}".repeat(MAX_KEY_BYTES);
        let mut largest = parse(r#"{"stream":"s","payload":1}"#).unwrap().1;
        largest.payload = Bytes::from(vec![0xff; MAX_PAYLOAD_BYTES]);
        largest.tags = vec![text];
        (largest.order_key, largest.dedup_key) = (key.clone(), key.clone());
        largest.schema_version = i64::MIN;
        largest.origin =
            Some(Box::new(Origin { source_id: key, updated_at: Some(Timestamp::MIN), ..Origin::default() }));
        let stream = "\u{1}".repeat(MAX_STREAM_NAME_BYTES);
        ledger_streams::limits::check_batch(&stream, std::slice::from_ref(&largest)).unwrap();
        let line = through_a_store(vec![(stream, largest)]).remove(0);
        assert!(line.len() <= MAX_LINE_BYTES, "{} > {MAX_LINE_BYTES}", line.len());
    }

    fn any_time() -> impl Strategy<Value = Timestamp> {
        let seconds = Timestamp::MIN.as_second() + 1..Timestamp::MAX.as_second();
        (seconds, 0..1_000_000_000_i32).prop_map(|(second, nanos)| Timestamp::new(second, nanos).unwrap())
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[^\0]{0,12}", Just("<&>\u{2028}\"\\\n\r\t\u{7f}".to_owned())]
    }

    fn any_payload() -> impl Strategy<Value = Vec<u8>> {
        let odd = [
            "",
            "null",
            "\"\"",
            " 1",
            "1 ",
            "{\"a\": 1}\n",
            "{\"a\":\r1}",
            "{\"a\":1,\"a\":2}",
            "1e999",
            "-0",
            "\"\\ud800\"",
            "\"\u{2028}\"",
            "12345678901234567890.10",
            "nul",
            "[1,]",
            "\u{feff}1",
            "\"\u{7f}\"",
        ];
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        prop_oneof![
            prop::sample::select(odd.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
            Just(deep.into_bytes()),
            vec(any::<u8>(), 0..40),
            any_text().prop_map(|text| serde_json::to_vec(&text).unwrap()),
        ]
    }

    fn any_entry() -> impl Strategy<Value = Append<Bytes>> {
        let pairs = || btree_map(any_text(), any_text(), 0..3);
        let head = (any_payload(), any_text(), any::<i64>(), pairs(), vec(any_text(), 0..3));
        let origin = (pairs(), any_time(), proptest::option::of(any_time()));
        (head, origin).prop_map(|(head, (annotations, created_at, updated_at))| {
            let (payload, order_key, schema_version, metadata, tags) = head;
            let origin =
                Origin { annotations, created_at: Some(created_at), updated_at, ..Origin::default() };
            let entry = Append { order_key, metadata, tags, ..Append::new(Bytes::from(payload)) };
            entry.schema_version(schema_version).origin(origin)
        })
    }

    proptest! {
        #[test]
        fn exports_of_an_import_are_identical(
            entries in vec(("[^\0]{0,5}", any_entry()), 1..8), keys in any_text(), sources in any_text()
        ) {
            let entries = entries.into_iter().enumerate().map(|(index, (stream, mut entry))| {
                // Keys must differ, or the entry is a duplicate.
                entry.dedup_key = format!("{keys}{index}");
                entry.origin.as_mut().unwrap().source_id = format!("{sources}{index}");
                (stream, entry)
            });
            let exported = through_a_store(entries.collect());
            let imported = exported.iter().map(|line| parse(line).unwrap()).collect();
            let exported_again = through_a_store(imported);
            prop_assert_eq!(
                exported.iter().map(|line| without_id(line)).collect::<Vec<_>>(),
                exported_again.iter().map(|line| without_id(line)).collect::<Vec<_>>()
            );
        }

        #[test]
        fn what_comes_back_is_what_was_stored(entry in any_entry()) {
            let line = through_a_store(vec![("s".to_owned(), entry.clone())]).remove(0);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(parse(&line).unwrap(), ("s".to_owned(), entry));
        }
    }
}
