//! A thousand subscribers on one stream.

use std::time::{Duration, Instant};

use ledger_api::Client;
use ledger_streams::{Append, Expect, Position, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::common::load::STREAM;
use crate::common::report::Report;
use crate::common::support::resident_bytes;
use crate::served::Daemon;

const SUBSCRIBERS: usize = 1000;
const ENTRIES: u64 = 1000;
/// Entries per append.
const BATCH: u64 = 10;

/// Each has a connection of its own.
pub(crate) async fn on_one_stream(report: &mut Report) {
    let daemon = Daemon::start();
    let (pid, address) = daemon.process();
    let writer = daemon.connect().await;
    append(&writer, 0, 1).await;
    let before = resident_bytes(&pid);
    let (ready, mut all_ready) = mpsc::channel(1);
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(subscriber(address.clone(), ready.clone()));
    }
    drop(ready);
    while all_ready.recv().await.is_some() {}
    let idle = resident_bytes(&pid);
    let start = Instant::now();
    for first in (1..ENTRIES).step_by(BATCH as usize) {
        append(&writer, first, BATCH.min(ENTRIES - first)).await;
    }
    let mut last = Duration::ZERO;
    for subscriber in subscribers {
        last = last.max(subscriber.await.unwrap().duration_since(start));
    }
    let after = resident_bytes(&pid);
    let per_subscriber = |bytes: usize| bytes.saturating_sub(before) as f64 / SUBSCRIBERS as f64 / 1024.0;
    let case = format!("{SUBSCRIBERS} subscribers with a connection each, every entry in order");
    report.fact(&format!("{case}: deliveries per second"), deliveries() / last.as_secs_f64());
    report.fact("memory per subscriber that waits (KiB)", per_subscriber(idle));
    report.fact("memory per subscriber after the load (KiB)", per_subscriber(after));
}

fn deliveries() -> f64 {
    SUBSCRIBERS as f64 * (ENTRIES - 1) as f64
}

/// Entries that carry their number.
async fn append(writer: &Client<i64>, first: u64, entries: u64) {
    let numbered = |number: u64| format!("{number:0256}").into();
    let entries = (first..first + entries).map(|number| Append::new(numbered(number))).collect();
    writer.append(STREAM, entries, Expect::Any).await.unwrap();
}

/// Takes every entry and checks that it is the next; answers when the last came.
fn subscriber(address: String, ready: mpsc::Sender<()>) -> JoinHandle<Instant> {
    tokio::spawn(async move {
        let client: Client<i64> = Client::at(address).connect().await.unwrap();
        let subscribe = client.capabilities().subscribe.unwrap();
        let mut live = subscribe.subscribe(STREAM, Position::Start).await.unwrap();
        let mut ready = Some(ready);
        for expected in 0..ENTRIES {
            let entry = live.next_entry().await.unwrap().unwrap();
            let number: u64 = std::str::from_utf8(&entry.payload).unwrap().parse().unwrap();
            assert_eq!(number, expected, "an entry is missing, twice, or out of order");
            // The first is there before the load begins: whoever has it is subscribed.
            drop(ready.take());
        }
        Instant::now()
    })
}
