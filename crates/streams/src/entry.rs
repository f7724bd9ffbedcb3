//! Entries as they are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

/// One record of a stream (specification §1.1). `P` is the stored payload, or the decoded value in a typed stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<Id, P> {
    /// Position in the store; ids of one stream rise but have gaps, because a store numbers all its streams together.
    pub id: Id,
    /// Name of the stream; shared by all entries of a page.
    pub stream: Arc<str>,
    /// The payload.
    pub payload: P,
    /// Ordering key, empty if none.
    pub order_key: String,
    /// Deduplication key, empty if none.
    pub dedup_key: String,
    /// Version of the payload's shape as stored, even if upcasters have brought the payload up to date.
    pub schema_version: i64,
    /// Facts given at append.
    pub metadata: BTreeMap<String, String>,
    /// Labels, in the order given.
    pub tags: Vec<String>,
    /// Notes set after the append.
    pub annotations: BTreeMap<String, String>,
    /// Identity at the source if the entry is a copy, empty otherwise.
    pub source_id: String,
    /// When the entry was appended, by the clock of the store (milliseconds or finer).
    pub created_at: Timestamp,
    /// When tags or annotations were last changed; `None` if never.
    pub updated_at: Option<Timestamp>,
}

impl<Id, P> Entry<Id, P> {
    /// The same entry with its payload turned into something else.
    pub fn try_map<Q, E>(self, decode: impl FnOnce(P) -> Result<Q, E>) -> Result<Entry<Id, Q>, E> {
        Ok(Entry {
            id: self.id,
            stream: self.stream,
            payload: decode(self.payload)?,
            order_key: self.order_key,
            dedup_key: self.dedup_key,
            schema_version: self.schema_version,
            metadata: self.metadata,
            tags: self.tags,
            annotations: self.annotations,
            source_id: self.source_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// A stored record that cannot be understood. It is reported beside the entries of its page instead of failing them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {id} of stream {stream:?} is damaged: {field}: {reason}")]
pub struct Damaged<Id: std::fmt::Display> {
    /// Which record.
    pub id: Id,
    /// In which stream.
    pub stream: Arc<str>,
    /// Which of its fields.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}
