//! Entries, damaged records, and the size of a stream.

use std::fmt::Write;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ledger_streams::{Damaged, Entry, EntryId, Stat, Timestamp};

use super::time::{into_time, timestamp};
use super::{MalformedAnswer, answered_id};
use crate::proto;
use crate::vocabulary::fixed_text;

/// Room that is taken for an id, and at most for many at once, in bytes.
const ID_BYTES: usize = 20;
const MAX_IDS_BYTES: usize = 4 << 10;

/// Makes messages of entries; those that it makes one after the other share names and memory.
#[derive(Debug)]
pub struct EntryMessages {
    stream: Arc<str>,
    stream_bytes: Bytes,
    ids: BytesMut,
}

impl EntryMessages {
    /// For about so many entries.
    pub fn new(entries: usize) -> Self {
        let room = entries.saturating_mul(ID_BYTES).min(MAX_IDS_BYTES);
        Self { stream: "".into(), stream_bytes: Bytes::new(), ids: BytesMut::with_capacity(room) }
    }

    /// The message for an entry.
    pub fn message<Id: EntryId>(&mut self, entry: Entry<Id, Bytes>) -> proto::Entry {
        proto::Entry {
            id: self.id(&entry.id),
            stream: self.shared(entry.stream),
            payload: entry.payload,
            order_key: entry.order_key,
            dedup_key: entry.dedup_key,
            schema_version: entry.schema_version,
            metadata: entry.metadata,
            tags: entry.tags,
            annotations: entry.annotations,
            created_at: Some(timestamp(entry.created_at)),
            updated_at: entry.updated_at.map(timestamp),
            source_id: entry.source_id,
        }
    }

    fn id<Id: EntryId>(&mut self, id: &Id) -> Bytes {
        // Memory takes every text.
        let _ = write!(self.ids, "{id}");
        self.ids.split().freeze()
    }

    fn shared(&mut self, stream: Arc<str>) -> Bytes {
        if self.stream != stream {
            self.stream_bytes = Bytes::copy_from_slice(stream.as_bytes());
            self.stream = stream;
        }
        self.stream_bytes.clone()
    }
}

/// The id of a message that was made here.
pub(super) fn id_text(entry: &proto::Entry) -> String {
    String::from_utf8_lossy(&entry.id).into_owned()
}

/// A text in a message whose type cannot say that it is one.
fn text<'a>(what: &'static str, bytes: &'a Bytes) -> Result<&'a str, MalformedAnswer> {
    std::str::from_utf8(bytes).map_err(|error| MalformedAnswer { what, reason: error.to_string() })
}

/// The entry in a message. `last_stream` is the name of the entry before it, which it shares if it is the same.
///
/// # Errors
/// [`MalformedAnswer`] if its id is of another type or a time is missing or none.
pub fn into_entry<Id: EntryId>(
    message: proto::Entry,
    last_stream: &mut Arc<str>,
) -> Result<Entry<Id, Bytes>, MalformedAnswer> {
    Ok(Entry {
        id: answered_id(text("an id", &message.id)?)?,
        stream: shared(last_stream, text("a stream", &message.stream)?),
        payload: message.payload,
        order_key: message.order_key,
        dedup_key: message.dedup_key,
        schema_version: message.schema_version,
        metadata: message.metadata,
        tags: message.tags,
        annotations: message.annotations,
        source_id: message.source_id,
        created_at: answered_time(message.created_at.unwrap_or_default())?,
        updated_at: message.updated_at.map(answered_time).transpose()?,
    })
}

fn shared(last: &mut Arc<str>, stream: &str) -> Arc<str> {
    if &**last != stream {
        *last = stream.into();
    }
    last.clone()
}

fn answered_time(message: prost_types::Timestamp) -> Result<Timestamp, MalformedAnswer> {
    into_time(message).ok_or_else(|| MalformedAnswer {
        what: "a time",
        reason: format!("{} seconds and {} nanoseconds are none", message.seconds, message.nanos),
    })
}

/// The message for a damaged record.
pub fn damaged<Id: EntryId>(record: Damaged<Id>) -> proto::DamagedEntry {
    proto::DamagedEntry {
        id: record.id.to_string(),
        stream: record.stream.to_string(),
        field: record.field.to_owned(),
        reason: record.reason,
    }
}

/// The damaged record in a message.
///
/// # Errors
/// [`MalformedAnswer`] if its id is of another type.
pub fn into_damaged<Id: EntryId>(message: proto::DamagedEntry) -> Result<Damaged<Id>, MalformedAnswer> {
    Ok(Damaged {
        id: answered_id(&message.id)?,
        stream: message.stream.into(),
        field: fixed_text(&message.field, "a field"),
        reason: message.reason,
    })
}

/// The message for the size of a stream.
pub fn stat<Id: EntryId>(stat: Stat<Id>) -> proto::StatResponse {
    let text = |id: Option<Id>| id.map_or_else(String::new, |id| id.to_string());
    proto::StatResponse {
        stream: stat.stream,
        count: i64::try_from(stat.count).unwrap_or(i64::MAX),
        first_id: text(stat.first_id),
        last_id: text(stat.last_id),
    }
}

/// The size of a stream in a message. The original answers `0` as the ids of a stream that has none (specification
/// §5.4).
///
/// # Errors
/// [`MalformedAnswer`] if an id is of another type or the count is negative.
pub fn into_stat<Id: EntryId>(message: proto::StatResponse) -> Result<Stat<Id>, MalformedAnswer> {
    let id = |text: &str| if message.count == 0 { Ok(None) } else { answered_id(text).map(Some) };
    Ok(Stat {
        count: u64::try_from(message.count)
            .map_err(|_| MalformedAnswer { what: "a count", reason: format!("it is {}", message.count) })?,
        first_id: id(&message.first_id)?,
        last_id: id(&message.last_id)?,
        stream: message.stream,
    })
}
