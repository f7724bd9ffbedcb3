//! `GET /metrics`, and limits that both faces share.

use std::time::Duration;

use ledger_server::{KeyFile, Right};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::curl::{Served, with_gateway};
use crate::support::{Folder, metric, wait_for_metric};

#[tokio::test]
async fn prometheus_reads_what_was_counted_over_both_faces() {
    let served = Served::start("").await;
    served.append("s", &["abc"]).await;
    crate::support::payloads(&mut served.daemon.service().await, "s").await;
    served.curl("GET", "/v1/streams/s/entries").run().await.ok();
    served.curl("POST", "/v1/streams/s/entries").body("no JSON").run().await.refusal();
    let answer = served.bare("GET", "/metrics").run().await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "ledger_requests_total{rpc=\"Append\",code=\"OK\"} 1",
        "ledger_requests_total{rpc=\"Append\",code=\"INVALID_ARGUMENT\"} 1",
        "ledger_requests_total{rpc=\"Read\",code=\"OK\"} 2",
        "ledger_appended_bytes_total 3",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line} is not in\n{}", answer.body);
    }
    assert_eq!(answer.body.lines().last(), Some("# EOF"));
}

#[tokio::test]
async fn metrics_need_a_key_with_the_right_to_read() {
    let folder = Folder::new(&with_gateway(""));
    let key = |name, right| {
        let file = KeyFile::new(folder.path());
        file.create(name, [].into(), [right].into(), jiff::Timestamp::UNIX_EPOCH).unwrap()
    };
    let (reader, writer) = (key("reader", Right::Read), key("writer", Right::Write));
    let served = Served::from(folder).await;
    let status = async |key: &str| {
        served.bare("GET", "/metrics").header(&format!("x-api-key: {key}")).run().await.status
    };
    assert_eq!(status(&reader).await, 200);
    assert_eq!(status(&writer).await, 403);
    assert_eq!(status("wrong").await, 401);
}

#[tokio::test]
async fn an_event_stream_counts_as_open_until_its_client_goes() {
    let served = Served::start("").await;
    let open = "ledger_open_calls{rpc=\"Subscribe\"}";
    // A client that never reads: what it is sent stays in the daemon's hands, and it holds up nobody.
    let mut socket = TcpStream::connect(served.http).await.unwrap();
    let request = "GET /v1/streams/s/entries:subscribe HTTP/1.1\r\nhost: x\r\nx-ledger-store: orders\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
    wait_for_metric(&served.daemon, open, |open| open == 1.0).await;
    let payload = "x".repeat(100_000);
    let mut service = served.daemon.service().await;
    for _ in 0..100 {
        let append = crate::support::append("s", [payload.as_str()]);
        service.append(crate::support::to(append)).await.unwrap();
    }
    assert_eq!(metric(&served.daemon, open), 1.0);
    drop(socket);
    wait_for_metric(&served.daemon, open, |open| open == 0.0).await;
    assert_eq!(metric(&served.daemon, "ledger_requests_total{rpc=\"Subscribe\",code=\"CANCELLED\"}"), 1.0);
}

#[tokio::test]
async fn connections_of_both_faces_are_counted_together() {
    let served = Served::start("max_connections: 2").await;
    let _grpc = served.daemon.channel().await;
    let _http = TcpStream::connect(served.http).await.unwrap();
    wait_for_metric(&served.daemon, "ledger_connections", |open| open == 2.0).await;
    let mut refused = TcpStream::connect(served.http).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), refused.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn requests_under_way_of_a_key_are_counted_over_both_faces() {
    let served = Served::start("max_requests_per_client: 1\napi_key: s3cret").await;
    let key = |request| crate::support::with_key(crate::support::to(request), "s3cret");
    let mut service = served.daemon.service().await;
    service.append(key(crate::support::append("s", ["a"]))).await.unwrap();
    let blocker = rusqlite::Connection::open(served.daemon.folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move { service.append(key(crate::support::append("s", ["b"]))).await });
    // Nothing tells that the append has come, so ask until it has.
    let refused = async {
        loop {
            let read = served.curl("GET", "/v1/streams/s/entries").header("x-api-key: s3cret").run().await;
            if read.status != 200 {
                return read.refusal();
            }
        }
    };
    let (status, code, message) = tokio::time::timeout(Duration::from_secs(60), refused).await.unwrap();
    assert_eq!((status, code), (429, 8));
    assert!(message.contains("1 requests under way"), "{message}");
    drop(blocker);
    waiting.await.unwrap().unwrap();
}
