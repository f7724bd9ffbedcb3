//! Changes to entries that exist: tags and annotations.

use std::collections::BTreeMap;

use super::fixture::{Fixture, STREAM, expect_error, within};
use super::{Harness, IdOf, PayloadOf};
use crate::{AnnotationChanges, Entry, Store};

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Fails unless two states of an entry differ in nothing but tags, annotations and the time of their change.
fn assert_same_otherwise<H: Harness>(
    after: &Entry<IdOf<H>, PayloadOf<H>>,
    before: &Entry<IdOf<H>, PayloadOf<H>>,
) {
    let mut expected = before.clone();
    expected.tags.clone_from(&after.tags);
    expected.annotations.clone_from(&after.annotations);
    expected.updated_at = after.updated_at;
    assert_eq!(*after, expected);
}

/// Tags of an append can be replaced; the entry is stamped with the time of the change.
pub async fn tags_are_replaced<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).order_key("k").metadata("m", "1").tag("initial")).await;
    let before = on.only(STREAM).await;
    assert_eq!((&before.tags[..], before.updated_at), (&["initial".to_owned()][..], None));

    on.store.set_tags(STREAM, &id, vec!["shipped".into(), "paid".into()]).await.unwrap();
    let after = on.only(STREAM).await;
    assert_eq!(after.tags, ["shipped", "paid"]);
    assert!(after.updated_at.unwrap() >= after.created_at);
    assert_same_otherwise::<H>(&after, &before);
}

/// An empty list clears the tags, and counts as a change.
pub async fn an_empty_list_clears_the_tags<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).tag("a")).await;
    on.store.set_tags(STREAM, &id, Vec::new()).await.unwrap();
    let entry = on.only(STREAM).await;
    assert_eq!(entry.tags, [""; 0]);
    assert!(entry.updated_at.is_some());
}

/// Order and repetition of tags are kept, at append and later.
pub async fn tags_keep_order_and_repetition<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let tags: Vec<String> = ["b", "a", "b", "", "B", "a", ""].map(str::to_owned).into();
    let mut input = on.input(1);
    input.tags.clone_from(&tags);
    let id = on.append_one(STREAM, input).await;
    assert_eq!(on.only(STREAM).await.tags, tags);

    let reversed: Vec<_> = tags.into_iter().rev().collect();
    on.store.set_tags(STREAM, &id, reversed.clone()).await.unwrap();
    assert_eq!(on.only(STREAM).await.tags, reversed);
}

/// Annotations are merged: what is set is set, what is deleted is gone, the rest stays.
pub async fn annotations_are_merged<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).metadata("m", "1").tag("t")).await;
    let before = on.only(STREAM).await;
    let change = async |changes| on.store.set_annotations(STREAM, &id, changes).await.unwrap();

    change(AnnotationChanges::new().set("a", "1").set("b", "2")).await;
    assert_eq!(on.only(STREAM).await.annotations, pairs([("a", "1"), ("b", "2")]));
    change(AnnotationChanges::new().set("c", "3").delete("a")).await;
    assert_eq!(on.only(STREAM).await.annotations, pairs([("b", "2"), ("c", "3")]));
    change(AnnotationChanges::new().set("b", "")).await;
    assert_eq!(
        on.only(STREAM).await.annotations,
        pairs([("b", ""), ("c", "3")]),
        "an empty value is a value"
    );
    change(AnnotationChanges::new().delete("b").delete("c")).await;

    let after = on.only(STREAM).await;
    assert!(after.annotations.is_empty());
    assert!(after.updated_at.unwrap() >= after.created_at);
    assert_same_otherwise::<H>(&after, &before);
    change(AnnotationChanges::new().set("again", "1")).await;
    assert_eq!(on.only(STREAM).await.annotations, pairs([("again", "1")]));
}

/// Deleting a key that does not exist is fine, and counts as a change; so does changing nothing.
pub async fn changing_nothing_counts_as_a_change<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for (stream, changes) in
        [("delete", AnnotationChanges::new().delete("unknown")), ("nothing", AnnotationChanges::new())]
    {
        let id = on.append_one(stream, on.input(1)).await;
        on.store.set_annotations(stream, &id, changes).await.unwrap();
        let entry = on.only(stream).await;
        assert!(entry.annotations.is_empty());
        assert!(entry.updated_at.is_some(), "{stream}");
    }
}

/// Only the entry that was named changes.
pub async fn other_entries_stay_as_they_are<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.append(STREAM, (0..3).map(|n| on.input(n).tag("old")).collect()).await.ids;
    on.append_one("other", on.input(1).tag("old")).await;
    let (before, other) = (on.all(STREAM).await, on.all("other").await);
    on.store.set_tags(STREAM, &all[1], vec!["new".into()]).await.unwrap();
    on.store.set_annotations(STREAM, &all[1], AnnotationChanges::new().set("a", "1")).await.unwrap();

    let after = on.all(STREAM).await;
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_same_otherwise::<H>(&after[1], &before[1]);
    assert_eq!(on.all("other").await, other);
}

/// Tags and annotations do not touch each other.
pub async fn tags_and_annotations_are_independent<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).tag("t")).await;
    on.store.set_annotations(STREAM, &id, AnnotationChanges::new().set("a", "1")).await.unwrap();
    on.store.set_tags(STREAM, &id, vec!["u".into()]).await.unwrap();
    let entry = on.only(STREAM).await;
    assert_eq!((entry.tags, entry.annotations), (vec!["u".to_owned()], pairs([("a", "1")])));
}

/// An entry that is not in the stream is not found: not there, in another stream, trimmed, in no stream.
pub async fn an_entry_that_is_not_in_the_stream_is_not_found<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let trimmed = on.append_one(STREAM, on.input(0).tag("old")).await;
    let id = on.append_one(STREAM, on.input(1).tag("old")).await;
    on.append_one("other", on.input(2)).await;
    on.store.trim(STREAM, &trimmed).await.unwrap();
    let before = on.all(STREAM).await;

    for (stream, id) in [
        (STREAM, harness.missing_id()),
        ("other", id.clone()),
        (STREAM, trimmed),
        ("unknown", id),
        ("", harness.missing_id()),
    ] {
        let tags = on.store.set_tags(stream, &id, vec!["new".into()]).await;
        let changes = AnnotationChanges::new().set("a", "1");
        let annotations = on.store.set_annotations(stream, &id, changes).await;
        for answer in [tags, annotations] {
            let facts = expect_error!(answer, EntryNotFound);
            assert_eq!(
                (&*facts.id, &*facts.stream, &*facts.store),
                (&*id.to_string(), stream, on.store.name())
            );
        }
    }
    assert_eq!(on.all(STREAM).await, before);
}

/// Fifty callers that set fifty keys of one entry at once all leave their key behind (W8).
pub async fn concurrent_annotations_all_survive<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (store, id) = (on.store.clone(), id.clone());
        tasks.spawn(async move {
            let changes = AnnotationChanges::new().set(format!("key {n}"), n.to_string());
            store.set_annotations(STREAM, &id, changes).await.unwrap();
        });
    }
    within(tasks.join_all()).await;
    let expected = (0..50).map(|n| (format!("key {n}"), n.to_string())).collect();
    assert_eq!(on.only(STREAM).await.annotations, expected);
}

/// Tags and annotations that are set at once both survive.
pub async fn concurrent_tags_and_annotations_both_survive<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    let mut expected = BTreeMap::new();
    for n in 0..20 {
        let value = n.to_string();
        let changes = AnnotationChanges::new().set(&value, "set");
        let (tags, annotations) = tokio::join!(
            on.store.set_tags(STREAM, &id, vec![value.clone()]),
            on.store.set_annotations(STREAM, &id, changes),
        );
        tags.unwrap();
        annotations.unwrap();
        expected.insert(value.clone(), "set".to_owned());
        let entry = on.only(STREAM).await;
        assert_eq!((entry.tags, &entry.annotations), (vec![value], &expected));
    }
}
