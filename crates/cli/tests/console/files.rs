//! The ledger, browsed.

use std::os::unix::fs::symlink;

use crate::support::*;

#[test]
fn contexts_and_logs_are_there_to_read() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let context = yard.context("my apps/plain.plain.db");
    let session = context["sessionId"].as_str().unwrap();
    let top = web.get("/.truth-yard/ledger.d/").text();
    assert!(top.contains(session) && !top.contains(">.run"), "{top}");
    let folder = format!("/.truth-yard/ledger.d/{session}/my%20apps");
    assert_eq!(web.get(&folder).header("location"), Some(format!("{folder}/").as_str()));
    let listing = web.get(&format!("{folder}/"));
    assert!(listing.text().contains("plain.plain.db.context.json"), "{}", listing.text());
    let file = web.get(&format!("{folder}/plain.plain.db.context.json"));
    assert_eq!(file.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(file.json()["serviceId"], "plain.plain.db");
    assert!(file.header("content-security-policy").unwrap().contains("sandbox"));
    let log = web.get(&format!("{folder}/plain.plain.db.stderr.log"));
    assert!(log.text().contains("listening below"), "{}", log.text());
    let head = web.ask(&format!("HEAD {folder}/plain.plain.db.stderr.log HTTP/1.1"));
    assert_eq!(head.header("content-length"), Some(log.body.len().to_string().as_str()));
}

#[test]
fn nothing_outside_the_ledger_is_reached() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    std::fs::write(yard.at("outside.txt"), "secret").unwrap();
    symlink(yard.at("outside.txt"), yard.at("ledger.d/watch")).unwrap();
    for path in [
        "../outside.txt",
        "%2e%2e/outside.txt",
        "%2e%2e%2foutside.txt",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "x/../../outside.txt",
        "/etc/passwd",
        "%2fetc/passwd",
        "watch",
        "%00",
        ".run/",
        "%2erun",
        ".run/apps/kept.db/current",
        "..%5coutside.txt",
        "....//outside.txt",
        "%252e%252e/outside.txt",
    ] {
        let answer = web.get(&format!("/.truth-yard/ledger.d/{path}"));
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("secret") && !answer.text().contains("root:"), "{path}");
    }
    assert_eq!(web.get("/.truth-yard/ledger.d/../outside.txt").text(), "Invalid path\n");
    assert_eq!(web.get("/.truth-yard/ledger.d/nothing").text(), "Not found\n");
    assert!(matches!(web.get("/.truth-yard/ui/../../outside.txt").status, 404));
}

#[test]
fn odd_names_and_foreign_files_do_no_harm() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let session = yard.context("apps/kept.db")["sessionId"].as_str().unwrap().to_owned();
    let folder = yard.at("ledger.d").join(&session);
    for name in
        ["<img src=x onerror=alert(1)>.html", "a\"b'c&d.txt", "zwei\nZeilen.txt", "ünï.txt", "50%.txt"]
    {
        std::fs::write(folder.join(name), "<script>alert(1)</script>").unwrap();
    }
    std::fs::write(folder.join("large.txt"), vec![b'x'; 5_000_001]).unwrap();
    let listing = web.get(&format!("/.truth-yard/ledger.d/{session}/")).text();
    assert!(!listing.contains("<img") && listing.contains("&lt;img"), "{listing}");
    // Every name that is listed leads to its file.
    let links: Vec<&str> =
        listing.split("<tr><td><a href=\"").skip(1).map(|row| row.split('"').next().unwrap()).collect();
    assert!(links.len() >= 7, "{listing}");
    for link in links.iter().filter(|link| !link.ends_with('/')) {
        let answer = web.get(&format!("/.truth-yard/ledger.d/{session}/{link}"));
        assert_eq!(answer.status, 200, "{link}");
        assert!(answer.header("content-security-policy").unwrap().starts_with("sandbox;"), "{link}");
    }
    let large = web.get(&format!("/.truth-yard/ledger.d/{session}/large.txt"));
    assert_eq!(large.header("content-disposition"), Some("attachment"));
    assert_eq!(large.body.len(), 5_000_001);
}

#[test]
fn logs_of_a_service_with_secrets_need_the_key() {
    let yard = Yard::empty();
    yard.database("apps/a.db", "sqlpage_files");
    std::fs::write(yard.cargo("apps/.env"), "API_TOKEN=x\n").unwrap();
    yard.ok(&["start"]);
    let session = yard.context("apps/a.db")["sessionId"].as_str().unwrap().to_owned();
    let log = format!("/.truth-yard/ledger.d/{session}/apps/a.db.stderr.log");
    let web = Web::start(&yard, &[]);
    let answer = web.get(&log);
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("--key-file"), "{}", answer.text());
    let mut events = Events::open(&web, "/.truth-yard/api/log-events?service=a.db");
    let refused = events.until(|name, _| name == "refused");
    assert!(refused["message"].as_str().unwrap().contains("--key-file"), "{refused}");
    assert_eq!(web.get(&log.replace("stderr.log", "context.json")).status, 200, "its secrets are masked");
}
