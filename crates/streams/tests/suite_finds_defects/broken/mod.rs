//! A store that breaks one promise.

mod capabilities;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::conformance::{Harness, Promised};
use ledger_streams::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use ledger_streams::{
    AnnotationChanges, Append, Appended, Capabilities, Changes, Conflict, Durability, Expect, MemoryStore,
    Order, Page, Read, Search, Stat, Store, StoreError, StreamNotFound,
};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Defect {
    /// Nothing: the wrapper alone must not make a case fail.
    None,

    // Appending.
    DropsDedupKeys,
    NamesDuplicatesByTheirOrder,
    ForgetsExpectations,
    ChecksExpectationsBeforeDuplicates,
    ChecksExpectationsTooEarly,
    WritesWhatItCanOfABatch,
    WritesBatchesOneByOne,
    ClaimsToSync,
    DropsTakenSources,
    DropsOriginTimes,
    DropsEmptyPayloads,
    AcceptsZeroCharacters,
    StampsVersionZero,
    TakesEmptyKeysForKeys,
    ComparesWithTheLastOfTheStore,
    DropsOriginAnnotations,
    DropsSourceIds,
    DropsEmptyTexts,
    CutsLongTexts,
    RefusesNothing,

    // Reading.
    IgnoresTags,
    IgnoresMetadata,
    IgnoresTime,
    IgnoresDirection,
    IgnoresBytes,
    IncludesTheCursor,
    HidesAnEntryOfAFullPage,
    SaysThatThereIsNoMore,
    ShowsSomeEntriesLate,
    CutsLongPagesSilently,
    FailsOnUnknownStreams,
    CountsTheWholeStore,

    // Changing.
    SortsTags,
    LosesConcurrentAnnotations,
    DoesNotStampEmptyChanges,
    ChangesMissingEntriesSilently,
    TrimsBelowTheId,
    TrimsEveryStream,
    AnnotationsGrowWithoutBound,
    IgnoresEmptyTagLists,
    ReplacesAnnotations,
    ClearsAnnotationsWithTags,

    // Listing.
    ListsInAlphabeticalOrder,
    ListsTrimmedStreams,

    // Subscriptions.
    LosesWakeUps,
    LosesEventsOfInterruptedWaits,
    RepeatsEntries,
    DecidesLaterWhatNowMeans,
    NeverTellsWhoIsBehind,
    TellsTooEarlyThatItHasCaughtUp,
    DeliversWithoutTags,
    FollowsKnownStreamsOnly,

    // Capabilities.
    HidesACapability,
    HasNoName,
    SharesStores,
    SearchesWithWildcards,
    SearchesTags,
    SearchesCaseSensitively,
    IndexesNewEntriesOnly,
    SearchesWithoutFilters,
    SearchesWithoutStreamNames,
    RenamesOverOtherStreams,
    RefusesEqualNames,
    RenamesToLowerCase,
    HasOneCursorForAll,
    RacesForCursors,
    ComparesCursorsAsText,
    MovesCursorsBack,

    // Closing.
    AcceptsAfterClose,
    AnswersEmptyBatchesAfterClose,
}

/// A [`MemoryStore`] with a defect.
#[derive(Clone)]
pub(crate) struct Broken {
    inner: MemoryStore,
    defect: Defect,
    scratch: Arc<Mutex<Scratch>>,
    /// A bell that nobody rings.
    silent: Changes,
}

#[derive(Default)]
struct Scratch {
    names: BTreeSet<String>,
    seen: HashSet<i64>,
    cursors: HashMap<String, String>,
    /// Entries up to this id are not in the index.
    not_indexed: i64,
}

impl Harness for Defect {
    type Store = Broken;

    async fn open(&self) -> Broken {
        static SHARED: LazyLock<MemoryStore> = LazyLock::new(|| MemoryStore::new("broken").unwrap());
        let is_shared = *self == Self::SharesStores;
        let inner = if is_shared { SHARED.clone() } else { MemoryStore::new("broken").unwrap() };
        Broken { inner, defect: *self, scratch: Arc::default(), silent: Changes::new() }
    }
    fn promised(&self) -> Promised {
        Promised::EVERYTHING
    }
    fn durability(&self) -> Durability {
        Durability::Memory
    }
    fn missing_id(&self) -> i64 {
        0
    }
    fn json(&self, text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }
    fn raw(&self, bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

impl Broken {
    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn spoil(&self, entries: &mut Vec<Append<Bytes>>) {
        match self.defect {
            Defect::DropsEmptyPayloads => entries.retain(|entry| !entry.payload.is_empty()),
            Defect::DropsDedupKeys => entries.iter_mut().for_each(|entry| entry.dedup_key.clear()),
            Defect::SortsTags => entries.iter_mut().for_each(|entry| entry.tags.sort()),
            Defect::AcceptsZeroCharacters => {
                for tag in entries.iter_mut().flat_map(|entry| &mut entry.tags) {
                    *tag = tag.replace('\0', "");
                }
            }
            Defect::StampsVersionZero => {
                entries
                    .iter_mut()
                    .filter(|entry| entry.schema_version == 1)
                    .for_each(|entry| entry.schema_version = 0);
            }
            Defect::TakesEmptyKeysForKeys => {
                entries
                    .iter_mut()
                    .filter(|entry| entry.dedup_key.is_empty())
                    .for_each(|entry| entry.dedup_key.push('0'));
            }
            Defect::DropsOriginAnnotations => {
                entries
                    .iter_mut()
                    .flat_map(|entry| &mut entry.origin)
                    .for_each(|origin| origin.annotations.clear());
            }
            Defect::DropsSourceIds => {
                entries
                    .iter_mut()
                    .flat_map(|entry| &mut entry.origin)
                    .for_each(|origin| origin.source_id.clear());
            }
            Defect::DropsEmptyTexts => {
                for entry in entries {
                    entry.tags.retain(|tag| !tag.is_empty());
                    entry.metadata.retain(|key, value| !key.is_empty() && !value.is_empty());
                }
            }
            Defect::CutsLongTexts => {
                for entry in entries {
                    let cut = |text: &String| text.chars().take(250).collect::<String>();
                    entry.tags = entry.tags.iter().map(cut).collect();
                    entry.metadata =
                        entry.metadata.iter().map(|(key, value)| (cut(key), cut(value))).collect();
                    entry.order_key = cut(&entry.order_key);
                }
            }
            Defect::DropsOriginTimes => {
                for origin in entries.iter_mut().filter_map(|entry| entry.origin.as_mut()) {
                    origin.created_at = None;
                }
            }
            _ => {}
        }
    }

    async fn delete_annotations(
        &self,
        stream: &str,
        id: i64,
        which: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        let page = self.inner.read(stream, &Read::new().after(id - 1).limit(1)).await?;
        let Some(entry) = page.first() else { return Ok(()) };
        let mut changes = AnnotationChanges::new();
        for key in entry.annotations.keys().filter(|key| which(key)) {
            changes = changes.delete(key);
        }
        self.inner.set_annotations(stream, &id, changes).await
    }

    async fn check_expectation(&self, stream: &str, expect: &Expect<i64>) -> Result<(), Conflict> {
        let actual = self.inner.stat(stream).await.unwrap().last_id;
        let expected = match expect {
            Expect::Any => return Ok(()),
            Expect::Empty => None,
            Expect::LastId(id) => Some(*id),
        };
        if actual == expected {
            return Ok(());
        }
        let text = |id: Option<i64>| id.map(|id| id.to_string());
        Err(Conflict {
            stream: stream.to_owned(),
            expected_last_id: text(expected),
            actual_last_id: text(actual),
        })
    }

    fn spoil_read(&self, read: &Read<i64>) -> Read<i64> {
        let mut read = read.clone();
        match self.defect {
            Defect::IgnoresTags => read.filter.tags.clear(),
            Defect::IgnoresMetadata => read.filter.metadata.clear(),
            Defect::IgnoresTime => (read.filter.since, read.filter.until) = (None, None),
            Defect::IgnoresDirection => read.order = Order::Ascending,
            Defect::IgnoresBytes => read.max_bytes = read.max_bytes.max(1 << 20),
            Defect::CutsLongPagesSilently => {
                read.limit = read.limit.min(MAX_PAGE_ENTRIES);
                read.max_bytes = read.max_bytes.min(MAX_PAGE_BYTES);
            }
            Defect::IncludesTheCursor => read.after = read.after.map(|after| after - 1),
            _ => {}
        }
        read
    }

    fn spoil_page(&self, page: &mut Page<i64, Bytes>) {
        let length = page.entries.len();
        match self.defect {
            Defect::HidesAnEntryOfAFullPage if page.more && length > 1 => {
                page.entries.remove(length - 2);
            }
            Defect::SaysThatThereIsNoMore => page.more = false,
            Defect::ShowsSomeEntriesLate => {
                let seen = &mut self.scratch.lock().unwrap().seen;
                page.entries.retain(|entry| entry.id % 3 != 0 || !seen.insert(entry.id));
                page.next = page.entries.last().map(|entry| entry.id);
                page.more &= page.next.is_some();
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Store for Broken {
    type Id = i64;
    type Payload = Bytes;

    fn name(&self) -> &str {
        if self.has(Defect::HasNoName) {
            return "";
        }
        self.inner.name()
    }

    async fn append(
        &self,
        stream: &str,
        mut entries: Vec<Append<Bytes>>,
        mut expect: Expect<i64>,
    ) -> Result<Appended<i64>, StoreError> {
        if self.has(Defect::AnswersEmptyBatchesAfterClose) && entries.is_empty() {
            return Ok(Appended::nothing(Durability::Memory));
        }
        self.spoil(&mut entries);
        match self.defect {
            Defect::ForgetsExpectations => expect = Expect::Any,
            Defect::ChecksExpectationsBeforeDuplicates if !entries.is_empty() => {
                self.check_expectation(stream, &expect).await?;
            }
            Defect::ChecksExpectationsTooEarly if !entries.is_empty() => {
                self.check_expectation(stream, &expect).await?;
                tokio::task::yield_now().await;
                expect = Expect::Any;
            }
            Defect::ComparesWithTheLastOfTheStore if matches!(expect, Expect::LastId(_)) => {
                let last = self.inner.search(None, "", &Read::new().descending().limit(1)).await?;
                if last.first().is_none_or(|last| expect != Expect::LastId(last.id)) {
                    self.check_expectation(stream, &Expect::Empty).await?;
                }
            }
            Defect::RefusesNothing => {
                let answer = self.inner.append(stream, entries, expect).await;
                return match answer {
                    Err(StoreError::LimitExceeded(_)) => Ok(Appended::nothing(Durability::Memory)),
                    answer => answer,
                };
            }
            Defect::WritesWhatItCanOfABatch => {
                let answer = self.inner.append(stream, entries.clone(), expect.clone()).await;
                if matches!(answer, Err(StoreError::SourceTaken(_) | StoreError::InvalidText(_))) {
                    for entry in entries {
                        self.inner.append(stream, vec![entry], Expect::Any).await?;
                    }
                }
                return answer;
            }
            Defect::WritesBatchesOneByOne if entries.len() > 1 => {
                let mut answer = Appended::nothing(Durability::Memory);
                for entry in entries {
                    answer.ids.extend(self.inner.append(stream, vec![entry], Expect::Any).await?.ids);
                    tokio::task::yield_now().await;
                }
                return Ok(answer);
            }
            _ => {}
        }
        let mut answer = match self.inner.append(stream, entries, expect).await {
            Err(StoreError::SourceTaken(_)) if self.has(Defect::DropsTakenSources) => {
                return Ok(Appended::nothing(Durability::Memory));
            }
            answer => answer?,
        };
        self.scratch.lock().unwrap().names.insert(stream.to_owned());
        match self.defect {
            Defect::ClaimsToSync => answer.durability = Durability::Synced,
            Defect::NamesDuplicatesByTheirOrder => {
                (0..).zip(&mut answer.duplicates).for_each(|(n, duplicate)| duplicate.index = n);
            }
            _ => {}
        }
        Ok(answer)
    }

    async fn read(&self, stream: &str, read: &Read<i64>) -> Result<Page<i64, Bytes>, StoreError> {
        let stat = self.inner.stat(stream).await?;
        if self.has(Defect::FailsOnUnknownStreams) && stat.count == 0 {
            return Err(StreamNotFound { stream: stream.to_owned(), store: self.name().to_owned() }.into());
        }
        let mut page = self.inner.read(stream, &self.spoil_read(read)).await?;
        self.spoil_page(&mut page);
        Ok(page)
    }

    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        Ok(self.stat(stream).await?.count)
    }

    async fn stat(&self, stream: &str) -> Result<Stat<i64>, StoreError> {
        let mut stat = self.inner.stat(stream).await?;
        if self.has(Defect::CountsTheWholeStore) {
            stat.count =
                self.inner.search(None, "", &Read::new().limit(MAX_PAGE_ENTRIES)).await?.len() as u64;
        }
        Ok(stat)
    }

    async fn set_tags(&self, stream: &str, id: &i64, mut tags: Vec<String>) -> Result<(), StoreError> {
        match self.defect {
            Defect::SortsTags => tags.sort(),
            Defect::AcceptsZeroCharacters => tags.iter_mut().for_each(|tag| *tag = tag.replace('\0', "")),
            Defect::IgnoresEmptyTagLists if tags.is_empty() => return Ok(()),
            Defect::ClearsAnnotationsWithTags => self.delete_annotations(stream, *id, |_| true).await?,
            _ => {}
        }
        match self.inner.set_tags(stream, id, tags).await {
            Err(StoreError::EntryNotFound(_)) if self.has(Defect::ChangesMissingEntriesSilently) => Ok(()),
            answer => answer,
        }
    }

    async fn set_annotations(
        &self,
        stream: &str,
        id: &i64,
        mut changes: AnnotationChanges,
    ) -> Result<(), StoreError> {
        match self.defect {
            Defect::DoesNotStampEmptyChanges if changes == AnnotationChanges::new() => return Ok(()),
            Defect::LosesConcurrentAnnotations => {
                let old = self.inner.read(stream, &Read::new().after(id - 1).limit(1)).await?;
                tokio::task::yield_now().await;
                let now = self.inner.read(stream, &Read::new().after(id - 1).limit(1)).await?;
                // What came in between is overwritten.
                for key in now[0].annotations.keys().filter(|key| !old[0].annotations.contains_key(*key)) {
                    if changes.iter().all(|(changed, _)| changed != key) {
                        changes = changes.delete(key);
                    }
                }
            }
            Defect::ReplacesAnnotations => {
                let changed = |key: &str| changes.iter().any(|(changed, _)| changed == key);
                self.delete_annotations(stream, *id, |key| !changed(key)).await?;
            }
            Defect::AnnotationsGrowWithoutBound => {
                let answer = self.inner.set_annotations(stream, id, changes).await;
                return if matches!(answer, Err(StoreError::LimitExceeded(_))) { Ok(()) } else { answer };
            }
            _ => {}
        }
        self.inner.set_annotations(stream, id, changes).await
    }

    async fn trim(&self, stream: &str, up_to: &i64) -> Result<u64, StoreError> {
        match self.defect {
            Defect::TrimsBelowTheId => self.inner.trim(stream, &(up_to - 1)).await,
            Defect::TrimsEveryStream => {
                let mut trimmed = 0;
                for stream in self.inner.list_streams(None, 1000).await? {
                    trimmed += self.inner.trim(&stream, up_to).await?;
                }
                Ok(trimmed)
            }
            _ => self.inner.trim(stream, up_to).await,
        }
    }

    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut names = self.inner.list_streams(after, limit).await?;
        match self.defect {
            Defect::ListsInAlphabeticalOrder => names.sort_by_key(|name| name.to_lowercase()),
            Defect::ListsTrimmedStreams => {
                names = self.scratch.lock().unwrap().names.iter().cloned().collect();
            }
            _ => {}
        }
        Ok(names)
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.has(Defect::AcceptsAfterClose) { Ok(()) } else { self.inner.close().await }
    }

    fn capabilities(&self) -> Capabilities<'_, i64, Bytes> {
        Capabilities {
            search: Some(self),
            search_index: Some(self),
            health: if self.has(Defect::HidesACapability) { None } else { Some(self) },
            cursors: Some(self),
            find_by_source: Some(self),
            subscribe: Some(self),
            rename: Some(self),
        }
    }
}
