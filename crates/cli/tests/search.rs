//! `ledger stream search`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

fn filled() -> Ledger {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "-S", "a", "--tag", "t", "Login failed: 100%"]);
    ledger.ok(&["stream", "append", "-S", "b", "--meta", "k=v", "login <ok> & \"done\"\nnext"]);
    ledger.ok(&["stream", "append", "-S", "a", "logout"]);
    ledger.ok(&["stream", "append", "-S", "a", "--json", r#"{"event":"LOGIN","done":1000}"#]);
    ledger
}

#[test]
fn a_stream_or_all_of_them_are_searched() {
    let ledger = filled();
    assert_eq!(ledger.ok(&["stream", "search", "-S", "a", "login"]).lines().count(), 2);
    let all = ledger.ok(&["stream", "search", "login", "--json"]);
    let streams: Vec<_> = all.lines().map(|line| line.split('"').nth(7).unwrap()).collect();
    assert_eq!(streams, ["a", "b", "a"]);
    assert_eq!(ledger.ok(&["stream", "search", "nothing like it"]), "");
    assert_eq!(ledger.ok(&["stream", "search", "-S", "unknown", "login"]), "");
}

#[test]
fn text_is_found_as_it_was_typed() {
    let ledger = filled();
    for found in ["<ok> &", "& \"done\"", "\nnext", "100%"] {
        assert_eq!(ledger.ok(&["stream", "search", "--escape", found]).lines().count(), 1, "{found}");
    }
    for missing in ["l_gin", "%", "log%"] {
        let expected = usize::from(missing == "%");
        assert_eq!(ledger.ok(&["stream", "search", missing]).lines().count(), expected, "{missing}");
    }
}

#[test]
fn filters_cursor_limit_and_order_are_honoured() {
    let ledger = filled();
    let ids = |args: &[&str]| {
        let printed = ledger.ok(&[&["stream", "search", "log", "--escape"], args].concat());
        printed.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(&[]), "1 2 3 4");
    assert_eq!(ids(&["--desc"]), "4 3 2 1");
    assert_eq!(ids(&["--after", "2"]), "3 4");
    assert_eq!(ids(&["--after", "3", "--desc", "--limit", "1"]), "2");
    assert_eq!(ids(&["--tag", "t"]), "1");
    assert_eq!(ids(&["--meta", "k=v"]), "2");
    assert_eq!(ids(&["--since", "1h", "-S", "b"]), "2");
    assert_eq!(ids(&["--until", "1h"]), "");
}

#[test]
fn all_prints_more_than_a_page() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.txt", "needle\nhay\n".repeat(1500));
    ledger.ok(&["stream", "append", "--input", &file]);
    assert_eq!(ledger.ok(&["stream", "search", "NEEDLE"]).lines().count(), 100);
    assert_eq!(ledger.ok(&["stream", "search", "NEEDLE", "--all"]).lines().count(), 1500);
}

#[test]
fn a_query_is_needed() {
    let ledger = filled();
    assert_eq!(ledger.fails(&["stream", "search", ""]), "Error: query must not be empty\n");
    assert_eq!(ledger.fails(&["stream", "search"]), "Error: accepts 1 arg(s), received 0\n");
    assert_eq!(ledger.fails(&["stream", "search", "a", "b"]), "Error: accepts 1 arg(s), received 2\n");
    assert_eq!(
        ledger.fails(&["stream", "search", "--after", "x", "a"]),
        "Error: ledger: invalid cursor type: expected a decimal 64-bit id, got \"x\"\n"
    );
}
