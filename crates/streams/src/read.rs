//! What to read, and the page that comes back.

use std::iter;
use std::ops::Deref;

use jiff::Timestamp;

use crate::limits::{DEFAULT_PAGE_ENTRIES, MAX_PAGE_BYTES};
use crate::{Damaged, Entry, EntryId};

/// Direction of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first; a cursor then means "older than".
    Descending,
}

/// A page to read: where, how many, which.
///
/// ```
/// use ledger_streams::Read;
/// let read: Read<i64> = Read::new().after(41).limit(20).tag("paid").metadata("env", "prod").descending();
/// assert_eq!(read.limit, 20);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Read<Id> {
    /// Exclusive cursor; need not be the id of an existing entry.
    pub after: Option<Id>,
    /// Largest number of entries in the page, at most [`MAX_PAGE_ENTRIES`](crate::limits::MAX_PAGE_ENTRIES).
    pub limit: usize,
    /// The page is cut before its payloads pass this many bytes, at most
    /// [`MAX_PAGE_BYTES`](crate::limits::MAX_PAGE_BYTES); it always holds at least one entry.
    pub max_bytes: usize,
    /// Direction.
    pub order: Order,
    /// Which entries.
    pub filter: Filter,
}

/// Conditions on entries; all must hold. The default lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Equal ordering key; empty means any.
    pub order_key: String,
    /// Tags that must all be present.
    pub tags: Vec<String>,
    /// Metadata pairs that must all be present.
    pub metadata: Vec<(String, String)>,
    /// Annotation pairs that must all be present.
    pub annotations: Vec<(String, String)>,
    /// Appended at this time or later.
    pub since: Option<Timestamp>,
    /// Appended before this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether an entry meets every condition.
    pub fn matches<Id, P>(&self, entry: &Entry<Id, P>) -> bool {
        (self.order_key.is_empty() || entry.order_key == self.order_key)
            && self.tags.iter().all(|tag| entry.tags.contains(tag))
            && self.metadata.iter().all(|(key, value)| entry.metadata.get(key) == Some(value))
            && self.annotations.iter().all(|(key, value)| entry.annotations.get(key) == Some(value))
            && self.since.is_none_or(|since| entry.created_at >= since)
            && self.until.is_none_or(|until| entry.created_at < until)
    }
}

impl<Id> Default for Read<Id> {
    fn default() -> Self {
        Self {
            after: None,
            limit: DEFAULT_PAGE_ENTRIES,
            max_bytes: MAX_PAGE_BYTES,
            order: Order::Ascending,
            filter: Filter::default(),
        }
    }
}

impl<Id> Read<Id> {
    /// The first 100 entries, oldest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues behind this id.
    #[must_use]
    pub fn after(mut self, id: Id) -> Self {
        self.after = Some(id);
        self
    }

    /// Sets the number of entries; 0 keeps the default of 100.
    #[must_use]
    pub fn limit(mut self, entries: usize) -> Self {
        self.limit = if entries == 0 { DEFAULT_PAGE_ENTRIES } else { entries };
        self
    }

    /// Sets the payload bytes after which the page is cut.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Newest first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }

    /// Only entries with this ordering key; an empty key means any.
    #[must_use]
    pub fn order_key(mut self, key: impl Into<String>) -> Self {
        self.filter.order_key = key.into();
        self
    }

    /// Only entries with this tag; may be repeated, then all are needed. An empty tag means any.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if !tag.is_empty() {
            self.filter.tags.push(tag);
        }
        self
    }

    /// Only entries with all these tags.
    #[must_use]
    pub fn all_tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.filter.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Only entries whose metadata holds this pair; may be repeated.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.filter.metadata.push((key.into(), value.into()));
        self
    }

    /// Only entries whose annotations hold this pair; may be repeated.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.filter.annotations.push((key.into(), value.into()));
        self
    }

    /// Only entries appended at this time or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.filter.since = Some(time);
        self
    }

    /// Only entries appended before this time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.filter.until = Some(time);
        self
    }
}

/// Entries in reading order, and where to go on. Dereferences to the entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<Id: std::fmt::Display, P> {
    /// What was found.
    pub entries: Vec<Entry<Id, P>>,
    /// Records in the range of this page that could not be understood.
    pub damaged: Vec<Damaged<Id>>,
    /// Cursor of the last record of this page, damaged or not; `None` if the page is empty.
    pub next: Option<Id>,
    /// Whether the page was cut by its limits, so that there may be more behind it.
    pub more: bool,
}

impl<Id: std::fmt::Display, P> Page<Id, P> {
    /// A page with nothing in it.
    pub fn empty() -> Self {
        Self { entries: Vec::new(), damaged: Vec::new(), next: None, more: false }
    }

    /// Whether the page covers no record at all, not even a damaged one.
    pub fn is_end(&self) -> bool {
        self.next.is_none()
    }
}

impl<Id: EntryId, P> Page<Id, P> {
    /// Entries and damaged records together, in the order of the read that made the page.
    pub fn into_records(self, order: Order) -> impl Iterator<Item = Result<Entry<Id, P>, Damaged<Id>>> {
        let (mut entries, mut damaged) = (self.entries.into_iter(), self.damaged.into_iter());
        iter::from_fn(move || {
            let damaged_is_next = match (damaged.as_slice().first(), entries.as_slice().first()) {
                (Some(record), Some(entry)) => comes_before(&record.id, &entry.id, order),
                (record, _) => record.is_some(),
            };
            if damaged_is_next { damaged.next().map(Err) } else { entries.next().map(Ok) }
        })
    }
}

fn comes_before<Id: EntryId>(left: &Id, right: &Id, order: Order) -> bool {
    match order {
        Order::Ascending => right.is_behind(left),
        Order::Descending => left.is_behind(right),
    }
}

impl<Id: std::fmt::Display, P> Deref for Page<Id, P> {
    type Target = [Entry<Id, P>];
    fn deref(&self) -> &[Entry<Id, P>] {
        &self.entries
    }
}

impl<Id: std::fmt::Display, P> IntoIterator for Page<Id, P> {
    type Item = Entry<Id, P>;
    type IntoIter = std::vec::IntoIter<Entry<Id, P>>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, Id: std::fmt::Display, P> IntoIterator for &'a Page<Id, P> {
    type Item = &'a Entry<Id, P>;
    type IntoIter = std::slice::Iter<'a, Entry<Id, P>>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_records_stand_where_they_were_read() {
        let entry = |id: i64| Entry {
            id,
            stream: "s".into(),
            payload: (),
            order_key: String::new(),
            dedup_key: String::new(),
            schema_version: 1,
            metadata: Default::default(),
            tags: Vec::new(),
            annotations: Default::default(),
            source_id: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: None,
        };
        let damaged =
            |id: i64| Damaged { id, stream: "s".into(), field: "tags", reason: "broken".to_owned() };
        let ids = |entries: [i64; 3], bad: [i64; 3], order| {
            let (entries, damaged) = (entries.map(entry).into(), bad.map(damaged).into());
            let records = Page { entries, damaged, next: None, more: false }.into_records(order);
            let id = |record: Result<Entry<i64, ()>, Damaged<i64>>| match record {
                Ok(entry) => (entry.id, true),
                Err(damaged) => (damaged.id, false),
            };
            records.map(id).collect::<Vec<_>>()
        };
        let mut rising = vec![(1, false), (2, true), (9, true), (10, false), (11, false), (100, true)];
        assert_eq!(ids([2, 9, 100], [1, 10, 11], Order::Ascending), rising);
        rising.reverse();
        assert_eq!(ids([100, 9, 2], [11, 10, 1], Order::Descending), rising);
    }
}
