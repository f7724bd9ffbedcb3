//! The facts of an error: `{"conflict":{"stream":"s","expectedLastId":"1"}}`.

use ledger_api::proto::error_detail as wire;
use ledger_api::status::detail_in;
use serde::{Serialize, Serializer};
use tonic::Status;

use super::values::write_number;

/// The facts that a status carries, if it does.
pub(in crate::http) fn fact_of(status: &Status) -> Option<impl Serialize + use<>> {
    detail_in(status)?.fact.map(Facts)
}

struct Facts(wire::Fact);

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Fact::serialize(&self.0, to)
    }
}

#[derive(Serialize)]
#[serde(remote = "wire::Fact", rename_all = "camelCase")]
enum Fact {
    Closed(#[serde(with = "Closed")] wire::Closed),
    InvalidCursor(#[serde(with = "InvalidCursor")] wire::InvalidCursor),
    InvalidStoreName(#[serde(with = "InvalidStoreName")] wire::InvalidStoreName),
    InvalidText(#[serde(with = "InvalidText")] wire::InvalidText),
    LimitExceeded(#[serde(with = "LimitExceeded")] wire::LimitExceeded),
    EntryNotFound(#[serde(with = "EntryNotFound")] wire::EntryNotFound),
    StreamNotFound(#[serde(with = "StreamNotFound")] wire::StreamNotFound),
    StreamExists(#[serde(with = "StreamExists")] wire::StreamExists),
    Conflict(#[serde(with = "Conflict")] wire::Conflict),
    SourceTaken(#[serde(with = "SourceTaken")] wire::SourceTaken),
    ReadOnly(#[serde(with = "ReadOnly")] wire::ReadOnly),
    NotSupported(#[serde(with = "NotSupported")] wire::NotSupported),
    Locked(#[serde(with = "Locked")] wire::Locked),
    StorageFull(#[serde(with = "StorageFull")] wire::StorageFull),
    Corrupt(#[serde(with = "Corrupt")] wire::Corrupt),
    Internal(#[serde(with = "Internal")] wire::Internal),
}

#[derive(Serialize)]
#[serde(remote = "wire::Closed", rename_all = "camelCase")]
struct Closed {
    store: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::InvalidCursor", rename_all = "camelCase")]
struct InvalidCursor {
    text: String,
    expected: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::InvalidStoreName", rename_all = "camelCase")]
struct InvalidStoreName {
    name: String,
    reason: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::InvalidText", rename_all = "camelCase")]
struct InvalidText {
    what: String,
    #[serde(serialize_with = "write_number")]
    at: u64,
}

#[derive(Serialize)]
#[serde(remote = "wire::LimitExceeded", rename_all = "camelCase")]
struct LimitExceeded {
    what: String,
    #[serde(serialize_with = "write_number")]
    limit: u64,
    #[serde(serialize_with = "write_number")]
    actual: u64,
}

#[derive(Serialize)]
#[serde(remote = "wire::EntryNotFound", rename_all = "camelCase")]
struct EntryNotFound {
    id: String,
    stream: String,
    store: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::StreamNotFound", rename_all = "camelCase")]
struct StreamNotFound {
    stream: String,
    store: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::StreamExists", rename_all = "camelCase")]
struct StreamExists {
    stream: String,
    store: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::Conflict", rename_all = "camelCase")]
struct Conflict {
    stream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_last_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual_last_id: Option<String>,
}

#[derive(Serialize)]
#[serde(remote = "wire::SourceTaken", rename_all = "camelCase")]
struct SourceTaken {
    source_id: String,
    taken_by: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::ReadOnly", rename_all = "camelCase")]
struct ReadOnly {
    store: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::NotSupported", rename_all = "camelCase")]
struct NotSupported {
    operation: String,
    store: String,
}

#[derive(Serialize)]
#[serde(remote = "wire::Locked", rename_all = "camelCase")]
struct Locked {
    #[serde(serialize_with = "write_number")]
    waited_ms: u64,
}

#[derive(Serialize)]
#[serde(remote = "wire::StorageFull")]
struct StorageFull {}

#[derive(Serialize)]
#[serde(remote = "wire::Corrupt")]
struct Corrupt {}

#[derive(Serialize)]
#[serde(remote = "wire::Internal", rename_all = "camelCase")]
struct Internal {
    outcome_unknown: bool,
}
