//! Answers: messages to JSON. Every field is written, in the order of the field numbers.

use std::collections::BTreeMap;

use bytes::Bytes;
use ledger_api::proto;
use prost_types::Timestamp;
use serde::{Serialize, Serializer};

use super::values::{write_bytes, write_durability, write_number, write_text, write_time};

/// A message that can be written as JSON.
pub(in crate::http) trait ToJson {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
}

macro_rules! to_json {
    ($($message:ident),*) => {$(
        impl ToJson for proto::$message {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $message::serialize(self, to)
            }
        }
    )*};
}

to_json!(
    AppendResponse,
    CountResponse,
    DamagedEntry,
    Entry,
    HealthResponse,
    ListStreamIDsResponse,
    ReadResponse,
    RenameStreamResponse,
    SearchResponse,
    SetAnnotationsResponse,
    SetTagsResponse,
    StatResponse,
    TrimResponse
);

/// One item of a list of messages.
struct Item<'a, T>(&'a T);

impl<T: ToJson> Serialize for Item<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

fn write_list<S: Serializer, T: ToJson>(list: &[T], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(list.iter().map(Item))
}

#[derive(Serialize)]
#[serde(remote = "proto::Entry", rename_all = "camelCase")]
struct Entry {
    #[serde(serialize_with = "write_text")]
    id: Bytes,
    #[serde(serialize_with = "write_text")]
    stream: Bytes,
    #[serde(serialize_with = "write_bytes")]
    payload: Bytes,
    order_key: String,
    dedup_key: String,
    #[serde(serialize_with = "write_number")]
    schema_version: i64,
    metadata: BTreeMap<String, String>,
    tags: Vec<String>,
    annotations: BTreeMap<String, String>,
    #[serde(serialize_with = "write_time")]
    created_at: Option<Timestamp>,
    #[serde(serialize_with = "write_time")]
    updated_at: Option<Timestamp>,
    source_id: String,
}

#[derive(Serialize)]
#[serde(remote = "proto::DamagedEntry", rename_all = "camelCase")]
struct DamagedEntry {
    id: String,
    stream: String,
    field: String,
    reason: String,
}

#[derive(Serialize)]
#[serde(remote = "proto::AppendResponse", rename_all = "camelCase")]
struct AppendResponse {
    ids: Vec<String>,
    #[serde(serialize_with = "write_list")]
    duplicates: Vec<proto::Duplicate>,
    #[serde(serialize_with = "write_durability")]
    durability: i32,
}

#[derive(Serialize)]
#[serde(remote = "proto::Duplicate", rename_all = "camelCase")]
struct Duplicate {
    #[serde(serialize_with = "write_number")]
    index: i64,
    id: String,
}

to_json!(Duplicate);

#[derive(Serialize)]
#[serde(remote = "proto::ReadResponse", rename_all = "camelCase")]
struct ReadResponse {
    #[serde(serialize_with = "write_list")]
    entries: Vec<proto::Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    next: String,
    #[serde(serialize_with = "write_list")]
    damaged: Vec<proto::DamagedEntry>,
    cut_short: bool,
}

#[derive(Serialize)]
#[serde(remote = "proto::SearchResponse", rename_all = "camelCase")]
struct SearchResponse {
    #[serde(serialize_with = "write_list")]
    entries: Vec<proto::Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    next: String,
    #[serde(serialize_with = "write_list")]
    damaged: Vec<proto::DamagedEntry>,
    cut_short: bool,
}

#[derive(Serialize)]
#[serde(remote = "proto::CountResponse", rename_all = "camelCase")]
struct CountResponse {
    #[serde(serialize_with = "write_number")]
    count: i64,
}

#[derive(Serialize)]
#[serde(remote = "proto::TrimResponse", rename_all = "camelCase")]
struct TrimResponse {
    #[serde(serialize_with = "write_number")]
    deleted: i64,
}

#[derive(Serialize)]
#[serde(remote = "proto::ListStreamIDsResponse", rename_all = "camelCase")]
struct ListStreamIDsResponse {
    stream_ids: Vec<String>,
    cut_short: bool,
}

#[derive(Serialize)]
#[serde(remote = "proto::StatResponse", rename_all = "camelCase")]
struct StatResponse {
    stream: String,
    #[serde(serialize_with = "write_number")]
    count: i64,
    first_id: String,
    last_id: String,
}

#[derive(Serialize)]
#[serde(remote = "proto::HealthResponse")]
struct HealthResponse {
    status: String,
}

#[derive(Serialize)]
#[serde(remote = "proto::SetTagsResponse")]
struct SetTagsResponse {}

#[derive(Serialize)]
#[serde(remote = "proto::SetAnnotationsResponse")]
struct SetAnnotationsResponse {}

#[derive(Serialize)]
#[serde(remote = "proto::RenameStreamResponse")]
struct RenameStreamResponse {}
