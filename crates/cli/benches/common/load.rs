//! Loads that any store can be put under, so that a served store and an embedded one do the very same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ledger_streams::{Append, Expect, Read, Store};

use super::support::payload;

/// The stream that is appended to and read.
pub(crate) const STREAM: &str = "bench";

/// Short slices of ours and of the calibration take turns, so that the machine's moods fall on both.
pub(crate) const ROUNDS: usize = 9;
/// How long a slice takes.
pub(crate) const SLICE: Duration = Duration::from_millis(500);

/// Rates of the round with the median ratio.
pub(crate) fn median_round(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    rounds.sort_by(|left, right| (left.0 / left.1).total_cmp(&(right.0 / right.1)));
    rounds[rounds.len() / 2]
}

/// The best rate of each, whichever round it was in: what both reach when the neighbours are quiet.
pub(crate) fn best_of_each(rounds: &[(f64, f64)]) -> (f64, f64) {
    rounds.iter().fold((0.0, 0.0), |best, round| (round.0.max(best.0), round.1.max(best.1)))
}

/// Entries per second that concurrent callers append, each in batches that it waits for.
pub(crate) async fn appends_per_second<S>(store: &S, callers: usize, batch: usize) -> f64
where
    S: Store<Payload = Bytes> + Clone + 'static,
{
    let appended = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (store, appended) = (store.clone(), appended.clone());
            tokio::spawn(async move {
                while start.elapsed() < SLICE {
                    let entries = (0..batch).map(|_| Append::new(payload())).collect();
                    store.append(STREAM, entries, Expect::Any).await.unwrap();
                    appended.fetch_add(batch as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    appended.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

/// Entries per second that one caller reads in pages of 1,000.
pub(crate) async fn reads_per_second<S: Store<Payload = Bytes>>(store: &S) -> f64 {
    let (start, mut entries, mut after) = (Instant::now(), 0_u64, None);
    while start.elapsed() < SLICE {
        let read = Read { after: after.take(), ..Read::new().limit(1000) };
        let page = store.read(STREAM, &read).await.unwrap();
        entries += page.len() as u64;
        after = page.next.filter(|_| page.more);
    }
    entries as f64 / start.elapsed().as_secs_f64()
}

/// Appends so many entries.
pub(crate) async fn fill<S: Store<Payload = Bytes>>(store: &S, entries: usize) {
    let mut left = entries;
    while left > 0 {
        let batch = (0..left.min(10_000)).map(|_| Append::new(payload())).collect();
        left -= store.append(STREAM, batch, Expect::Any).await.unwrap().len();
    }
}
