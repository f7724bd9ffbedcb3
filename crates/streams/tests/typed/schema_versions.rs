//! Old entries in today's shape.

use bytes::Bytes;
use ledger_streams::codec::{Json, Zstd};
use ledger_streams::{
    Append, EntryError, FieldMapper, MemoryStore, Position, Read, Store, Stream, StreamError, UpcastError,
    Upcaster, UpcasterFn,
};

use crate::{Order, append_raw, memory, order, order_stream, orders};

/// Appends its name to a text.
fn step(from: u32, to: u32) -> impl Upcaster<Bytes> {
    UpcasterFn::new(from, to, move |payload: Bytes| {
        let text: String = serde_json::from_slice(&payload)?;
        Ok(serde_json::to_vec(&format!("{text} {from}-{to}"))?.into())
    })
}

fn texts(store: &MemoryStore, version: u32) -> Stream<String, &MemoryStore> {
    Stream::json(store, "texts").schema_version(version)
}

/// What a stream of version 3 makes of an entry that was stored with this version.
async fn upcast_from(stored: i64, steps: &[(u32, u32)]) -> Result<String, StreamError<i64>> {
    let store = memory();
    append_raw(&store, "texts", stored, &["\"p\""]).await;
    let stream = steps.iter().fold(texts(&store, 3), |stream, (from, to)| stream.upcaster(step(*from, *to)));
    let entry = stream.read(Read::new()).await?.remove(0);
    assert_eq!(entry.schema_version, stored, "the version is reported as stored");
    Ok(entry.payload)
}

#[tokio::test]
async fn new_entries_are_stamped_with_the_version_of_the_stream() {
    let store = memory();
    assert_eq!(texts(&store, 0).current_schema_version(), 1);
    let append = || [Append::new("p".to_owned()).schema_version(77)];
    texts(&store, 0).append(append()).await.unwrap();
    texts(&store, 5).append(append()).await.unwrap();
    let stored = store.read("texts", &Read::new()).await.unwrap();
    assert_eq!(stored.iter().map(|entry| entry.schema_version).collect::<Vec<_>>(), [1, 5]);
}

#[tokio::test]
async fn old_entries_are_brought_up_by_the_shortest_chain() {
    assert_eq!(upcast_from(1, &[(1, 2), (2, 3)]).await.unwrap(), "p 1-2 2-3");
    assert_eq!(upcast_from(1, &[(1, 3)]).await.unwrap(), "p 1-3");
    assert_eq!(upcast_from(1, &[(1, 2), (2, 3), (1, 3)]).await.unwrap(), "p 1-3");
    assert_eq!(upcast_from(2, &[(1, 2), (2, 3), (1, 3)]).await.unwrap(), "p 2-3");
}

#[tokio::test]
async fn an_entry_without_a_version_is_taken_as_the_first() {
    assert_eq!(upcast_from(0, &[(1, 3)]).await.unwrap(), "p 1-3");
}

#[tokio::test]
async fn entries_of_the_same_or_a_newer_version_are_decoded_as_they_are() {
    for stored in [3, 4, i64::MAX] {
        assert_eq!(upcast_from(stored, &[(1, 2), (2, 3), (3, 4)]).await.unwrap(), "p", "{stored}");
    }
}

#[tokio::test]
async fn a_missing_step_names_the_entry_and_the_versions() {
    let error = upcast_from(1, &[(1, 2), (3, 4)]).await.unwrap_err();
    assert_eq!(error.to_string(), "entry 1: ledger: no upcaster available: version 1 to 3; reachable: [2]");
    let StreamError::Entry(EntryError::Upcast { id: 1, source }) = error else { panic!("{error}") };
    assert!(matches!(source, UpcastError::NoPath { from: 1, to: 3, .. }), "{source}");
}

#[tokio::test]
async fn a_failing_step_is_named_and_concerns_only_its_entry() {
    let store = memory();
    append_raw(&store, "texts", 1, &["\"p\"", "7", "\"q\""]).await;
    let stream = texts(&store, 3).upcaster(step(1, 2)).upcaster(step(2, 3));
    let records = stream.read_each(Read::new()).await.unwrap();
    let error = records[1].as_ref().unwrap_err();
    assert!(error.to_string().starts_with("entry 2: upcast v1 to v2: invalid type"), "{error}");
    let good: Vec<String> = records.into_iter().flatten().map(|entry| entry.payload).collect();
    assert_eq!(good, ["p 1-2 2-3", "q 1-2 2-3"]);
}

#[tokio::test]
async fn stored_payloads_stay_as_they_are() {
    let store = memory();
    append_raw(&store, "texts", 1, &["\"p\""]).await;
    let stream = texts(&store, 2).upcaster(step(1, 2));
    for _ in 0..2 {
        assert_eq!(stream.read(Read::new()).await.unwrap()[0].payload, "p 1-2");
    }
    assert_eq!(store.read("texts", &Read::new()).await.unwrap()[0].payload, "\"p\"");
}

#[tokio::test]
async fn subscriptions_and_clones_upcast_too() {
    let store = memory();
    append_raw(&store, "texts", 1, &["\"p\""]).await;
    let stream = texts(&store, 2).upcaster(step(1, 2));
    let reader = stream.clone().read_only();
    assert_eq!(reader.current_schema_version(), 2);
    for mut live in
        [stream.subscribe(Position::Start).await.unwrap(), reader.subscribe(Position::Start).await.unwrap()]
    {
        assert_eq!(live.next_entry().await.unwrap().unwrap().payload, "p 1-2");
    }
}

#[tokio::test]
async fn a_field_mapper_makes_old_orders_new() {
    let store = memory();
    append_raw(&store, "user-123", 1, &[r#"{"number":"o-1","total":1.5,"draft":true}"#]).await;
    let mapper = FieldMapper::new(1, 2).rename("number", "id").rename("total", "amount").remove("draft");
    let stream = order_stream(&store).schema_version(2).upcaster(mapper);
    let entry = stream.read(Read::new()).await.unwrap().remove(0);
    assert_eq!((entry.payload, entry.schema_version), (order(1), 1));
}

#[tokio::test]
async fn a_field_mapper_that_fails_names_entry_and_field() {
    let store = memory();
    append_raw(&store, "user-123", 1, &[r#"{"id":"o-1","amount":"much"}"#]).await;
    let mapper = FieldMapper::new(1, 2).map("amount", |cents: u64| cents as f64 / 100.0);
    let stream = order_stream(&store).schema_version(2).upcaster(mapper);
    let error = stream.read(Read::new()).await.unwrap_err().to_string();
    let expected =
        "entry 1: upcast v1 to v2: the value of field \"amount\" does not fit its map: invalid type";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn upcasters_see_plain_payloads_under_compression() {
    let store = memory();
    let old = Stream::<serde_json::Value, _, _>::new(&store, "user-123", Zstd::new(Json));
    old.append([Append::new(serde_json::json!({"number": "o-1", "amount": 1.5}))]).await.unwrap();
    append_raw(&store, "user-123", 1, &[r#"{"number":"o-2","amount":2.5}"#]).await;
    append_raw(&store, "user-123", 1, &["\u{1}broken"]).await;
    let stream = Stream::<Order, _, _>::new(&store, "user-123", Zstd::new(Json))
        .schema_version(2)
        .upcaster(FieldMapper::new(1, 2).rename("number", "id"));
    stream.append(orders([3])).await.unwrap();
    let records = stream.read_each(Read::new()).await.unwrap();
    assert!(matches!(records[2], Err(EntryError::Decode { id: 3, .. })), "{:?}", records[2]);
    let good: Vec<Order> = records.into_iter().flatten().map(|entry| entry.payload).collect();
    assert_eq!(good, [order(1), order(2), order(3)]);
}
