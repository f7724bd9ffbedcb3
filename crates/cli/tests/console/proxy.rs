//! The way to a service and back.

use std::io::{Read, Write};

use serde_json::Value;

use crate::support::*;

/// The headers that a service received, by name.
fn received(seen: &Value, name: &str) -> Vec<String> {
    let pairs = seen["headers"].as_array().unwrap().iter();
    let values = pairs.filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
    values.map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_prefix_is_kept_where_the_service_knows_it_and_taken_off_elsewhere() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let seen = |path: &str| web.json(path)["path"].as_str().unwrap().to_owned();
    assert_eq!(seen(&format!("{KEPT}/headers?a=%20b")), format!("{KEPT}/headers?a=%20b"));
    assert_eq!(seen(&format!("{STRIPPED_URL}/headers?a=%20b")), "/headers?a=%20b");
    assert_eq!(seen("/kept.db/headers"), format!("{KEPT}/headers"), "by the name of the service");
    assert_eq!(seen("/plain.plain.db/headers?q"), "/headers?q");
    // At the boundary of a segment only.
    let beside = web.get(&format!("{KEPT}x/headers"));
    assert_eq!(beside.status, 502);
    assert_eq!(beside.text(), format!("No upstream mapping for \"{KEPT}x/headers\". Try /.truth-yard/ui/\n"));
    // A page without a slash would look for its files in the wrong place.
    let bare = web.get(&format!("{STRIPPED_URL}?q=1"));
    assert_eq!((bare.status, bare.header("location")), (308, Some(format!("{STRIPPED_URL}/?q=1").as_str())));
    let bare = web.get(KEPT);
    assert_eq!(
        (bare.status, bare.header("location")),
        (301, Some(format!("{KEPT}/").as_str())),
        "its own answer"
    );
}

#[test]
fn redirects_and_cookies_reach_the_browser() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    for (base, url) in [(KEPT, KEPT), (STRIPPED, STRIPPED_URL)] {
        let login = web.get(&format!("{url}/login"));
        assert_eq!((login.status, login.header("location")), (303, Some(format!("{url}/").as_str())));
        let other = if base == KEPT { "/".to_owned() } else { url.to_owned() };
        let session = if base == KEPT { format!("{url}/") } else { url.to_owned() };
        let cookies = [format!("session=ok; Path={session}; HttpOnly"), format!("other=1; Path={other}")];
        assert_eq!(login.headers("set-cookie"), cookies);
        let welcome = web.ask(&format!("GET {url}/ HTTP/1.1\nCookie: session=ok; other=1"));
        assert!(welcome.text().contains("session=ok; other=1"), "{}", welcome.text());
        // A redirect to the port of the service, which the browser may not reach.
        let absolute = web.get(&format!("{url}/absolute"));
        assert_eq!(absolute.header("location"), Some(format!("{url}/landed?a=b#c").as_str()));
    }
    // A page that asks for a path without its prefix is told the right one.
    let host = format!("localhost:{}", web.port);
    let lost = web.ask(&format!(
        "GET /style.css?v=1 HTTP/1.1\nHost: {host}\nReferer: http://{host}{STRIPPED_URL}/page"
    ));
    assert_eq!(
        (lost.status, lost.header("location")),
        (307, Some(format!("{STRIPPED_URL}/style.css?v=1").as_str()))
    );
    let foreign = web
        .ask(&format!("GET /style.css HTTP/1.1\nHost: {host}\nReferer: http://evil.example{STRIPPED_URL}/"));
    assert_eq!(foreign.status, 502);
}

#[test]
fn headers_of_one_connection_stay_there_and_the_service_learns_who_asked() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let answer = web.ask(&format!(
        "GET {KEPT}/headers HTTP/1.1\nHost: localhost:9\nConnection: X-Mine\nX-Mine: 1\nKeep-Alive: 5\nTE: trailers\n\
         X-Other: 2\nX-Forwarded-For: 192.0.2.9\nX-Forwarded-Proto: https"
    ));
    assert_eq!((answer.header("keep-alive"), answer.header("x-own")), (None, Some("1")));
    let seen = answer.json();
    for name in ["X-Mine", "Keep-Alive", "TE"] {
        assert!(received(&seen, name).is_empty(), "{name}: {seen}");
    }
    assert_eq!(received(&seen, "X-Other"), ["2"]);
    assert_eq!(received(&seen, "Host"), ["localhost:9"], "the address that the browser knows");
    assert_eq!(received(&seen, "X-Forwarded-For"), ["192.0.2.9, 127.0.0.1"]);
    assert_eq!(received(&seen, "X-Forwarded-Proto"), ["https"], "from a proxy on this machine");
    assert_eq!(received(&seen, "X-Forwarded-Host"), ["localhost:9"]);
    // A service cannot reach beyond its prefix.
    let steal = web.get(&format!("{KEPT}/steal?{}", web.port));
    assert_eq!(steal.headers("set-cookie"), ["mine=1"]);
    assert_eq!((steal.header("service-worker-allowed"), steal.header("clear-site-data")), (None, None));
}

#[test]
fn connections_to_services_are_kept_for_what_may_be_repeated() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let port = || web.json(&format!("{KEPT}/headers"))["peer_port"].clone();
    assert_eq!(port(), port(), "one connection serves both");
    // The service closes a connection that it had promised to keep, with a request on it: nobody notices.
    assert_eq!(web.get(&format!("{KEPT}/tired")).status, 200);
    assert_eq!(web.get(&format!("{KEPT}/headers")).status, 200, "repeated on another connection");
    // What must not be repeated is not risked on such a connection.
    assert_eq!(web.get(&format!("{KEPT}/tired")).status, 200);
    assert_eq!(web.ask(&format!("POST {KEPT}/echo HTTP/1.1\nContent-Length: 0")).status, 200);
}

#[test]
fn methods_and_bodies_arrive_as_they_were_sent() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let mut stream = web.say(&format!("{method} {STRIPPED_URL}/x HTTP/1.1\nContent-Length: 5"));
        stream.get_mut().write_all(b"hello").unwrap();
        let seen = Answer::read(&mut stream, false).json();
        assert_eq!((&seen["bytes"], &seen["path"]), (&5.into(), &"/x".into()), "{method}");
        assert_eq!(seen["length"], "5");
    }
    let mut stream =
        web.say(&format!("POST {STRIPPED_URL}/x HTTP/1.1\nTransfer-Encoding: chunked\nExpect: 100-continue"));
    assert_eq!(Answer::read_head(&mut stream).status, 100);
    stream.get_mut().write_all(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").unwrap();
    let seen = Answer::read(&mut stream, false).json();
    assert_eq!((&seen["bytes"], &seen["transfer"]), (&7.into(), &"chunked".into()));
    let head = web.ask(&format!("HEAD {KEPT}/big?5000 HTTP/1.1"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("5000")));
    assert_eq!(web.ask("CONNECT localhost:80 HTTP/1.1").status, 400);
}

#[test]
fn events_of_a_service_are_not_held_back() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let mut stream = web.say(&format!("GET {KEPT}/events HTTP/1.1"));
    assert_eq!(Answer::read_head(&mut stream).header("content-type"), Some("text/event-stream"));
    // The second comes only after the first has been seen.
    assert_eq!(chunk(&mut stream).unwrap(), b"data: first\n\n");
    web.get(&format!("{KEPT}/go"));
    assert_eq!(chunk(&mut stream).unwrap(), b"data: second\n\n");
    assert_eq!(chunk(&mut stream), None);
}

#[test]
fn web_sockets_are_passed_through() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    for url in [KEPT, STRIPPED_URL] {
        let mut stream = web.say(&format!(
            "GET {url}/ws HTTP/1.1\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        ));
        let head = Answer::read_head(&mut stream);
        // The example of RFC 6455 §1.3.
        assert_eq!(
            (head.status, head.header("sec-websocket-accept")),
            (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        );
        for text in ["one", "two, after the first came back"] {
            let length = u8::try_from(text.len()).unwrap();
            let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0][..], text.as_bytes()].concat();
            stream.get_mut().write_all(&frame).unwrap();
            let mut echo = vec![0; 2 + text.len()];
            stream.read_exact(&mut echo).unwrap();
            assert_eq!(&echo[2..], text.as_bytes());
        }
        stream.get_mut().write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0, "the end of one side ends the other");
    }
}

#[test]
fn a_service_that_does_not_answer_is_told_with_what_to_do() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let dropped = web.get(&format!("{KEPT}/drop"));
    assert_eq!(dropped.status, 502);
    assert!(dropped.text().contains("ledger yard restart kept.db"), "{}", dropped.text());
    // Half an answer is not taken for a whole one.
    let mut stream = web.say(&format!("GET {KEPT}/cut HTTP/1.1"));
    assert_eq!(Answer::read_head(&mut stream).header("content-length"), Some("1000"));
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), "not all of it".len());
    // Its process hangs: nobody takes new connections once the queue is full, and the port is closed when it is killed.
    let context = yard.context("apps/kept.db");
    for pid in [&context["keeper"]["pid"], &context["pid"]] {
        signal(u32::try_from(pid.as_u64().unwrap()).unwrap(), "KILL");
    }
    until("the console says what to do", || {
        let answer = web.get(&format!("{KEPT}/"));
        assert_eq!(answer.status, 502, "{}", answer.text());
        let text = answer.text();
        // Until the picture is taken anew the service is a dead one, after that there is none.
        text.contains("does not answer") && text.contains("ledger yard restart kept.db")
            || text.contains("No upstream mapping")
    });
    assert_eq!(web.get(&format!("{STRIPPED_URL}/")).status, 200, "the others go on");
    // It is back as soon as it is started again.
    yard.ok(&["restart", "kept.db"]);
    until("it is served again", || web.get(&format!("{KEPT}/")).status == 200);
}

#[test]
fn the_proxy_can_be_turned_off() {
    let yard = yard();
    let web = Web::start(&yard, &["--no-proxy"]);
    let answer = web.get(&format!("{KEPT}/headers"));
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("--no-proxy"), "{}", answer.text());
    let referred = web.ask(&format!("GET /x HTTP/1.1\nReferer: http://localhost{KEPT}/"));
    assert_eq!(referred.status, 404);
    assert_eq!(web.get("/").header("location"), Some("/.truth-yard/ui/"));
    let roundtrip = web.get(&format!("/.truth-yard/api/proxy-roundtrip.json?path={KEPT}/headers"));
    assert_eq!(roundtrip.status, 404);
    assert_eq!(
        web.json("/.truth-yard/api/proxy-table.json")["count"],
        4,
        "it is still shown what would lead where"
    );
}

#[test]
fn a_trace_tells_where_a_request_went() {
    let yard = yard();
    let mut web = Web::start(&yard, &[]);
    let answer = web.get(&format!("{STRIPPED_URL}/headers?__truth_yard_trace=1"));
    assert_eq!(answer.header("x-truth-yard-matched-basepath"), Some(STRIPPED));
    assert_eq!(answer.header("x-truth-yard-rest"), Some("/headers"));
    let id = answer.header("x-truth-yard-trace-id").unwrap();
    let line: Value = serde_json::from_str(&web.line()).unwrap();
    assert_eq!((line["traceId"].as_str(), &line["status"]), (Some(id), &200.into()));
    for key in ["ts", "method", "path", "matchedBasePath", "upstreamUrl", "rest", "ms"] {
        assert!(!line[key].is_null(), "{key}: {line}");
    }
    let named =
        web.ask(&format!("GET {KEPT}/drop HTTP/1.1\nX-Truth-Yard-Trace: yes\nX-Truth-Yard-Trace-Id: mine"));
    assert_eq!((named.status, named.header("x-truth-yard-trace-id")), (502, Some("mine")));
    assert!(web.line().contains("\"mine\""));
    assert_eq!(web.get(&format!("{KEPT}/headers")).header("x-truth-yard-trace-id"), None);
}
