//! What goes in comes out, or nothing goes in.

use std::collections::BTreeMap;

use ledger_streams::{
    AnnotationChanges, Append, Conflict, Durability, Expect, Position, Read, Store, StoreError, Stream,
    StreamError, TypedEvent,
};

use crate::{Order, memory, order, order_stream, orders};

#[tokio::test]
async fn values_come_back_with_their_attributes() {
    let store = memory();
    let stream = order_stream(&store);
    assert_eq!((stream.name(), stream.current_schema_version()), ("user-123", 1));
    let input =
        Append::new(order(1)).order_key("customer-1").dedup_key("req-1").tag("new").metadata("env", "prod");
    let appended = stream.append([input]).await.unwrap();
    assert_eq!((appended.len(), appended.durability), (1, Durability::Memory));
    let entries = stream.read(Read::new()).await.unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.id, &*entry.stream, &entry.payload), (appended[0], "user-123", &order(1)));
    assert_eq!((entry.order_key.as_str(), entry.dedup_key.as_str()), ("customer-1", "req-1"));
    assert_eq!((entry.schema_version, &entry.tags[..]), (1, &["new".to_owned()][..]));
    assert_eq!(entry.metadata, BTreeMap::from([("env".to_owned(), "prod".to_owned())]));
    let stored = store.read("user-123", &Read::new()).await.unwrap();
    assert_eq!(stored[0].payload, r#"{"id":"o-1","amount":1.5}"#);
}

#[tokio::test]
async fn nothing_in_is_nothing_out() {
    let store = memory();
    let stream = order_stream(&store);
    assert!(stream.append([]).await.unwrap().is_empty());
    assert!(stream.append_expecting(Expect::LastId(7), []).await.unwrap().is_empty());
    assert!(stream.read(Read::new()).await.unwrap().is_empty());
    assert!(stream.read_each(Read::new()).await.unwrap().is_empty());
    assert_eq!(stream.count().await.unwrap(), 0);
    assert_eq!(store.list_streams(None, 0).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn streams_of_one_store_do_not_share_entries() {
    let store = memory();
    let other = Stream::<Order, _>::json(&store, "user-456");
    order_stream(&store).append(orders([1])).await.unwrap();
    other.append(orders([2, 3])).await.unwrap();
    assert_eq!(order_stream(&store).read(Read::new()).await.unwrap()[0].payload, order(1));
    assert_eq!(other.count().await.unwrap(), 2);
}

#[tokio::test]
async fn pages_follow_cursor_limit_order_and_filter() {
    let store = memory();
    let stream = order_stream(&store);
    let ids = stream.append(orders(0..5)).await.unwrap().ids;
    stream.append([Append::new(order(9)).tag("late")]).await.unwrap();
    let numbers = async |read: Read<i64>| -> Vec<String> {
        stream.read(read).await.unwrap().into_iter().map(|entry| entry.payload.id).collect()
    };
    assert_eq!(numbers(Read::new().limit(2)).await, ["o-0", "o-1"]);
    assert_eq!(numbers(Read::new().after(ids[1]).limit(2)).await, ["o-2", "o-3"]);
    assert_eq!(numbers(Read::new().descending().after(ids[2])).await, ["o-1", "o-0"]);
    assert_eq!(numbers(Read::new().tag("late")).await, ["o-9"]);
}

#[tokio::test]
async fn a_retry_is_answered_with_the_first_id() {
    let store = memory();
    let stream = order_stream(&store);
    let input = || [Append::new(order(1)).dedup_key("req-1")];
    let first = stream.append(input()).await.unwrap();
    let second = stream.append(input()).await.unwrap();
    assert!(second.is_empty());
    assert_eq!((second.duplicates[0].index, second.duplicates[0].id), (0, first[0]));
    assert_eq!(stream.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_value_without_an_encoding_writes_nothing_and_is_named() {
    let store = memory();
    let stream = Stream::<BTreeMap<(u8, u8), u8>, _>::json(&store, "pairs");
    let (empty, bad) = (BTreeMap::new(), BTreeMap::from([((1, 2), 3)]));
    let batch = [&empty, &empty, &bad, &empty, &bad].map(|value| Append::new(value.clone()));
    let error = stream.append(batch).await.unwrap_err();
    assert!(matches!(error, StreamError::Encode { index: 2, .. }), "{error}");
    assert_eq!(error.to_string(), "ledger: encode failed: value 2 of the batch: key must be a string");
    assert_eq!(stream.count().await.unwrap(), 0);
    assert!(stream.append([Append::new(empty)]).await.is_ok());
}

#[tokio::test]
async fn an_append_that_expects_another_end_is_refused_with_the_actual_one() {
    let store = memory();
    let stream = order_stream(&store);
    let first = stream.append_expecting(Expect::Empty, orders([1])).await.unwrap()[0];
    let second = stream.append_expecting(Expect::LastId(first), orders([2])).await.unwrap()[0];
    for (expect, expected_last_id) in
        [(Expect::Empty, None), (Expect::LastId(first), Some(first.to_string()))]
    {
        let error = stream.append_expecting(expect, orders([3])).await.unwrap_err();
        let StreamError::Store(StoreError::Conflict(conflict)) = error else { panic!("{error}") };
        let actual_last_id = Some(second.to_string());
        assert_eq!(conflict, Conflict { stream: "user-123".into(), expected_last_id, actual_last_id });
    }
    assert_eq!(stream.count().await.unwrap(), 2);
}

#[tokio::test]
async fn tags_annotations_stat_and_trim_pass_through() {
    let store = memory();
    let stream = order_stream(&store);
    let ids = stream.append(orders(0..3)).await.unwrap().ids;
    stream.set_tags(&ids[1], ["paid", "sent"]).await.unwrap();
    stream.set_annotations(&ids[1], AnnotationChanges::new().set("carrier", "UPS")).await.unwrap();
    let entry = stream.read(Read::new().tag("paid")).await.unwrap().remove(0);
    assert_eq!((entry.id, &entry.tags[..]), (ids[1], &["paid".to_owned(), "sent".to_owned()][..]));
    assert_eq!(entry.annotations["carrier"], "UPS");
    assert!(entry.updated_at.is_some());
    let missing = stream.set_tags(&-1, [""; 0]).await.unwrap_err();
    assert!(matches!(missing, StoreError::EntryNotFound(_)), "{missing}");
    assert_eq!(stream.trim(&ids[1]).await.unwrap(), 2);
    let stat = stream.stat().await.unwrap();
    assert_eq!((stat.count, stat.first_id, stat.last_id), (1, Some(ids[2]), Some(ids[2])));
}

#[tokio::test]
async fn a_closed_store_is_reported_by_every_operation() {
    let store = memory();
    let stream = order_stream(&store);
    store.close().await.unwrap();
    let is_closed = |error: StoreError| assert!(matches!(error, StoreError::Closed(_)), "{error}");
    match stream.append(orders([1])).await.unwrap_err() {
        StreamError::Store(error) => is_closed(error),
        other => panic!("{other}"),
    }
    is_closed(stream.read_each(Read::new()).await.unwrap_err());
    is_closed(stream.search("o", Read::new()).await.unwrap_err());
    is_closed(stream.count().await.unwrap_err());
    is_closed(stream.stat().await.unwrap_err());
    is_closed(stream.trim(&1).await.unwrap_err());
    is_closed(stream.subscribe(Position::Start).await.map(drop).unwrap_err());
}

#[tokio::test]
async fn closing_the_store_ends_subscriptions_whether_they_wait_or_not() {
    let store = memory();
    let stream = order_stream(&store);
    let mut live = stream.subscribe(Position::Start).await.unwrap();
    assert!(matches!(live.next().await.unwrap(), Some(TypedEvent::CaughtUp)));
    let mut busy = stream.subscribe(Position::Start).await.unwrap();
    let (next, closed) = tokio::join!(live.next(), store.close());
    closed.unwrap();
    assert!(next.unwrap().is_none());
    assert!(live.next().await.unwrap().is_none());
    assert!(busy.next_entry().await.unwrap().is_none());
}
