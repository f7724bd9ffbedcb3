//! Trim.

use super::Harness;
use super::fixture::{Fixture, STREAM};
use crate::{EntryId, Read, Store};

/// Entries up to and including the id are deleted and counted; the rest stays as it was.
pub async fn deletes_up_to_and_including_the_id<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.fill(STREAM, 5).await;
    let before = on.all(STREAM).await;
    assert_eq!(on.store.trim(STREAM, &all[2]).await.unwrap(), 3);
    assert_eq!(on.all(STREAM).await, before[3..]);
}

/// Trimming again at the same id, or below the first entry, deletes nothing.
pub async fn is_idempotent<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.fill(STREAM, 4).await;
    assert_eq!(on.store.trim(STREAM, &all[1]).await.unwrap(), 2);
    assert_eq!(on.store.trim(STREAM, &all[1]).await.unwrap(), 0);
    assert_eq!(on.store.trim(STREAM, &all[0]).await.unwrap(), 0);
    assert_eq!(on.ids(STREAM, Read::new()).await, all[2..]);
}

/// A stream without entries has nothing to trim.
pub async fn of_an_unknown_stream_deletes_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one("other", on.input(1)).await;
    assert_eq!(on.store.trim(STREAM, &id).await.unwrap(), 0);
    assert_eq!(on.streams().await, ["other"]);
}

/// The id need not be an entry of the stream (W15): what lies up to it is deleted, and other streams are not touched.
pub async fn the_id_need_not_be_an_entry_of_the_stream<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let first = on.append_one(STREAM, on.input(1)).await;
    let between = on.append_one("other", on.input(2)).await;
    let second = on.append_one(STREAM, on.input(3)).await;
    let beyond = on.append_one("other", on.input(4)).await;

    assert_eq!(on.store.trim(STREAM, &between).await.unwrap(), 1, "{first} lies below {between}");
    assert_eq!(on.ids(STREAM, Read::new()).await, [second]);
    assert_eq!(on.store.trim(STREAM, &beyond).await.unwrap(), 1);
    assert_eq!(on.ids(STREAM, Read::new()).await, []);
    assert_eq!(on.ids("other", Read::new()).await, [between, beyond]);
}

/// An id is never given twice, even if all entries are gone.
pub async fn ids_are_never_used_again<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut last = on.append_one(STREAM, on.input(0)).await;
    for n in 1..5 {
        on.store.trim(STREAM, &last).await.unwrap();
        let next = on.append_one(STREAM, on.input(n)).await;
        assert!(next.is_behind(&last), "{next} after {last} was trimmed");
        last = next;
    }
    assert_eq!(on.ids(STREAM, Read::new()).await, [last]);
}

/// What is trimmed is gone: for reads in either direction, filters and changes.
pub async fn what_is_trimmed_is_gone<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let gone = on.append_one(STREAM, on.input(1).tag("paid").order_key("a")).await;
    let kept = on.append_one(STREAM, on.input(2).tag("paid").order_key("a")).await;
    on.store.trim(STREAM, &gone).await.unwrap();
    for read in [Read::new(), Read::new().descending(), Read::new().tag("paid"), Read::new().order_key("a")] {
        assert_eq!(on.ids(STREAM, read).await, std::slice::from_ref(&kept));
    }
    assert_eq!(on.ids(STREAM, Read::new().after(kept).descending()).await, []);
}

/// Trims at the same time delete each entry once between them.
pub async fn concurrent_trims_count_each_entry_once<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.append(STREAM, on.inputs(0..40)).await.ids;
    let mut tasks = tokio::task::JoinSet::new();
    for id in &all[..30] {
        let (store, id) = (on.store.clone(), id.clone());
        tasks.spawn(async move { store.trim(STREAM, &id).await.unwrap() });
    }
    let trimmed: u64 = super::fixture::within(tasks.join_all()).await.into_iter().sum();
    assert_eq!(trimmed, 30);
    assert_eq!(on.ids(STREAM, Read::new()).await, all[30..]);
}
