//! Writes and entries as lines of JSON, for programs.
//!
//! ```text
//! {"map":"public:app.records","key":"k","value":"v"}
//! {"map":"public:app.records","key":"k","value":null}                      removes the key
//! {"map":"notes","key":{"base64":"//8="},"value":{"base64":"AAE="}}       bytes that are no text
//! {"map":"public:app.records","key":"k","value":{"any":["JSON",1]}}        kept as the text it is
//! {"writes":[{"map":…,"key":…,"value":…}, …],"claims_digest":"<64 hex>"}   several writes in one entry
//! ```
//!
//! A `txid` in a line says where it was exported from ([`ExportLine`]) and is not looked at.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::format::{Digest, TxId, WriteSet};

/// A line that is no write.
#[derive(Debug, Error)]
#[error("the line is no write: {reason}. Write {{\"map\":\"public:…\",\"key\":\"…\",\"value\":\"…\"}}")]
pub struct LineError {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    map: Option<String>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    writes: Option<Vec<Write<'a>>>,
    claims_digest: Option<String>,
    /// Where a line was exported from; an append gives it another one.
    #[serde(rename = "txid")]
    _txid: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write<'a> {
    map: String,
    #[serde(borrow)]
    key: &'a RawValue,
    // Absent and null must differ: a line without a value is a mistake, null removes.
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    base64: String,
}

fn error(reason: impl ToString) -> LineError {
    LineError { reason: reason.to_string() }
}

/// Reads a line: the writes of one entry, and the digest of its claims.
///
/// # Errors
/// [`LineError`].
pub fn parse_line(line: &[u8]) -> Result<(WriteSet, Option<Digest>), LineError> {
    let parsed: Line<'_> = serde_json::from_slice(line).map_err(error)?;
    let mut writes = WriteSet::new();
    match (parsed.map, parsed.key, parsed.writes) {
        (Some(map), Some(key), None) => {
            // `Option` reads null as absent, so look for the member itself.
            let value = match parsed.value {
                Some(value) => Some(value),
                None if has_member(line, "value") => None,
                None => return Err(error("it has no value")),
            };
            add(&mut writes, &map, key, value)?;
        }
        (None, None, Some(list)) => {
            for write in list {
                add(&mut writes, &write.map, write.key, Some(write.value))?;
            }
        }
        _ => return Err(error("it needs `map`, `key` and `value`, or `writes`")),
    }
    let claims = parsed.claims_digest.map(|text| {
        let mut digest = Digest::default();
        hex::decode_to_slice(text, &mut digest)
            .map(|()| digest)
            .map_err(|_| error("claims_digest is not 64 hex digits"))
    });
    Ok((writes, claims.transpose()?))
}

fn has_member(line: &[u8], name: &str) -> bool {
    let object: Result<std::collections::BTreeMap<String, serde::de::IgnoredAny>, _> =
        serde_json::from_slice(line);
    object.is_ok_and(|object| object.contains_key(name))
}

fn add(writes: &mut WriteSet, map: &str, key: &RawValue, value: Option<&RawValue>) -> Result<(), LineError> {
    if map.is_empty() {
        return Err(error("the map has no name"));
    }
    let key = bytes(key)?;
    match value.filter(|value| value.get() != "null") {
        Some(value) => writes.put(map, key, bytes(value)?),
        None => writes.remove(map, key),
    };
    Ok(())
}

/// Text as its bytes, `{"base64":…}` decoded, any other JSON as its text.
fn bytes(value: &RawValue) -> Result<Vec<u8>, LineError> {
    let text = value.get();
    if text.starts_with('"') {
        return Ok(serde_json::from_str::<String>(text).map_err(error)?.into_bytes());
    }
    if let Ok(Base64 { base64 }) = serde_json::from_str(text) {
        return BASE64_STANDARD.decode(base64).map_err(error);
    }
    Ok(text.as_bytes().to_vec())
}

/// Bytes as text if they are text, else as `{"base64":…}`.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &BASE64_STANDARD.encode(self.0))?;
                map.end()
            }
        }
    }
}

/// An entry as a line.
#[derive(Debug, Serialize)]
pub struct EntryLine<'a> {
    /// Its position.
    pub txid: TxId,
    /// Its kind, as `stat` names it.
    pub kind: crate::kind::EntryKind,
    /// Its size in bytes.
    pub bytes: usize,
    /// Size of the private domain.
    pub private_bytes: usize,
    /// Hex SHA-256 of the entry.
    pub write_set_digest: String,
    /// Hex digest of the claims; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims_digest: Option<String>,
    /// What it writes, as far as it can be read.
    pub writes: Vec<WriteLine<'a>>,
}

/// What an entry writes, as a line that [`parse_line`] reads back into the same writes.
#[derive(Debug, Serialize)]
pub struct ExportLine<'a> {
    /// Its position.
    pub txid: TxId,
    /// What it writes.
    pub writes: Vec<WriteLine<'a>>,
    /// Hex digest of the claims; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims_digest: Option<String>,
}

/// A write in a line.
#[derive(Debug, Serialize)]
pub struct WriteLine<'a> {
    /// The map.
    pub map: &'a str,
    /// The key.
    pub key: Bytes<'a>,
    /// The value, null for a removal.
    pub value: Option<Bytes<'a>>,
}

impl<'a> WriteLine<'a> {
    /// The writes of a write set.
    #[must_use]
    pub fn all(writes: &'a WriteSet) -> Vec<Self> {
        let rows =
            writes.maps().flat_map(|(map, rows)| rows.iter().map(move |(key, value)| (map, key, value)));
        rows.map(|(map, key, value)| Self { map, key: Bytes(key), value: value.as_deref().map(Bytes) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> (String, Vec<u8>, Option<Vec<u8>>) {
        let (writes, _) = parse_line(line.as_bytes()).unwrap();
        let (map, rows) = writes.maps().next().unwrap();
        let (key, value) = rows.iter().next().unwrap();
        (map.clone(), key.clone(), value.clone())
    }

    #[test]
    fn every_form_of_a_value_is_read() {
        let value = |value: &str| one(&format!(r#"{{"map":"m","key":"k","value":{value}}}"#)).2;
        assert_eq!(value(r#""v""#).unwrap(), b"v");
        assert_eq!(value("null"), None);
        assert_eq!(value(r#"{"base64":"AAE="}"#).unwrap(), [0, 1]);
        assert_eq!(value(r#"{"a": [1]}"#).unwrap(), br#"{"a": [1]}"#);
        assert_eq!(value("17").unwrap(), b"17");
        assert_eq!(one(r#"{"map":"m","key":{"base64":"/w=="},"value":""}"#).1, [255]);
    }

    #[test]
    fn several_writes_and_claims_are_read() {
        let line = format!(
            r#"{{"writes":[{{"map":"m","key":"a","value":"1"}},{{"map":"n","key":"b","value":null}}],"claims_digest":"{}"}}"#,
            "07".repeat(32)
        );
        let (writes, claims) = parse_line(line.as_bytes()).unwrap();
        assert_eq!((writes.len(), claims), (2, Some([7; 32])));
        let lines = serde_json::to_string(&WriteLine::all(&writes)).unwrap();
        assert_eq!(lines, r#"[{"map":"m","key":"a","value":"1"},{"map":"n","key":"b","value":null}]"#);
    }

    #[test]
    fn an_exported_line_is_read_back_into_the_same_writes() {
        let mut writes = WriteSet::new();
        writes.put("public:m", "", "").put("public:m", [255, 0], [0, 159]).put("public:m", "null", "null");
        writes.put("p", "{\"base64\":\"AA==\"}", "{\"base64\":\"AA==\"}").put("p", "\"\\\n\u{7f}é", "17");
        writes.remove("public:m", "gone").remove("p", [0xc3]);
        for claims_digest in [None, Some([9; 32])] {
            let line = ExportLine {
                txid: TxId { view: 3, seqno: 5 },
                writes: WriteLine::all(&writes),
                claims_digest: claims_digest.map(hex::encode),
            };
            let line = serde_json::to_string(&line).unwrap();
            assert_eq!(parse_line(line.as_bytes()).unwrap(), (writes.clone(), claims_digest), "{line}");
        }
    }

    #[test]
    fn lines_that_are_no_writes_are_refused() {
        for line in [
            "",
            "[]",
            "{}",
            r#"{"map":"m"}"#,
            r#"{"map":"m","key":"k"}"#,
            r#"{"map":"","key":"k","value":1}"#,
            r#"{"map":"m","key":"k","valu":1}"#,
            r#"{"map":"m","key":"k","value":1,"claims_digest":"00"}"#,
            r#"{"map":"m","key":"k","value":{"base64":"?"}}"#,
            r#"{"map":"m","key":"k","value":1,"writes":[]}"#,
        ] {
            assert!(parse_line(line.as_bytes()).is_err(), "{line}");
        }
    }
}
