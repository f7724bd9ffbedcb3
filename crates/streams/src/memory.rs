//! A store in memory: for tests, and the model that every other store is compared with.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::limits::{
    check_attributes, check_batch, check_changed_entry, check_key, check_read, check_search,
    check_stream_name,
};
use crate::{
    AnnotationChanges, Append, Appended, Capabilities, Changes, Conflict, CursorStore, Duplicate, Durability,
    Entry, EntryNotFound, Expect, FindBySource, Follow, Health, InvalidStoreName, Order, Page, Position,
    Query, Read, RenameStream, Search, SourceTaken, Stat, Store, StoreClosed, StoreError, StoreName,
    StreamExists, StreamNotFound, Subscribe, Subscription, cursor_is_ahead,
};

type MemoryEntry = Entry<i64, Bytes>;
type MemoryPage = Page<i64, Bytes>;

/// A store that forgets everything when its last handle is dropped. Cheap to clone; clones share their entries.
///
/// It does what every store must do in the simplest way that is correct, at the cost of memory and of time linear in
/// the length of a stream.
#[derive(Clone)]
pub struct MemoryStore {
    name: StoreName,
    state: Arc<Mutex<State>>,
    changes: Changes,
}

#[derive(Default)]
struct State {
    closed: bool,
    last_id: i64,
    streams: BTreeMap<String, BTreeMap<i64, MemoryEntry>>,
    cursors: HashMap<String, String>,
}

impl MemoryStore {
    /// An empty store.
    ///
    /// # Errors
    /// [`InvalidStoreName`] as for every store.
    pub fn new(name: &str) -> Result<Self, InvalidStoreName> {
        Ok(Self { name: StoreName::new(name)?, state: Arc::default(), changes: Changes::new() })
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(StoreClosed { store: self.name.to_string() }.into());
        }
        Ok(state)
    }

    fn update_entry(
        &self,
        stream: &str,
        id: i64,
        update: impl FnOnce(&mut MemoryEntry),
    ) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        let entry = state.streams.get_mut(stream).and_then(|entries| entries.get_mut(&id));
        let not_found =
            || EntryNotFound { id: id.to_string(), stream: stream.into(), store: self.name.to_string() };
        let entry = entry.ok_or_else(not_found)?;
        let mut changed = entry.clone();
        update(&mut changed);
        check_changed_entry(&changed.metadata, &changed.tags, &changed.annotations)?;
        changed.updated_at = Some(Timestamp::now());
        *entry = changed;
        Ok(())
    }
}

impl State {
    fn append(
        &mut self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: &Expect<i64>,
    ) -> Result<Appended<i64>, StoreError> {
        let mut new = BTreeMap::new();
        let mut answer = Appended::nothing(Durability::Memory);
        let mut next_id = self.last_id;
        for (index, input) in entries.into_iter().enumerate() {
            if let Some(id) = self.known(stream, &new, &input)? {
                answer.duplicates.push(Duplicate { index, id });
                continue;
            }
            next_id = next_id.saturating_add(1);
            answer.ids.push(next_id);
            new.insert(next_id, stored(next_id, stream, input));
        }
        if new.is_empty() {
            return Ok(answer);
        }
        self.check_expectation(stream, expect)?;
        self.last_id = next_id;
        self.streams.entry(stream.to_owned()).or_default().extend(new);
        Ok(answer)
    }

    /// The entry that already has this input's dedup key or, failing that, its source id.
    fn known(
        &self,
        stream: &str,
        batch: &BTreeMap<i64, MemoryEntry>,
        input: &Append<Bytes>,
    ) -> Result<Option<i64>, SourceTaken> {
        let holder = |is_same: &dyn Fn(&MemoryEntry) -> bool| {
            let mut same_stream = self.streams.get(stream).into_iter().flatten().chain(batch);
            same_stream.find(|(_, entry)| is_same(entry)).map(|(id, _)| *id)
        };
        let (key, source_id) = (&input.dedup_key, input.source_id());
        let by_key = if key.is_empty() { None } else { holder(&|entry| entry.dedup_key == *key) };
        if by_key.is_some() || source_id.is_empty() {
            return Ok(by_key);
        }
        let by_source = holder(&|entry| entry.source_id == source_id);
        if by_source.is_some() {
            return Ok(by_source);
        }
        let has_it =
            |entries: &BTreeMap<i64, MemoryEntry>| entries.values().any(|entry| entry.source_id == source_id);
        match self.streams.iter().find(|(_, entries)| has_it(entries)) {
            Some((name, _)) => Err(SourceTaken { source_id: source_id.to_owned(), taken_by: name.clone() }),
            None => Ok(None),
        }
    }

    fn check_expectation(&self, stream: &str, expect: &Expect<i64>) -> Result<(), Conflict> {
        let actual = self.streams.get(stream).and_then(|entries| entries.keys().next_back());
        let expected = match expect {
            Expect::Any => return Ok(()),
            Expect::Empty => None,
            Expect::LastId(id) => Some(id),
        };
        if actual == expected {
            return Ok(());
        }
        Err(Conflict {
            stream: stream.to_owned(),
            expected_last_id: expected.map(i64::to_string),
            actual_last_id: actual.map(i64::to_string),
        })
    }
}

fn stored(id: i64, stream: &str, input: Append<Bytes>) -> MemoryEntry {
    let origin = input.origin.map(|origin| *origin).unwrap_or_default();
    Entry {
        id,
        stream: stream.into(),
        payload: input.payload,
        order_key: input.order_key,
        dedup_key: input.dedup_key,
        schema_version: input.schema_version,
        metadata: input.metadata,
        tags: input.tags,
        annotations: origin.annotations,
        source_id: origin.source_id,
        created_at: origin.created_at.unwrap_or_else(Timestamp::now),
        updated_at: origin.updated_at,
    }
}

fn page<'a>(
    entries: impl DoubleEndedIterator<Item = &'a MemoryEntry>,
    read: &Read<i64>,
    query: Option<&Query>,
) -> MemoryPage {
    let ordered: Box<dyn Iterator<Item = &MemoryEntry>> = match read.order {
        Order::Ascending => Box::new(entries.filter(|entry| read.after.is_none_or(|after| entry.id > after))),
        Order::Descending => {
            Box::new(entries.rev().filter(|entry| read.after.is_none_or(|after| entry.id < after)))
        }
    };
    let matching = ordered
        .filter(|entry| read.filter.matches(entry))
        .filter(|entry| query.is_none_or(|query| query.matches(&entry.payload)));
    let mut page = Page::empty();
    let mut bytes: usize = 0;
    for entry in matching {
        bytes = bytes.saturating_add(entry.payload.len());
        if page.entries.len() == read.limit || (bytes > read.max_bytes && !page.entries.is_empty()) {
            page.more = true;
            break;
        }
        page.next = Some(entry.id);
        page.entries.push(entry.clone());
    }
    page
}

#[async_trait]
impl Store for MemoryStore {
    type Id = i64;
    type Payload = Bytes;

    fn name(&self) -> &str {
        self.name.as_str()
    }

    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<i64>,
    ) -> Result<Appended<i64>, StoreError> {
        let mut state = self.open_state()?;
        if entries.is_empty() {
            return Ok(Appended::nothing(Durability::Memory));
        }
        check_batch(stream, &entries)?;
        let answer = state.append(stream, entries, &expect)?;
        drop(state);
        self.changes.ring([stream]);
        Ok(answer)
    }

    async fn read(&self, stream: &str, read: &Read<i64>) -> Result<MemoryPage, StoreError> {
        let state = self.open_state()?;
        check_read(read)?;
        Ok(state.streams.get(stream).map_or_else(Page::empty, |entries| page(entries.values(), read, None)))
    }

    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        Ok(self.stat(stream).await?.count)
    }

    async fn stat(&self, stream: &str) -> Result<Stat<i64>, StoreError> {
        let state = self.open_state()?;
        let entries = state.streams.get(stream);
        Ok(Stat {
            stream: stream.to_owned(),
            count: entries.map_or(0, |entries| entries.len() as u64),
            first_id: entries.and_then(|entries| entries.keys().next().copied()),
            last_id: entries.and_then(|entries| entries.keys().next_back().copied()),
        })
    }

    async fn set_tags(&self, stream: &str, id: &i64, tags: Vec<String>) -> Result<(), StoreError> {
        drop(self.open_state()?);
        check_attributes(tags.iter().map(String::as_str))?;
        self.update_entry(stream, *id, |entry| entry.tags = tags)
    }

    async fn set_annotations(
        &self,
        stream: &str,
        id: &i64,
        changes: AnnotationChanges,
    ) -> Result<(), StoreError> {
        drop(self.open_state()?);
        check_attributes(changes.iter().flat_map(|(key, value)| [key, value.unwrap_or_default()]))?;
        self.update_entry(stream, *id, |entry| changes.apply(&mut entry.annotations))
    }

    async fn trim(&self, stream: &str, up_to: &i64) -> Result<u64, StoreError> {
        let mut state = self.open_state()?;
        let Some(entries) = state.streams.get_mut(stream) else { return Ok(0) };
        let before = entries.len();
        entries.retain(|id, _| id > up_to);
        let trimmed = before.saturating_sub(entries.len());
        if entries.is_empty() {
            state.streams.remove(stream);
        }
        Ok(trimmed as u64)
    }

    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let state = self.open_state()?;
        let read: Read<i64> = Read::new().limit(limit);
        check_read(&read)?;
        let names = state.streams.keys().filter(|name| after.is_none_or(|after| name.as_str() > after));
        Ok(names.take(read.limit).cloned().collect())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changes.close();
        Ok(())
    }

    fn capabilities(&self) -> Capabilities<'_, i64, Bytes> {
        Capabilities {
            search: Some(self),
            search_index: None,
            health: Some(self),
            cursors: Some(self),
            find_by_source: Some(self),
            subscribe: Some(self),
            rename: Some(self),
        }
    }
}

#[async_trait]
impl Search for MemoryStore {
    async fn search(
        &self,
        stream: Option<&str>,
        query: &str,
        read: &Read<i64>,
    ) -> Result<MemoryPage, StoreError> {
        let state = self.open_state()?;
        check_search(query, read)?;
        let query = Query::new(query);
        let streams = state.streams.iter().filter(|(name, _)| stream.is_none_or(|stream| *name == stream));
        let mut entries: Vec<&MemoryEntry> = streams.flat_map(|(_, entries)| entries.values()).collect();
        entries.sort_by_key(|entry| entry.id);
        Ok(page(entries.into_iter(), read, Some(&query)))
    }
}

#[async_trait]
impl Health for MemoryStore {
    async fn health(&self) -> Result<(), StoreError> {
        self.open_state().map(drop)
    }
}

#[async_trait]
impl CursorStore for MemoryStore {
    async fn get_cursor(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.open_state()?.cursors.get(name).cloned())
    }

    async fn set_cursor(&self, name: &str, position: &str) -> Result<bool, StoreError> {
        let mut state = self.open_state()?;
        check_key("cursor name (bytes)", name)?;
        check_key("cursor (bytes)", position)?;
        let moves = state.cursors.get(name).is_none_or(|old| cursor_is_ahead(position, old));
        if moves {
            state.cursors.insert(name.to_owned(), position.to_owned());
        }
        Ok(moves)
    }
}

#[async_trait]
impl FindBySource for MemoryStore {
    async fn find_by_source(&self, stream: &str, source_id: &str) -> Result<Option<i64>, StoreError> {
        let state = self.open_state()?;
        let mut entries = state.streams.get(stream).into_iter().flatten();
        Ok(entries
            .find(|(_, entry)| !source_id.is_empty() && entry.source_id == source_id)
            .map(|(id, _)| *id))
    }
}

#[async_trait]
impl Subscribe for MemoryStore {
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<i64>,
    ) -> Result<Subscription<i64, Bytes>, StoreError> {
        drop(self.open_state()?);
        let watch = self.changes.watch(stream);
        Ok(Subscription::new(Follow::begin(Arc::new(self.clone()), stream, watch, position).await?))
    }
}

#[async_trait]
impl RenameStream for MemoryStore {
    async fn rename_stream(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        check_stream_name(to)?;
        if from == to {
            return Ok(());
        }
        let store = self.name.to_string();
        if !state.streams.contains_key(from) {
            return Err(StreamNotFound { stream: from.to_owned(), store }.into());
        }
        if state.streams.contains_key(to) {
            return Err(StreamExists { stream: to.to_owned(), store }.into());
        }
        let mut entries = state.streams.remove(from).unwrap_or_default();
        let name: Arc<str> = to.into();
        entries.values_mut().for_each(|entry| entry.stream = name.clone());
        state.streams.insert(to.to_owned(), entries);
        drop(state);
        self.changes.ring([from, to]);
        Ok(())
    }
}
