//! How long after an append a subscriber has the entry.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ledger_api::Client;
use ledger_streams::{Append, DEFAULT_STORE_NAME, Expect, Position, Store};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
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

pub(crate) async fn server_sent_events(report: &mut Report) {
    let address = free_address();
    let daemon = Daemon::configured(&format!("http_listen: {address}\n"));
    let writer = daemon.connect().await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/streams/{STREAM}/entries:subscribe?from=now HTTP/1.1\r\nhost: {address}\r\n\
         x-ledger-store: {DEFAULT_STORE_NAME}\r\naccept: text/event-stream\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(connection).lines();
    while lines.next_line().await.unwrap().unwrap() != "event: caught_up" {}
    let (arrived, arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("data: {\"id\"") && arrived.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    measure(report, "server-sent events", &writer, arrivals).await;
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
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
