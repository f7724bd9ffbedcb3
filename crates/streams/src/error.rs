//! What can go wrong in a store. One small struct per fact, one enum for the family.
//!
//! Texts begin like those of the program that the request describes (specification §2.3), so that log filters keep
//! working; the facts and what to do follow.

/// Why a store operation failed. Nothing was written unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store was closed.
    #[error(transparent)]
    Closed(#[from] StoreClosed),
    /// A cursor or id has the wrong form.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A store name breaks the rules.
    #[error(transparent)]
    InvalidStoreName(#[from] InvalidStoreName),
    /// A stream name, key or tag holds what no backend can keep.
    #[error(transparent)]
    InvalidText(#[from] InvalidText),
    /// An input passes a bound.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// There is no such entry.
    #[error(transparent)]
    EntryNotFound(#[from] EntryNotFound),
    /// There is no such stream.
    #[error(transparent)]
    StreamNotFound(#[from] StreamNotFound),
    /// The new name of a stream is taken.
    #[error(transparent)]
    StreamExists(#[from] StreamExists),
    /// The stream is not as the append expected.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The identity of a copied entry belongs to another stream.
    #[error(transparent)]
    SourceTaken(#[from] SourceTaken),
    /// The store was opened for reading only.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnly),
    /// The backend cannot do this.
    #[error(transparent)]
    NotSupported(#[from] NotSupported),
    /// Another program holds the database.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// There is no room left on the disk.
    #[error(transparent)]
    StorageFull(#[from] StorageFull),
    /// The database is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The database failed in another way.
    #[error(transparent)]
    Backend(#[from] Backend),
}

/// The store was closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: store closed: {store:?}")]
pub struct StoreClosed {
    /// Name of the store.
    pub store: String,
}

/// A text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: invalid cursor type: expected {expected}, got {text:?}")]
pub struct InvalidCursor {
    /// What was given.
    pub text: String,
    /// What an id looks like here.
    pub expected: &'static str,
}

/// A store name breaks the rules of [`StoreName`](crate::StoreName).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: invalid table/collection name: {name:?}: {reason}")]
pub struct InvalidStoreName {
    /// What was given, shortened if it is long.
    pub name: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

/// A text holds a character that not every backend can keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: invalid {what}: the character U+0000 at byte {at} is not allowed")]
pub struct InvalidText {
    /// Which input.
    pub what: &'static str,
    /// Byte offset of the character.
    pub at: usize,
}

/// An input passes a bound of [`limits`](crate::limits).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: {what} is {actual}, over the limit of {limit}")]
pub struct LimitExceeded {
    /// Which input, with its unit.
    pub what: &'static str,
    /// The bound.
    pub limit: usize,
    /// What was given.
    pub actual: usize,
}

/// There is no such entry in the stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: entry not found: id {id} in stream {stream:?} of store {store:?}")]
pub struct EntryNotFound {
    /// The id, as text.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// The store.
    pub store: String,
}

/// There is no such stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: stream not found: {stream:?} in store {store:?}")]
pub struct StreamNotFound {
    /// The stream.
    pub stream: String,
    /// The store.
    pub store: String,
}

/// There is a stream of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: stream already exists: {stream:?} in store {store:?}")]
pub struct StreamExists {
    /// The stream.
    pub stream: String,
    /// The store.
    pub store: String,
}

/// Somebody else appended first. Read on from `actual_last_id` and decide again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ledger: conflict: stream {stream:?} was expected to {}, but {}",
    match expected_last_id { Some(id) => format!("end with entry {id}"), None => "be empty".to_owned() },
    match actual_last_id { Some(id) => format!("its last entry is {id}"), None => "it is empty".to_owned() },
)]
pub struct Conflict {
    /// The stream.
    pub stream: String,
    /// The id that the caller expected, as text; `None` if it expected an empty stream.
    pub expected_last_id: Option<String>,
    /// The id that is there, as text; `None` if the stream is empty. Parse it with [`EntryId::parse`](crate::EntryId::parse).
    pub actual_last_id: Option<String>,
}

/// The source id of a copied entry is used in another stream of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ledger: source id {source_id:?} belongs to stream {taken_by:?}; two sources with the same ids need two stores"
)]
pub struct SourceTaken {
    /// The identity.
    pub source_id: String,
    /// The stream that holds it.
    pub taken_by: String,
}

/// The store was opened for reading only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: stream is read-only: store {store:?} was opened for reading")]
pub struct ReadOnly {
    /// The store.
    pub store: String,
}

/// The backend cannot do this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: operation not supported by this backend: {operation} on store {store:?}")]
pub struct NotSupported {
    /// What was asked for.
    pub operation: &'static str,
    /// The store.
    pub store: String,
}

/// Another program held the database for longer than the store waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ledger: {database} is locked by another program; waited {waited_ms} ms. Nothing was written; try again"
)]
pub struct Locked {
    /// The database.
    pub database: String,
    /// How long the store waited, in milliseconds.
    pub waited_ms: u64,
}

/// There is no room left on the disk, or a quota is used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: no room left for {database}: nothing was written; make room and try again")]
pub struct StorageFull {
    /// The database.
    pub database: String,
}

/// The database is damaged. What lies outside the damaged pages can still be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ledger: {database} is damaged ({detail}): keep a copy of the file, export what can be read and import it into a new one"
)]
pub struct Corrupt {
    /// The database.
    pub database: String,
    /// What the database said.
    pub detail: String,
}

/// The database failed in a way that has no type of its own.
#[derive(Debug, thiserror::Error)]
#[error("ledger/{backend}: {step}: {advice}")]
pub struct Backend {
    /// Which backend: `sqlite`, `postgres`, …
    pub backend: &'static str,
    /// What was being done, and on what.
    pub step: String,
    /// What it means and what to do.
    pub advice: String,
    /// Whether a write may have happened all the same. Repeat it only with dedup keys.
    pub outcome_unknown: bool,
    /// What the database said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
