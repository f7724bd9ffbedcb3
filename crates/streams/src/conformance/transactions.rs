//! Transactions of the caller: visible together, or not at all.

use super::fixture::{Fixture, STREAM, append, expect_error, ids, sort, within};
use super::{Harness, IdOf, PayloadOf, Promised};
use crate::codec::CodecError;
use crate::{
    AnnotationChanges, Append, Codec, Duplicate, EntryId, Expect, Origin, Position, Read, Store, Stream,
    Transaction, Transactions,
};

type TransactionOf<H> = <<H as Harness>::Store as Transactions>::Transaction;

async fn begin<H: Harness<Store: Transactions>>(on: &Fixture<'_, H>) -> TransactionOf<H> {
    within(on.store.begin()).await.expect("begin")
}

async fn commit(transaction: impl Transaction) {
    within(transaction.commit()).await.expect("commit");
}

async fn ids_in<S: Store>(store: &S, stream: &str) -> Vec<S::Id> {
    ids(&within(super::fixture::everything(store, stream)).await)
}

/// Inside, a transaction sees what it has written; outside, nobody does until it is committed.
pub async fn writes_are_seen_inside_only<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let before = on.append_one(STREAM, on.input(0)).await;
    let transaction = begin(&on).await;
    let inside = append(&transaction, STREAM, on.inputs(1..3)).await.ids;
    append(&transaction, "new", on.inputs(0..1)).await;

    let all = [vec![before.clone()], inside].concat();
    assert_eq!(ids_in(&transaction, STREAM).await, all);
    assert_eq!(transaction.count(STREAM).await.unwrap(), 3);
    assert_eq!(transaction.stat(STREAM).await.unwrap().last_id, all.last().cloned());
    assert_eq!(transaction.list_streams(None, 10).await.unwrap(), ["new", STREAM]);

    assert_eq!(ids_in(&on.store, STREAM).await, [before]);
    assert_eq!(within(on.store.count("new")).await.unwrap(), 0);
    assert_eq!(within(on.streams()).await, [STREAM]);
    commit(transaction).await;
    assert_eq!(on.ids(STREAM, Read::new()).await, all);
    assert_eq!(on.streams().await, ["new", STREAM]);
}

/// A transaction can do everything that a store does, and what it did is there after the commit.
pub async fn every_operation_is_kept_after_commit<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let old = on.fill(STREAM, 3).await;
    let transaction = begin(&on).await;
    assert_eq!(transaction.trim(STREAM, &old[0]).await.unwrap(), 1);
    transaction.set_tags(STREAM, &old[1], vec!["paid".into()]).await.unwrap();
    let changes = AnnotationChanges::new().set("by", "UPS");
    transaction.set_annotations(STREAM, &old[2], changes).await.unwrap();
    let expect = Expect::LastId(old[2].clone());
    let new = transaction.append(STREAM, vec![on.input(3).dedup_key("key")], expect).await.unwrap();
    let again = append(&transaction, STREAM, vec![on.input(3).dedup_key("key")]).await;
    assert_eq!(again.duplicates, [Duplicate { index: 0, id: new[0].clone() }]);
    let inside = super::fixture::everything(&transaction, STREAM).await;
    commit(transaction).await;

    let after = on.all(STREAM).await;
    assert_eq!(ids(&after), [old[1].clone(), old[2].clone(), new[0].clone()]);
    assert_eq!(ids(&after), ids(&inside));
    assert_eq!(after[0].tags, ["paid"]);
    assert_eq!(after[1].annotations["by"], "UPS");
    assert_eq!((&*after[2].dedup_key, &after[2].payload), ("key", &on.input(3).payload));
    assert_eq!(on.ids(STREAM, Read::new().tag("paid")).await, old[1..2]);
}

/// After a rollback everything is as it was.
pub async fn a_rollback_undoes_everything<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let (before, transaction) = change_everything(&on).await;
    within(transaction.rollback()).await.unwrap();
    assert_as_before(&on, before).await;
}

/// A transaction that is dropped is rolled back, and others can go on.
pub async fn dropping_is_a_rollback<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let (before, transaction) = change_everything(&on).await;
    drop(transaction);
    assert_as_before(&on, before).await;
}

type Entries<H> = Vec<crate::Entry<IdOf<H>, PayloadOf<H>>>;

/// Answers the entries of a stream, and a transaction that has changed all that can be changed.
async fn change_everything<H: Harness<Store: Transactions>>(
    on: &Fixture<'_, H>,
) -> (Entries<H>, TransactionOf<H>) {
    let old = on.fill(STREAM, 3).await;
    let before = on.all(STREAM).await;
    let transaction = begin(on).await;
    transaction.trim(STREAM, &old[0]).await.unwrap();
    transaction.set_tags(STREAM, &old[1], vec!["paid".into()]).await.unwrap();
    let changes = AnnotationChanges::new().set("by", "UPS");
    transaction.set_annotations(STREAM, &old[2], changes).await.unwrap();
    let keyed = on.input(3).dedup_key("key").origin(Origin { source_id: "7".into(), ..Origin::default() });
    append(&transaction, STREAM, vec![keyed]).await;
    append(&transaction, "new", on.inputs(4..6)).await;
    (before, transaction)
}

async fn assert_as_before<H: Harness>(on: &Fixture<'_, H>, before: Entries<H>) {
    assert_eq!(within(on.all(STREAM)).await, before);
    assert_eq!(within(on.streams()).await, [STREAM]);
    let keyed = on.input(3).dedup_key("key").origin(Origin { source_id: "7".into(), ..Origin::default() });
    let new = within(on.append_one("other", keyed)).await;
    assert!(
        before.iter().all(|entry| new.is_behind(&entry.id)),
        "keys and identities of what was undone are free"
    );
}

/// Reading while a transaction is open neither waits for it nor sees a part of it.
pub async fn readers_do_not_wait<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let old = on.fill(STREAM, 2).await;
    let transaction = begin(&on).await;
    for n in 0..5 {
        append(&transaction, STREAM, on.inputs(n..n + 3)).await;
        assert_eq!(ids_in(&on.store, STREAM).await, old);
        assert_eq!(within(on.store.stat(STREAM)).await.unwrap().count, 2);
    }
    commit(transaction).await;
    assert_eq!(on.store.count(STREAM).await.unwrap(), 17);
}

/// Appends of others while a transaction is open are not lost: they wait for it or go ahead, and all are kept.
pub async fn appends_of_others_are_not_lost<H: Harness<Store: Transactions>>(harness: &H) {
    for commits in [true, false] {
        let on = Fixture::open(harness).await;
        let transaction = begin(&on).await;
        let mut all = append(&transaction, STREAM, on.inputs(0..2)).await.ids;
        let mut others = tokio::task::JoinSet::new();
        for n in 0..4 {
            let (store, batch) = (on.store.clone(), on.inputs(n..n + 2));
            others.spawn(async move { append(&store, STREAM, batch).await.ids });
        }
        tokio::task::yield_now().await;
        let inside = append(&transaction, STREAM, on.inputs(2..3)).await.ids;
        if commits {
            all.extend(inside);
            commit(transaction).await;
        } else {
            all.clear();
            within(transaction.rollback()).await.unwrap();
        }
        all.extend(within(others.join_all()).await.into_iter().flatten());
        sort(&mut all);
        assert_eq!(on.ids(STREAM, Read::new()).await, all, "committed: {commits}");
    }
}

/// A reader that walks by its cursor misses nothing of a transaction that was open meanwhile (W1).
pub async fn a_walk_misses_nothing_of_a_transaction<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut seen = on.fill(STREAM, 1).await;
    let transaction = begin(&on).await;
    append(&transaction, STREAM, on.inputs(1..3)).await;
    let other = tokio::spawn({
        let (store, batch) = (on.store.clone(), on.inputs(3..5));
        async move { append(&store, STREAM, batch).await }
    });
    for _ in 0..20 {
        let page = within(on.page(STREAM, Read::new().after(seen[seen.len() - 1].clone()))).await;
        seen.extend(ids(&page));
        tokio::task::yield_now().await;
    }
    append(&transaction, STREAM, on.inputs(5..6)).await;
    commit(transaction).await;
    within(other).await.unwrap();
    seen.extend(ids(&on.page(STREAM, Read::new().after(seen[seen.len() - 1].clone())).await));
    assert_eq!(seen, ids(&on.all(STREAM).await));
    assert_eq!(seen.len(), 6);
}

/// Transactions that are begun at the same time all take place, one way or another.
pub async fn transactions_take_turns<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, input) = (on.store.clone(), on.input(n));
        tasks.spawn(async move {
            let transaction = store.begin().await.expect("begin");
            let first = append(&transaction, STREAM, vec![input.clone()]).await.ids;
            tokio::task::yield_now().await;
            let second = append(&transaction, STREAM, vec![input]).await.ids;
            transaction.commit().await.expect("commit");
            [first, second].concat()
        });
    }
    let mut all: Vec<_> = within(tasks.join_all()).await.into_iter().flatten().collect();
    sort(&mut all);
    assert_eq!(on.ids(STREAM, Read::new()).await, all);
    assert_eq!(all.len(), 16);
}

/// Subscribers hear of what is committed, at the commit, and never of what is rolled back.
pub async fn subscribers_hear_of_what_is_committed<H: Harness<Store: Transactions>>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = super::subscribe::subscribe(&on.store, STREAM, Position::Start).await;
    assert_eq!(super::subscribe::catch_up(&mut live).await, []);
    let transaction = begin(&on).await;
    append(&transaction, STREAM, on.inputs(0..2)).await;
    within(transaction.rollback()).await.unwrap();

    let transaction = begin(&on).await;
    let inside = append(&transaction, STREAM, on.inputs(2..4)).await.ids;
    let waiting = tokio::spawn(async move { (super::subscribe::next_ids(&mut live, 2).await, live) });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished(), "nothing is delivered before the commit");
    commit(transaction).await;
    let (delivered, mut live) = within(waiting).await.unwrap();
    assert_eq!(delivered, inside);
    let id = on.append_one(STREAM, on.input(5)).await;
    assert_eq!(super::subscribe::next_ids(&mut live, 1).await, [id]);
}

/// An operation that fails inside writes nothing and leaves the transaction as it was before.
pub async fn a_failed_operation_leaves_the_transaction_usable<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let copy = |n| on.input(n).origin(Origin { source_id: "7".into(), ..Origin::default() });
    on.append_one("other", copy(0)).await;
    let transaction = begin(&on).await;
    let mut all = append(&transaction, STREAM, on.inputs(0..1)).await.ids;

    expect_error!(transaction.append(STREAM, on.inputs(1..2), Expect::Empty).await, Conflict);
    let taken = vec![on.input(1), copy(2), on.input(3)];
    expect_error!(transaction.append(STREAM, taken, Expect::Any).await, SourceTaken);
    expect_error!(transaction.append(STREAM, vec![on.input(1).tag("\0")], Expect::Any).await, InvalidText);
    expect_error!(transaction.set_tags(STREAM, &harness.missing_id(), Vec::new()).await, EntryNotFound);
    assert_eq!(ids_in(&transaction, STREAM).await, all, "a failed batch leaves no part of it");

    all.extend(append(&transaction, STREAM, on.inputs(4..5)).await.ids);
    commit(transaction).await;
    assert_eq!(on.ids(STREAM, Read::new()).await, all);
}

/// A transaction has the store's capabilities that read and write; they work inside and keep to it.
pub async fn capabilities_work_inside<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let transaction = begin(&on).await;
    let expected = harness.promised();
    let has = Promised::by(&transaction);
    assert_eq!(
        (has.search, has.cursors, has.find_by_source, has.rename),
        (expected.search, expected.cursors, expected.find_by_source, expected.rename)
    );
    let origin = Origin { source_id: "7".into(), ..Origin::default() };
    let id = append(&transaction, STREAM, vec![on.input(1).origin(origin)]).await.ids.remove(0);
    let (inside, outside) = (transaction.capabilities(), on.store.capabilities());
    if let (Some(inside), Some(outside)) = (inside.search, outside.search) {
        assert_eq!(
            ids(&inside.search(None, "sample", &Read::new()).await.unwrap()),
            std::slice::from_ref(&id)
        );
        assert!(within(outside.search(None, "sample", &Read::new())).await.unwrap().is_end());
    }
    if let (Some(inside), Some(outside)) = (inside.find_by_source, outside.find_by_source) {
        assert_eq!(inside.find_by_source(STREAM, "7").await.unwrap(), Some(id.clone()));
        assert_eq!(within(outside.find_by_source(STREAM, "7")).await.unwrap(), None);
    }
    if let Some(rename) = inside.rename {
        rename.rename_stream(STREAM, "new").await.unwrap();
        assert_eq!(ids_in(&transaction, "new").await, [id]);
        assert_eq!(within(on.store.count("new")).await.unwrap(), 0);
    }
    within(transaction.rollback()).await.unwrap();
    on.assert_empty().await;
}

/// A consumer's position that is set inside a transaction moves with its commit, not before and not without (W23).
pub async fn positions_of_consumers_join_in<H: Harness<Store: Transactions>>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    let outside =
        async || within(on.store.capabilities().cursors.expect("promised").get_cursor("c")).await.unwrap();
    for (position, commits) in [("5", true), ("9", false), ("10", true)] {
        let before = outside().await;
        let transaction = begin(&on).await;
        append(&transaction, STREAM, on.inputs(0..1)).await;
        let cursors = transaction.capabilities().cursors.expect("promised");
        assert!(cursors.set_cursor("c", position).await.unwrap());
        assert_eq!(cursors.get_cursor("c").await.unwrap().as_deref(), Some(position));
        assert_eq!(outside().await, before);
        if commits {
            commit(transaction).await;
            assert_eq!(outside().await.as_deref(), Some(position));
        } else {
            within(transaction.rollback()).await.unwrap();
            assert_eq!(outside().await, before);
        }
    }
    assert_eq!(on.store.count(STREAM).await.unwrap(), 2);
}

/// Numbers as payloads of a harness.
struct Samples<'h, H>(&'h H);

impl<H: Harness> Codec<u64, PayloadOf<H>> for Samples<'_, H> {
    fn encode(&self, value: &u64) -> Result<PayloadOf<H>, CodecError> {
        Ok(super::fixture::sample(self.0, *value))
    }
    fn decode(&self, payload: &PayloadOf<H>) -> Result<u64, CodecError> {
        (0..100).find(|n| super::fixture::sample(self.0, *n) == *payload).ok_or_else(|| "no sample".into())
    }
}

/// A typed stream works over a transaction as it does over a store.
pub async fn a_typed_stream_works_inside<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let transaction = begin(&on).await;
    let stream = Stream::<u64, _, _>::new(&transaction, STREAM, Samples(harness));
    let written = stream.append([Append::new(7).tag("a"), Append::new(8)]).await.unwrap();
    let values: Vec<_> =
        stream.read(Read::new()).await.unwrap().into_iter().map(|entry| entry.payload).collect();
    assert_eq!(values, [7, 8]);
    assert_eq!(stream.count().await.unwrap(), 2);
    drop(stream);
    assert_eq!(within(on.store.count(STREAM)).await.unwrap(), 0);
    commit(transaction).await;

    let stream = Stream::<u64, _, _>::new(&on.store, STREAM, Samples(harness));
    let entries = stream.read(Read::new().descending()).await.unwrap();
    assert_eq!((entries[0].payload, entries[1].payload), (8, 7));
    assert_eq!([entries[1].id.clone(), entries[0].id.clone()], written.ids[..]);
}

/// A transaction that did nothing can be committed and rolled back.
pub async fn an_empty_transaction_is_fine<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    let transaction = begin(&on).await;
    assert_eq!(transaction.name(), on.store.name());
    commit(transaction).await;
    within(begin(&on).await.rollback()).await.unwrap();
    drop(begin(&on).await);
    within(on.append_one(STREAM, on.input(1))).await;
}

/// A closed store begins no transaction.
pub async fn a_closed_store_begins_none<H: Harness<Store: Transactions>>(harness: &H) {
    let on = Fixture::open(harness).await;
    within(on.store.close()).await.unwrap();
    expect_error!(within(on.store.begin()).await, Closed);
}
