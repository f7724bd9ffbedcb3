//! One entry that cannot be decoded does not hide the others.

use ledger_streams::{EntryError, MemoryStore, Position, Read, StreamError, TypedEvent};

use crate::{Order, append_raw, memory, order, order_stream, orders};

/// A good, an undecodable and another good entry.
async fn append_with_one_undecodable(store: &MemoryStore) -> [i64; 3] {
    let good = |number| serde_json::to_string(&order(number)).unwrap();
    let payloads = [&good(1), r#"{"id":7}"#, &good(3)];
    append_raw(store, "user-123", 1, &payloads).await.try_into().unwrap()
}

#[tokio::test]
async fn a_read_fails_and_names_the_entry() {
    let store = memory();
    let [_, bad, _] = append_with_one_undecodable(&store).await;
    let error = order_stream(&store).read(Read::new()).await.unwrap_err();
    let StreamError::Entry(error) = error else { panic!("{error}") };
    assert_eq!(*error.id(), bad);
    assert!(matches!(error, EntryError::Decode { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("ledger: decode failed: entry {bad}: ")), "{error}");
}

#[tokio::test]
async fn reading_each_reports_it_between_the_good_ones() {
    let store = memory();
    let ids = append_with_one_undecodable(&store).await;
    let stream = order_stream(&store);
    let records = stream.read_each(Read::new()).await.unwrap();
    let seen = records.iter().map(|record| match record {
        Ok(entry) => (entry.id, true),
        Err(error) => (*error.id(), false),
    });
    assert!(seen.eq([(ids[0], true), (ids[1], false), (ids[2], true)]));
    let good: Vec<Order> = records.into_iter().flatten().map(|entry| entry.payload).collect();
    assert_eq!(good, [order(1), order(3)]);
}

#[tokio::test]
async fn a_search_reports_it_too() {
    let store = memory();
    append_with_one_undecodable(&store).await;
    let records = order_stream(&store).search("\"ID\":", Read::new().descending()).await.unwrap();
    assert_eq!(records.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(records.into_iter().flatten().next().unwrap().payload, order(3));
}

#[tokio::test]
async fn a_subscription_goes_on_behind_it() {
    let store = memory();
    let ids = append_with_one_undecodable(&store).await;
    let stream = order_stream(&store);
    let mut live = stream.subscribe(Position::Start).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match live.next().await.unwrap().unwrap() {
            TypedEvent::Entry(entry) => seen.push((entry.id, true)),
            TypedEvent::Undecodable(error) => seen.push((*error.id(), false)),
            TypedEvent::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [(ids[0], true), (ids[1], false), (ids[2], true)]);
    stream.append(orders([4])).await.unwrap();
    assert_eq!(live.next_entry().await.unwrap().unwrap().payload, order(4));
}

#[tokio::test]
async fn waiting_for_entries_fails_once_and_then_delivers_the_next() {
    let store = memory();
    let [_, bad, last] = append_with_one_undecodable(&store).await;
    let mut live = order_stream(&store).subscribe(Position::Start).await.unwrap();
    assert_eq!(live.next_entry().await.unwrap().unwrap().payload, order(1));
    let error = live.next_entry().await.unwrap_err();
    assert!(matches!(&error, StreamError::Entry(error) if *error.id() == bad), "{error}");
    assert_eq!(live.next_entry().await.unwrap().unwrap().id, last);
}
