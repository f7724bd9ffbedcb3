//! Server-sent events: catching up, following, going on after a cut.

use crate::curl::{Following, Served, with_gateway};
use crate::support::{append, to};

const SUBSCRIBE: &str = "/v1/streams/s/entries:subscribe";

fn subscribe(served: &Served, query: &str) -> Following {
    served.curl("GET", &format!("{SUBSCRIBE}{query}")).follow()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(id, payload)| (id.to_owned(), payload.to_owned())).collect()
}

#[tokio::test]
async fn a_subscriber_catches_up_and_follows() {
    let served = Served::start("").await;
    served.append("s", &["a", "b"]).await;
    served.append("other", &["not this"]).await;
    let mut all = subscribe(&served, "");
    assert_eq!(all.entries(2).await, pairs(&[("1", "a"), ("2", "b")]));
    let caught_up = all.until("caught_up").await;
    assert_eq!((caught_up.id.as_deref(), caught_up.data.as_str()), (Some("2"), "{}"));
    let mut new = subscribe(&served, "?from=now");
    assert_eq!(new.until("caught_up").await.id.as_deref(), Some("2"));
    let mut some = subscribe(&served, "?after=1");
    served.append("s", &["c"]).await;
    assert_eq!(all.entries(1).await, pairs(&[("4", "c")]));
    assert_eq!(new.entries(1).await, pairs(&[("4", "c")]));
    assert_eq!(some.entries(2).await, pairs(&[("2", "b"), ("4", "c")]));
}

#[tokio::test]
async fn the_data_of_an_event_is_the_json_of_a_read() {
    let served = Served::start("").await;
    let entry = r#"{"entries":[{"payload":"YQ==","orderKey":"o","tags":["t\n"],"metadata":{"k":"v"}}]}"#;
    served.curl("POST", "/v1/streams/s/entries").body(entry).run().await.ok();
    let page = served.curl("GET", "/v1/streams/s/entries").run().await.ok();
    let event = subscribe(&served, "").block().await.unwrap();
    assert_eq!(event.json(), page["entries"][0]);
    let head = served.curl("GET", SUBSCRIBE).with(&["--max-time", "1"]);
    let headers = head.partial().await;
    assert_eq!(headers.status, 200);
    assert_eq!(headers.header("content-type"), Some("text/event-stream"));
    assert_eq!(headers.header("cache-control"), Some("no-store"));
    assert!(headers.body.starts_with("retry: "), "{headers:?}");
}

#[tokio::test]
async fn conditions_are_those_of_a_read_and_the_position_passes_the_others() {
    let served = Served::start("").await;
    let entries = r#"{"entries":[{"payload":"YQ==","tags":["x"],"metadata":{"env":"prod"}},{"payload":"Yg=="},
        {"payload":"Yw==","tags":["x","y"]},{"payload":"ZA=="}]}"#;
    served.curl("POST", "/v1/streams/s/entries").body(entries).run().await.ok();
    let mut live = subscribe(&served, "?options.tag=x");
    assert_eq!(live.entries(2).await, pairs(&[("1", "a"), ("3", "c")]));
    assert_eq!(live.until("caught_up").await.id.as_deref(), Some("4"));
    served.append("s", &["not this"]).await;
    let passed = live.block().await.unwrap();
    assert_eq!((passed.id.as_deref(), passed.event.as_str(), passed.data.as_str()), (Some("5"), "", ""));
    let mut live = subscribe(&served, "?options.metadata_filters[env]=prod&options.all_tags=x");
    assert_eq!(live.entries(1).await, pairs(&[("1", "a")]));
    assert_eq!(live.until("caught_up").await.id.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_restart_of_the_daemon_loses_nothing_and_repeats_nothing() {
    let mut served = Served::start("").await;
    let mut received = Vec::new();
    let mut expected = Vec::new();
    let mut last = None;
    for round in 0..4 {
        let mut curl = served.curl("GET", SUBSCRIBE);
        if let Some(last) = &last {
            curl = curl.header(&format!("Last-Event-ID: {last}"));
        }
        let mut live = curl.follow();
        // Before, during and after each connection.
        for part in 0..3 {
            let payloads: Vec<_> = (0..50).map(|n| format!("{round}.{part}.{n}")).collect();
            served.append("s", &payloads.iter().map(String::as_str).collect::<Vec<_>>()).await;
            expected.extend(payloads);
            if part == 1 {
                let missing = expected.len() - received.len() - 10;
                // The rest of what was sent is cut off unread.
                let entries = live.entries(missing).await;
                last = entries.last().map(|(id, _)| id.clone());
                received.extend(entries.into_iter().map(|(_, payload)| payload));
            }
        }
        let folder = served.daemon.stop().await;
        served = Served::from(folder).await;
    }
    let last = format!("Last-Event-ID: {}", last.unwrap());
    let mut live = served.curl("GET", SUBSCRIBE).header(&last).follow();
    let rest = live.entries(expected.len() - received.len()).await;
    received.extend(rest.into_iter().map(|(_, payload)| payload));
    assert_eq!(received, expected);
}

#[tokio::test]
async fn whoever_begins_now_on_an_empty_stream_misses_nothing_when_cut_off_before_the_first_entry() {
    let served = Served::start("").await;
    served.append("other", &["so that the store is there"]).await;
    for expected in [["a", "b"], ["a", "b"]] {
        let mut live = subscribe(&served, "?from=now");
        let id = live.until("caught_up").await.id.unwrap();
        drop(live);
        if served.curl("GET", "/v1/streams/s/entries:count").run().await.ok()["count"] == "0" {
            assert_eq!(id, "start");
            served.append("s", &["a", "b"]).await;
        } else {
            assert_eq!(id, "3");
        }
        let last = if id == "start" { id } else { "1".to_owned() };
        let again =
            served.curl("GET", &format!("{SUBSCRIBE}?from=now")).header(&format!("Last-Event-ID: {last}"));
        let entries = again.follow().entries(2).await;
        assert_eq!(entries.iter().map(|(_, payload)| payload.as_str()).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_stop_ends_event_streams_and_says_why() {
    let served = Served::start("shutdown_timeout: 1h").await;
    served.append("s", &["a"]).await;
    let mut live = subscribe(&served, "");
    live.until("caught_up").await;
    served.daemon.handle.stop();
    let end = live.until("end").await;
    assert_eq!((end.id.clone(), &end.json()["code"]), (None, &serde_json::json!(14)));
    assert_eq!(live.block().await, None);
    served.daemon.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_quiet_stream_has_a_heartbeat() {
    let served = Served::start("").await;
    let mut live = subscribe(&served, "");
    live.until("caught_up").await;
    let block = live.block().await.unwrap();
    assert_eq!((block.comment.as_str(), block.data.as_str()), ("heartbeat", ""));
}

#[tokio::test]
async fn small_entries_that_are_there_together_come_in_one_chunk() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let served = Served::start("").await;
    let payloads: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    served.append("s", &payloads.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut socket = tokio::net::TcpStream::connect(served.http).await.unwrap();
    let request = format!("GET {SUBSCRIBE} HTTP/1.1\r\nHost: x\r\nx-ledger-store: orders\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = vec![0; 1 << 16];
    while !text.contains("event: caught_up") {
        let bytes = socket.read(&mut buffer).await.unwrap();
        assert!(bytes > 0, "{text}");
        text.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
    }
    // Sizes of chunks stand on lines of their own: the first block, 200 entries, what comes behind them.
    let chunks = text.lines().filter(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(text.matches("\ndata: {\"id\":").count(), 200);
    assert!(chunks.count() <= 4, "{text}");
}

#[tokio::test]
async fn a_subscriber_that_never_reads_costs_a_bounded_amount_of_memory() {
    use tokio::io::AsyncWriteExt;
    let served = Served::start("").await;
    let filler = "x".repeat(1 << 20);
    let mut service = served.daemon.service().await;
    for _ in 0..48 {
        service.append(to(append("s", [filler.as_str()]))).await.unwrap();
    }
    let before = resident_bytes();
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let mut socket = tokio::net::TcpStream::connect(served.http).await.unwrap();
        let request = format!("GET {SUBSCRIBE} HTTP/1.1\r\nHost: x\r\nx-ledger-store: orders\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    // Others are served meanwhile, again and again.
    let mut most = 0;
    for _ in 0..20 {
        served.curl("GET", "/v1/streams/s/entries:count").run().await.ok();
        most = most.max(resident_bytes().saturating_sub(before));
    }
    // 384 MiB wait for them; a page, three messages and a chunk each may be here.
    assert!(most < 128 << 20, "{} MiB", most >> 20);
    let mut late = subscribe(&served, "?after=47");
    assert_eq!(late.entries(1).await.len(), 1);
}

/// Memory of this process, which the daemon runs in.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_store_that_is_not_there_is_waited_for_and_not_made() {
    let served = Served::start("").await;
    let mut live = subscribe(&served, "?from=now");
    live.until("caught_up").await;
    served.append("s", &["first"]).await;
    assert_eq!(live.entries(1).await, pairs(&[("1", "first")]));
}

#[tokio::test]
async fn two_gateways_need_two_addresses() {
    let served = Served::start("").await;
    let second = crate::support::Folder::new(&format!("listen: 127.0.0.1:0\nhttp_listen: {}", served.http));
    let error = second.bind().await.err().unwrap().to_string();
    assert!(error.contains(&served.http.to_string()), "{error}");
    assert!(error.contains("http_listen") && error.contains("--http-addr"), "{error}");
    second.configure(&with_gateway(""));
    second.bind().await.unwrap();
}
