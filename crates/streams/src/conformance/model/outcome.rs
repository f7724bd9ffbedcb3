//! One of the two stores, and its answers in terms that can be compared.

use std::collections::BTreeMap;

use super::super::fixture::{assert_page, rise};
use super::operations::{Copied, Expectation, Item, Operation, Reference, Selection, TIMES};
use crate::{
    AnnotationChanges, Append, Entry, EntryId, Expect, Origin, Page, Read, Store, StoreError, Timestamp,
};

/// An answer; entries are named by the order of their creation.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Done,
    Failed(String),
    Conflict { stream: String, last: Option<usize> },
    SourceTaken { source_id: String, taken_by: String },
    Flag(bool),
    Number(u64),
    Text(Option<String>),
    Names(Vec<String>),
    Found(Option<usize>),
    Appended { written: Vec<usize>, duplicates: Vec<(usize, usize)> },
    Stat { count: u64, first: Option<usize>, last: Option<usize> },
    Page { entries: Vec<Seen>, next: Option<usize>, more: bool, is_full: bool },
}

/// An entry as it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    number: usize,
    stream: String,
    payload: Option<usize>,
    keys: [String; 3],
    schema_version: i64,
    metadata: BTreeMap<String, String>,
    tags: Vec<String>,
    annotations: BTreeMap<String, String>,
    created_at: Time,
    updated_at: Option<Time>,
}

#[derive(Debug, PartialEq)]
enum Time {
    /// Brought along by a copy.
    Given(Timestamp),
    /// By the clock of the store.
    Clock,
}

impl Outcome {
    /// Whether this is an answer that the contract allows where the model gives another one.
    pub(super) fn agrees_with(&self, model: &Self) -> bool {
        match (self, model) {
            // Where both apply, which of them is named is up to the store; nothing is written either way.
            (Self::Conflict { .. }, Self::SourceTaken { .. })
            | (Self::SourceTaken { .. }, Self::Conflict { .. }) => true,
            // A page that is full by number may say that there could be more although there is not.
            (
                Self::Page { entries, next, more: true, is_full: true },
                Self::Page { entries: expected, next: expected_next, .. },
            ) => (entries, next) == (expected, expected_next),
            _ => self == model,
        }
    }
}

/// A store with what is known about it.
pub(super) struct Side<S: Store> {
    store: S,
    payloads: Vec<S::Payload>,
    missing: S::Id,
    /// Ids in the order of creation.
    created: Vec<S::Id>,
}

impl<S: Store> Side<S> {
    pub(super) fn new(store: S, payloads: Vec<S::Payload>, missing: S::Id) -> Self {
        Self { store, payloads, missing, created: Vec::new() }
    }

    pub(super) async fn close(&self) {
        self.store.close().await.expect("close");
    }

    /// Does an operation; a failure is an answer too.
    pub(super) async fn apply(&mut self, operation: &Operation) -> Outcome {
        match self.try_apply(operation).await {
            Ok(outcome) => outcome,
            Err(error) => self.failure(error),
        }
    }

    async fn try_apply(&mut self, operation: &Operation) -> Result<Outcome, StoreError> {
        let store = &self.store;
        let capabilities = store.capabilities();
        match operation {
            Operation::Append { stream, batch, expect } => {
                return self.append(stream, batch, expect).await;
            }
            Operation::Read { stream, selection } => {
                let read = self.read(selection);
                Ok(self.page(store.read(stream, &read).await?, &read))
            }
            Operation::Search { stream, query, selection } => {
                let read = self.read(selection);
                let search = capabilities.search.expect("promised");
                Ok(self.page(search.search(*stream, query, &read).await?, &read))
            }
            Operation::Count { stream } => Ok(Outcome::Number(store.count(stream).await?)),
            Operation::Stat { stream } => {
                let stat = store.stat(stream).await?;
                assert_eq!(stat.stream, *stream);
                let number = |id: Option<S::Id>| id.map(|id| self.number(&id));
                Ok(Outcome::Stat {
                    count: stat.count,
                    first: number(stat.first_id),
                    last: number(stat.last_id),
                })
            }
            Operation::SetTags { stream, entry, tags } => {
                let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
                store.set_tags(stream, &self.entry(entry), tags).await.map(|()| Outcome::Done)
            }
            Operation::SetAnnotations { stream, entry, changes } => {
                let changes =
                    changes.iter().fold(AnnotationChanges::new(), |all, (key, value)| match value {
                        Some(value) => all.set(*key, *value),
                        None => all.delete(*key),
                    });
                store.set_annotations(stream, &self.entry(entry), changes).await.map(|()| Outcome::Done)
            }
            Operation::Trim { stream, up_to } => match self.nth(*up_to) {
                Some(id) => Ok(Outcome::Number(store.trim(stream, &id).await?)),
                None => Ok(Outcome::Done),
            },
            Operation::List { after, limit } => Ok(Outcome::Names(store.list_streams(*after, *limit).await?)),
            Operation::Rename { from, to } => {
                capabilities.rename.expect("promised").rename_stream(from, to).await.map(|()| Outcome::Done)
            }
            Operation::FindBySource { stream, source_id } => {
                let find = capabilities.find_by_source.expect("promised");
                let found = find.find_by_source(stream, source_id).await?;
                Ok(Outcome::Found(found.map(|id| self.number(&id))))
            }
            Operation::SetCursor { name, position } => {
                let cursors = capabilities.cursors.expect("promised");
                Ok(Outcome::Flag(cursors.set_cursor(name, position).await?))
            }
            Operation::GetCursor { name } => {
                Ok(Outcome::Text(capabilities.cursors.expect("promised").get_cursor(name).await?))
            }
        }
    }

    async fn append(
        &mut self,
        stream: &str,
        batch: &[Item],
        expect: &Expectation,
    ) -> Result<Outcome, StoreError> {
        let expect = match expect {
            Expectation::Any => Expect::Any,
            Expectation::Empty => Expect::Empty,
            Expectation::Last(entry) => Expect::LastId(self.entry(entry)),
            Expectation::ActualLast => match self.store.stat(stream).await?.last_id {
                Some(last) => Expect::LastId(last),
                None => Expect::Empty,
            },
        };
        let batch = batch.iter().map(|item| self.input(item)).collect();
        let appended = self.store.append(stream, batch, expect).await?;
        self.created.extend(appended.ids.iter().cloned());
        assert!(rise(&self.created), "ids rise and are never used again: {:?}", self.created);
        let duplicates =
            appended.duplicates.iter().map(|known| (known.index, self.number(&known.id))).collect();
        Ok(Outcome::Appended { written: appended.ids.iter().map(|id| self.number(id)).collect(), duplicates })
    }

    fn input(&self, item: &Item) -> Append<S::Payload> {
        let mut input = Append::new(self.payloads[item.payload].clone())
            .order_key(item.order_key)
            .dedup_key(item.dedup_key.unwrap_or_default())
            .schema_version(item.schema_version);
        input.tags = item.tags.iter().map(|tag| (*tag).to_owned()).collect();
        input.tags.extend(item.is_bad.then(|| "\0".to_owned()));
        input.metadata = item.metadata.iter().map(owned).collect();
        match &item.copy {
            Some(copy) => input.origin(origin(copy)),
            None => input,
        }
    }

    fn read(&self, selection: &Selection) -> Read<S::Id> {
        let mut read = Read::new().limit(selection.limit).max_bytes(selection.max_bytes);
        if selection.descending {
            read = read.descending();
        }
        read.after = selection.after.and_then(|n| self.nth(n));
        read.filter.order_key = selection.order_key.to_owned();
        read.filter.tags = selection.tags.iter().map(|tag| (*tag).to_owned()).collect();
        read.filter.metadata = selection.metadata.iter().map(owned).collect();
        read.filter.annotations = selection.annotations.iter().map(owned).collect();
        read.filter.since = selection.since.map(time);
        read.filter.until = selection.until.map(time);
        read
    }

    fn nth(&self, n: usize) -> Option<S::Id> {
        let n = n.checked_rem(self.created.len())?;
        Some(self.created[n].clone())
    }

    fn entry(&self, reference: &Reference) -> S::Id {
        let nth = match reference {
            Reference::Nth(n) => self.nth(*n),
            Reference::Missing => None,
        };
        nth.unwrap_or_else(|| self.missing.clone())
    }

    /// The place of an entry in the order of creation.
    fn number(&self, id: &S::Id) -> usize {
        self.created
            .iter()
            .position(|created| created == id)
            .expect("the store knows only ids that it gave out")
    }

    fn page(&self, page: Page<S::Id, S::Payload>, read: &Read<S::Id>) -> Outcome {
        assert_page(&page, read);
        Outcome::Page {
            next: page.next.as_ref().map(|id| self.number(id)),
            more: page.more,
            is_full: page.entries.len() == read.limit,
            entries: page.entries.into_iter().map(|entry| self.seen(entry)).collect(),
        }
    }

    fn seen(&self, entry: Entry<S::Id, S::Payload>) -> Seen {
        Seen {
            number: self.number(&entry.id),
            stream: entry.stream.to_string(),
            payload: self.payloads.iter().position(|payload| *payload == entry.payload),
            keys: [entry.order_key, entry.dedup_key, entry.source_id],
            schema_version: entry.schema_version,
            metadata: entry.metadata,
            tags: entry.tags,
            annotations: entry.annotations,
            created_at: comparable(entry.created_at),
            updated_at: entry.updated_at.map(comparable),
        }
    }

    /// An error with those of its facts that both stores must agree on.
    fn failure(&self, error: StoreError) -> Outcome {
        match error {
            StoreError::Conflict(conflict) => {
                let last = conflict.actual_last_id.as_deref();
                let number = |text| self.number(&S::Id::parse(text).expect("a conflict carries an id"));
                Outcome::Conflict { stream: conflict.stream, last: last.map(number) }
            }
            StoreError::SourceTaken(taken) => {
                Outcome::SourceTaken { source_id: taken.source_id, taken_by: taken.taken_by }
            }
            StoreError::EntryNotFound(facts) => {
                Outcome::Failed(format!("no such entry in {:?}", facts.stream))
            }
            StoreError::StreamNotFound(facts) => Outcome::Failed(format!("no stream {:?}", facts.stream)),
            StoreError::StreamExists(facts) => Outcome::Failed(format!("stream {:?} exists", facts.stream)),
            other => Outcome::Failed(other.to_string()),
        }
    }
}

fn owned(pair: &(&'static str, &'static str)) -> (String, String) {
    (pair.0.to_owned(), pair.1.to_owned())
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn origin(copy: &Copied) -> Origin {
    Origin {
        source_id: copy.source_id.unwrap_or_default().to_owned(),
        annotations: copy.annotations.iter().map(owned).collect(),
        created_at: copy.created_at.map(time),
        updated_at: copy.updated_at.map(time),
    }
}

fn comparable(timestamp: Timestamp) -> Time {
    if TIMES.iter().any(|text| time(text) == timestamp) { Time::Given(timestamp) } else { Time::Clock }
}
