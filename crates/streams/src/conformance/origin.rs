//! Copies: entries that bring their identity, annotations and times along.

use super::Harness;
use super::fixture::{Fixture, Input, STREAM, expect_error, within};
use crate::{AnnotationChanges, Append, Duplicate, Expect, FindBySource, Origin, Store, Timestamp};

fn copy<H: Harness>(input: Input<H>, source_id: &str) -> Input<H> {
    input.origin(Origin { source_id: source_id.to_owned(), ..Origin::default() })
}

/// Everything that a copy brings along reads back.
pub async fn a_copy_keeps_what_it_brings_along<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let created_at: Timestamp = "2021-02-03T04:05:06.789Z".parse().unwrap();
    let updated_at: Timestamp = "2022-03-04T05:06:07.890Z".parse().unwrap();
    let origin = Origin {
        source_id: "0000000000000000042".into(),
        annotations: [("carrier".to_owned(), "UPS".to_owned()), (String::new(), String::new())].into(),
        created_at: Some(created_at),
        updated_at: Some(updated_at),
    };
    on.append_one(STREAM, on.input(1).tag("paid").origin(origin.clone())).await;

    let entry = on.only(STREAM).await;
    assert_eq!(entry.source_id, origin.source_id);
    assert_eq!(entry.annotations, origin.annotations);
    assert_eq!((entry.created_at, entry.updated_at), (created_at, Some(updated_at)));
    assert_eq!(entry.tags, ["paid"]);
}

/// What a copy does not bring along is as in any other entry.
pub async fn an_origin_may_be_empty<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let batch = vec![on.input(1).origin(Origin::default()), on.input(2).origin(Origin::default())];
    assert_eq!(on.append(STREAM, batch).await.len(), 2, "no identity is not an identity");
    for entry in on.all(STREAM).await {
        assert_eq!((&*entry.source_id, entry.updated_at), ("", None));
        assert!(entry.annotations.is_empty());
        assert!(entry.created_at > Timestamp::UNIX_EPOCH);
    }
}

/// Times of long ago and far ahead are kept; times finer than a store keeps are cut, by less than a millisecond.
pub async fn times_of_copies_are_kept<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let times = [
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "2000-02-29T12:00:00.001Z",
        "2199-12-31T23:59:59Z",
    ];
    for time in times {
        let time: Timestamp = time.parse().unwrap();
        let origin = Origin { created_at: Some(time), updated_at: Some(time), ..Origin::default() };
        let stream = time.to_string();
        on.append_one(&stream, on.input(1).origin(origin)).await;
        let entry = on.only(&stream).await;
        assert_eq!((entry.created_at, entry.updated_at), (time, Some(time)));
    }

    let fine: Timestamp = "2024-05-06T07:08:09.123987654Z".parse().unwrap();
    on.append_one("fine", on.input(1).origin(Origin { created_at: Some(fine), ..Origin::default() })).await;
    let cut = fine.as_nanosecond() - on.only("fine").await.created_at.as_nanosecond();
    assert!((0..1_000_000).contains(&cut), "the time was moved by {cut} ns");
}

/// Later changes of a copy are stamped by the store's clock, on top of what it brought along.
pub async fn a_copy_can_be_changed_like_any_entry<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let long_ago = Timestamp::UNIX_EPOCH;
    let annotations = [("kept".to_owned(), "1".to_owned()), ("deleted".to_owned(), "2".to_owned())].into();
    let origin = Origin { annotations, updated_at: Some(long_ago), ..Origin::default() };
    let id = on.append_one(STREAM, on.input(1).origin(origin)).await;
    on.store.set_annotations(STREAM, &id, AnnotationChanges::new().delete("deleted")).await.unwrap();

    let entry = on.only(STREAM).await;
    assert_eq!(entry.annotations, [("kept".to_owned(), "1".to_owned())].into());
    assert!(entry.updated_at.unwrap() > long_ago);
}

/// A second copy of the same source entry is a duplicate: replaying a replication does no harm (W9).
pub async fn a_replay_is_a_duplicate<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let batch = || (1..4).map(|n| copy::<H>(on.input(n), &n.to_string())).collect::<Vec<_>>();
    let first = on.append(STREAM, batch()).await;
    assert_eq!(first.len(), 3);

    let mut replay = batch();
    replay.push(copy::<H>(on.input(4), "4"));
    let again = on.append(STREAM, replay).await;
    let known = |index: usize| Duplicate { index, id: first[index].clone() };
    assert_eq!(again.duplicates, [known(0), known(1), known(2)]);
    assert_eq!(again.len(), 1, "what is new in a replay is written");
    assert_eq!(on.store.count(STREAM).await.unwrap(), 4);
}

/// Of equal source ids inside a batch the first is written.
pub async fn the_first_of_equal_source_ids_in_a_batch_wins<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let batch = vec![copy::<H>(on.input(1), "s"), copy::<H>(on.input(2), "s")];
    let appended = on.append(STREAM, batch).await;
    assert_eq!(appended.duplicates, [Duplicate { index: 1, id: appended[0].clone() }]);
    assert_eq!(on.only(STREAM).await.payload, on.input(1).payload);
}

/// Where dedup key and source id are held by two entries, the one with the dedup key is named.
pub async fn the_dedup_key_is_looked_at_first<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one(STREAM, copy::<H>(on.input(1), "source")).await;
    let by_key = on.append_one(STREAM, on.input(2).dedup_key("key")).await;
    on.append_one("other", copy::<H>(on.input(3), "elsewhere")).await;
    for source_id in ["source", "elsewhere"] {
        let again = on.append(STREAM, vec![copy::<H>(on.input(4), source_id).dedup_key("key")]).await;
        assert_eq!(again.duplicates, [Duplicate { index: 0, id: by_key.clone() }], "{source_id}");
    }
}

/// A source id is unique in the store: in another stream it is refused, not dropped (W3).
pub async fn a_source_id_of_another_stream_is_refused<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one("first", copy::<H>(on.input(1), "7")).await;
    let again = vec![copy::<H>(on.input(2), "7")];
    let taken = expect_error!(on.store.append("second", again, Expect::Any).await, SourceTaken);
    assert_eq!((&*taken.source_id, &*taken.taken_by), ("7", "first"));
    assert_eq!(on.store.count("second").await.unwrap(), 0);
    assert_eq!(on.streams().await, ["first"]);
}

/// A source id lives as long as its entry.
pub async fn a_source_id_can_be_used_again_after_trim<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one("first", copy::<H>(on.input(1), "7")).await;
    on.store.trim("first", &id).await.unwrap();
    on.append_one("second", copy::<H>(on.input(1), "7")).await;
}

/// Of many replays at once one writes and all learn of the same entry.
pub async fn concurrent_replays_write_one_copy<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..12 {
        let (store, batch) = (on.store.clone(), vec![copy::<H>(on.input(n), "s")]);
        tasks.spawn(async move { super::fixture::append(&store, STREAM, batch).await });
    }
    let answers = within(tasks.join_all()).await;
    let id = on.only(STREAM).await.id;
    assert_eq!(answers.iter().filter(|appended| appended.ids == [id.clone()]).count(), 1);
    let known = [Duplicate { index: 0, id }];
    assert_eq!(answers.iter().filter(|appended| appended.duplicates == known).count(), 11);
}

/// A copy is found by its source id in its own stream, and nowhere else.
pub async fn a_copy_is_found_by_its_source_id<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    if !harness.promised().find_by_source {
        return;
    }
    let odd = "a\"b%_\\ö🦀";
    on.append_one(STREAM, on.input(0)).await;
    let seven = on.append_one(STREAM, copy::<H>(on.input(1), "7")).await;
    let named = on.append_one(STREAM, copy::<H>(on.input(2), odd)).await;

    assert_eq!(find(&on, STREAM, "7").await, Some(seven.clone()));
    assert_eq!(find(&on, STREAM, odd).await, Some(named.clone()));
    for unknown in ["", "8", "07", "7 ", "%", "_", "a\0"] {
        assert_eq!(find(&on, STREAM, unknown).await, None, "{unknown:?}");
    }
    assert_eq!(find(&on, "other", "7").await, None);

    on.store.trim(STREAM, &seven).await.unwrap();
    assert_eq!(find(&on, STREAM, "7").await, None, "trimmed");
    assert_eq!(find(&on, STREAM, odd).await, Some(named));
}

async fn find<H: Harness>(on: &Fixture<'_, H>, stream: &str, source_id: &str) -> Option<super::IdOf<H>> {
    let capabilities = on.store.capabilities();
    let find: &dyn FindBySource<Id = _, Payload = _> = capabilities.find_by_source.expect("promised");
    find.find_by_source(stream, source_id).await.expect("find by source")
}

/// A dedup key and a source id on one entry both work.
pub async fn a_copy_can_have_a_dedup_key<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, copy::<H>(on.input(1), "s").dedup_key("k")).await;
    let again: Vec<Append<_>> = vec![
        on.input(2).dedup_key("k"),
        copy::<H>(on.input(3), "s"),
        copy::<H>(on.input(4), "s").dedup_key("k"),
    ];
    let appended = on.append(STREAM, again).await;
    assert!(appended.ids.is_empty());
    assert!(appended.duplicates.iter().all(|duplicate| duplicate.id == id));
    assert_eq!(appended.duplicates.len(), 3);
}
