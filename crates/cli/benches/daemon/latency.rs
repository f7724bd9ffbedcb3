//! How long after an append a subscriber has the entry.

use std::time::{Duration, Instant};

use ledger_api::Client;
use ledger_streams::{Append, Expect, Position, Store};
use tokio::sync::mpsc;

use crate::common::load::STREAM;
use crate::common::report::Report;
use crate::common::support::{payload, quantile};
use crate::served::Daemon;

/// Entries that are sent one after the other.
const ENTRIES: usize = 2000;

pub(crate) async fn grpc(report: &mut Report) {
    let daemon = Daemon::start();
    let (writer, reader) = (daemon.connect().await, daemon.connect().await);
    let mut live = reader.capabilities().subscribe.unwrap().subscribe(STREAM, Position::Now).await.unwrap();
    let (arrived, arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while live.next_entry().await.unwrap().is_some() {
            if arrived.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    measure(report, "gRPC", &writer, arrivals).await;
}

/// Sends entries one by one. Measured is from the call of the append, so the commit itself is part of the figure: the
/// acknowledgement of an append can arrive later than the entry.
async fn measure(
    report: &mut Report,
    way: &str,
    writer: &Client<i64>,
    mut arrivals: mpsc::UnboundedReceiver<Instant>,
) {
    let (mut latencies, mut acknowledgements) = (Vec::new(), Vec::new());
    let since = |start: Instant, end: Instant| end.duration_since(start).as_secs_f64() * 1e3;
    for _ in 0..ENTRIES {
        let called = Instant::now();
        writer.append(STREAM, vec![Append::new(payload())], Expect::Any).await.unwrap();
        acknowledgements.push(since(called, Instant::now()));
        latencies.push(since(called, arrivals.recv().await.unwrap()));
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    latencies.sort_by(f64::total_cmp);
    acknowledgements.sort_by(f64::total_cmp);
    let case = |what: &str| format!("append, commit included, to subscriber through {way}, {what} (ms)");
    report.at_most(&case("median"), quantile(&latencies, 0.5), 5.0);
    report.fact(&case("p99"), quantile(&latencies, 0.99));
    report.fact("append to its acknowledgement, median (ms)", quantile(&acknowledgements, 0.5));
}
