//! `ledger buffer send --url`.

use std::net::TcpListener;
use std::time::Instant;

use crate::files::{buffer_of, names};
use crate::server::Server;

/// Records of which each is over the size of a file: one file each.
fn three_files() -> String {
    (1..=3).map(|number| format!("{{\"n\":{number},\"padding\":\"{}\"}}\n", "x".repeat(100))).collect()
}

#[test]
fn every_file_is_one_request_in_the_segment_envelope_with_its_exact_length() {
    let (ledger, server) = (buffer_of(&three_files()), Server::new(&[]));
    let out = ledger.ok(&[
        "buffer",
        "send",
        "out",
        "--url",
        &server.url,
        "--write-key",
        "k",
        "--header",
        "X-Who: me",
    ]);
    assert!(out.starts_with("sent 3 records in 3 files ("), "{out}");
    let received = server.received();
    assert_eq!(received.len(), 3);
    for (number, request) in received.iter().enumerate() {
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-who"), Some("me"));
        let batch: serde_json::Value = serde_json::from_str(&request.text()).unwrap();
        assert_eq!((&batch["batch"][0]["n"], &batch["writeKey"]), (&(number + 1).into(), &"k".into()));
        assert!(batch["sentAt"].is_string());
    }
    assert!(names(&ledger).is_empty());
}

#[test]
fn lines_templates_and_gzip() {
    let (ledger, server) = (buffer_of("1\n2\n3"), Server::new(&[]));
    ledger.ok(&["buffer", "send", "out", "--url", &server.url, "--envelope", "jsonl", "--gzip"]);
    let ledger = buffer_of("1\n2\n3");
    let template = "<{records}|{write_key}>";
    ledger.ok(&[
        "buffer",
        "send",
        "out",
        "--url",
        &server.url,
        "--template",
        template,
        "--separator",
        ";",
        "--write-key",
        "k",
        "--content-type",
        "text/x",
    ]);
    let received = server.received();
    assert_eq!(
        (received[0].text().as_str(), received[0].header("content-encoding")),
        ("1\n2\n3", Some("gzip"))
    );
    assert_eq!(received[0].header("content-type"), Some("application/x-ndjson"));
    assert_eq!(
        (received[1].text().as_str(), received[1].header("content-type")),
        ("<1;2;3|k>", Some("text/x"))
    );
}

#[test]
fn what_may_pass_is_tried_again_with_the_same_bytes() {
    let answers = ["500 No", "hang up", "503 No", "429 No\r\nretry-after: 1"];
    let (ledger, server) = (buffer_of("1\n2"), Server::new(&answers));
    let start = Instant::now();
    let out = ledger.ok(&["buffer", "send", "out", "--url", &server.url, "--envelope", "jsonl"]);
    assert!(out.starts_with("sent 2 records in 1 files"), "{out}");
    assert!(start.elapsed().as_millis() >= 1000, "Retry-After is honoured");
    let received = server.received();
    assert_eq!(received.len(), answers.len() + 1);
    assert!(received.iter().all(|request| request.text() == "1\n2"));
    assert!(names(&ledger).is_empty());
}

#[test]
fn a_refused_file_stays_and_the_answer_is_shown() {
    let (ledger, server) = (buffer_of(&three_files()), Server::new(&["200 OK", "400 Bad|no such write key"]));
    let error = ledger.fails(&["buffer", "send", "out", "--url", &server.url]);
    assert!(
        error.ends_with("1-events was refused with status 400, and stays: no such write key\n"),
        "{error}"
    );
    assert_eq!(names(&ledger), ["1-events", "2-events"]);
    assert_eq!(server.received().len(), 2);
    ledger.ok(&["buffer", "send", "out", "--url", &server.url]);
    assert!(names(&ledger).is_empty());
}

#[test]
fn a_redirection_is_not_followed_with_the_data() {
    let (ledger, server) = (buffer_of("1"), Server::new(&["307 Elsewhere\r\nlocation: http://127.0.0.1:1/"]));
    let error = ledger.fails(&["buffer", "send", "out", "--url", &server.url]);
    assert!(error.contains("status 307"), "{error}");
    assert_eq!(names(&ledger), ["0-events"]);
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_given_up_in_time_and_everything_stays() {
    let ledger = buffer_of("1");
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error =
        ledger.fails(&["buffer", "send", "out", "--url", &format!("http://{unused}/"), "--retry-for", "1"]);
    assert!(
        error.contains("0-events could not be sent and stays: ") && error.contains("gave up after"),
        "{error}"
    );
    assert_eq!(names(&ledger), ["0-events"]);
}

#[test]
fn a_damaged_file_is_sent_up_to_the_damage_and_set_aside() {
    let (ledger, server) = (buffer_of("\"first\"\n\"second\"\n\"third\""), Server::new(&[]));
    let path = ledger.path("out").join("0-events");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[25] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let run = ledger.run(&["buffer", "send", "out", "--url", &server.url, "--envelope", "jsonl"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.err.starts_with("Warning: 0-events goes to the quarantine: damage at offset 15"),
        "{}",
        run.err
    );
    assert_eq!(server.received()[0].text(), "\"first\"");
    assert_eq!(names(&ledger), ["quarantine"]);
    assert_eq!(ledger.run(&["buffer", "salvage", "out"]).out, "\"first\"\n\"third\"\n");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let ledger = buffer_of("1");
    for (arguments, text) in [
        (&["send", "out"][..], "give --url URL or --to-stream NAME"),
        (&["send", "out", "--url", "x", "--to-stream", "s"], "exclude each other"),
        (
            &["send", "out", "--url", "http://127.0.0.1:1/", "--template", "none"],
            "must contain {records} exactly once",
        ),
        (
            &["send", "out", "--url", "http://127.0.0.1:1/", "--header", "none"],
            "is not of the form NAME: VALUE",
        ),
        (&["send", "out", "--url", "no address", "--retry-for", "0"], "is no address"),
    ] {
        let error = ledger.fails(&[&["buffer"], arguments].concat());
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
    assert_eq!(names(&ledger), ["0-events"]);
}
