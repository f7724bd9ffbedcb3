//! Errors of a store as gRPC statuses, and back.
//!
//! | error | code | message |
//! |---|---|---|
//! | `Closed` | `UNAVAILABLE` | `store closed` |
//! | `InvalidCursor`, `InvalidStoreName`, `InvalidText`, `LimitExceeded` | `INVALID_ARGUMENT` | that of the error |
//! | `EntryNotFound` | `NOT_FOUND` | `entry not found` |
//! | `StreamNotFound` | `NOT_FOUND` | that of the error |
//! | `StreamExists`, `SourceTaken` | `ALREADY_EXISTS` | that of the error |
//! | `Conflict` | `ABORTED` | that of the error |
//! | `ReadOnly` | `FAILED_PRECONDITION` | `stream is read-only` |
//! | `NotSupported` | `UNIMPLEMENTED` | `operation not supported by this backend` |
//! | `Locked` | `UNAVAILABLE` | without the path of the database |
//! | `StorageFull` | `RESOURCE_EXHAUSTED` | without the path of the database |
//! | `Corrupt` | `DATA_LOSS` | without the words of the database |
//! | `Backend` | `INTERNAL` | without the words of the database |
//!
//! Codes and fixed texts of what the original knows are its own (specification §5.5). The facts travel beside the
//! message as an [`ErrorDetail`] in the metadata `ledger-error-bin`, so that a client has the typed error again. Paths
//! and words of a database never leave the daemon; it has to log the error before it turns it into a status.

use ledger_streams::{
    Backend, Conflict, Corrupt, EntryNotFound, InvalidCursor, InvalidStoreName, InvalidText, LimitExceeded,
    Locked, NotSupported, ReadOnly, SourceTaken, StorageFull, StoreClosed, StoreError, StreamExists,
    StreamNotFound,
};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::metadata::ERROR_DETAIL;
use crate::proto::{AppendError, ErrorDetail, error_detail as wire};
use crate::vocabulary::fixed_text;

/// Longest text in a detail, and longest message of a status, in bytes: both travel in headers, which peers bound.
const MAX_TEXT_BYTES: usize = 1024;

/// What is wrong with a request before any store is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The metadata names no store.
    #[error("missing x-ledger-store metadata header")]
    NoStore,
    /// A field that is needed is empty.
    #[error("{field} must not be empty")]
    Empty {
        /// Its name, or the names of several.
        field: &'static str,
    },
    /// A time is none, or is too far away.
    #[error("{field} is not a time between the years -9999 and 9999")]
    InvalidTime {
        /// Its name.
        field: &'static str,
    },
    /// A number of an enumeration that has no meaning.
    #[error("{field} has no value {number}")]
    UnknownValue {
        /// Its name.
        field: &'static str,
        /// What was given.
        number: i32,
    },
    /// An id has the wrong form.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
}

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::InvalidCursor(error) => to_status(&error.into()),
            error => Self::invalid_argument(error.to_string()),
        }
    }
}

/// The status for an error of a store.
pub fn to_status(error: &StoreError) -> Status {
    let mut metadata = MetadataMap::new();
    let detail = MetadataValue::from_bytes(&detail_of(error).encode_to_vec());
    metadata.insert_bin(ERROR_DETAIL, detail);
    Status::with_metadata(code_of(error), message_of(error), metadata)
}

/// The answer of an append session to an append that failed.
pub fn to_append_error(error: &StoreError) -> AppendError {
    AppendError { code: code_of(error).into(), message: message_of(error), detail: Some(detail_of(error)) }
}

/// The answer of an append session to a request that no store was asked about.
pub fn request_to_append_error(error: RequestError) -> AppendError {
    match error {
        RequestError::InvalidCursor(error) => to_append_error(&error.into()),
        error => AppendError { code: Code::InvalidArgument.into(), message: error.to_string(), detail: None },
    }
}

fn code_of(error: &StoreError) -> Code {
    match error {
        StoreError::Closed(_) | StoreError::Locked(_) => Code::Unavailable,
        StoreError::InvalidCursor(_)
        | StoreError::InvalidStoreName(_)
        | StoreError::InvalidText(_)
        | StoreError::LimitExceeded(_) => Code::InvalidArgument,
        StoreError::EntryNotFound(_) | StoreError::StreamNotFound(_) => Code::NotFound,
        StoreError::StreamExists(_) | StoreError::SourceTaken(_) => Code::AlreadyExists,
        StoreError::Conflict(_) => Code::Aborted,
        StoreError::ReadOnly(_) => Code::FailedPrecondition,
        StoreError::NotSupported(_) => Code::Unimplemented,
        StoreError::StorageFull(_) => Code::ResourceExhausted,
        StoreError::Corrupt(_) => Code::DataLoss,
        _ => Code::Internal,
    }
}

fn message_of(error: &StoreError) -> String {
    let text = match error {
        StoreError::Closed(_) => "store closed",
        StoreError::EntryNotFound(_) => "entry not found",
        StoreError::ReadOnly(_) => "stream is read-only",
        StoreError::NotSupported(_) => "operation not supported by this backend",
        StoreError::Locked(_) => "database locked by another program: nothing was written; try again",
        StoreError::StorageFull(_) => "no room left for the database: nothing was written",
        StoreError::Corrupt(_) => "the database is damaged: the log of the daemon says where",
        StoreError::Backend(Backend { outcome_unknown: false, .. }) => {
            "internal error: the database failed and nothing was written; the log of the daemon says why"
        }
        StoreError::Backend(_) => {
            "internal error: the database failed and a write may have happened all the same; the log of the daemon \
             says why. Repeat only writes that have dedup keys"
        }
        error => return shortened(&error.to_string()),
    };
    text.to_owned()
}

/// The beginning of a text that fits into a header.
pub fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    const MARK: &str = "…";
    let room = MAX_TEXT_BYTES.saturating_sub(MARK.len());
    let kept =
        text.char_indices().take_while(|(at, character)| at.saturating_add(character.len_utf8()) <= room);
    kept.map(|(_, character)| character).chain(MARK.chars()).collect()
}

fn detail_of(error: &StoreError) -> ErrorDetail {
    use wire::Fact;
    let cut = |text: &String| shortened(text);
    let fact = match error {
        StoreError::Closed(facts) => Fact::Closed(wire::Closed { store: cut(&facts.store) }),
        StoreError::InvalidCursor(facts) => Fact::InvalidCursor(wire::InvalidCursor {
            text: cut(&facts.text),
            expected: facts.expected.to_owned(),
        }),
        StoreError::InvalidStoreName(facts) => Fact::InvalidStoreName(wire::InvalidStoreName {
            name: cut(&facts.name),
            reason: facts.reason.to_owned(),
        }),
        StoreError::InvalidText(facts) => {
            Fact::InvalidText(wire::InvalidText { what: facts.what.to_owned(), at: facts.at as u64 })
        }
        StoreError::LimitExceeded(facts) => Fact::LimitExceeded(wire::LimitExceeded {
            what: facts.what.to_owned(),
            limit: facts.limit as u64,
            actual: facts.actual as u64,
        }),
        StoreError::EntryNotFound(facts) => Fact::EntryNotFound(wire::EntryNotFound {
            id: cut(&facts.id),
            stream: cut(&facts.stream),
            store: cut(&facts.store),
        }),
        StoreError::StreamNotFound(facts) => Fact::StreamNotFound(wire::StreamNotFound {
            stream: cut(&facts.stream),
            store: cut(&facts.store),
        }),
        StoreError::StreamExists(facts) => {
            Fact::StreamExists(wire::StreamExists { stream: cut(&facts.stream), store: cut(&facts.store) })
        }
        StoreError::Conflict(facts) => Fact::Conflict(wire::Conflict {
            stream: cut(&facts.stream),
            expected_last_id: facts.expected_last_id.as_ref().map(cut),
            actual_last_id: facts.actual_last_id.as_ref().map(cut),
        }),
        StoreError::SourceTaken(facts) => Fact::SourceTaken(wire::SourceTaken {
            source_id: cut(&facts.source_id),
            taken_by: cut(&facts.taken_by),
        }),
        // The database of a read-only store may be named by its path.
        StoreError::ReadOnly(_) => Fact::ReadOnly(wire::ReadOnly { store: String::new() }),
        StoreError::NotSupported(facts) => Fact::NotSupported(wire::NotSupported {
            operation: facts.operation.to_owned(),
            store: cut(&facts.store),
        }),
        StoreError::Locked(facts) => Fact::Locked(wire::Locked { waited_ms: facts.waited_ms }),
        StoreError::StorageFull(_) => Fact::StorageFull(wire::StorageFull {}),
        StoreError::Corrupt(_) => Fact::Corrupt(wire::Corrupt {}),
        StoreError::Backend(facts) => {
            Fact::Internal(wire::Internal { outcome_unknown: facts.outcome_unknown })
        }
        _ => Fact::Internal(wire::Internal { outcome_unknown: true }),
    };
    ErrorDetail { fact: Some(fact) }
}

/// The status that an append of a session would have ended with on its own.
pub fn from_append_error(error: AppendError) -> Status {
    let mut metadata = MetadataMap::new();
    if let Some(detail) = error.detail {
        metadata.insert_bin(ERROR_DETAIL, MetadataValue::from_bytes(&detail.encode_to_vec()));
    }
    Status::with_metadata(Code::from(error.code), error.message, metadata)
}

/// The facts that a status carries, if it does.
pub fn detail_in(status: &Status) -> Option<ErrorDetail> {
    let encoded = status.metadata().get_bin(ERROR_DETAIL)?.to_bytes().ok()?;
    ErrorDetail::decode(encoded).ok()
}

/// The error of a store that a detail was made of; `None` for facts of a later version.
///
/// `store` is the name of the store, `database` what errors call its database.
pub fn from_detail(detail: ErrorDetail, store: &str, database: &str) -> Option<StoreError> {
    use wire::Fact;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let database = || database.to_owned();
    Some(match detail.fact? {
        Fact::Closed(facts) => StoreClosed { store: facts.store }.into(),
        Fact::InvalidCursor(facts) => {
            let expected = fixed_text(&facts.expected, "an id");
            InvalidCursor { text: facts.text, expected }.into()
        }
        Fact::InvalidStoreName(facts) => {
            let reason = fixed_text(&facts.reason, "it breaks the rules of the daemon");
            InvalidStoreName { name: facts.name, reason }.into()
        }
        Fact::InvalidText(facts) => {
            InvalidText { what: fixed_text(&facts.what, "text"), at: count(facts.at) }.into()
        }
        Fact::LimitExceeded(facts) => LimitExceeded {
            what: fixed_text(&facts.what, "an input"),
            limit: count(facts.limit),
            actual: count(facts.actual),
        }
        .into(),
        Fact::EntryNotFound(facts) => {
            EntryNotFound { id: facts.id, stream: facts.stream, store: facts.store }.into()
        }
        Fact::StreamNotFound(facts) => StreamNotFound { stream: facts.stream, store: facts.store }.into(),
        Fact::StreamExists(facts) => StreamExists { stream: facts.stream, store: facts.store }.into(),
        Fact::Conflict(facts) => Conflict {
            stream: facts.stream,
            expected_last_id: facts.expected_last_id,
            actual_last_id: facts.actual_last_id,
        }
        .into(),
        Fact::SourceTaken(facts) => {
            SourceTaken { source_id: facts.source_id, taken_by: facts.taken_by }.into()
        }
        Fact::ReadOnly(_) => ReadOnly { store: store.to_owned() }.into(),
        Fact::NotSupported(facts) => {
            let operation = fixed_text(&facts.operation, "the operation");
            NotSupported { operation, store: facts.store }.into()
        }
        Fact::Locked(facts) => Locked { database: database(), waited_ms: facts.waited_ms }.into(),
        Fact::StorageFull(_) => StorageFull { database: database() }.into(),
        Fact::Corrupt(_) => {
            Corrupt { database: database(), detail: "the log of the daemon says where".to_owned() }.into()
        }
        Fact::Internal(facts) => Backend {
            backend: "daemon",
            step: format!("operation on {}", database()),
            advice: "the database failed; the log of the daemon says why".to_owned(),
            outcome_unknown: facts.outcome_unknown,
            source: None,
        }
        .into(),
    })
}

#[cfg(test)]
mod tests;
