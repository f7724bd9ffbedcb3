//! Subscriptions: catch up, then live, without gap and without repeat.

use std::time::Duration;

use super::fixture::{Fixture, STREAM, append, ids, rise, sized_payload, within};
use super::{Harness, IdOf};
use crate::{AnnotationChanges, Append, EntryId, Event, Payload, Position, Store, Subscription};

pub(super) async fn subscribe<S: Store>(
    store: &S,
    stream: &str,
    position: Position<S::Id>,
) -> Subscription<S::Id, S::Payload> {
    let capabilities = store.capabilities();
    within(capabilities.subscribe.expect("promised").subscribe(stream, position)).await.expect("subscribe")
}

async fn next<Id: EntryId, P: Payload>(subscription: &mut Subscription<Id, P>) -> Event<Id, P> {
    within(subscription.next()).await.expect("the next event").expect("the store is open")
}

/// The id of the next event, which must be an entry.
async fn next_id<Id: EntryId, P: Payload>(subscription: &mut Subscription<Id, P>) -> Id {
    match next(subscription).await {
        Event::Entry(entry) => entry.id,
        other => panic!("expected an entry, got {other:?}"),
    }
}

/// Ids of the next entries; other events are passed over.
pub(super) async fn next_ids<Id: EntryId, P: Payload>(
    subscription: &mut Subscription<Id, P>,
    count: usize,
) -> Vec<Id> {
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let entry = within(subscription.next_entry()).await.expect("the next entry");
        ids.push(entry.expect("the store is open").id);
    }
    ids
}

/// Takes events up to the one that says that all have been delivered; answers the ids of the entries.
pub(super) async fn catch_up<Id: EntryId, P: Payload>(subscription: &mut Subscription<Id, P>) -> Vec<Id> {
    let mut ids = Vec::new();
    loop {
        match next(subscription).await {
            Event::Entry(entry) => ids.push(entry.id),
            Event::CaughtUp => {
                assert!(rise(&ids), "a subscription goes up: {ids:?}");
                return ids;
            }
            other => panic!("expected entries until caught up, got {other:?}"),
        }
    }
}

/// From the start: what is there, the news that this was all, then what comes.
pub async fn from_the_start<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let there = on.fill(STREAM, 3).await;
    on.append_one("other", on.input(1)).await;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    assert_eq!(catch_up(&mut live).await, there);

    for n in 0..3 {
        on.append_one("other", on.input(n)).await;
        let id = on.append_one(STREAM, on.input(n)).await;
        assert_eq!(next_id(&mut live).await, id);
    }
}

/// Entries arrive as a read would show them.
pub async fn entries_arrive_as_they_are_read<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let input = |n| on.input(n).order_key("k").dedup_key(format!("d{n}")).tag("t").metadata("m", "1");
    let id = on.append_one(STREAM, input(1)).await;
    on.store.set_annotations(STREAM, &id, AnnotationChanges::new().set("a", "1")).await.unwrap();
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    let old = within(live.next_entry()).await.unwrap().unwrap();
    on.append_one(STREAM, input(2)).await;
    let new = within(live.next_entry()).await.unwrap().unwrap();
    assert_eq!([old, new].to_vec(), on.all(STREAM).await);
}

/// From now: nothing of what is there.
pub async fn from_now<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    on.fill(STREAM, 3).await;
    let mut live = subscribe(&on.store, STREAM, Position::Now).await;
    let new = on.append(STREAM, on.inputs(3..6)).await.ids;
    assert_eq!(next_ids(&mut live, 3).await, new, "not even before the first call to next");

    let mut live = subscribe(&on.store, STREAM, Position::Now).await;
    assert_eq!(next(&mut live).await, Event::CaughtUp);
    let id = on.append_one(STREAM, on.input(7)).await;
    assert_eq!(next_id(&mut live).await, id);
}

/// Behind an id: what follows it, whether or not the id is an entry of the stream.
pub async fn from_behind_an_id<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let all = on.fill(STREAM, 4).await;
    let foreign = on.append_one("other", on.input(1)).await;
    let mut live = subscribe(&on.store, STREAM, Position::After(all[1].clone())).await;
    assert_eq!(catch_up(&mut live).await, all[2..]);

    on.store.trim(STREAM, &all[2]).await.unwrap();
    let mut live = subscribe(&on.store, STREAM, Position::After(all[1].clone())).await;
    assert_eq!(catch_up(&mut live).await, all[3..], "behind an entry that was trimmed");

    let mut live = subscribe(&on.store, STREAM, Position::After(foreign)).await;
    assert_eq!(catch_up(&mut live).await, []);
    let id = on.append_one(STREAM, on.input(5)).await;
    assert_eq!(next_id(&mut live).await, id);
}

/// A stream may be subscribed to before it exists, from any position.
pub async fn a_stream_that_does_not_exist_yet<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let elsewhere = on.append_one("other", on.input(1)).await;
    let mut all = Vec::new();
    for position in [Position::Start, Position::Now, Position::After(elsewhere)] {
        let mut live = subscribe(&on.store, STREAM, position).await;
        assert_eq!(next(&mut live).await, Event::CaughtUp);
        all.push(live);
    }
    assert_eq!(on.streams().await, ["other"], "subscribing makes no stream");
    let new = on.append(STREAM, on.inputs(0..2)).await.ids;
    for live in &mut all {
        assert_eq!(next_ids(live, 2).await, new);
    }
}

/// Catching up takes as many pages as it needs, and the news of its end comes once, at the end.
pub async fn catching_up_with_a_long_stream<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut all = on.append(STREAM, on.inputs(0..1500)).await.ids;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    assert_eq!(catch_up(&mut live).await, all);
    for n in 0..3 {
        all = on.append(STREAM, on.inputs(n..n + 2)).await.ids;
        assert_eq!(
            [next_id(&mut live).await, next_id(&mut live).await],
            all[..],
            "no other event in between"
        );
    }
}

/// Payloads larger than what a subscription holds at once arrive all the same.
pub async fn large_payloads_arrive<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let batch = || (0..3).map(|_| Append::new(sized_payload(harness, 3 << 20))).collect();
    let there = on.append(STREAM, batch()).await.ids;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    assert_eq!(catch_up(&mut live).await, there);
    let new = on.append(STREAM, batch()).await.ids;
    assert_eq!(next_ids(&mut live, 3).await, new);
}

/// Two subscribers each get everything, at their own pace; one that goes away does not disturb the other.
pub async fn two_subscribers_do_not_share<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut all = on.fill(STREAM, 2).await;
    let mut first = subscribe(&on.store, STREAM, Position::Start).await;
    let mut second = subscribe(&on.store, STREAM, Position::Start).await;
    assert_eq!(catch_up(&mut first).await, all);
    all.extend(on.append(STREAM, on.inputs(2..5)).await.ids);
    assert_eq!(next_ids(&mut first, 3).await, all[2..]);
    drop(first);
    all.push(on.append_one(STREAM, on.input(5)).await);
    assert_eq!(next_ids(&mut second, 6).await, all);
}

/// A consumer that is slower than the writers is told so, once, and still gets every entry.
pub async fn a_slow_subscriber_is_told_and_loses_nothing<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    assert_eq!(catch_up(&mut live).await, []);
    for _ in 0..2 {
        let mut written = Vec::new();
        for _ in 0..20 {
            written.extend(on.append(STREAM, on.inputs(0..100)).await.ids);
        }
        let (mut taken, mut told, mut is_behind) = (Vec::new(), Vec::new(), false);
        // Through a network all entries may be on their way before the store notices that nobody takes them.
        let may_go_unnoticed = harness.is_remote();
        while taken.len() < written.len() || is_behind || (told.is_empty() && !may_go_unnoticed) {
            match next(&mut live).await {
                Event::Entry(entry) => {
                    assert!(taken.len() < written.len(), "no more than was written");
                    taken.push(entry.id);
                }
                Event::Behind { at_least } => {
                    assert!(!is_behind, "told once");
                    is_behind = true;
                    told.push((taken.len(), at_least));
                }
                Event::CaughtUp => {
                    assert!(is_behind, "it is told that it has caught up after it was behind");
                    is_behind = false;
                }
                Event::Damaged(record) => panic!("{record}"),
            }
        }
        assert_eq!(taken, written);
        assert!(told.len() == 1 || may_go_unnoticed, "told once");
        for (before, at_least) in told {
            assert!((1..=written.len() - before).contains(&at_least), "{at_least} entries wait at least");
        }
    }
}

/// Under concurrent writers every entry arrives once and in order, whenever the subscription began.
pub async fn no_gap_and_no_repeat_under_concurrent_writers<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    const ENTRIES: usize = 6 * 30 * 2;
    let on = Fixture::open(harness).await;
    let mut early = subscribe(&on.store, STREAM, Position::Start).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (store, batches) =
            (on.store.clone(), (0..30).map(|n| on.inputs(n..n + 1 + n % 3)).collect::<Vec<_>>());
        writers.spawn(async move {
            for batch in batches {
                append(&store, STREAM, batch).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut readers = tokio::task::JoinSet::new();
    readers.spawn(async move { (Vec::new(), next_ids(&mut early, ENTRIES).await) });
    for n in 0..4 {
        // Some begin in the middle, at the last entry that an earlier one has seen.
        let mut before = subscribe(&on.store, STREAM, Position::Start).await;
        let seen = next_ids(&mut before, 40 * n).await;
        drop(before);
        let position = seen.last().cloned().map_or(Position::Start, Position::After);
        let mut live = subscribe(&on.store, STREAM, position).await;
        readers.spawn(async move {
            let rest = next_ids(&mut live, ENTRIES - seen.len()).await;
            (seen, rest)
        });
    }
    within(writers.join_all()).await;
    let written = ids(&on.all(STREAM).await);
    assert_eq!(written.len(), ENTRIES);
    for (mut seen, rest) in within(readers.join_all()).await {
        seen.extend(rest);
        assert_eq!(seen, written);
    }
}

/// Dropping the future of `next` before it is ready loses nothing, wherever it was interrupted.
pub async fn an_interrupted_wait_loses_nothing<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    let (store, batches) =
        (on.store.clone(), (0..60).map(|n| on.inputs(n..n + 1 + n % 4)).collect::<Vec<_>>());
    let expected: usize = batches.iter().map(Vec::len).sum();
    let writer = tokio::spawn(async move {
        for batch in batches {
            append(&store, STREAM, batch).await;
            tokio::task::yield_now().await;
        }
    });
    let mut taken = Vec::new();
    while taken.len() < expected {
        if let Event::Entry(entry) = next_with_interruptions(&mut live).await {
            taken.push(entry.id);
        }
    }
    within(writer).await.unwrap();
    assert_eq!(taken, ids(&on.all(STREAM).await));
}

/// Begins to wait several times and gives up after a few steps, before it waits to the end.
async fn next_with_interruptions<Id: EntryId, P: Payload>(
    subscription: &mut Subscription<Id, P>,
) -> Event<Id, P> {
    for steps in 0..4 {
        let give_up = async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            event = subscription.next() => return event.expect("the next event").expect("the store is open"),
            () = give_up => {}
        }
    }
    next(subscription).await
}

/// A caller that waits is woken by an append that comes later.
pub async fn a_waiting_subscriber_is_woken<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    catch_up(&mut live).await;
    for n in 0..40 {
        let append_later = async {
            // Sometimes the subscriber is surely waiting, sometimes just about to.
            tokio::time::sleep(Duration::from_millis(n % 4)).await;
            on.append_one(STREAM, on.input(n)).await
        };
        let (event, id) = tokio::join!(next(&mut live), append_later);
        assert!(matches!(event, Event::Entry(entry) if entry.id == id));
    }
}

/// Changes and trims of entries are no news; what was trimmed before its turn is passed over, unless it was already on
/// its way.
pub async fn only_new_entries_are_news<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let all = on.fill(STREAM, 2).await;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    catch_up(&mut live).await;
    on.store.set_tags(STREAM, &all[0], vec!["new".into()]).await.unwrap();
    on.store.set_annotations(STREAM, &all[1], AnnotationChanges::new().set("a", "1")).await.unwrap();
    on.store.trim(STREAM, &all[0]).await.unwrap();
    let id = on.append_one(STREAM, on.input(3)).await;
    assert_eq!(next_id(&mut live).await, id);

    let gone = on.append_one("trimmed", on.input(1)).await;
    let kept = on.append_one("trimmed", on.input(2)).await;
    let mut live = subscribe(&on.store, "trimmed", Position::Start).await;
    on.store.trim("trimmed", &gone).await.unwrap();
    let seen = catch_up(&mut live).await;
    assert!(seen == [kept.clone()] || (harness.is_remote() && seen == [gone, kept]), "{seen:?}");
}

/// A duplicate is no news.
pub async fn a_duplicate_is_no_news<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut live = subscribe(&on.store, STREAM, Position::Start).await;
    let keyed = || vec![on.input(1).dedup_key("key")];
    let first = on.append(STREAM, keyed()).await.ids;
    assert_eq!(on.append(STREAM, keyed()).await.ids, []);
    let second = on.append_one(STREAM, on.input(2)).await;
    assert_eq!(next_ids(&mut live, 2).await, [first[0].clone(), second]);
}

/// Closing the store ends every subscription, also those that wait, on whatever stream.
pub async fn closing_the_store_ends_every_subscription<H: Harness>(harness: &H) {
    if !harness.promised().subscribe {
        return;
    }
    let on = Fixture::open(harness).await;
    on.fill(STREAM, 2).await;
    let mut waiting = tokio::task::JoinSet::new();
    for stream in [STREAM, STREAM, "other", "unknown"] {
        let mut live = subscribe(&on.store, stream, Position::Start).await;
        catch_up(&mut live).await;
        waiting.spawn(async move {
            let end = live.next().await.map(|event| event.is_none());
            // The end stays the end.
            (end, live.next().await.map(|event| event.is_none()))
        });
    }
    let mut not_begun: Vec<Subscription<IdOf<H>, _>> = Vec::new();
    for position in [Position::Start, Position::Now] {
        not_begun.push(subscribe(&on.store, STREAM, position).await);
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    within(on.store.close()).await.unwrap();

    for (end, again) in within(waiting.join_all()).await {
        assert!(end.unwrap() && again.unwrap(), "a subscription ends with its store");
    }
    for mut live in not_begun {
        // What it had read before the store was closed it may still deliver.
        for _ in 0..=3 {
            if within(live.next()).await.unwrap().is_none() {
                break;
            }
        }
        assert_eq!(within(live.next()).await.unwrap(), None);
    }
}
