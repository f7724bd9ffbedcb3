//! What goes into an append and what comes out of it.

use std::collections::BTreeMap;
use std::ops::Deref;

use jiff::Timestamp;

use crate::Durability;

/// One entry to be appended: a payload and the attributes that travel with it.
///
/// ```
/// use ledger_streams::Append;
/// let input = Append::new("payload").order_key("customer-1").dedup_key("req-77").tag("new").metadata("env", "prod");
/// assert_eq!(input.tags, ["new"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Append<P> {
    /// The payload; a typed stream encodes it with its codec.
    pub payload: P,
    /// Groups entries for filtering; empty means none.
    pub order_key: String,
    /// Makes retries harmless: a second entry with the same key in the same stream is not written. Empty means none.
    pub dedup_key: String,
    /// Version of the payload's shape. A typed stream stamps its own; 1 otherwise.
    pub schema_version: i64,
    /// Fixed facts about the entry.
    pub metadata: BTreeMap<String, String>,
    /// Labels; order and repetition are kept, and [`set_tags`](crate::Store::set_tags) can replace them later.
    pub tags: Vec<String>,
    /// Where a copied entry comes from; only replication and import set it.
    pub origin: Option<Box<Origin>>,
}

/// What an entry brings along when it is a copy of an entry that exists elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// Identity at the source, unique in the store; a second append of it to the same stream is a duplicate. Empty means none.
    pub source_id: String,
    /// Annotations at the source.
    pub annotations: BTreeMap<String, String>,
    /// Time of the first append; the store's clock if absent.
    pub created_at: Option<Timestamp>,
    /// Time of the last change of tags or annotations.
    pub updated_at: Option<Timestamp>,
}

impl<P> Append<P> {
    /// An entry with this payload and nothing else.
    pub fn new(payload: P) -> Self {
        Self {
            payload,
            order_key: String::new(),
            dedup_key: String::new(),
            schema_version: 1,
            metadata: BTreeMap::new(),
            tags: Vec::new(),
            origin: None,
        }
    }

    /// Sets the ordering key.
    #[must_use]
    pub fn order_key(mut self, key: impl Into<String>) -> Self {
        self.order_key = key.into();
        self
    }

    /// Sets the deduplication key.
    #[must_use]
    pub fn dedup_key(mut self, key: impl Into<String>) -> Self {
        self.dedup_key = key.into();
        self
    }

    /// Sets the schema version; a typed stream overrides it with its own.
    #[must_use]
    pub fn schema_version(mut self, version: i64) -> Self {
        self.schema_version = version;
        self
    }

    /// Adds one metadata pair; the last value of a key wins.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds one tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Marks the entry as a copy.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(Box::new(origin));
        self
    }

    /// The identity at the source, empty if this is not a copy.
    pub fn source_id(&self) -> &str {
        self.origin.as_deref().map_or("", |origin| &origin.source_id)
    }

    /// The same entry with its payload turned into something else.
    pub fn try_map<Q, E>(self, encode: impl FnOnce(P) -> Result<Q, E>) -> Result<Append<Q>, E> {
        Ok(Append {
            payload: encode(self.payload)?,
            order_key: self.order_key,
            dedup_key: self.dedup_key,
            schema_version: self.schema_version,
            metadata: self.metadata,
            tags: self.tags,
            origin: self.origin,
        })
    }
}

/// What must be true of a stream for an append to take place (optimistic concurrency).
///
/// A retry whose dedup keys are all known is answered as the duplicate that it is, whatever it expects: its first
/// try moved the stream on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expect<Id> {
    /// Nothing: append at the end.
    #[default]
    Any,
    /// The stream has no entries (never had any, or all were trimmed).
    Empty,
    /// The last entry of the stream has this id.
    LastId(Id),
}

/// The acknowledgement of an append. Dereferences to the ids that were written, in input order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended<Id> {
    /// Ids of the entries that this call wrote, in input order; duplicates are left out.
    pub ids: Vec<Id>,
    /// Inputs that were not written because their key was known, in input order.
    pub duplicates: Vec<Duplicate<Id>>,
    /// How safe the written entries are.
    pub durability: Durability,
}

/// An input that was skipped because its dedup key (or source id) was already in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate<Id> {
    /// Position in the input, from 0.
    pub index: usize,
    /// The entry that holds the dedup key or, if none does, the source id.
    pub id: Id,
}

impl<Id> Appended<Id> {
    /// The acknowledgement of an append of nothing.
    pub fn nothing(durability: Durability) -> Self {
        Self { ids: Vec::new(), duplicates: Vec::new(), durability }
    }
}

impl<Id> Deref for Appended<Id> {
    type Target = [Id];
    fn deref(&self) -> &[Id] {
        &self.ids
    }
}
