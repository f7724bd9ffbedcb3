//! What every backend does.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Append, Appended, Capabilities, Expect, InvalidCursor, Page, Read, StoreError, cursor_is_ahead};

/// One table or collection of entries: the contract that every backend fulfils and
/// [`conformance`](crate::conformance) checks.
///
/// Usable as a trait object: `Arc<dyn Store<Id = i64, Payload = Bytes>>`. What only some backends can do is found
/// through [`capabilities`](Store::capabilities). Every operation on a closed store fails with [`StoreError::Closed`].
#[async_trait]
pub trait Store: Send + Sync {
    /// Type of entry ids.
    type Id: EntryId;
    /// Type of stored payloads.
    type Payload: Payload;

    /// Name of the table or collection.
    fn name(&self) -> &str;

    /// Appends a batch to a stream, all or nothing, and answers when it is durable at the store's level.
    ///
    /// An empty batch is acknowledged without touching the database, whatever it expects.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the stream is not as expected, [`StoreError::InvalidText`] and
    /// [`StoreError::LimitExceeded`] for input out of bounds (see [`limits`](crate::limits)), [`StoreError::SourceTaken`].
    /// Bad input is named first; where both others apply, which of them is named is up to the store.
    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Self::Payload>>,
        expect: Expect<Self::Id>,
    ) -> Result<Appended<Self::Id>, StoreError>;

    /// Reads one page of a stream. An unknown stream is an empty page.
    async fn read(
        &self,
        stream: &str,
        read: &Read<Self::Id>,
    ) -> Result<Page<Self::Id, Self::Payload>, StoreError>;

    /// Number of entries in a stream; 0 if it is unknown.
    async fn count(&self, stream: &str) -> Result<u64, StoreError>;

    /// Number, first and last id of a stream's entries.
    async fn stat(&self, stream: &str) -> Result<Stat<Self::Id>, StoreError>;

    /// Replaces the tags of an entry; an empty list clears them.
    ///
    /// # Errors
    /// [`StoreError::EntryNotFound`] if the stream has no such entry.
    async fn set_tags(&self, stream: &str, id: &Self::Id, tags: Vec<String>) -> Result<(), StoreError>;

    /// Sets and deletes annotations of an entry; keys that are not mentioned stay. Atomic under concurrency.
    ///
    /// # Errors
    /// [`StoreError::EntryNotFound`] if the stream has no such entry.
    async fn set_annotations(
        &self,
        stream: &str,
        id: &Self::Id,
        changes: AnnotationChanges,
    ) -> Result<(), StoreError>;

    /// Deletes the entries of a stream up to and including this id; answers how many they were.
    async fn trim(&self, stream: &str, up_to: &Self::Id) -> Result<u64, StoreError>;

    /// Names of the streams that have at least one entry, in byte order, behind `after`; a limit of 0 means 100.
    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Closes the store: waits for writes under way, refuses new operations. Closing twice is fine.
    async fn close(&self) -> Result<(), StoreError>;

    /// What else this store can do.
    fn capabilities(&self) -> Capabilities<'_, Self::Id, Self::Payload> {
        Capabilities::default()
    }
}

/// An id of an entry: ordered, and with a text form for cursors on the wire and on the command line.
pub trait EntryId: Clone + Ord + Hash + Debug + Display + Send + Sync + 'static {
    /// Parses the text form (specification §1.3).
    ///
    /// # Errors
    /// [`InvalidCursor`] if the text is not an id of this type.
    fn parse(text: &str) -> Result<Self, InvalidCursor>;

    /// Whether an entry with this id lies behind one with the other id. Not the same as `>` for text ids: those of a
    /// daemon may be numbers, and 10 lies behind 9.
    fn is_behind(&self, other: &Self) -> bool;
}

impl EntryId for i64 {
    fn is_behind(&self, other: &Self) -> bool {
        self > other
    }

    fn parse(text: &str) -> Result<Self, InvalidCursor> {
        text.parse().map_err(|_| InvalidCursor { text: text.to_owned(), expected: "a decimal 64-bit id" })
    }
}

impl EntryId for String {
    fn is_behind(&self, other: &Self) -> bool {
        cursor_is_ahead(self, other)
    }

    fn parse(text: &str) -> Result<Self, InvalidCursor> {
        if text.is_empty() {
            return Err(InvalidCursor { text: String::new(), expected: "an id that is not empty" });
        }
        Ok(text.to_owned())
    }
}

/// A payload as a store keeps it.
pub trait Payload: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// Size for limits, in bytes.
    fn size_bytes(&self) -> usize;
}

impl Payload for Bytes {
    fn size_bytes(&self) -> usize {
        self.len()
    }
}

/// What an acknowledged write survives. Levels are ordered: each survives what the lower ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Nothing: it is in the memory of the process.
    Memory,
    /// The end of the process, by SIGKILL too: the operating system has it.
    Os,
    /// A power cut: it was synced to the disk.
    Synced,
    /// The loss of a machine: a majority of the nodes has synced it.
    Replicated,
}

/// Size and bounds of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat<Id> {
    /// Name of the stream.
    pub stream: String,
    /// Number of entries.
    pub count: u64,
    /// Smallest id, `None` if there are no entries.
    pub first_id: Option<Id>,
    /// Largest id, `None` if there are no entries.
    pub last_id: Option<Id>,
}

/// Changes to the annotations of an entry: per key a new value or its deletion; the last word on a key wins.
///
/// ```
/// use ledger_streams::AnnotationChanges;
/// let changes = AnnotationChanges::new().set("carrier", "UPS").delete("draft");
/// assert_eq!(changes.iter().count(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnotationChanges(BTreeMap<String, Option<String>>);

impl AnnotationChanges {
    /// No changes; applying them still stamps the entry's time of change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(key.into(), Some(value.into()));
        self
    }

    /// Deletes a key; deleting one that does not exist is fine.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.0.insert(key.into(), None);
        self
    }

    /// The changes in key order: the new value, or `None` for a deletion.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// Applies the changes to a set of annotations.
    pub fn apply(self, annotations: &mut BTreeMap<String, String>) {
        for (key, value) in self.0 {
            match value {
                Some(value) => annotations.insert(key, value),
                None => annotations.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{AnnotationChanges, EntryId};

    #[test]
    fn the_last_change_of_a_key_wins() {
        let mut annotations =
            BTreeMap::from([("a".to_owned(), "0".to_owned()), ("kept".to_owned(), "0".to_owned())]);
        let changes =
            AnnotationChanges::new().set("a", "1").delete("a").delete("b").set("b", "2").set("b", "3");
        changes.apply(&mut annotations);
        assert_eq!(annotations, BTreeMap::from([("b".into(), "3".into()), ("kept".into(), "0".into())]));
    }

    #[test]
    fn decimal_ids_are_parsed_and_nothing_else() {
        for (text, id) in
            [("0", 0), ("42", 42), ("0000000000000000042", 42), ("-1", -1), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(i64::parse(text), Ok(id));
        }
        for text in ["", " 1", "1 ", "abc", "1.0", "0x1", "9223372036854775808", "1\0", "１"] {
            let error = i64::parse(text).unwrap_err();
            assert_eq!(error.text, text);
            assert!(
                error.to_string().starts_with("ledger: invalid cursor type: expected a decimal"),
                "{error}"
            );
        }
    }

    #[test]
    fn text_ids_that_are_numbers_lie_behind_each_other_as_numbers() {
        let is_behind = |id: &str, other: &str| id.to_owned().is_behind(&other.to_owned());
        assert!(is_behind("10", "9") && !is_behind("9", "10") && !is_behind("9", "9"));
        assert!(is_behind("ab", "aa") && !is_behind("aa", "ab"));
        assert!(10.is_behind(&9) && !9.is_behind(&9));
    }

    #[test]
    fn any_text_but_the_empty_one_is_a_text_id() {
        assert_eq!(String::parse("68747470"), Ok("68747470".to_owned()));
        assert_eq!(String::parse("").unwrap_err().expected, "an id that is not empty");
    }
}
