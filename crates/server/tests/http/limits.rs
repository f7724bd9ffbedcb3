//! Clients that send too much, too slowly, or nonsense.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::curl::Served;

/// Sends bytes and reads what comes until the connection ends.
async fn say(served: &Served, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(served.http).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(60), read).await.expect("the connection ends");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_is_sent() {
    let served = Served::start("max_message_bytes: 70000").await;
    served.append("s", &["a"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    for (bytes, status) in [(69_000_usize, 200), (71_000, 413)] {
        let payload = "A".repeat((bytes - 40) / 4 * 4);
        std::fs::write(&file, format!("{{\"entries\":[{{\"payload\":\"{payload}\"}}]}}")).unwrap();
        for chunked in [&[][..], &["-H", "transfer-encoding: chunked"]] {
            let body = format!("@{}", file.display());
            let answer = served.curl("POST", "/v1/streams/s/entries").body(&body).with(chunked).run().await;
            assert_eq!(answer.status, status, "{bytes} {chunked:?}");
            if status == 413 {
                let message = "the body is larger than max_message_bytes, which is 70000".to_owned();
                assert_eq!(answer.refusal(), (413, 8, message));
            }
        }
    }
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_without_being_taken_in() {
    let served = Served::start("").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::File::create(&file).unwrap().set_len(100 << 20).unwrap();
    let before = resident_bytes();
    // Often, because a reset overtakes an answer only now and then.
    for chunked in [&[][..], &["-H", "transfer-encoding: chunked"]].repeat(10) {
        let body = format!("@{}", file.display());
        // --data-binary would hold the file in this test's memory only, yet -T streams it.
        let upload = ["-T", body.strip_prefix('@').unwrap()];
        let answer = served.curl("POST", "/v1/streams/s/entries").with(&upload).with(chunked).run().await;
        assert_eq!((answer.refusal().0, answer.refusal().1), (413, 8), "{chunked:?}");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "{} MiB", grown >> 20);
    served.append("s", &["others are served"]).await;
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_read() {
    let served = Served::start("api_key: s3cret").await;
    // Announced and never sent.
    let request = "POST /v1/streams/s/entries HTTP/1.1\r\nHost: x\r\nx-ledger-store: orders\r\ncontent-length: 1000000\r\n\r\n";
    let mut socket = TcpStream::connect(served.http).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_header_that_never_ends_does_not_hold_a_connection() {
    let served = Served::start("").await;
    let begin = Instant::now();
    let mut socket = TcpStream::connect(served.http).await.unwrap();
    socket.write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    // One more byte now and then gains no time.
    let mut end = None;
    while end.is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "the connection is still there");
        let _ = socket.write_all(b"x").await;
        let mut buffer = [0; 64];
        let read = tokio::time::timeout(Duration::from_millis(200), socket.read(&mut buffer)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            end = Some(begin.elapsed());
        }
    }
    assert!(end.unwrap() > Duration::from_secs(5), "it had time for a slow network: {end:?}");
    // And a connection that says nothing at all.
    assert_eq!(say(&served, b"").await, "");
}

#[tokio::test]
async fn a_body_that_drips_in_is_given_up() {
    let served = Served::start("").await;
    let head = "POST /v1/streams/s/entries HTTP/1.1\r\nHost: x\r\nx-ledger-store: orders\r\ncontent-length: 1000\r\n\r\n{";
    let mut socket = TcpStream::connect(served.http).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let begin = Instant::now();
    while !answer.starts_with(b"HTTP/1.1 408") {
        assert!(begin.elapsed() < Duration::from_secs(90), "{answer:?}");
        let _ = socket.write_all(b" ").await;
        let mut buffer = [0; 1024];
        if let Ok(read) = tokio::time::timeout(Duration::from_secs(1), socket.read(&mut buffer)).await {
            answer.extend_from_slice(&buffer[..read.unwrap()]);
        }
    }
}

#[tokio::test]
async fn headers_and_paths_are_bounded() {
    let served = Served::start("").await;
    let long = "x".repeat(500_000);
    for request in [
        format!("GET /v1/streams/{long}/entries HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /v1/health HTTP/1.1\r\nHost: x\r\nx-filler: {long}\r\n\r\n"),
    ] {
        let answer = say(&served, request.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["414", "431"].contains(&status), "{answer}");
    }
    // A path that fits and a name that is too long for a store.
    let path = format!("/v1/streams/{}/entries", "x".repeat(60_000));
    let (status, code, message) = served.curl("POST", &path).body("{\"entries\":[{}]}").run().await.refusal();
    assert_eq!((status, code), (400, 3), "{message}");
    assert!(message.len() < 2000, "{}", message.len());
}

#[tokio::test]
async fn what_was_wrong_is_not_repeated_at_length() {
    let served = Served::start("").await;
    let body = format!("{{\"entries\":[{{\"schemaVersion\":\"{}\"}}]}}", "x".repeat(100_000));
    let refused = served.curl("POST", "/v1/streams/s/entries").body(&body).run().await;
    assert_eq!(refused.refusal().0, 400);
    assert!(refused.body.len() < 2000, "{}", refused.body.len());
}

#[tokio::test]
async fn nonsense_is_answered_with_an_error_and_others_are_served() {
    let served = Served::start("").await;
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/health HTTP/9.9\r\n\r\n",
        b"POST /v1/streams/s/entries HTTP/1.1\r\nHost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/streams/s/entries HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not a TLS server",
    ] {
        let answer = say(&served, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        served.bare("GET", "/v1/health").run().await.ok();
    }
}

#[tokio::test]
async fn one_client_has_a_bounded_number_of_requests_under_way() {
    let folder = crate::support::Folder::new(&crate::curl::with_gateway("max_requests_per_client: 2"));
    let keys = ledger_server::KeyFile::new(folder.path());
    let key =
        keys.create("k", [].into(), ledger_server::Right::ALL.into(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    let other =
        keys.create("o", [].into(), ledger_server::Right::ALL.into(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    let served = Served::from(folder).await;
    let key = format!("x-api-key: {key}");
    let mut held = Vec::new();
    for _ in 0..2 {
        // A body that is on its way.
        let head = format!(
            "POST /v1/streams/s/entries HTTP/1.1\r\nHost: x\r\nx-ledger-store: orders\r\n{key}\r\ncontent-length: 9\r\n\r\n{{"
        );
        let mut socket = TcpStream::connect(served.http).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        held.push(socket);
    }
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < Duration::from_secs(20), "a third request is served");
        let third = served.curl("GET", "/v1/streams").header(&key).run().await;
        if third.status == 429 {
            assert!(third.refusal().2.contains("2 requests under way"), "{third:?}");
            break;
        }
    }
    served.curl("GET", "/v1/streams").header(&format!("x-api-key: {other}")).run().await.ok();
}
