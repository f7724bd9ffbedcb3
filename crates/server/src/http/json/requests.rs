//! Requests: JSON to messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use ledger_api::proto;
use ledger_api::proto::append_request::Expect;
use prost_types::Timestamp;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::values::{read, read_bytes, read_int64, read_map, read_time};

/// A message that can be read from JSON.
pub(in crate::http) trait FromJson: Sized {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

macro_rules! from_json {
    ($($message:ident),*) => {$(
        impl FromJson for proto::$message {
            fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $message::deserialize(Object(from))
            }
        }
    )*};
}

from_json!(
    EntryInput,
    ReadOptions,
    SearchRequest,
    SetAnnotationsRequest,
    SetTagsRequest,
    TrimRequest,
    RenameStreamRequest
);

impl FromJson for proto::AppendRequest {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let request = <AppendRequest as Deserialize>::deserialize(Object(from))?;
        let expect = match (request.expect_empty, request.expect_last_id) {
            (Some(_), Some(_)) => {
                let message = "expectEmpty and expectLastId cannot both be given";
                return Err(serde::de::Error::custom(message));
            }
            (Some(empty), None) => Some(Expect::ExpectEmpty(empty)),
            (None, Some(id)) => Some(Expect::ExpectLastId(id)),
            (None, None) => None,
        };
        Ok(Self { stream: request.stream, entries: request.entries, expect })
    }
}

/// A message inside another.
struct One<M>(M);

impl<'de, M: FromJson> Deserialize<'de> for One<M> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        M::deserialize(from).map(One)
    }
}

/// A struct of serde may also be written as a list of its fields; a message may not.
struct Object<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AppendRequest {
    #[serde(deserialize_with = "read")]
    stream: String,
    #[serde(deserialize_with = "read_entries")]
    entries: Vec<proto::EntryInput>,
    #[serde(alias = "expect_empty")]
    expect_empty: Option<bool>,
    #[serde(alias = "expect_last_id")]
    expect_last_id: Option<String>,
}

fn read_entries<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<proto::EntryInput>, D::Error> {
    read(from)
        .map(|entries: Vec<One<proto::EntryInput>>| entries.into_iter().map(|One(entry)| entry).collect())
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::EntryInput", rename_all = "camelCase", default)]
struct EntryInput {
    #[serde(deserialize_with = "read_bytes")]
    payload: Bytes,
    #[serde(alias = "order_key", deserialize_with = "read")]
    order_key: String,
    #[serde(alias = "dedup_key", deserialize_with = "read")]
    dedup_key: String,
    #[serde(alias = "schema_version", deserialize_with = "read_int64")]
    schema_version: i64,
    #[serde(deserialize_with = "read_map")]
    metadata: BTreeMap<String, String>,
    #[serde(deserialize_with = "read")]
    tags: Vec<String>,
    #[serde(deserialize_with = "read_map")]
    annotations: BTreeMap<String, String>,
    #[serde(alias = "source_id", deserialize_with = "read")]
    source_id: String,
    #[serde(alias = "created_at", deserialize_with = "read_time")]
    created_at: Option<Timestamp>,
    #[serde(alias = "updated_at", deserialize_with = "read_time")]
    updated_at: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::SearchRequest", rename_all = "camelCase", default)]
struct SearchRequest {
    #[serde(deserialize_with = "read")]
    stream: String,
    #[serde(deserialize_with = "read")]
    query: String,
    #[serde(deserialize_with = "read_options")]
    options: Option<proto::ReadOptions>,
    #[serde(alias = "one_stream", deserialize_with = "read")]
    one_stream: bool,
}

fn read_options<'de, D: Deserializer<'de>>(from: D) -> Result<Option<proto::ReadOptions>, D::Error> {
    Ok(Option::deserialize(from)?.map(|One(options)| options))
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::ReadOptions", rename_all = "camelCase", default)]
struct ReadOptions {
    #[serde(deserialize_with = "read")]
    after: String,
    #[serde(deserialize_with = "read_int64")]
    limit: i64,
    #[serde(deserialize_with = "read")]
    desc: bool,
    #[serde(alias = "order_key", deserialize_with = "read")]
    order_key: String,
    #[serde(deserialize_with = "read")]
    tag: String,
    #[serde(alias = "all_tags", deserialize_with = "read")]
    all_tags: Vec<String>,
    #[serde(alias = "metadata_filters", deserialize_with = "read_map")]
    metadata_filters: BTreeMap<String, String>,
    #[serde(alias = "annotation_filters", deserialize_with = "read_map")]
    annotation_filters: BTreeMap<String, String>,
    #[serde(deserialize_with = "read_time")]
    since: Option<Timestamp>,
    #[serde(deserialize_with = "read_time")]
    until: Option<Timestamp>,
    #[serde(alias = "max_bytes", deserialize_with = "read_int64")]
    max_bytes: i64,
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::SetTagsRequest", rename_all = "camelCase", default)]
struct SetTagsRequest {
    #[serde(deserialize_with = "read")]
    stream: String,
    #[serde(deserialize_with = "read")]
    id: String,
    #[serde(deserialize_with = "read")]
    tags: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::SetAnnotationsRequest", rename_all = "camelCase", default)]
struct SetAnnotationsRequest {
    #[serde(deserialize_with = "read")]
    stream: String,
    #[serde(deserialize_with = "read")]
    id: String,
    #[serde(deserialize_with = "read_map")]
    set: BTreeMap<String, String>,
    #[serde(deserialize_with = "read")]
    delete: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::TrimRequest", rename_all = "camelCase", default)]
struct TrimRequest {
    #[serde(deserialize_with = "read")]
    stream: String,
    #[serde(alias = "before_id", deserialize_with = "read")]
    before_id: String,
}

#[derive(Default, Deserialize)]
#[serde(remote = "proto::RenameStreamRequest", rename_all = "camelCase", default)]
struct RenameStreamRequest {
    #[serde(deserialize_with = "read")]
    name: String,
    #[serde(alias = "new_name", deserialize_with = "read")]
    new_name: String,
}
