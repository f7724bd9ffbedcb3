//! Expected-version append: optimistic concurrency.

use super::fixture::{Fixture, STREAM, expect_error, ids, sort, within};
use super::{Harness, IdOf};
use crate::{Conflict, Duplicate, EntryId, Expect, Origin, Store, StoreError};

/// The actual last id that a conflict carries.
fn actual<Id: EntryId>(conflict: &Conflict) -> Option<Id> {
    conflict.actual_last_id.as_deref().map(|text| Id::parse(text).expect("a conflict carries an id"))
}

/// `Empty` holds for a stream that never had an entry and for one whose entries were all trimmed.
pub async fn empty_holds_while_there_are_no_entries<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one("other", on.input(1)).await;
    let first = on.store.append(STREAM, on.inputs(0..2), Expect::Empty).await.unwrap();
    assert_eq!(first.len(), 2);

    on.store.trim(STREAM, &first[1]).await.unwrap();
    assert_eq!(on.store.append(STREAM, on.inputs(0..1), Expect::Empty).await.unwrap().len(), 1);
}

/// `Empty` on a stream with entries is a conflict that names the stream and its last entry; nothing is written.
pub async fn empty_conflicts_with_a_stream_that_has_entries<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let last = on.fill(STREAM, 3).await.remove(2);
    let conflict = expect_error!(on.store.append(STREAM, on.inputs(5..7), Expect::Empty).await, Conflict);
    assert_eq!(conflict.stream, STREAM);
    assert_eq!(conflict.expected_last_id, None);
    assert_eq!(actual::<IdOf<H>>(&conflict), Some(last));
    assert_eq!(on.store.count(STREAM).await.unwrap(), 3);
}

/// `LastId` holds for the last entry of the stream, although other streams have newer ones.
pub async fn last_id_holds_for_the_last_entry<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut last = on.fill(STREAM, 2).await.remove(1);
    for n in 0..3 {
        on.append_one("other", on.input(n)).await;
        let appended = on.store.append(STREAM, on.inputs(n..n + 2), Expect::LastId(last)).await.unwrap();
        last = appended[1].clone();
    }
    assert_eq!(on.store.count(STREAM).await.unwrap(), 8);
}

/// `LastId` of anything else is a conflict: an older entry, an entry of another stream, an id that no entry has.
pub async fn last_id_conflicts_with_any_other_entry<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let entries = on.fill(STREAM, 3).await;
    let foreign = on.append_one("other", on.input(1)).await;
    for wrong in [entries[0].clone(), entries[1].clone(), foreign, harness.missing_id()] {
        let batch = on.inputs(7..9);
        let conflict =
            expect_error!(on.store.append(STREAM, batch, Expect::LastId(wrong.clone())).await, Conflict);
        assert_eq!(conflict.expected_last_id, Some(wrong.to_string()));
        assert_eq!(actual::<IdOf<H>>(&conflict).as_ref(), entries.last());
    }
    assert_eq!(ids(&on.all(STREAM).await), entries, "nothing was written");
}

/// `LastId` on a stream without entries is a conflict that says so, and makes no stream.
pub async fn last_id_conflicts_with_an_empty_stream<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let expect = Expect::LastId(harness.missing_id());
    let conflict = expect_error!(on.store.append(STREAM, on.inputs(0..1), expect).await, Conflict);
    assert_eq!(conflict.actual_last_id, None);
    on.assert_empty().await;

    let id = on.append_one(STREAM, on.input(1)).await;
    on.store.trim(STREAM, &id).await.unwrap();
    let conflict =
        expect_error!(on.store.append(STREAM, on.inputs(0..1), Expect::LastId(id)).await, Conflict);
    assert_eq!(conflict.actual_last_id, None, "the last entry was trimmed");
}

/// A retry whose keys are all known is the duplicate that it is, although its first try moved the stream on.
pub async fn a_retry_is_a_duplicate_whatever_it_expects<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let batch = || vec![on.input(1).dedup_key("a"), on.input(2).dedup_key("b")];
    let first = on.store.append(STREAM, batch(), Expect::Empty).await.unwrap();
    on.append_one(STREAM, on.input(3)).await;

    for expect in [Expect::Empty, Expect::LastId(first[0].clone()), Expect::LastId(harness.missing_id())] {
        let retry = on.store.append(STREAM, batch(), expect).await.unwrap();
        assert!(retry.ids.is_empty());
        let known = |index: usize| Duplicate { index, id: first[index].clone() };
        assert_eq!(retry.duplicates, [known(0), known(1)]);
    }
    assert_eq!(on.store.count(STREAM).await.unwrap(), 3);
}

/// A batch of which anything is new must meet its expectation; if it does not, none of it is written.
pub async fn a_batch_that_is_partly_known_must_meet_its_expectation<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let known = on.append_one(STREAM, on.input(1).dedup_key("known")).await;
    let batch = || vec![on.input(1).dedup_key("known"), on.input(2).dedup_key("new")];
    let conflict = expect_error!(on.store.append(STREAM, batch(), Expect::Empty).await, Conflict);
    assert_eq!(actual::<IdOf<H>>(&conflict), Some(known.clone()));
    assert_eq!(on.store.count(STREAM).await.unwrap(), 1);

    let appended = on.store.append(STREAM, batch(), Expect::LastId(known.clone())).await.unwrap();
    assert_eq!(appended.duplicates, [Duplicate { index: 0, id: known }]);
    assert_eq!(appended.len(), 1);
}

/// An append that conflicts and also brings a source id of another stream fails for one reason or the other, and
/// writes nothing; a duplicate inside the batch does not hide that.
pub async fn an_append_with_two_reasons_to_fail_writes_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let copy = || Origin { source_id: "taken".into(), ..Origin::default() };
    on.append_one("other", on.input(0).origin(copy())).await;
    for key in ["", "key"] {
        let batch = vec![on.input(1).dedup_key("key"), on.input(2).dedup_key(key).origin(copy())];
        match on.store.append(STREAM, batch, Expect::LastId(harness.missing_id())).await {
            Err(StoreError::Conflict(conflict)) => assert_eq!(conflict.actual_last_id, None),
            Err(StoreError::SourceTaken(taken)) => assert_eq!(taken.taken_by, "other"),
            other => panic!("expected a conflict or a taken source id, got {other:?}"),
        }
        assert_eq!(on.streams().await, ["other"]);
    }
}

/// Of many appends that expect the same state exactly one is written; the others learn the id it got.
pub async fn of_concurrent_appends_one_wins<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut expect = Expect::Empty;
    for round in 0..5 {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            let (store, batch, expect) = (on.store.clone(), on.inputs(n..n + 2), expect.clone());
            tasks.spawn(async move { store.append(STREAM, batch, expect).await });
        }
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        for answer in within(tasks.join_all()).await {
            match answer {
                Ok(appended) => won.push(appended),
                Err(StoreError::Conflict(conflict)) => lost.push(actual::<IdOf<H>>(&conflict)),
                Err(other) => panic!("an append wins or conflicts, got {other:?}"),
            }
        }
        assert_eq!((won.len(), lost.len()), (1, 15), "round {round}");
        let last = won[0].ids.last().cloned();
        assert!(lost.iter().all(|actual| *actual == last), "the losers learn of {last:?}: {lost:?}");
        expect = Expect::LastId(last.expect("two entries were written"));
    }
    assert_eq!(on.store.count(STREAM).await.unwrap(), 10);
}

/// Callers that append behind the id of the last conflict until they succeed all succeed, one behind the other.
pub async fn a_conflict_is_enough_to_try_again<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, input) = (on.store.clone(), on.input(n));
        tasks.spawn(async move {
            let mut expect = Expect::Empty;
            // Each conflict means that another caller was faster, and there are seven.
            for _ in 0..8 {
                match store.append(STREAM, vec![input.clone()], expect).await {
                    Ok(appended) => return appended.ids[0].clone(),
                    Err(StoreError::Conflict(conflict)) => {
                        expect = Expect::LastId(actual(&conflict).expect("the stream is not empty any more"));
                    }
                    Err(other) => panic!("an append wins or conflicts, got {other:?}"),
                }
            }
            panic!("a conflict without an append that caused it");
        });
    }
    let mut written = within(tasks.join_all()).await;
    sort(&mut written);
    assert_eq!(ids(&on.all(STREAM).await), written);
}
