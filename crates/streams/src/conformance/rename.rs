//! Renaming of streams.

use std::time::Duration;

use super::fixture::{Fixture, ODD_TEXTS, append, expect_error, ids, rise, sort, within};
use super::{Harness, fixture::STREAM};
use crate::{AnnotationChanges, Duplicate, Expect, Origin, Position, Read, RenameStream, Store, StoreError};

async fn rename<S: Store>(store: &S, from: &str, to: &str) -> Result<(), StoreError> {
    let capabilities = store.capabilities();
    let rename: &dyn RenameStream<Id = _, Payload = _> = capabilities.rename.expect("promised");
    within(rename.rename_stream(from, to)).await
}

/// Entries keep everything but the name of their stream; the old name has none any more.
pub async fn entries_stay_as_they_are<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let input = on.input(1).order_key("k").dedup_key("d").tag("t").metadata("m", "1");
    let id = on.append_one("old", input).await;
    on.store.set_annotations("old", &id, AnnotationChanges::new().set("a", "1")).await.unwrap();
    on.append_one("old", on.input(2)).await;
    on.append_one("bystander", on.input(3)).await;
    let mut expected = on.all("old").await;
    expected.iter_mut().for_each(|entry| entry.stream = "new".into());

    rename(&on.store, "old", "new").await.unwrap();
    assert_eq!(on.all("new").await, expected);
    assert!(on.page("old", Read::new()).await.is_end());
    assert_eq!((on.store.count("old").await.unwrap(), on.store.count("new").await.unwrap()), (0, 2));
    assert_eq!(on.store.stat("new").await.unwrap().first_id, Some(id));
    assert_eq!(on.store.stat("new").await.unwrap().stream, "new");
    assert_eq!(on.streams().await, ["bystander", "new"]);
    assert_eq!(on.store.count("bystander").await.unwrap(), 1);
}

/// Whatever can be done with a stream can be done under its new name.
pub async fn the_stream_goes_on_under_its_new_name<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let first = on.append_one("old", on.input(1).dedup_key("key").tag("t")).await;
    rename(&on.store, "old", "new").await.unwrap();

    let again = on.append("new", vec![on.input(1).dedup_key("key")]).await;
    assert_eq!(again.duplicates, [Duplicate { index: 0, id: first.clone() }], "its keys are known");
    let second = on.store.append("new", on.inputs(2..3), Expect::LastId(first.clone())).await.unwrap();
    on.store.set_tags("new", &first, vec!["u".into()]).await.unwrap();
    assert_eq!(on.ids("new", Read::new().tag("u")).await, std::slice::from_ref(&first));
    expect_error!(on.store.set_tags("old", &first, Vec::new()).await, EntryNotFound);
    assert_eq!(on.store.trim("old", &first).await.unwrap(), 0);
    assert_eq!(on.store.trim("new", &first).await.unwrap(), 1);
    assert_eq!(on.ids("new", Read::new()).await, second.ids);
}

/// The old name is free: appending under it starts a new stream that shares nothing with the renamed one.
pub async fn the_old_name_can_be_used_again<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let old = on.append_one("old", on.input(1).dedup_key("key")).await;
    rename(&on.store, "old", "new").await.unwrap();
    let appended = on.store.append("old", vec![on.input(2).dedup_key("key")], Expect::Empty).await.unwrap();
    assert_eq!(on.ids("old", Read::new()).await, appended.ids);
    assert_eq!(on.ids("new", Read::new()).await, [old]);
    assert_eq!(on.streams().await, ["new", "old"]);
    expect_error!(rename(&on.store, "old", "new").await, StreamExists);
}

/// A name that has entries cannot be taken; both streams stay as they are.
pub async fn a_name_that_is_taken_is_refused<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let one = on.append_one("one", on.input(1)).await;
    let two = on.append_one("two", on.input(2)).await;
    let facts = expect_error!(rename(&on.store, "one", "two").await, StreamExists);
    assert_eq!((&*facts.stream, &*facts.store), ("two", on.store.name()));
    assert_eq!(on.ids("one", Read::new()).await, [one]);
    assert_eq!(on.ids("two", Read::new()).await, std::slice::from_ref(&two));

    on.store.trim("two", &two).await.unwrap();
    rename(&on.store, "one", "two").await.unwrap();
    assert_eq!(on.streams().await, ["two"], "a name whose entries are all trimmed is free");
}

/// A stream without entries has no name to change.
pub async fn an_unknown_stream_is_refused<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let facts = expect_error!(rename(&on.store, "unknown", "new").await, StreamNotFound);
    assert_eq!((&*facts.stream, &*facts.store), ("unknown", on.store.name()));
    expect_error!(rename(&on.store, "un\0known", "new").await, StreamNotFound);
    let id = on.append_one("trimmed", on.input(1)).await;
    on.store.trim("trimmed", &id).await.unwrap();
    expect_error!(rename(&on.store, "trimmed", "new").await, StreamNotFound);
    on.assert_empty().await;
}

/// Renaming a stream to its own name changes nothing.
pub async fn equal_names_are_fine<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    on.append_one(STREAM, on.input(1)).await;
    let before = on.all(STREAM).await;
    rename(&on.store, STREAM, STREAM).await.unwrap();
    assert_eq!(on.all(STREAM).await, before);
}

/// Names can be swapped by way of a third, and a stream can be renamed again and again, to any text.
pub async fn names_of_any_kind_and_in_any_order<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let (a, b) = (on.append_one("a", on.input(1)).await, on.append_one("b", on.input(2)).await);
    for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
        rename(&on.store, from, to).await.unwrap();
    }
    assert_eq!(on.ids("a", Read::new()).await, [b]);
    assert_eq!(on.ids("b", Read::new()).await, std::slice::from_ref(&a));

    let mut name = "b";
    for next in ODD_TEXTS.iter().filter(|text| **text != "a").chain(&["", "b"]) {
        rename(&on.store, name, next).await.unwrap();
        let entry = on.only(next).await;
        assert_eq!((&entry.id, &*entry.stream), (&a, *next));
        name = next;
    }
    assert_eq!(on.streams().await, ["a", "b"]);
    expect_error!(rename(&on.store, "b", "new\0name").await, InvalidText);
    assert_eq!(on.streams().await, ["a", "b"]);
}

/// Source ids, look-ups and searches know the new name only.
pub async fn source_ids_and_searches_follow<H: Harness>(harness: &H) {
    let promised = harness.promised();
    if !promised.rename {
        return;
    }
    let on = Fixture::open(harness).await;
    let copy = || vec![on.input(1).origin(Origin { source_id: "7".into(), ..Origin::default() })];
    let id = on.append("old", copy()).await.ids.remove(0);
    rename(&on.store, "old", "new").await.unwrap();

    assert_eq!(on.append("new", copy()).await.duplicates, [Duplicate { index: 0, id: id.clone() }]);
    let taken = expect_error!(on.store.append("old", copy(), Expect::Any).await, SourceTaken);
    assert_eq!(taken.taken_by, "new");
    let capabilities = on.store.capabilities();
    if promised.find_by_source {
        let find = capabilities.find_by_source.expect("promised");
        assert_eq!(find.find_by_source("new", "7").await.unwrap(), Some(id.clone()));
        assert_eq!(find.find_by_source("old", "7").await.unwrap(), None);
    }
    if promised.search {
        let search = capabilities.search.expect("promised");
        let page = search.search(None, "sample", &Read::new()).await.unwrap();
        assert_eq!((ids(&page), &*page[0].stream), (vec![id], "new"));
        assert!(search.search(Some("old"), "sample", &Read::new()).await.unwrap().is_end());
    }
}

/// Whoever waits for entries under the new name gets those of the renamed stream.
pub async fn a_subscriber_of_the_new_name_gets_the_entries<H: Harness>(harness: &H) {
    let promised = harness.promised();
    if !promised.rename || !promised.subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = super::subscribe::subscribe(&on.store, "new", Position::Start).await;
    assert_eq!(super::subscribe::catch_up(&mut live).await, []);
    let mut all = on.fill("old", 2).await;
    let rename_later = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        rename(&on.store, "old", "new").await.unwrap();
    };
    let (delivered, ()) = tokio::join!(super::subscribe::next_ids(&mut live, 2), rename_later);
    assert_eq!(delivered, all);
    all.push(on.append_one("new", on.input(3)).await);
    assert_eq!(super::subscribe::next_ids(&mut live, 1).await, all[2..]);
}

/// Appends that run into a rename end up under one of the two names, each once.
pub async fn appends_at_the_same_time_are_not_lost<H: Harness>(harness: &H) {
    if !harness.promised().rename {
        return;
    }
    let on = Fixture::open(harness).await;
    on.append_one("old", on.input(0)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, batches) = (on.store.clone(), (0..10).map(|_| on.inputs(n..n + 2)).collect::<Vec<_>>());
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            for batch in batches {
                acknowledged.extend(append(&store, "old", batch).await.ids);
                tokio::task::yield_now().await;
            }
            acknowledged
        });
    }
    tokio::task::yield_now().await;
    rename(&on.store, "old", "new").await.unwrap();
    let mut acknowledged: Vec<_> = within(tasks.join_all()).await.into_iter().flatten().collect();
    sort(&mut acknowledged);
    let (new, old) = (on.all("new").await, on.all("old").await);
    let mut there = ids(&new);
    there.extend(ids(&old));
    assert!(rise(&there), "what came after the renaming stands behind it");
    assert_eq!(there[1..], acknowledged);
}
