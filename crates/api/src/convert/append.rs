//! Appends, their acknowledgements, and changes of annotations.

use bytes::Bytes;
use ledger_streams::{
    AnnotationChanges, Append, Appended, Duplicate, Durability, EntryId, Expect, Origin, Timestamp,
};

use super::time::{into_time, timestamp};
use super::{MalformedAnswer, answered_id, wire_count};
use crate::proto;
use crate::proto::append_request::Expect as WireExpect;
use crate::status::RequestError;

/// The message for an append.
pub fn append_request<Id: EntryId>(
    stream: &str,
    entries: Vec<Append<Bytes>>,
    expect: &Expect<Id>,
) -> proto::AppendRequest {
    let expect = match expect {
        Expect::Any => None,
        Expect::Empty => Some(WireExpect::ExpectEmpty(true)),
        Expect::LastId(id) => Some(WireExpect::ExpectLastId(id.to_string())),
    };
    let entries = entries.into_iter().map(entry_input).collect();
    proto::AppendRequest { stream: stream.to_owned(), entries, expect }
}

fn entry_input(input: Append<Bytes>) -> proto::EntryInput {
    let origin = input.origin.map(|origin| *origin).unwrap_or_default();
    proto::EntryInput {
        payload: input.payload,
        order_key: input.order_key,
        dedup_key: input.dedup_key,
        schema_version: input.schema_version,
        metadata: input.metadata,
        tags: input.tags,
        annotations: origin.annotations,
        source_id: origin.source_id,
        created_at: origin.created_at.map(timestamp),
        updated_at: origin.updated_at.map(timestamp),
    }
}

/// The append in a message: stream, entries and expectation. `exact` says that the caller has forgotten no field
/// ([`is_exact`](crate::metadata::is_exact)); otherwise version 0 means 1.
///
/// # Errors
/// [`RequestError::InvalidTime`] and [`RequestError::InvalidCursor`].
#[allow(clippy::type_complexity, reason = "the arguments of Store::append")]
pub fn into_append<Id: EntryId>(
    message: proto::AppendRequest,
    exact: bool,
) -> Result<(String, Vec<Append<Bytes>>, Expect<Id>), RequestError> {
    let expect = match message.expect {
        None | Some(WireExpect::ExpectEmpty(false)) => Expect::Any,
        Some(WireExpect::ExpectEmpty(true)) => Expect::Empty,
        Some(WireExpect::ExpectLastId(id)) => Expect::LastId(Id::parse(&id)?),
    };
    let entries =
        message.entries.into_iter().map(|input| into_input(input, exact)).collect::<Result<_, _>>()?;
    Ok((message.stream, entries, expect))
}

fn into_input(message: proto::EntryInput, exact: bool) -> Result<Append<Bytes>, RequestError> {
    let origin = Origin {
        source_id: message.source_id,
        annotations: message.annotations,
        created_at: optional_time("created_at", message.created_at)?,
        updated_at: optional_time("updated_at", message.updated_at)?,
    };
    let origin = (origin != Origin::default()).then(|| Box::new(origin));
    // Clients of the original do not send a version; its 0 kept their entries from ever being upcast.
    let unset = message.schema_version == 0 && !exact;
    Ok(Append {
        payload: message.payload,
        order_key: message.order_key,
        dedup_key: message.dedup_key,
        schema_version: if unset { 1 } else { message.schema_version },
        metadata: message.metadata,
        tags: message.tags,
        origin,
    })
}

/// A time in a request, if it is set.
pub(super) fn optional_time(
    field: &'static str,
    message: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, RequestError> {
    message.map(|message| into_time(message).ok_or(RequestError::InvalidTime { field })).transpose()
}

/// The message for an acknowledgement.
pub fn appended<Id: EntryId>(answer: &Appended<Id>) -> proto::AppendResponse {
    let duplicates = answer.duplicates.iter();
    proto::AppendResponse {
        ids: answer.ids.iter().map(Id::to_string).collect(),
        duplicates: duplicates
            .map(|duplicate| proto::Duplicate {
                index: wire_count(duplicate.index),
                id: duplicate.id.to_string(),
            })
            .collect(),
        durability: match answer.durability {
            Durability::Memory => proto::Durability::Memory,
            Durability::Os => proto::Durability::Os,
            Durability::Synced => proto::Durability::Synced,
            Durability::Replicated => proto::Durability::Replicated,
        }
        .into(),
    }
}

/// The acknowledgement in a message. A daemon that does not name the durability is the original, which promises what
/// its database does by default: [`Durability::Synced`]. It does not name duplicates either.
///
/// # Errors
/// [`MalformedAnswer`] if an id is of another type.
pub fn into_appended<Id: EntryId>(message: proto::AppendResponse) -> Result<Appended<Id>, MalformedAnswer> {
    let durability = match message.durability() {
        proto::Durability::Memory => Durability::Memory,
        proto::Durability::Os => Durability::Os,
        proto::Durability::Synced | proto::Durability::Unspecified => Durability::Synced,
        proto::Durability::Replicated => Durability::Replicated,
    };
    let into_duplicate = |duplicate: proto::Duplicate| {
        let index = usize::try_from(duplicate.index).map_err(|_| MalformedAnswer {
            what: "a position",
            reason: format!("it is {}", duplicate.index),
        })?;
        Ok(Duplicate { index, id: answered_id(&duplicate.id)? })
    };
    Ok(Appended {
        ids: message.ids.iter().map(|id| answered_id(id)).collect::<Result<_, _>>()?,
        duplicates: message.duplicates.into_iter().map(into_duplicate).collect::<Result<_, _>>()?,
        durability,
    })
}

/// The changes in a message; where a key is both set and deleted, deleting wins (specification §5.4).
pub fn annotation_changes(message: proto::SetAnnotationsRequest) -> AnnotationChanges {
    let set = message.set.into_iter();
    let changes = set.fold(AnnotationChanges::new(), |changes, (key, value)| changes.set(key, value));
    message.delete.into_iter().fold(changes, AnnotationChanges::delete)
}
