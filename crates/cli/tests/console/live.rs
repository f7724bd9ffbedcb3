//! What is pushed: changes of the yard and lines of logs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::*;

const STATE: &str = "/.truth-yard/api/events";

fn service(state: &Value, id: &str) -> Value {
    let services = state["services"].as_array().unwrap();
    services.iter().find(|service| service["id"] == id).cloned().unwrap_or_default()
}

#[test]
fn a_change_is_told_at_once() {
    let yard = yard();
    let web = Web::start(&yard, &["--refresh-ms", "60000"]);
    let mut events = Events::open(&web, STATE);
    let (name, first) = events.next();
    assert_eq!((name.as_str(), &service(&first, "kept.db")["state"]), ("state", &"ready".into()));
    // Only notifications tell it: the picture may be a minute old otherwise.
    let since = Instant::now();
    yard.ok(&["stop", "kept.db"]);
    events.until(|_, state| service(state, "kept.db")["state"] == "stopped");
    yard.database("new/one.db", "sqlpage_files");
    yard.ok(&["start"]);
    let state = events.until(|_, state| service(state, "one.db")["state"] == "ready");
    assert!(since.elapsed() < Duration::from_secs(50), "{:?}", since.elapsed());
    assert_eq!(service(&state, "one.db")["prefix"], "/apps/sqlpage/new/one");
    // A service that is killed is started again by its keeper, under another pid.
    let pid = yard.pid("new/one.db");
    signal(pid, "KILL");
    let state = events.until(|_, state| {
        let one = service(state, "one.db");
        one["state"] == "ready" && one["pid"] != pid
    });
    assert_eq!(service(&state, "one.db")["restarts"], 1);
}

#[test]
fn a_ledger_that_comes_later_or_is_made_anew_is_noticed() {
    let yard = Yard::new();
    let web = Web::start(&yard, &["--refresh-ms", "200"]);
    let mut events = Events::open(&web, STATE);
    assert_eq!(events.next().1["services"], serde_json::json!([]));
    yard.ok(&["start"]);
    events.until(|_, state| service(state, "dashboard.db")["state"] == "ready");
    yard.ok(&["kill", "--clean"]);
    events.until(|_, state| state["services"] == serde_json::json!([]));
    std::fs::remove_dir_all(yard.at("ledger.d")).unwrap();
    yard.ok(&["start"]);
    events.until(|_, state| service(state, "dashboard.db")["state"] == "ready");
}

/// Lines of one stream that are told, until one is as expected.
fn lines_until(events: &mut Events, stream: &str, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != last) {
        let (name, data) = events.next();
        if name == "lines" {
            let of_stream = data.as_array().unwrap().iter().filter(|line| line["stream"] == stream);
            lines.extend(of_stream.map(|line| line["text"].as_str().unwrap().to_owned()));
        }
    }
    lines
}

#[test]
fn lines_of_a_log_are_told_as_they_come_across_rotations_and_sessions() {
    let yard = yard();
    let config = std::fs::read_to_string(yard.at("yard.yaml")).unwrap();
    std::fs::write(yard.at("yard.yaml"), format!("{config}max_log_bytes: 2000\n")).unwrap();
    yard.ok(&["restart", "kept.db"]);
    let web = Web::start(&yard, &[]);
    let say = |text: &str| assert_eq!(web.get(&format!("{KEPT}/say?{text}")).text(), "said");
    let mut events = Events::open(&web, "/.truth-yard/api/log-events?service=kept.db");
    assert_eq!(events.next().0, "begin");
    lines_until(&mut events, "stderr", &format!("listening below {KEPT}/"));
    // Ten times what one file holds: five rotations and more.
    let expected: Vec<String> =
        (0..200).map(|number| format!("line-{number:03}-{}", "x".repeat(90))).collect();
    let mut told = Vec::new();
    for part in expected.chunks(10) {
        part.iter().for_each(|line| say(line));
        told.extend(lines_until(&mut events, "stderr", part.last().unwrap()));
    }
    assert_eq!(told, expected, "each once, in order");
    // Another session, another file.
    yard.ok(&["stop", "kept.db"]);
    yard.ok(&["start"]);
    let after = lines_until(&mut events, "stderr", &format!("listening below {KEPT}/"));
    assert_eq!(after.len(), 1, "{after:?}");
    until("the proxy knows the new one", || web.get(&format!("{KEPT}/")).status == 200);
    say("in-the-new-session");
    assert_eq!(lines_until(&mut events, "stderr", "in-the-new-session"), ["in-the-new-session"]);
    // Whoever comes later is told the end of what there is.
    let mut later = Events::open(&web, "/.truth-yard/api/log-events?service=kept.db&lines=1");
    assert_eq!(lines_until(&mut later, "stderr", "in-the-new-session"), ["in-the-new-session"]);
    assert_eq!(web.get("/.truth-yard/api/log-events?service=none").status, 404);
    assert_eq!(web.get("/.truth-yard/api/log-events").status, 400);
}

#[test]
fn ctrl_c_ends_the_console_and_leaves_the_services() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let mut events = Events::open(&web, STATE);
    events.next();
    let since = Instant::now();
    web.interrupt();
    assert!(since.elapsed() < Duration::from_secs(10), "open streams do not hold it up");
    assert_eq!(yard.state("apps/kept.db"), "ready");
}
