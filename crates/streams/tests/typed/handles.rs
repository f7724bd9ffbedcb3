//! Kinds of handles and of what they stand on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::{
    AnnotationChanges, Append, Appended, Capabilities, Changes, Damaged, EntryError, Expect, FieldMapper,
    Follow, MemoryStore, Page, Position, Read, Stat, Store, StoreError, Stream, StreamError, Subscribe,
    Subscription, TypedEvent,
};

use crate::{Order, memory, order, order_stream, orders};

type DynStore = dyn Store<Id = i64, Payload = Bytes>;

#[tokio::test]
async fn a_read_only_stream_reads_all_that_the_stream_does() {
    let store = memory();
    let writer = order_stream(&store);
    writer.append(orders(0..3)).await.unwrap();
    let reader = order_stream(&store).schema_version(4).upcaster(FieldMapper::new(1, 4)).read_only();
    assert_eq!((reader.name(), reader.current_schema_version()), ("user-123", 4));
    assert_eq!(reader.read(Read::new().limit(2)).await.unwrap().len(), 2);
    assert_eq!(reader.read_each(Read::new()).await.unwrap().into_iter().flatten().count(), 3);
    assert_eq!(reader.search("o-2", Read::new()).await.unwrap().len(), 1);
    assert_eq!(reader.count().await.unwrap(), 3);
    assert_eq!(reader.stat().await.unwrap(), writer.stat().await.unwrap());
    let mut live = reader.subscribe(Position::Now).await.unwrap();
    writer.append(orders([7])).await.unwrap();
    assert_eq!(live.next_entry().await.unwrap().unwrap().payload, order(7));
}

#[tokio::test]
async fn a_store_behind_a_trait_object_works_in_other_tasks() {
    let store: Arc<DynStore> = Arc::new(memory());
    let stream: Stream<Order, Arc<DynStore>> = Stream::json(store, "user-123");
    let mut live = stream.subscribe(Position::Start).await.unwrap();
    let writer = stream.clone();
    let ids = tokio::spawn(async move { writer.append(orders(0..3)).await.unwrap().ids }).await.unwrap();
    let followed = tokio::spawn(async move {
        let mut followed = Vec::new();
        for _ in 0..3 {
            followed.push(live.next_entry().await.unwrap().unwrap().id);
        }
        followed
    });
    assert_eq!(followed.await.unwrap(), ids);
    let error = stream.append_expecting(Expect::Empty, orders([3])).await.unwrap_err();
    assert!(matches!(error, StreamError::Store(StoreError::Conflict(_))), "{error}");
    assert_eq!(stream.search("o-1", Read::new()).await.unwrap().len(), 1);
    assert_eq!(stream.read(Read::new()).await.unwrap().len(), 3);
}

/// A store without capabilities; or, with a damaged record, one that can do nothing but be subscribed to.
#[derive(Clone)]
struct Wrapped {
    memory: MemoryStore,
    damaged: Option<Damaged<i64>>,
}

fn bare() -> Wrapped {
    Wrapped { memory: memory(), damaged: None }
}

/// A store whose second record is damaged.
fn damaged() -> Wrapped {
    let damaged = Damaged { id: 2, stream: "user-123".into(), field: "tags", reason: "not JSON".into() };
    Wrapped { memory: memory(), damaged: Some(damaged) }
}

#[async_trait]
impl Store for Wrapped {
    type Id = i64;
    type Payload = Bytes;

    fn name(&self) -> &str {
        self.memory.name()
    }
    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<i64>,
    ) -> Result<Appended<i64>, StoreError> {
        self.memory.append(stream, entries, expect).await
    }
    async fn read(&self, stream: &str, read: &Read<i64>) -> Result<Page<i64, Bytes>, StoreError> {
        let mut page = self.memory.read(stream, read).await?;
        if let Some(damaged) = &self.damaged {
            page.damaged
                .extend(page.entries.extract_if(.., |entry| entry.id == damaged.id).map(|_| damaged.clone()));
        }
        Ok(page)
    }
    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        self.memory.count(stream).await
    }
    async fn stat(&self, stream: &str) -> Result<Stat<i64>, StoreError> {
        self.memory.stat(stream).await
    }
    async fn set_tags(&self, stream: &str, id: &i64, tags: Vec<String>) -> Result<(), StoreError> {
        self.memory.set_tags(stream, id, tags).await
    }
    async fn set_annotations(
        &self,
        stream: &str,
        id: &i64,
        changes: AnnotationChanges,
    ) -> Result<(), StoreError> {
        self.memory.set_annotations(stream, id, changes).await
    }
    async fn trim(&self, stream: &str, up_to: &i64) -> Result<u64, StoreError> {
        self.memory.trim(stream, up_to).await
    }
    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.memory.list_streams(after, limit).await
    }
    async fn close(&self) -> Result<(), StoreError> {
        self.memory.close().await
    }
    fn capabilities(&self) -> Capabilities<'_, i64, Bytes> {
        let subscribe = self.damaged.is_some().then_some(self as &dyn Subscribe<Id = i64, Payload = Bytes>);
        Capabilities { subscribe, ..Capabilities::default() }
    }
}

#[async_trait]
impl Subscribe for Wrapped {
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<i64>,
    ) -> Result<Subscription<i64, Bytes>, StoreError> {
        let watch = Changes::new().watch(stream);
        Ok(Subscription::new(Follow::begin(Arc::new(self.clone()), stream, watch, position).await?))
    }
}

#[tokio::test]
async fn what_the_store_cannot_do_is_said_by_name() {
    let store = bare();
    let stream = Stream::<Order, _>::json(&store, "user-123");
    stream.append(orders([1])).await.unwrap();
    assert_eq!(stream.read(Read::new()).await.unwrap()[0].payload, order(1));
    let search = stream.search("o", Read::new()).await.unwrap_err();
    let subscribe = stream.subscribe(Position::Start).await.map(drop).unwrap_err();
    for (error, operation) in [(search, "search"), (subscribe, "subscribe")] {
        let StoreError::NotSupported(error) = error else { panic!("{error}") };
        assert_eq!((error.operation, error.store.as_str()), (operation, "orders"));
    }
}

#[tokio::test]
async fn a_damaged_record_is_reported_where_it_stands_in_either_direction() {
    let store = damaged();
    let stream = Stream::<Order, _>::json(&store, "user-123");
    stream.append(orders(0..4)).await.unwrap();
    for (read, expected) in [(Read::new(), [1, 2, 3, 4]), (Read::new().descending(), [4, 3, 2, 1])] {
        let records = stream.read_each(read.clone()).await.unwrap();
        let ids =
            records.iter().map(|record| record.as_ref().map_or_else(|error| *error.id(), |entry| entry.id));
        assert_eq!(ids.collect::<Vec<_>>(), expected);
        let error = stream.read(read).await.unwrap_err();
        assert!(matches!(error, StreamError::Entry(EntryError::Damaged(_))), "{error}");
        assert_eq!(error.to_string(), "ledger: entry 2 of stream \"user-123\" is damaged: tags: not JSON");
    }
}

#[tokio::test]
async fn a_subscription_reports_a_damaged_record_and_goes_on_behind_it() {
    let store = damaged();
    let stream = Stream::<Order, _>::json(&store, "user-123");
    stream.append(orders(0..3)).await.unwrap();
    let mut live = stream.subscribe(Position::Start).await.unwrap();
    assert!(matches!(live.next().await.unwrap(), Some(TypedEvent::Entry(entry)) if entry.id == 1));
    let second = live.next().await.unwrap();
    assert!(matches!(second, Some(TypedEvent::Undecodable(EntryError::Damaged(record))) if record.id == 2));
    assert!(matches!(live.next().await.unwrap(), Some(TypedEvent::Entry(entry)) if entry.id == 3));
    assert!(matches!(live.next().await.unwrap(), Some(TypedEvent::CaughtUp)));
}
