//! Large bodies, slow and silent clients, many of them.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::*;

const LARGE: usize = 100 << 20;

#[test]
fn a_hundred_megabytes_pass_in_either_direction_with_flat_memory() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    web.get(&format!("{STRIPPED_URL}/headers"));
    let before = web.resident_kib();
    let mut peak = before;
    let mut stream = web.say(&format!("GET {STRIPPED_URL}/big?{LARGE} HTTP/1.1\nConnection: close"));
    assert_eq!(Answer::read_head(&mut stream).status, 200);
    let mut piece = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            read => length += read,
        }
        peak = peak.max(web.resident_kib());
    }
    assert_eq!(length, LARGE);

    let mut stream = web.say(&format!("POST {STRIPPED_URL}/echo HTTP/1.1\nContent-Length: {LARGE}"));
    for _ in 0..LARGE >> 20 {
        stream.get_mut().write_all(&piece).unwrap();
        peak = peak.max(web.resident_kib());
    }
    assert_eq!(Answer::read(&mut stream, false).json()["bytes"], LARGE);
    let growth = peak - before;
    assert!(growth < 16 << 10, "{growth} KiB for a body of {} KiB", LARGE >> 10);
}

#[test]
fn the_slower_side_sets_the_pace() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    // A client that does not read: the service must not have written everything.
    let mut stalled = web.say(&format!("GET {STRIPPED_URL}/big?{LARGE} HTTP/1.1"));
    Answer::read_head(&mut stalled);
    // A service that does not read: the client must not get rid of everything.
    let mut upload = web.say(&format!("POST {STRIPPED_URL}/wait HTTP/1.1\nContent-Length: {LARGE}"));
    let stream = upload.get_mut();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let piece = vec![0; 1 << 20];
    let mut written = 0;
    while written < LARGE {
        match stream.write(&piece[..piece.len().min(LARGE - written)]) {
            Ok(length) => written += length,
            Err(_) => break,
        }
    }
    assert!(written < LARGE / 2, "{written} bytes went somewhere");
    let kib = web.resident_kib();
    assert!(kib < 64 << 10, "{kib} KiB");
    // As soon as the service reads, it goes on.
    web.get(&format!("{STRIPPED_URL}/go"));
    stream.set_write_timeout(None).unwrap();
    while written < LARGE {
        written += stream.write(&piece[..piece.len().min(LARGE - written)]).unwrap();
    }
    assert_eq!(Answer::read(&mut upload, false).json()["bytes"], LARGE);
}

#[test]
fn silent_clients_are_let_go_and_others_are_served_meanwhile() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", web.port)).unwrap();
            stream.write_all(b"GET /.truth-yard/ui/ HTTP/1.1\r\nHost: localh").unwrap();
            stream
        })
        .collect();
    assert_eq!(web.get("/.truth-yard/ui/").status, 200);
    assert_eq!(web.get(&format!("{KEPT}/headers")).status, 200);
    let since = Instant::now();
    for stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // What is read is the refusal, if there is one, and then the end.
        let _ = BufReader::new(stream).read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(since.elapsed() < Duration::from_secs(50), "{:?}", since.elapsed());
}

#[test]
fn heads_and_announced_bodies_have_a_limit() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let long = "x".repeat(100 << 10);
    for head in [format!("GET /{long} HTTP/1.1"), format!("GET / HTTP/1.1\nX-Long: {long}")] {
        let status = web.ask(&head).status;
        assert!(matches!(status, 414 | 431), "{status}");
    }
    let answer = web.ask(&format!("POST {KEPT}/echo HTTP/1.1\nContent-Length: {}", (1_u64 << 30) + 1));
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("directly"), "{}", answer.text());
    // Too many event streams.
    let open: Vec<Events> = (0..256).map(|_| Events::open(&web, "/.truth-yard/api/events")).collect();
    assert_eq!(web.get("/.truth-yard/api/events").status, 503);
    drop(open);
    until("places are free again", || {
        let mut stream = web.say("GET /.truth-yard/api/events HTTP/1.1");
        Answer::read_head(&mut stream).status == 200
    });
}

#[test]
fn two_requests_that_pretend_to_be_one_are_not_passed_on_as_such() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    // Both lengths at once (RFC 9112 §6.1): the service must see one request with the body that chunks say.
    let mut stream = web.say(&format!(
        "POST {STRIPPED_URL}/echo HTTP/1.1\nContent-Length: 40\nTransfer-Encoding: chunked\nConnection: close"
    ));
    stream.get_mut().write_all(b"0\r\n\r\nGET /say?smuggled HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = Answer::read(&mut stream, false);
    assert!(answer.status == 400 || answer.json()["bytes"] == 0, "{answer:?}");
    let context = yard.context("my apps/plain.plain.db");
    let log = std::fs::read_to_string(context["paths"]["stderr"].as_str().unwrap()).unwrap();
    assert!(!log.contains("smuggled"), "{log}");
}
