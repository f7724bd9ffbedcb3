//! `cargo xtask bench streams`: what the streams on SQLite reach, measured against bare `rusqlite` in the same run.
//!
//! Every case prints our figure, the calibration figure and their ratio, and all are written as JSON to
//! `target/bench-streams.json`. The disk, the processor and their moods are in both figures, so ratios compare across
//! machines; absolute figures do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a measuring program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a measuring program"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ledger_sqlite::SqliteStore;
use ledger_streams::{Append, Expect, Position, Read, Store, Stream};

mod bare;
#[path = "../common/mod.rs"]
mod common;
mod import;
use common::load::{ROUNDS, SLICE, appends_per_second, fill, median_round, reads_per_second};
use common::report::Report;
use common::support::{folder, from_environment, payload, quantile, resident_bytes};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut report = Report::new("streams");
    type Case<'c> = (&'c str, &'c dyn Fn(&mut Report));
    let cases: &[Case<'_>] = &[
        ("callers", &|report| {
            for callers in [64, 1024] {
                runtime.block_on(concurrent_callers(report, callers));
            }
        }),
        ("single", &|report| {
            let (case, calibration) =
                ("one caller, 256-byte entries, synced", "bare loop, one synced commit per row");
            runtime.block_on(one_caller(report, case, 1, calibration, 0.9));
        }),
        ("batches", &|report| {
            let (case, calibration) = ("batches of 1,000, synced", "bare loop, transactions of 1,000");
            runtime.block_on(one_caller(report, case, 1000, calibration, 0.8));
        }),
        ("pages", &|report| runtime.block_on(pages(report))),
        ("latency", &|report| runtime.block_on(subscriber_latency(report))),
        ("handles", &|report| runtime.block_on(handles(report))),
        ("growth", &|report| runtime.block_on(growth(report))),
        ("import", &import::import),
    ];
    for (name, case) in cases {
        if only.is_empty() || only == *name {
            eprintln!("… {name}");
            case(&mut report);
        }
    }
    report.write();
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).build().await.unwrap()
}

async fn concurrent_callers(report: &mut Report, callers: usize) {
    let folder = folder();
    let mut bare = bare::Appends::new(&folder.path().join("bare.db"), callers);
    let store = open(&folder.path().join("ours.db")).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((appends_per_second(&store, callers, 1).await, bare.run(SLICE)));
    }
    store.database().close().await;
    let (ours, theirs) = median_round(rounds);
    let name = format!("{callers} concurrent callers, 256-byte entries, synced");
    report.rate(&name, ours, &format!("bare loop, transactions of {callers}"), theirs, 0.6);
}

/// One caller who waits for each append.
async fn one_caller(report: &mut Report, case: &str, batch: usize, calibration: &str, bar: f64) {
    let folder = folder();
    let mut bare = bare::Appends::new(&folder.path().join("bare.db"), batch);
    let store = open(&folder.path().join("ours.db")).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (start, mut appended) = (Instant::now(), 0);
        while start.elapsed() < SLICE {
            let batch = (0..batch).map(|_| Append::new(payload())).collect();
            appended += store.append("bench", batch, Expect::Any).await.unwrap().len();
        }
        rounds.push((appended as f64 / start.elapsed().as_secs_f64(), bare.run(SLICE)));
    }
    let (ours, theirs) = median_round(rounds);
    report.rate(case, ours, calibration, theirs, bar);
    store.database().close().await;
}

async fn pages(report: &mut Report) {
    let folder = folder();
    let path = folder.path().join("pages.db");
    let store = open(&path).await;
    fill(&store, 200_000).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((reads_per_second(&store).await, bare::rows_per_second(&path, SLICE)));
    }
    let (ours, theirs) = median_round(rounds);
    report.rate("read, pages of 1,000", ours, "bare query of the same rows", theirs, 0.7);
    store.database().close().await;
}

async fn subscriber_latency(report: &mut Report) {
    let folder = folder();
    let store = open(&folder.path().join("latency.db")).await;
    let mut live = store.capabilities().subscribe.unwrap().subscribe("bench", Position::Now).await.unwrap();
    let received = tokio::spawn(async move {
        let mut times = Vec::new();
        while let Some(entry) = live.next_entry().await.unwrap() {
            if entry.payload.is_empty() {
                break;
            }
            times.push(Instant::now());
        }
        times
    });
    let mut committed = Vec::new();
    for _ in 0..2000 {
        store.append("bench", vec![Append::new(payload())], Expect::Any).await.unwrap();
        committed.push(Instant::now());
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    store.append("bench", vec![Append::new(Bytes::new())], Expect::Any).await.unwrap();
    let received = received.await.unwrap();
    let waits = received.iter().zip(&committed);
    let mut latencies: Vec<f64> = waits
        .map(|(received, committed)| received.saturating_duration_since(*committed).as_secs_f64() * 1e6)
        .collect();
    latencies.sort_by(f64::total_cmp);
    report.at_most("commit to subscriber, median (µs)", quantile(&latencies, 0.5), 1000.0);
    report.fact("commit to subscriber, p99 (µs)", quantile(&latencies, 0.99));
    store.database().close().await;
}

async fn handles(report: &mut Report) {
    const STREAMS: usize = 10_000;
    let folder = folder();
    let store = open(&folder.path().join("handles.db")).await;
    let use_all = async || {
        let streams: Vec<_> =
            (0..STREAMS).map(|number| Stream::<String, _>::json(&store, format!("user-{number}"))).collect();
        for stream in &streams {
            stream.read(Read::new().limit(1)).await.unwrap();
        }
        resident_bytes("self")
    };
    use_all().await;
    let before = resident_bytes("self");
    let held = use_all().await;
    for _ in 0..5 {
        use_all().await;
    }
    let after = resident_bytes("self");
    report.fact("memory per open stream (bytes)", held.saturating_sub(before) as f64 / STREAMS as f64);
    report.fact("size of a stream handle itself (bytes)", size_of::<Stream<String, &SqliteStore>>() as f64);
    report.at_most(
        "growth after 50,000 streams were used and dropped (KiB)",
        after.saturating_sub(before) as f64 / 1024.0,
        1024.0,
    );
    store.database().close().await;
}

async fn growth(report: &mut Report) {
    let large = from_environment("LEDGER_BENCH_ENTRIES", 10_000_000);
    let folder = folder();
    let store = open(&folder.path().join("growth.db")).await;
    fill(&store, 10_000).await;
    let small = measure_at(&store).await;
    fill(&store, large - 10_000).await;
    let full = measure_at(&store).await;
    report.rate(&format!("append rate at {large} entries"), full.0, "append rate at 10,000", small.0, 0.7);
    report.rate(
        &format!("page read in the middle of {large} entries (rows/s)"),
        full.1,
        "at 10,000",
        small.1,
        0.7,
    );
    for time in ["first", "second"] {
        let start = Instant::now();
        let counted = store.count("bench").await.unwrap();
        report.fact(
            &format!("count of {counted} entries, {time} time (ms)"),
            start.elapsed().as_secs_f64() * 1e3,
        );
        // Counts are kept by the writer: whoever writes comes after it.
        for _ in 0..2 {
            store.count("bench").await.unwrap();
            store.append("bench", vec![Append::new(payload())], Expect::Any).await.unwrap();
        }
    }
    store.database().close().await;
}

/// Appends per second in batches of 1,000, and rows per second of pages in the middle.
async fn measure_at(store: &SqliteStore) -> (f64, f64) {
    let last = store.read("bench", &Read::new().descending().limit(1)).await.unwrap()[0].id;
    let (mut appends, mut reads): (f64, f64) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..5 {
            store
                .append("bench", (0..1000).map(|_| Append::new(payload())).collect(), Expect::Any)
                .await
                .unwrap();
        }
        appends = appends.max(5000.0 / start.elapsed().as_secs_f64());
        let (start, mut rows) = (Instant::now(), 0);
        for _ in 0..20 {
            rows += store.read("bench", &Read::new().after(last / 2).limit(1000)).await.unwrap().len();
        }
        reads = reads.max(rows as f64 / start.elapsed().as_secs_f64());
    }
    (appends, reads)
}
