//! Deduplication keys: a retry never duplicates (specification §1.4).

use super::Harness;
use super::fixture::{Fixture, STREAM, append, ids, within};
use crate::{Duplicate, Read, Store};

/// A second entry with a known key is not written; the answer names the entry that holds the key.
pub async fn a_known_key_is_skipped_and_its_holder_named<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).dedup_key("key")).await;
    on.append_one(STREAM, on.input(9)).await;

    let again = on.append(STREAM, vec![on.input(1).dedup_key("key")]).await;
    assert!(again.ids.is_empty());
    assert_eq!(again.duplicates, [Duplicate { index: 0, id }]);
    assert_eq!(on.store.count(STREAM).await.unwrap(), 2);
}

/// Entries without a key are never duplicates.
pub async fn an_empty_key_never_deduplicates<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let appended = on.append(STREAM, vec![on.input(1), on.input(1)]).await;
    assert_eq!((appended.ids.len(), appended.duplicates.len()), (2, 0));
    on.append_one(STREAM, on.input(1).dedup_key("")).await;
    assert_eq!(on.store.count(STREAM).await.unwrap(), 3);
}

/// A key counts within its stream only.
pub async fn the_same_key_in_two_streams_is_two_entries<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one("one", on.input(1).dedup_key("key")).await;
    let id = on.append_one("two", on.input(1).dedup_key("key")).await;
    let again = on.append("two", vec![on.input(1).dedup_key("key")]).await;
    assert_eq!(again.duplicates, [Duplicate { index: 0, id }], "the holder is the one in the same stream");
}

/// Of equal keys inside a batch the first is written; the others name it.
pub async fn the_first_of_equal_keys_in_a_batch_wins<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let keys = ["a", "b", "a", "", "b", "a", ""];
    let batch = (0..).zip(keys).map(|(n, key)| on.input(n).dedup_key(key)).collect();
    let appended = on.append(STREAM, batch).await;

    assert_eq!(appended.ids.len(), 4);
    let (a, b) = (&appended.ids[0], &appended.ids[1]);
    let skipped: Vec<_> =
        appended.duplicates.iter().map(|duplicate| (duplicate.index, &duplicate.id)).collect();
    assert_eq!(skipped, [(2, a), (4, b), (5, a)]);
    let entries = on.all(STREAM).await;
    assert_eq!(ids(&entries), appended.ids);
    let payloads: Vec<_> = [0, 1, 3, 6].map(|n| on.input(n).payload).into();
    assert_eq!(entries.into_iter().map(|entry| entry.payload).collect::<Vec<_>>(), payloads);
}

/// A batch of known and new keys writes the new ones and names the known ones by their position.
pub async fn a_batch_of_known_and_new_keys_writes_the_new_ones<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let old = on.append_one(STREAM, on.input(1).dedup_key("old")).await;
    let batch = ["new", "old", "newer"].map(|key| on.input(2).dedup_key(key)).into();
    let appended = on.append(STREAM, batch).await;
    assert_eq!(appended.duplicates, [Duplicate { index: 1, id: old.clone() }]);
    let mut all = vec![old];
    all.extend(appended.ids);
    assert_eq!(on.ids(STREAM, Read::new()).await, all);
    let keys: Vec<_> = on.all(STREAM).await.into_iter().map(|entry| entry.dedup_key).collect();
    assert_eq!(keys, ["old", "new", "newer"]);
}

/// Only the key decides: another payload under a known key is skipped, and the first one stays.
pub async fn the_payload_is_not_compared<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one(STREAM, on.input(1).dedup_key("key").tag("first")).await;
    let again = on.append(STREAM, vec![on.input(2).dedup_key("key").tag("second")]).await;
    assert!(again.ids.is_empty());
    let entry = on.only(STREAM).await;
    assert_eq!((entry.payload, entry.tags), (on.input(1).payload, vec!["first".to_owned()]));
}

/// A key lives as long as its entry.
pub async fn a_key_can_be_used_again_after_trim<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let keyed = |key: &str| on.input(1).dedup_key(key);
    let first = on.append_one(STREAM, keyed("trimmed")).await;
    let kept = on.append_one(STREAM, keyed("kept")).await;
    on.store.trim(STREAM, &first).await.unwrap();

    let appended = on.append(STREAM, vec![keyed("trimmed"), keyed("kept")]).await;
    assert_eq!(appended.duplicates, [Duplicate { index: 1, id: kept.clone() }]);
    assert!(appended.ids.len() == 1 && appended.ids[0] > kept, "the key got a new entry");
}

/// Keys are equal if their bytes are: case, blanks and Unicode forms make them different.
pub async fn keys_are_compared_byte_by_byte<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let keys = ["k", "K", " k", "k ", "k\u{301}", "é", "e\u{301}", "É", "1", "01", "1.0"];
    let batch: Vec<_> = keys.map(|key| on.input(1).dedup_key(key)).into();
    assert_eq!(on.append(STREAM, batch.clone()).await.len(), keys.len());
    let again = on.append(STREAM, batch).await;
    assert_eq!((again.ids.len(), again.duplicates.len()), (0, keys.len()));
}

/// Of many callers that append one key at once, one writes and all learn of the same entry.
pub async fn concurrent_appends_of_one_key_write_one_entry<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for round in 0..5 {
        let key = format!("key {round}");
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            let (store, batch) = (on.store.clone(), vec![on.input(n).dedup_key(&key)]);
            tasks.spawn(async move { append(&store, STREAM, batch).await });
        }
        let mut written = Vec::new();
        let mut held = Vec::new();
        for appended in within(tasks.join_all()).await {
            assert_eq!(appended.ids.len() + appended.duplicates.len(), 1);
            written.extend(appended.ids);
            held.extend(appended.duplicates.into_iter().map(|duplicate| duplicate.id));
        }
        assert_eq!(written.len(), 1, "one caller writes");
        assert!(held.iter().all(|id| *id == written[0]), "all others learn of its entry");
    }
    assert_eq!(on.store.count(STREAM).await.unwrap(), 5);
}

/// Batches with the same keys in opposite order do not block or fail each other (W51).
pub async fn batches_with_keys_in_opposite_order_all_succeed<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for round in 0..10 {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..4 {
            let mut keys: Vec<_> = (0..8).map(|n| format!("{round} {n}")).collect();
            if task % 2 == 1 {
                keys.reverse();
            }
            let batch = keys.into_iter().map(|key| on.input(1).dedup_key(key)).collect();
            let store = on.store.clone();
            tasks.spawn(async move { append(&store, STREAM, batch).await.len() });
        }
        let written: usize = within(tasks.join_all()).await.into_iter().sum();
        assert_eq!(written, 8, "each key is written once");
    }
}
