//! Clients that are slow, silent, greedy or malicious: they are let go, and nobody else notices.

use std::time::Duration;

use ledger_api::proto::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::raw::*;
use crate::support::*;

const APPEND: &str = "/ledger.v1.LedgerService/Append";
const ENHANCE_YOUR_CALM: &[u8] = &[0, 0, 0, 11];

/// What everybody else notices: nothing.
async fn assert_serves(daemon: &Daemon) {
    let mut service = daemon.service().await;
    service.append(to(append("others", ["a"]))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_half_open_connections_are_let_go() {
    let daemon = Daemon::start("").await;
    let address = daemon.address;
    let ends = |said: Vec<u8>| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&said).await.unwrap();
        read_to_end(&mut stream).await
    };
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat();
    let headers = call(APPEND);
    // A client that is gone without a word is the same as one that never answers a ping.
    let unfinished_headers = [&hello[..], &frame(HEADERS, 0, 1, &headers)].concat();
    let begun_frame = [&hello[..], &frame(HEADERS, END_HEADERS, 1, &headers)[..20]].concat();
    let mut half_a_message = vec![0, 0, 0, 0, 200];
    half_a_message.extend_from_slice(&[0; 100]);
    let unfinished_body =
        [&hello[..], &frame(HEADERS, END_HEADERS, 1, &headers), &frame(DATA, 0, 1, &half_a_message)].concat();
    tokio::join!(
        ends(Vec::new()),
        ends(PREFACE[..20].to_vec()),
        ends(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ends(hello.clone()),
        ends(unfinished_headers),
        ends(begun_frame),
        ends(unfinished_body),
        assert_serves(&daemon),
    );
    // Nothing of them is left.
    wait_for_metric(&daemon, "ledger_connections", |connections| connections <= 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_back_what_it_asks_for_is_let_go() {
    let daemon = Daemon::start("").await;
    let mut stream = connect(daemon.address).await;
    let headers = call(APPEND);
    let mut flood = Vec::new();
    for stream in (1..100_000).step_by(2) {
        flood.extend_from_slice(&frame(HEADERS, END_HEADERS, stream, &headers));
        flood.extend_from_slice(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    let begin = std::time::Instant::now();
    // It may be over before everything was sent.
    let _ = stream.write_all(&flood).await;
    let frames = read_to_end(&mut stream).await;
    // The last word of the daemon may be lost, but its connection is gone before silence could have ended it.
    if let Some((_, goaway)) = frames.iter().find(|(kind, _)| *kind == GOAWAY) {
        assert_eq!(&goaway[4..8], ENHANCE_YOUR_CALM);
    }
    assert!(begin.elapsed() < Duration::from_secs(15), "it was let go for its silence");
    assert_serves(&daemon).await;
}

/// Sends the same thing again and again without reading; answers how many bytes were taken.
async fn flood(stream: &mut TcpStream, what: &[u8], at_most: usize) -> usize {
    let chunk = what.repeat(65_536 / what.len());
    let mut sent = 0;
    while sent < at_most {
        match tokio::time::timeout(Duration::from_secs(2), stream.write(&chunk)).await {
            Ok(Ok(bytes)) => sent += bytes,
            // It was closed, or no more is taken in.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_small_frames_whose_answers_nobody_reads_are_not_taken_in() {
    const ENDLESS: usize = 256 << 20;
    let daemon = Daemon::start("").await;
    for (name, flooding) in [("ping", frame(PING, 0, 0, &[0; 8])), ("settings", frame(SETTINGS, 0, 0, &[]))] {
        let mut stream = connect(daemon.address).await;
        let sent = flood(&mut stream, &flooding, ENDLESS).await;
        assert!(sent < ENDLESS, "{name}: everything was taken in");
        assert_serves(&daemon).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_an_end_end_the_connection() {
    let daemon = Daemon::start("").await;
    let mut stream = connect(daemon.address).await;
    let filler: Vec<u8> =
        (0..100).flat_map(|number| header(&format!("x-{number}"), &"v".repeat(100))).collect();
    let mut flood = frame(HEADERS, 0, 1, &call(APPEND));
    for _ in 0..10_000 {
        flood.extend_from_slice(&frame(CONTINUATION, 0, 1, &filler));
    }
    let _ = stream.write_all(&flood).await;
    read_to_end(&mut stream).await;
    assert_serves(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_100_mb_are_refused_without_being_taken_in() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    let large = "x".repeat(100 << 20);
    let (code, message) = failure(service.append(to(append("s", [large.as_str()]))).await);
    assert_eq!(code, Code::ResourceExhausted, "{message}");
    // The length is believed before the bytes are there: they are never waited for.
    let mut stream = connect(daemon.address).await;
    let claim = [&[0][..], &(100_u32 << 20).to_be_bytes()].concat();
    let begun = [frame(HEADERS, END_HEADERS, 1, &call(APPEND)), frame(DATA, 0, 1, &claim)].concat();
    stream.write_all(&begun).await.unwrap();
    read_until(&mut stream, HEADERS).await;
    assert_serves(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_at_once_and_there_is_room_again_later() {
    let daemon = Daemon::start("max_connections: 3").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(daemon.service().await);
    }
    wait_for_metric(&daemon, "ledger_connections", |connections| connections == 3.0).await;
    let mut refused = TcpStream::connect(daemon.address).await.unwrap();
    assert!(matches!(refused.read(&mut [0; 64]).await, Ok(0) | Err(_)));
    held[0].append(to(append("s", ["a"]))).await.unwrap();
    held.pop();
    wait_for_metric(&daemon, "ledger_connections", |connections| connections < 3.0).await;
    assert_serves(&daemon).await;
    assert_eq!(metric(&daemon, "ledger_connections_refused_total"), 1.0);
}

/// Keeps appends waiting as long as it lives.
fn block_writes(daemon: &Daemon) -> rusqlite::Connection {
    let blocker = rusqlite::Connection::open(daemon.folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    blocker
}

/// Sends ten appends at once over one connection; answers how many were refused for being too many.
async fn refused_of_ten(daemon: &Daemon, key: &str, blocker: rusqlite::Connection) -> usize {
    let service = daemon.service().await;
    let appends: Vec<_> = (0..10)
        .map(|_| {
            let (mut service, request) = (service.clone(), with_key(to(append("s", ["a"])), key));
            tokio::spawn(async move { service.append(request).await })
        })
        .collect();
    let is_refused = |code: &str| format!("ledger_requests_total{{rpc=\"Append\",code=\"{code}\"}}");
    wait_for_metric(daemon, &is_refused("RESOURCE_EXHAUSTED"), |refused| refused >= 6.0).await;
    drop(blocker);
    let mut refused = 0;
    for append in appends {
        if let Err(status) = append.await.unwrap() {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
            assert!(status.message().contains("4 requests under way"), "{status:?}");
            refused += 1;
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_too_many_requests_under_way_is_told_and_others_are_served() {
    let daemon = Daemon::start("max_requests_per_client: 4").await;
    daemon.service().await.append(to(append("s", ["a"]))).await.unwrap();
    let blocker = block_writes(&daemon);
    let (refused, others) = tokio::join!(refused_of_ten(&daemon, "none", blocker), async {
        let mut service = daemon.service().await;
        service.read(to(read("s"))).await
    });
    others.unwrap();
    assert_eq!(refused, 6);
    assert_serves(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_counted_by_key_whatever_connections_they_come_by() {
    let daemon = Daemon::start("max_requests_per_client: 4\napi_key: s3cret").await;
    let with = |message| with_key(to(message), "s3cret");
    daemon.service().await.append(with(append("s", ["a"]))).await.unwrap();
    let blocker = block_writes(&daemon);
    // Two from another connection take two of the four places.
    let mut elsewhere = daemon.service().await;
    let first = elsewhere.append(with(append("s", ["b"])));
    let mut again = daemon.service().await;
    let second = again.append(with(append("s", ["c"])));
    let (first, second, refused) = tokio::join!(first, second, async {
        tokio::task::yield_now().await;
        refused_of_ten(&daemon, "s3cret", blocker).await
    });
    let refused_before = [first, second].iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused + refused_before, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_subscription_holds_up_nobody() {
    let daemon = Daemon::start("shutdown_timeout: 500ms").await;
    let subscribe = || to(SubscribeRequest { stream: "s".into(), ..SubscribeRequest::default() });
    let never_read = daemon.tight_streaming().await.subscribe(subscribe()).await.unwrap();
    let mut live = daemon.streaming().await.subscribe(subscribe()).await.unwrap().into_inner();
    let mut service = daemon.service().await;
    let payload = "x".repeat(1000);
    let (batches, per_batch) = (50, 100);
    let appending = async {
        for _ in 0..batches {
            let entries = vec![entry(&payload); per_batch];
            let request = AppendRequest { stream: "s".into(), entries, expect: None };
            service.append(to(request)).await.unwrap();
        }
    };
    let reading = async {
        let mut seen = 0;
        while seen < batches * per_batch {
            if let Some(subscribe_response::Event::Entries(batch)) =
                live.message().await.unwrap().unwrap().event
            {
                seen += batch.entries.len();
            }
        }
    };
    tokio::join!(appending, reading);
    assert_eq!(metric(&daemon, "ledger_open_calls{rpc=\"Subscribe\"}"), 2.0);
    // Nor does it hold up the end: what it does not take is given up.
    daemon.stop().await;
    drop(never_read);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_answers_nobody_reads_takes_in_no_more_and_holds_up_nobody() {
    let daemon = Daemon::start("shutdown_timeout: 500ms").await;
    let (sent, taken) = tokio::sync::mpsc::channel(1);
    let messages = tokio_stream::wrappers::ReceiverStream::new(taken);
    let session = daemon.tight_streaming().await.append_session(to(messages)).await.unwrap();
    // Answers with many ids fill it soon. It is full when nothing is taken for a while.
    let mut number = 0;
    let is_taken = |number| {
        let request = AppendSessionRequest { sequence: number, append: Some(append("s", ["a"; 300])) };
        tokio::time::timeout(Duration::from_secs(3), sent.send(request))
    };
    while is_taken(number).await.is_ok() {
        number += 1;
        assert!(number < 100_000, "everything is taken in");
    }
    assert_serves(&daemon).await;
    daemon.stop().await;
    drop(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_did_can_be_read() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["abc", "de"]))).await.unwrap();
    service.append(to(append("", ["a"]))).await.unwrap_err();
    let sequence = 1;
    let request = AppendSessionRequest { sequence, append: Some(append("s", ["fgh"])) };
    let mut streaming = daemon.streaming().await;
    let mut session = streaming.append_session(to(tokio_stream::iter([request]))).await.unwrap().into_inner();
    while session.message().await.unwrap().is_some() {}
    drop(session);
    let requests = |rpc: &str, code: &str| format!("ledger_requests_total{{rpc=\"{rpc}\",code=\"{code}\"}}");
    wait_for_metric(&daemon, &requests("AppendSession", "OK"), |ended| ended == 1.0).await;
    for (name, value) in [
        (requests("Append", "OK"), 1.0),
        (requests("Append", "INVALID_ARGUMENT"), 1.0),
        ("ledger_request_duration_seconds_count{rpc=\"Append\"}".to_owned(), 2.0),
        ("ledger_open_calls{rpc=\"AppendSession\"}".to_owned(), 0.0),
        ("ledger_appended_entries_total".to_owned(), 3.0),
        ("ledger_appended_bytes_total".to_owned(), 8.0),
        ("ledger_panics_total".to_owned(), 0.0),
    ] {
        assert_eq!(metric(&daemon, &name), value, "{name}");
    }
    assert!(metric(&daemon, "ledger_database_bytes") > 0.0);
}
