//! The capabilities of the broken store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::limits::MAX_QUERY_BYTES;
use ledger_streams::{
    CursorStore, Event, Filter, FindBySource, Follow, Health, Page, Position, Read, RenameStream, Search,
    SearchIndex, Source, Store, StoreError, StreamExists, StreamNotFound, Subscribe, Subscription,
    cursor_is_ahead,
};

use super::{Broken, Defect};

#[async_trait]
impl Search for Broken {
    async fn search(
        &self,
        stream: Option<&str>,
        query: &str,
        read: &Read<i64>,
    ) -> Result<Page<i64, Bytes>, StoreError> {
        let mut read = self.spoil_read(read);
        let mut query = query.to_owned();
        match self.defect {
            Defect::SearchesWithWildcards => query = query.replace(['%', '_'], ""),
            Defect::SearchesWithoutFilters => read.filter = Filter::default(),
            Defect::RefusesNothing => query.truncate(MAX_QUERY_BYTES),
            _ => {}
        }
        let mut page = self.inner.search(stream, &query, &read).await?;
        self.spoil_page(&mut page);
        match self.defect {
            Defect::SearchesWithoutStreamNames if stream.is_none() => {
                page.entries.iter_mut().for_each(|entry| entry.stream = "".into());
            }
            Defect::SearchesTags if !query.is_empty() => {
                let tagged = self.inner.read(stream.unwrap_or_default(), &Read::new().tag(query)).await?;
                page.entries.extend(tagged);
                page.next = page.entries.last().map(|entry| entry.id);
            }
            Defect::SearchesCaseSensitively => {
                page.entries.retain(|entry| String::from_utf8_lossy(&entry.payload).contains(&query));
                page.next = page.entries.last().map(|entry| entry.id);
            }
            Defect::IndexesNewEntriesOnly => {
                let not_indexed = self.scratch.lock().unwrap().not_indexed;
                page.entries.retain(|entry| entry.id > not_indexed);
                page.next = page.entries.last().map(|entry| entry.id);
            }
            _ => {}
        }
        Ok(page)
    }
}

#[async_trait]
impl SearchIndex for Broken {
    async fn ensure_search_index(&self) -> Result<(), StoreError> {
        self.inner.health().await?;
        if self.has(Defect::IndexesNewEntriesOnly) {
            let last = self.inner.search(None, "", &Read::new().descending().limit(1)).await?;
            self.scratch.lock().unwrap().not_indexed = last.first().map_or(0, |entry| entry.id);
        }
        Ok(())
    }
}

#[async_trait]
impl Health for Broken {
    async fn health(&self) -> Result<(), StoreError> {
        self.inner.health().await
    }
}

#[async_trait]
impl CursorStore for Broken {
    async fn get_cursor(&self, name: &str) -> Result<Option<String>, StoreError> {
        match self.defect {
            Defect::HasOneCursorForAll => self.inner.get_cursor("").await,
            Defect::RacesForCursors => Ok(self.scratch.lock().unwrap().cursors.get(name).cloned()),
            _ => self.inner.get_cursor(name).await,
        }
    }

    async fn set_cursor(&self, name: &str, position: &str) -> Result<bool, StoreError> {
        let old = self.inner.get_cursor(name).await?;
        match self.defect {
            Defect::ComparesCursorsAsText if old.is_some_and(|old| *position <= *old) => Ok(false),
            Defect::HasOneCursorForAll => self.inner.set_cursor("", position).await,
            Defect::RefusesNothing => Ok(self.inner.set_cursor(name, position).await.unwrap_or(true)),
            Defect::RacesForCursors => {
                let old = self.get_cursor(name).await?;
                tokio::task::yield_now().await;
                let moves = old.is_none_or(|old| cursor_is_ahead(position, &old));
                if moves {
                    self.scratch.lock().unwrap().cursors.insert(name.to_owned(), position.to_owned());
                }
                Ok(moves)
            }
            Defect::MovesCursorsBack => self.inner.set_cursor(name, position).await.map(|_| true),
            _ => self.inner.set_cursor(name, position).await,
        }
    }
}

#[async_trait]
impl FindBySource for Broken {
    async fn find_by_source(&self, stream: &str, source_id: &str) -> Result<Option<i64>, StoreError> {
        self.inner.find_by_source(stream, source_id).await
    }
}

#[async_trait]
impl RenameStream for Broken {
    async fn rename_stream(&self, from: &str, to: &str) -> Result<(), StoreError> {
        match self.defect {
            Defect::RenamesOverOtherStreams if from != to => drop(self.inner.trim(to, &i64::MAX).await?),
            Defect::RefusesEqualNames if from == to => {
                return Err(StreamExists { stream: to.to_owned(), store: self.name().to_owned() }.into());
            }
            Defect::RenamesToLowerCase => return self.inner.rename_stream(from, &to.to_lowercase()).await,
            _ => {}
        }
        self.inner.rename_stream(from, to).await
    }
}

#[async_trait]
impl Subscribe for Broken {
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<i64>,
    ) -> Result<Subscription<i64, Bytes>, StoreError> {
        if self.has(Defect::LosesWakeUps) {
            let watch = self.silent.watch(stream);
            let follow = Follow::begin(Arc::new(self.clone()), stream, watch, position).await?;
            return Ok(Subscription::new(follow));
        }
        if self.has(Defect::FollowsKnownStreamsOnly) && self.inner.count(stream).await? == 0 {
            return Err(StreamNotFound { stream: stream.to_owned(), store: self.name().to_owned() }.into());
        }
        let decides_later = self.has(Defect::DecidesLaterWhatNowMeans) && position == Position::Now;
        let subscription = self.inner.subscribe(stream, position).await?;
        let inner = if decides_later { None } else { Some(subscription) };
        Ok(Subscription::new(Spoiled { store: self.clone(), stream: stream.to_owned(), inner, calls: 0 }))
    }
}

/// Events of a sound subscription, spoiled.
struct Spoiled {
    store: Broken,
    stream: String,
    inner: Option<Subscription<i64, Bytes>>,
    calls: usize,
}

#[async_trait]
impl Source<i64, Bytes> for Spoiled {
    async fn next_batch(&mut self) -> Result<Option<Vec<Event<i64, Bytes>>>, StoreError> {
        if self.inner.is_none() {
            self.inner = Some(self.store.inner.subscribe(&self.stream, Position::Now).await?);
        }
        let inner = self.inner.as_mut().unwrap();
        self.calls += 1;
        if self.calls == 2 && self.store.has(Defect::TellsTooEarlyThatItHasCaughtUp) {
            return Ok(Some(vec![Event::CaughtUp]));
        }
        let Some(mut event) = inner.next().await? else { return Ok(None) };
        if let Event::Entry(entry) = &mut event
            && self.store.has(Defect::DeliversWithoutTags)
        {
            entry.tags.clear();
        }
        match self.store.defect {
            Defect::LosesEventsOfInterruptedWaits => tokio::task::yield_now().await,
            Defect::RepeatsEntries if matches!(&event, Event::Entry(entry) if entry.id % 7 == 0) => {
                return Ok(Some(vec![event.clone(), event]));
            }
            Defect::NeverTellsWhoIsBehind if matches!(event, Event::Behind { .. }) => {
                return Ok(Some(Vec::new()));
            }
            _ => {}
        }
        Ok(Some(vec![event]))
    }
}
