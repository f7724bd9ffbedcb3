//! A reader never skips: positions become visible in order, whatever concurrent writers do (W1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::fixture::{Fixture, STREAM, append, assert_page, ids, page, rise, sort, within};
use super::{Harness, IdOf};
use crate::{EntryId, Page, Payload, Position, Read, Search, Store};

const WRITERS: u64 = 8;
const APPENDS: u64 = 30;

/// Starts writers, each of which appends batches of one to three entries; they answer the acknowledged ids.
fn start_writers<H: Harness>(on: &Fixture<'_, H>, streams: &'static [&'static str]) -> JoinSet<Vec<IdOf<H>>> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let batches: Vec<_> = (0..APPENDS).map(|n| on.inputs(0..1 + (writer + n) % 3)).collect();
        let store = on.store.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for (batch, stream) in batches.into_iter().zip(streams.iter().cycle()) {
                acknowledged.extend(append(&store, stream, batch).await.ids);
                tokio::task::yield_now().await;
            }
            acknowledged
        });
    }
    writers
}

/// Waits for the writers, says that they are done, and answers all ids they were given, sorted.
async fn finish<Id: EntryId>(writers: JoinSet<Vec<Id>>, done: &AtomicBool) -> Vec<Id> {
    let mut acknowledged: Vec<_> = within(writers.join_all()).await.into_iter().flatten().collect();
    done.store(true, Ordering::SeqCst);
    sort(&mut acknowledged);
    acknowledged
}

/// A reader that walks by its cursor.
struct Walk<Id> {
    read: Read<Id>,
    seen: Vec<Id>,
}

impl<Id: EntryId> Walk<Id> {
    fn in_pages_of(limit: usize) -> Self {
        Self { read: Read::new().limit(limit), seen: Vec::new() }
    }

    /// Goes on behind a page; answers whether it was the end for now.
    fn pass<P: Payload>(&mut self, page: Page<Id, P>) -> bool {
        for id in ids(&page) {
            self.seen.push(id);
        }
        assert!(rise(&self.seen), "a walk goes up: {:?}", self.seen);
        let is_end = page.next.is_none();
        self.read.after = page.next.or(self.read.after.take());
        is_end
    }
}

/// A reader that walks a stream by its cursor while many write sees every entry once, in rising order.
pub async fn a_walk_misses_nothing_that_is_being_written<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut walks = JoinSet::new();
    for limit in [1, 3, 100] {
        let (store, done) = (on.store.clone(), done.clone());
        walks.spawn(async move {
            let mut walk = Walk::in_pages_of(limit);
            loop {
                let finished = done.load(Ordering::SeqCst);
                if walk.pass(page(&store, STREAM, walk.read.clone()).await) && finished {
                    return walk.seen;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let acknowledged = finish(start_writers(&on, &[STREAM]), &done).await;
    for seen in within(walks.join_all()).await {
        assert_eq!(seen, acknowledged);
    }
}

/// The same holds for a walk over all streams of the store.
pub async fn a_walk_over_all_streams_misses_nothing<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let done = Arc::new(AtomicBool::new(false));
    let walk = tokio::spawn({
        let (store, done) = (on.store.clone(), done.clone());
        async move {
            let mut walk = Walk::in_pages_of(10);
            loop {
                let finished = done.load(Ordering::SeqCst);
                let capabilities = store.capabilities();
                let search: &dyn Search<Id = _, Payload = _> = capabilities.search.expect("promised");
                let page = search.search(None, "", &walk.read).await.expect("search");
                assert_page(&page, &walk.read);
                if walk.pass(page) && finished {
                    return walk.seen;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let acknowledged = finish(start_writers(&on, &["a", "b", "c"]), &done).await;
    assert_eq!(within(walk).await.unwrap(), acknowledged);
}

/// The newest entry never goes back, and everything older than it is there already.
pub async fn the_end_of_a_stream_only_moves_forward<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let done = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn({
        let (store, done) = (on.store.clone(), done.clone());
        async move {
            let mut last: Option<IdOf<H>> = None;
            let mut known = 0;
            while !done.load(Ordering::SeqCst) {
                let stat = store.stat(STREAM).await.unwrap();
                let is_back = last
                    .as_ref()
                    .is_some_and(|last| stat.last_id.as_ref().is_none_or(|now| last.is_behind(now)));
                assert!(!is_back && stat.count >= known, "{stat:?} after {last:?}");
                // What is there up to this end can be counted now, and will never be more.
                if let Some(end) = &stat.last_id {
                    let all = super::fixture::everything(&store, STREAM).await;
                    let up_to_end = all.iter().filter(|entry| !entry.id.is_behind(end)).count();
                    assert_eq!(u64::try_from(up_to_end).unwrap(), stat.count, "below {end}");
                }
                (last, known) = (stat.last_id, stat.count);
                tokio::task::yield_now().await;
            }
        }
    });
    finish(start_writers(&on, &[STREAM]), &done).await;
    within(watch).await.unwrap();
}

/// A batch becomes visible whole: no reader sees a part of it.
pub async fn batches_become_visible_whole<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (store, batches) = (on.store.clone(), (0..20).map(|_| on.inputs(0..5)).collect::<Vec<_>>());
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for batch in batches {
                acknowledged.extend(append(&store, STREAM, batch).await.ids);
            }
            acknowledged
        });
    }
    let watch = tokio::spawn({
        let (store, done) = (on.store.clone(), done.clone());
        async move {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(
                    super::fixture::everything(&store, STREAM).await.len() % 5,
                    0,
                    "read a part of a batch"
                );
                assert_eq!(store.count(STREAM).await.unwrap() % 5, 0, "counted a part of a batch");
                tokio::task::yield_now().await;
            }
        }
    });
    assert_eq!(finish(writers, &done).await.len(), 4 * 20 * 5);
    within(watch).await.unwrap();
}

/// What a reader has seen it can rely on: an id that a subscription delivers is at the end of a read at once.
pub async fn what_was_delivered_can_be_read<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = super::subscribe::subscribe(&on.store, STREAM, Position::Start).await;
    let (store, batches) = (on.store.clone(), (0..30).map(|n| on.inputs(n..n + 1)).collect::<Vec<_>>());
    let writer = tokio::spawn(async move {
        for batch in batches {
            append(&store, STREAM, batch).await;
        }
    });
    for seen in 1..=30 {
        let id = super::subscribe::next_ids(&mut live, 1).await.remove(0);
        let stat = on.store.stat(STREAM).await.unwrap();
        assert!(stat.last_id.is_some_and(|last| !id.is_behind(&last)) && stat.count >= seen);
    }
    within(writer).await.unwrap();
}
