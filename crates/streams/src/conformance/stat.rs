//! Count and bounds of a stream.

use super::Harness;
use super::fixture::{Fixture, STREAM};
use crate::{Stat, Store};

/// A stream without entries has none, and no bounds.
pub async fn of_an_unknown_stream_is_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one("other", on.input(1)).await;
    assert_eq!(on.store.count(STREAM).await.unwrap(), 0);
    let nothing = Stat { stream: STREAM.to_owned(), count: 0, first_id: None, last_id: None };
    assert_eq!(on.store.stat(STREAM).await.unwrap(), nothing);
    assert_eq!(on.streams().await, ["other"], "asking makes no stream");
}

/// Number, first and last id are those of the stream, not of the store.
pub async fn counts_one_stream<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one("before", on.input(1)).await;
    let all = on.fill(STREAM, 3).await;
    on.append_one("behind", on.input(1)).await;
    assert_eq!(on.store.count(STREAM).await.unwrap(), 3);
    let expected = Stat {
        stream: STREAM.to_owned(),
        count: 3,
        first_id: all.first().cloned(),
        last_id: all.last().cloned(),
    };
    assert_eq!(on.store.stat(STREAM).await.unwrap(), expected);
}

/// Duplicates do not count.
pub async fn duplicates_do_not_count<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for _ in 0..3 {
        on.append(STREAM, vec![on.input(1).dedup_key("key")]).await;
    }
    assert_eq!(on.store.count(STREAM).await.unwrap(), 1);
}

/// After a trim the bounds are those of what remains.
pub async fn follows_a_trim<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.fill(STREAM, 4).await;
    on.store.trim(STREAM, &all[1]).await.unwrap();
    let stat = on.store.stat(STREAM).await.unwrap();
    assert_eq!(
        (stat.count, stat.first_id.as_ref(), stat.last_id.as_ref()),
        (2, Some(&all[2]), Some(&all[3]))
    );

    on.store.trim(STREAM, &all[3]).await.unwrap();
    let stat = on.store.stat(STREAM).await.unwrap();
    assert_eq!((stat.count, stat.first_id, stat.last_id), (0, None, None));
    assert_eq!(on.store.count(STREAM).await.unwrap(), 0);
}
