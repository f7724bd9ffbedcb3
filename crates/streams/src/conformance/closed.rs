//! Closed stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fixture::{Fixture, STREAM, expect_error, within};
use super::{Harness, IdOf};
use crate::{AnnotationChanges, EntryId, Expect, Position, Read, Store, StoreError};

/// Every operation fails with the error that says so.
pub async fn every_operation_fails<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    within(on.store.close()).await.unwrap();

    let store = &on.store;
    let facts = expect_error!(within(store.append(STREAM, on.inputs(0..1), Expect::Any)).await, Closed);
    assert_eq!(facts.store, store.name());
    expect_error!(within(store.append(STREAM, Vec::new(), Expect::Any)).await, Closed);
    expect_error!(within(store.read(STREAM, &Read::new())).await, Closed);
    expect_error!(within(store.count(STREAM)).await, Closed);
    expect_error!(within(store.stat(STREAM)).await, Closed);
    expect_error!(within(store.set_tags(STREAM, &id, Vec::new())).await, Closed);
    expect_error!(within(store.set_annotations(STREAM, &id, AnnotationChanges::new())).await, Closed);
    expect_error!(within(store.trim(STREAM, &id)).await, Closed);
    expect_error!(within(store.list_streams(None, 10)).await, Closed);
}

/// Every capability fails likewise; a closed store still says what it could do.
pub async fn every_capability_fails<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one(STREAM, on.input(1)).await;
    within(on.store.close()).await.unwrap();
    assert_eq!(super::Promised::by(&on.store), harness.promised());

    let capabilities = on.store.capabilities();
    if let Some(search) = capabilities.search {
        expect_error!(within(search.search(None, "a", &Read::new())).await, Closed);
        expect_error!(within(search.search(Some(STREAM), "a", &Read::new())).await, Closed);
    }
    if let Some(index) = capabilities.search_index {
        expect_error!(within(index.ensure_search_index()).await, Closed);
    }
    if let Some(health) = capabilities.health {
        expect_error!(within(health.health()).await, Closed);
    }
    if let Some(cursors) = capabilities.cursors {
        expect_error!(within(cursors.get_cursor("c")).await, Closed);
        expect_error!(within(cursors.set_cursor("c", "1")).await, Closed);
    }
    if let Some(find) = capabilities.find_by_source {
        expect_error!(within(find.find_by_source(STREAM, "7")).await, Closed);
    }
    if let Some(subscribe) = capabilities.subscribe {
        for position in [Position::Start, Position::Now, Position::After(harness.missing_id())] {
            expect_error!(within(subscribe.subscribe(STREAM, position)).await, Closed);
        }
    }
    if let Some(rename) = capabilities.rename {
        expect_error!(within(rename.rename_stream(STREAM, "new")).await, Closed);
        expect_error!(within(rename.rename_stream(STREAM, STREAM)).await, Closed);
    }
}

/// Whether the store is closed is asked before whether the arguments are good (specification §2).
pub async fn closed_comes_before_bad_arguments<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    within(on.store.close()).await.unwrap();
    let too_long = Read::new().limit(crate::limits::MAX_PAGE_ENTRIES + 1);
    let id = harness.missing_id();
    expect_error!(within(on.store.append("\0", on.inputs(0..1), Expect::Any)).await, Closed);
    expect_error!(within(on.store.read(STREAM, &too_long)).await, Closed);
    expect_error!(within(on.store.list_streams(None, too_long.limit)).await, Closed);
    expect_error!(within(on.store.set_tags(STREAM, &id, vec!["\0".into()])).await, Closed);
    let changes = AnnotationChanges::new().set("\0", "");
    expect_error!(within(on.store.set_annotations(STREAM, &id, changes)).await, Closed);
}

/// Closing twice is fine, also at the same time and through different handles; all handles are closed.
pub async fn closing_twice_is_fine<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let other = on.store.clone();
    let (first, second) = within(async { tokio::join!(on.store.close(), other.close()) }).await;
    first.unwrap();
    second.unwrap();
    within(on.store.close()).await.unwrap();
    expect_error!(other.count(STREAM).await, Closed);
    expect_error!(on.store.count(STREAM).await, Closed);
}

/// Appends under way are answered: each is acknowledged or refused as closed, and none hangs.
pub async fn appends_under_way_are_answered<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    let (report, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let closed = Arc::new(AtomicBool::new(false));
    for n in 0..8 {
        let (store, input, report, closed) = (on.store.clone(), on.input(n), report.clone(), closed.clone());
        tasks.spawn(async move {
            let mut last: Option<IdOf<H>> = None;
            loop {
                let was_closed = closed.load(Ordering::SeqCst);
                match store.append(STREAM, vec![input.clone()], Expect::Any).await {
                    Ok(appended) => {
                        assert!(!was_closed, "a closed store acknowledges nothing");
                        let id = appended.ids.last().cloned().expect("the id of the entry");
                        assert!(last.as_ref().is_none_or(|last| id.is_behind(last)));
                        last = Some(id);
                        report.send(()).expect("the case listens");
                    }
                    Err(StoreError::Closed(_)) => return,
                    Err(other) => panic!("an append is acknowledged or refused, got {other:?}"),
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..40 {
        within(acknowledged.recv()).await.expect("the writers write");
    }
    within(on.store.close()).await.unwrap();
    closed.store(true, Ordering::SeqCst);
    within(tasks.join_all()).await;
}
